"""Which prompts begin alike, and by how many tokens, so that what they share is read once.

In: token ids of prompts. Out: groups of them, each with the length of what all its prompts begin with. Pure.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

MIN_SHARED = 16
"""Tokens below which a shared beginning is not worth a pass of its own."""


class Group(NamedTuple):
    """Rows whose prompts share their first `length` tokens; 0 where a row stands alone."""

    length: int
    rows: tuple[int, ...]


def shared_length(a: Sequence[int] | Int[np.ndarray, "..."], b: Sequence[int] | Int[np.ndarray, "..."]) -> int:
    """Number of tokens that both begin with."""
    least = min(len(a), len(b))
    differs = np.flatnonzero(np.asarray(a[:least]) != np.asarray(b[:least]))
    return int(differs[0]) if len(differs) else least


def grouped(prompts: Sequence[Sequence[int]], min_shared: int = MIN_SHARED) -> list[Group]:
    """Every row once, in groups that share at least `min_shared` tokens, leaving each prompt one token of its own.

    Prompts that sort next to each other join a group as long as that saves more tokens than it costs: a longer
    beginning that two prompts share by chance does not keep the third out. Rows of a group go by length.
    """
    arrays = [np.asarray(prompt, np.int32) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda row: tuple(prompts[row]))
    groups: list[Group] = []
    length, rows = 0, order[:1]
    for row in order[1:]:
        both = min(shared_length(arrays[rows[-1]], arrays[row]), len(arrays[row]) - 1, len(arrays[rows[0]]) - 1)
        joined = both if len(rows) == 1 else min(length, both)
        if joined >= min_shared and joined * len(rows) >= length * (len(rows) - 1):
            length = joined
            rows.append(row)
        else:
            groups.append(_by_length(length, rows, prompts))
            length, rows = 0, [row]
    return [*groups, _by_length(length, rows, prompts)] if rows else groups


def _by_length(length: int, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Group:
    return Group(length, tuple(sorted(rows, key=lambda row: (len(prompts[row]), row))))
