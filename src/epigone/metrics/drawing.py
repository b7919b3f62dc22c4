"""Chance that depends on a key alone: the same draw on every machine, whatever was drawn before.

In: a key of any parts. Out: two numbers strictly between 0 and 1. Simulated raters draw order and noise so.
Source: BLAKE2 (RFC 7693) as the hash.
"""

import hashlib


def uniforms(*key: object) -> tuple[float, float]:
    """Two numbers strictly between 0 and 1 that depend on the key alone, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    first, second = (int.from_bytes(half, "big") for half in (digest[:8], digest[8:]))
    return (first + 0.5) / 2**64, (second % (2**52) + 0.5) / 2**52
