"""Amounts of tokens as people write them: 300K, 0.3M, 150M.

In: text. Out: a number of tokens. Source: the paper's own way of naming its amounts (section 4.1, Figure 1).
"""

import re

from epigone.errors import SpecError

UNITS = {"": 1, "k": 1000, "m": 1_000_000, "b": 1_000_000_000}


def amount(text: str) -> int:
    """Tokens of `300000`, `300K`, `0.3M` or `150M`. Raises SpecError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmb]?)", text.strip().replace("_", ""), re.IGNORECASE)
    if not match:
        raise SpecError(f"{text!r} is no amount of tokens; write it as 300000, 300K, 0.3M or 150M")
    return round(float(match[1]) * UNITS[match[2].lower()])
