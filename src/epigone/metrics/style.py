"""How alike two models write: the paper's Table 2 by fixed rules (list, summary paragraph, words, length).

In: the teacher's and another model's answers to the same prompts. Out: per-prompt values, so that all can be resampled.
Source: arXiv 2305.15717, Table 2, which gives no definitions. Ours: a word is a match of `[a-z0-9']+` in the
lower-cased text; a list is two or more item lines outside code fences; a summary is a last paragraph that opens with
"overall", "in summary" and the like. These rules are fixed; another definition gets another name.
"""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epigone.errors import DataError
from epigone.metrics.resampling import Array

WORD = re.compile(r"[a-z0-9']+")
ITEM_LINE = re.compile(r"^\s*(?:[-*\u2022]|\(?\d{1,3}[.)])\s+\S", re.MULTILINE)
FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
BLANK_LINE = re.compile(r"\n\s*\n")
SUMMARY_OPENING = re.compile(
    r"\W{0,3}(?:overall|in (?:summary|conclusion|short)|to (?:summari[sz]e|conclude|sum up)|all in all|ultimately)\b",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?](?:\s|$)|\n+")


@dataclass(frozen=True, slots=True)
class Features:
    """What the style metrics look at in one answer."""

    words: Counter[str]
    num_words: int
    has_list: bool
    has_summary: bool
    words_per_sentence: float


@functools.lru_cache(maxsize=8192)
def features(text: str) -> Features:
    """Style features of one answer."""
    words = WORD.findall(text.lower())
    prose = FENCE.sub("", text)
    num_sentences = sum(1 for part in SENTENCE_END.split(text) if WORD.search(part.lower()))
    return Features(
        words=Counter(words),
        num_words=len(words),
        has_list=len(ITEM_LINE.findall(prose)) >= 2,
        has_summary=_closes_with_summary(prose),
        words_per_sentence=len(words) / max(num_sentences, 1),
    )


def _closes_with_summary(prose: str) -> bool:
    paragraphs = [p.strip() for p in BLANK_LINE.split(prose) if p.strip()]
    last = paragraphs[-1] if len(paragraphs) > 1 else ""
    return bool(SUMMARY_OPENING.match(last)) and not ITEM_LINE.match(last)


@dataclass(frozen=True, slots=True, eq=False)
class StylePairs:
    """Per-prompt values, all (n,). `used` is 0 where an answer is empty: such a prompt is left out and counted.

    A share such as list agreement is sum(numerator) / sum(denominator) over the prompts.
    """

    used: Array
    list_teacher: Array
    list_both: Array
    summary_teacher: Array
    summary_both: Array
    unigram: Array
    words_teacher: Array
    words: Array
    sentence_closeness: Array

    @property
    def num_empty(self) -> int:
        """Prompts left out because one of the two answers is empty."""
        return int((self.used == 0).sum())


def compare(teacher: Sequence[str], other: Sequence[str]) -> StylePairs:
    """Style of `other` beside the teacher's, prompt by prompt. Raises DataError where the lengths differ."""
    if len(teacher) != len(other):
        raise DataError(f"style compares answers to the same prompts, got {len(teacher)} and {len(other)}")
    rows = [_pair(t, o) for t, o in zip(teacher, other)]
    return StylePairs(*np.asarray(rows, dtype=np.float64).reshape(-1, 9).T)


def _pair(teacher: str, other: str) -> tuple[float, ...]:
    if not teacher.strip() or not other.strip():
        return (0.0,) * 9
    t, o = features(teacher), features(other)
    pace = sorted((t.words_per_sentence, o.words_per_sentence))
    return (
        1.0,
        float(t.has_list),
        float(t.has_list and o.has_list),
        float(t.has_summary),
        float(t.has_summary and o.has_summary),
        unigram_f1(t, o),
        float(t.num_words),
        float(o.num_words),
        pace[0] / pace[1] if pace[1] else 0.0,
    )


def unigram_f1(a: Features, b: Features) -> float:
    """F1 of the two multisets of words, each word counted at most as often as in the other."""
    few, many = (a.words, b.words) if len(a.words) < len(b.words) else (b.words, a.words)
    shared = sum(min(count, many[word]) for word, count in few.items() if word in many)
    return 2 * shared / (a.num_words + b.num_words) if shared else 0.0


def shuffled(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The answers moved to other prompts, none left in place: what unrelated answers agree on (the floor)."""
    order = np.random.default_rng(seed).permutation(len(texts))
    moved = [""] * len(texts)
    for place, source in zip(order, np.roll(order, 1)):
        moved[place] = texts[source]
    return moved
