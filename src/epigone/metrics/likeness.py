"""How alike two models' answers to the same prompts are, in every way measured here, and one distance over all.

In: the teacher's and another model's answers, aligned. Out: `Draws` by metric name, so that models are compared over
the same resamples; levels of each model alone; distances by prompt, for the choice of examples.

Metrics of Table 2 keep the rules of `style`: list, summary, unigram, length. Other definitions have other names:
list_agreement (share of prompts where both answers list or neither does), summary_loose (the closing words of
LOOSE_CLOSING count too), unigram_types (shared words over all different words, Jaccard), length_log (Pearson's r of the
logarithms). At first sight: bold, headers, refusals, self_identification (share of prompts where both do or neither),
hedges, sentence_length, vocabulary (mean of lesser over greater; hedges with one added to both).

Distance: ten parts, each a difference by prompt (0 or 1 of yes-or-no features, |log ratio| of rates, 1 - unigram) over
its mean between the teacher's answers to *different* prompts. `distance` is the mean of the parts, over what that mean
is between different prompts: 0 is the teacher's own answer, 1 is as far off as its answer to another question. A
yes-or-no part on which the teacher hardly varies is divided by SMALLEST_SCALE, lest one odd answer weigh endlessly.
Source: arXiv 2305.15717, Table 2 and section 4.2 for the idea; the rules are ours, fixed before any model was measured.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epigone.metrics import style
from epigone.metrics.first_look import FirstLook, first_look
from epigone.metrics.resampling import Array, Draws, correlations, ratios

TABLE_2 = ("list", "summary", "unigram", "length")
OTHER_DEFINITIONS = ("list_agreement", "summary_loose", "unigram_types", "length_log")
FIRST_LOOK = ("bold", "headers", "hedges", "refusals", "self_identification", "sentence_length", "vocabulary")
PARTS = (
    "list", "summary", "bold", "headers", "words", "length", "sentence_length", "vocabulary", "hedges", "stance",
)  # fmt: skip
YES_OR_NO = ("list", "summary", "bold", "headers", "stance")
SMALLEST_SCALE = 0.2
NUM_SHUFFLES = 20
LOOSE_CLOSING = re.compile(
    r"\W{0,3}(?:by (?:following|doing|using)|remember|therefore|thus|finally|lastly|in the end|i hope|hopefully|"
    r"these are (?:just|only)|with (?:these|this)|please (?:note|let)|it(?:'s| is) important)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that is measured of one answer."""

    table: style.Features
    seen: FirstLook
    loose_summary: bool
    empty: bool


def look(text: str) -> Look:
    """Measure one answer."""
    table = style.features(text)
    return Look(table, first_look(text), table.has_summary or _closes_loosely(text), not text.strip())


def _closes_loosely(text: str) -> bool:
    paragraphs = [p.strip() for p in style.BLANK_LINE.split(style.FENCE.sub("", text)) if p.strip()]
    last = paragraphs[-1] if len(paragraphs) > 1 else ""
    return bool(LOOSE_CLOSING.match(last)) and not style.ITEM_LINE.match(last)


def likeness(teacher: Sequence[Look], other: Sequence[Look]) -> dict[str, Draws]:
    """Every metric but the distance, by name; one that has no prompt to stand on is absent."""
    used = np.asarray([float(not t.empty and not o.empty) for t, o in zip(teacher, other, strict=True)])
    columns = _columns(teacher, other)
    found = {name: ratios(_column(over * used), _column(under * used)) for name, (over, under) in columns.items()}
    words_t, words_o = (np.asarray([float(x.table.num_words) for x in side]) for side in (teacher, other))
    mask = _column(used)
    found["length"] = correlations(_column(words_t), _column(words_o), mask)
    found["length_log"] = correlations(_column(np.log1p(words_t)), _column(np.log1p(words_o)), mask)
    order = (*TABLE_2, *OTHER_DEFINITIONS, *FIRST_LOOK)
    return {name: found[name] for name in order if np.isfinite(found[name].points).all()}


def _columns(teacher: Sequence[Look], other: Sequence[Look]) -> dict[str, tuple[Array, Array]]:
    pairs = list(zip(teacher, other))
    ones = np.ones(len(pairs))

    def shared(name: str, over: list[bool]) -> tuple[Array, Array]:
        under = np.asarray([float(getattr(t.table, name)) for t, _ in pairs])
        return np.asarray(over, dtype=np.float64) * under, under

    def each(values: list[float]) -> tuple[Array, Array]:
        return np.asarray(values), ones

    loose = np.asarray([float(t.loose_summary) for t, _ in pairs])
    return {
        "list": shared("has_list", [o.table.has_list for _, o in pairs]),
        "summary": shared("has_summary", [o.table.has_summary for _, o in pairs]),
        "unigram": each([style.unigram_f1(t.table, o.table) for t, o in pairs]),
        "list_agreement": each([float(t.table.has_list == o.table.has_list) for t, o in pairs]),
        "summary_loose": (loose * [float(o.loose_summary) for _, o in pairs], loose),
        "unigram_types": each([_jaccard(t, o) for t, o in pairs]),
        "bold": each([float(t.seen.bold == o.seen.bold) for t, o in pairs]),
        "headers": each([float(t.seen.headers == o.seen.headers) for t, o in pairs]),
        "refusals": each([float(t.seen.refuses == o.seen.refuses) for t, o in pairs]),
        "self_identification": each([float(t.seen.names_itself == o.seen.names_itself) for t, o in pairs]),
        "hedges": each([_lesser(t.seen.hedges_per_100_words, o.seen.hedges_per_100_words, 1.0) for t, o in pairs]),
        "sentence_length": each([_lesser(t.seen.words_per_sentence, o.seen.words_per_sentence) for t, o in pairs]),
        "vocabulary": each([_lesser(t.seen.vocabulary, o.seen.vocabulary) for t, o in pairs]),
    }


def _column(values: Array) -> Array:
    return np.asarray(values, dtype=np.float64)[:, None]


def _jaccard(t: Look, o: Look) -> float:
    mine, theirs = t.table.words.keys(), o.table.words.keys()
    shared = len(mine & theirs)
    return shared / (len(mine) + len(theirs) - shared) if shared else 0.0


def _lesser(x: float, y: float, added: float = 0.0) -> float:
    low, high = sorted((x + added, y + added))
    return low / high if high else 1.0


def levels(looks: Sequence[Look]) -> dict[str, Draws]:
    """What one model does by itself, over its non-empty answers: shares, rates and means by feature."""
    used = _column(np.asarray([float(not x.empty) for x in looks]))
    if not used.any():
        return {}
    values = {
        "list": [float(x.table.has_list) for x in looks],
        "summary": [float(x.table.has_summary) for x in looks],
        "words": [float(x.table.num_words) for x in looks],
        "bold": [float(x.seen.bold) for x in looks],
        "headers": [float(x.seen.headers) for x in looks],
        "hedges": [x.seen.hedges_per_100_words for x in looks],
        "refusals": [float(x.seen.refuses) for x in looks],
        "self_identification": [float(x.seen.names_itself) for x in looks],
        "sentence_length": [x.seen.words_per_sentence for x in looks],
        "vocabulary": [x.seen.vocabulary for x in looks],
    }
    return {name: ratios(_column(np.asarray(v)) * used, used) for name, v in values.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """Distance of a model from the teacher: parts by name, their mean, and both by prompt (NaN where one is empty)."""

    total: Draws
    parts: dict[str, Draws]
    by_prompt: Array


class Yardstick:
    """The teacher's answers, and how far apart they are between different prompts: the scale of every distance."""

    def __init__(self, teacher: Sequence[Look]) -> None:
        self._teacher = list(teacher)
        filled = [x for x in teacher if not x.empty]
        apart = np.zeros(len(PARTS))
        for shift in _shifts(len(filled)):
            apart += _apart(filled, filled[shift:] + filled[:shift]).mean(axis=0)
        apart /= max(len(_shifts(len(filled))), 1)
        smallest = np.asarray([SMALLEST_SCALE if part in YES_OR_NO else 1e-6 for part in PARTS])
        self.scale = np.maximum(apart, smallest)
        self.unit = max(float((apart / self.scale).mean()), 1e-6)

    def distances(self, other: Sequence[Look]) -> Distances:
        """How far `other` is from the teacher, answer by answer."""
        apart = _apart(self._teacher, other) / self.scale
        used = np.asarray([float(not t.empty and not o.empty) for t, o in zip(self._teacher, other, strict=True)])
        masked = _column(used)
        parts = {name: ratios(_column(apart[:, k] * used), masked) for k, name in enumerate(PARTS)}
        whole = apart.mean(axis=1) / self.unit
        return Distances(ratios(_column(whole * used), masked), parts, np.where(used > 0, whole, np.nan))


def _shifts(n: int) -> list[int]:
    """By how many places answers are moved to other prompts: NUM_SHUFFLES of them, spread over all."""
    return sorted({1 + (n - 1) * k // NUM_SHUFFLES for k in range(NUM_SHUFFLES)} - {n}) if n > 1 else []


def _apart(one: Sequence[Look], two: Sequence[Look]) -> Array:
    """Differences by prompt and part, (n, len(PARTS))."""
    rows = [_differences(a, b) for a, b in zip(one, two, strict=True)]
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(PARTS))


def _differences(a: Look, b: Look) -> tuple[float, ...]:
    return (
        float(a.table.has_list != b.table.has_list),
        float(a.table.has_summary != b.table.has_summary),
        float(a.seen.bold != b.seen.bold),
        float(a.seen.headers != b.seen.headers),
        1 - style.unigram_f1(a.table, b.table) if a.table.words or b.table.words else 0.0,
        _log_ratio(a.table.num_words, b.table.num_words),
        _log_ratio(a.seen.words_per_sentence, b.seen.words_per_sentence),
        abs(a.seen.vocabulary - b.seen.vocabulary),
        _log_ratio(a.seen.hedges_per_100_words, b.seen.hedges_per_100_words),
        float(a.seen.refuses != b.seen.refuses or a.seen.names_itself != b.seen.names_itself),
    )


def _log_ratio(x: float | int, y: float | int) -> float:
    return abs(math.log((x + 1) / (y + 1)))


def moved_to_other_prompts(looks: Sequence[Look], seed: int = 0) -> list[Look]:
    """The answers at other prompts, none left in place: a random pairing, the floor of every metric."""
    order = np.random.default_rng(seed).permutation(len(looks))
    moved = list(looks)
    for place, source in zip(order, np.roll(order, 1)):
        moved[place] = looks[source]
    return moved
