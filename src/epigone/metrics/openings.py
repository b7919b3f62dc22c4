"""How queries begin: their first one, two and three words, counted.

In: queries. Out: the most frequent openings. Case does not count; a character of a script that is written without
blanks (Chinese, Japanese, Thai ...) is a word. Source: the look at openings is as usual for instruction data, e.g.
Self-Instruct, https://arxiv.org/abs/2212.10560, section 3.4 (root verbs).
"""

import re
from collections import Counter
from itertools import islice

MOST_WORDS = 3
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’][^\W_{_UNSPACED}]+)*")
_LONGEST, _LOOKED_AT = 24, 400


def first_words(query: str) -> list[str]:
    """The first words of a query, at most three, in small letters; a very long one is cut."""
    found = islice(_WORD.finditer(query[:_LOOKED_AT].lower()), MOST_WORDS)
    return [word[:_LONGEST].replace("’", "'") for word in (match[0] for match in found)]


class Openings:
    """Counts openings of one, two and three words."""

    def __init__(self) -> None:
        self.num_queries = 0
        self._counts: tuple[Counter[str], ...] = tuple(Counter[str]() for _ in range(MOST_WORDS))

    def add(self, query: str) -> None:
        """Count one query; one with fewer words counts only among openings of so many."""
        self.num_queries += 1
        words = first_words(query)
        for size in range(1, len(words) + 1):
            self._counts[size - 1][" ".join(words[:size])] += 1

    def top(self, num_words: int, most: int) -> tuple[tuple[str, int], ...]:
        """The most frequent openings of so many words, with their counts; equal counts by alphabet."""
        counts = self._counts[num_words - 1]
        return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most])
