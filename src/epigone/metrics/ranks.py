"""A seeded order of texts that does not depend on the order in which they are read: the lowest k are a random sample.

In: texts with what tells them apart, one at a time. Out: the k that stand first, in that order. Samples of k and 2k are
nested, a subset of the texts keeps the order of the whole, and what is read twice is drawn twice.
Source: bottom-k sampling, Cohen & Kaplan (2007), https://doi.org/10.1145/1281100.1281133.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


def rank(salt: str, seed: int, *parts: str) -> int:
    """A place between 0 and 2**64 - 1, the same on every machine; other salts and seeds give unrelated places."""
    digest = hashlib.sha256(f"{salt} {seed}".encode())
    for part in parts:
        data = part.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "big") + data)
    return int.from_bytes(digest.digest()[:8], "big")


class Lowest(Generic[T]):
    """Holds on to the `size` items of lowest rank among all that were offered."""

    def __init__(self, size: int, salt: str, seed: int) -> None:
        self.size = size
        self.num_offered = 0
        self._salt, self._seed = salt, seed
        self._again: Counter[int] = Counter()
        self._heap: list[tuple[int, int, T]] = []  # highest rank on top, so that it is the first to go

    def offer(self, item: T, *parts: str) -> None:
        """An item and what it is known by; parts that came before count as another item."""
        first = rank(self._salt, self._seed, *parts)
        place = first if not self._again[first] else rank(self._salt, self._seed, *parts, str(self._again[first]))
        self._again[first] += 1
        self.num_offered += 1
        entry = (-place, -self.num_offered, item)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def items(self) -> Sequence[T]:
        """The items kept, lowest rank first."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
