"""How long things are: quantiles, and counts in bins whose width doubles.

In: whole numbers (words of a turn, turns of a conversation), one at a time. Out: Lengths. The bins are 0, 1, 2-3, 4-7,
8-15 ..., the same for every dataset, so that two can be laid over one another.
Source: quantiles by linear interpolation, as numpy draws them (Hyndman & Fan 1996, type 7).
"""

from array import array
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Bin:
    """How many of the values lie between `low` and `high`, both included."""

    low: int
    high: int
    num: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of one kind of length; all zero where there is nothing."""

    num: int
    total: int
    mean: float
    quantile_05: float
    median: float
    quantile_95: float
    longest: int
    bins: tuple[Bin, ...]


class LengthTally:
    """Collects values, eight bytes each."""

    def __init__(self) -> None:
        self._values = array("q")

    def add(self, value: int) -> None:
        """One more value, 0 or above."""
        self._values.append(value)

    def lengths(self) -> Lengths:
        """What was collected."""
        if not self._values:
            return Lengths(0, 0, 0.0, 0.0, 0.0, 0.0, 0, ())
        values = np.frombuffer(self._values, dtype=np.int64)
        low, median, high = (float(v) for v in np.quantile(values, (0.05, 0.5, 0.95)))
        longest = int(values.max())
        return Lengths(
            len(values), int(values.sum()), float(values.mean()), low, median, high, longest, _bins(values, longest)
        )


def _bins(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]], longest: int) -> tuple[Bin, ...]:
    """Bin k > 0 holds the numbers of k binary digits."""
    edges = [0, *(2**k for k in range(longest.bit_length() + 1))]
    counts = np.histogram(values, bins=edges)[0] if len(edges) > 2 else [len(values)]
    return tuple(Bin(low, high - 1, int(num)) for low, high, num in zip(edges, edges[1:], counts))
