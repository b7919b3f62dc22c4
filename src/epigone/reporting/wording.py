"""Words and numbers of the report: what a metric is called, its unit, how an amount is written, which chip a word gets.

In: metric ids and values as they stand in `records.Result`. Out: short English strings. Probabilities come in as 0-1
and are written as percent; a correlation or a count stays a plain number. An unknown metric is written by its id.
Source: Tables 1 and 2 and the figures of arXiv 2305.15717 for the names.
"""

import math
from dataclasses import dataclass
from typing import Literal

from epigone.records import Estimate

Unit = Literal["percent", "number", "count", "ratio"]


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is spoken of: `label` in tables, `title` (at most about 40 characters) above a panel."""

    label: str
    unit: Unit = "percent"
    title: str = ""

    @property
    def heading(self) -> str:
        """The panel title; the label where none was given."""
        return self.title or self.label


METRICS: dict[str, Metric] = {
    "natural_questions_3shot": Metric("Natural Questions, 3-shot"),
    "natural_questions_chat": Metric("Natural Questions, chat zero-shot"),
    "natural_questions_chat_exact": Metric("Natural Questions, chat zero-shot, exact match"),
    "mmlu_option_text": Metric("MMLU by option text", title="MMLU, scored by option text"),
    "mmlu_letter": Metric("MMLU by letter", title="MMLU, scored by letter"),
    "humaneval": Metric("HumanEval, zero-shot"),
    "lama": Metric("Stored knowledge (cloze)"),
    "non_toxic": Metric("Non-toxic score", title="Non-toxic score of continuations"),
    "refused": Metric("Refusals", title="Continuations that refuse"),
    "toxicity_short": Metric("Short continuations", title="Continuations of a few words only"),
    "facts_right": Metric("Claims that are right and on topic", title="Claims in free answers that are right"),
    "claims_per_answer": Metric("Claims per answer", "number"),
    "facts_right_per_answer": Metric("Right per answer", "number"),
    "facts_wrong_per_answer": Metric("Wrong per answer", "number"),
    "facts_off_topic_per_answer": Metric("True but off topic, per answer", "number"),
    "style_list": Metric("If the teacher outputs a list, do we?", title="List where the teacher lists"),
    "style_summary": Metric(
        "If the teacher outputs a summary paragraph, do we?", title="Summary where the teacher does"
    ),
    "style_unigram": Metric("Unigram overlap with the teacher’s output", title="Unigram overlap"),
    "style_sentence_length": Metric("Closeness in sentence length"),
    "empty_answers": Metric("Empty answers"),
    "style_length": Metric("Correlation in length with the teacher’s output", "number", "Length correlation"),
    "preference_e0": Metric("Win or tie, naive simulated rater", title="Naive simulated rater: win or tie"),
    "preference_e0.25": Metric("Win or tie, simulated rater of expertise 0.25"),
    "preference_e0.5": Metric("Win or tie, simulated rater of expertise 0.5"),
    "preference_e0.75": Metric("Win or tie, simulated rater of expertise 0.75"),
    "preference_e1": Metric("Win or tie, expert simulated rater", title="Expert simulated rater: win or tie"),
    "preference_fitted": Metric(
        "Win or tie, rater fitted to people’s votes", title="Rater fitted to votes: win or tie"
    ),
    "accuracy_known": Metric("Accuracy, known facts"),
    "accuracy_unknown": Metric("Accuracy, unknown facts"),
    "confidence_known": Metric("Confidence, known facts"),
    "confidence_unknown": Metric("Confidence, unknown facts"),
    "calibration_error_known": Metric("Calibration error, known facts"),
    "calibration_error_unknown": Metric("Calibration error, unknown facts"),
    "abstained_known": Metric("Abstained, known facts"),
    "abstained_unknown": Metric("Abstained, unknown facts"),
    "teacher_errors_repeated": Metric("Teacher’s errors repeated", title="Teacher’s own wrong facts repeated"),
    "authoritative_tone": Metric("In an authoritative tone, says a judge", title="Authoritative tone, by a judge"),
    "style_gained": Metric("Style gained"),
    "capability_change": Metric("Capability against the base"),
    "frontier_share": Metric("On the frontier"),
    "win_or_tie": Metric("Equal to the teacher or better"),
    "top_1_bleu": Metric("BLEU with the most similar other query", title="Top-1 BLEU of queries"),
    "support_gain": Metric("Gain over the base model", title="Student minus base"),
    "support_level": Metric("Score", title="Base and students"),
    "imitation_ratio": Metric("Imitation : pre-training tokens", "ratio"),
}

_CHIPS = {
    "good": ("broad gain", "holds", "gain"),
    "local": ("local gain",),
    "bad": ("regression", "forgot", "fails"),
    "style": ("style only", "style gained"),
    "plain": ("no gain", "rising", "falling", "flat"),
}


def metric_of(name: str) -> Metric:
    """The wording of a metric; an unknown one is named by its id with blanks for underscores."""
    if name.endswith("_floor"):
        inner = metric_of(name.removesuffix("_floor"))
        return Metric(f"{inner.label} (random floor)", inner.unit)
    if name.endswith("_win"):
        return Metric(metric_of(name.removesuffix("_win")).label.replace("Win or tie", "Win"))
    if name.startswith("num_"):
        return Metric(f"Number of {name.removeprefix('num_').replace('_', ' ')}", "count")
    return METRICS.get(name) or Metric(name.replace("_", " "), "number")


def number(value: float, unit: Unit = "percent") -> str:
    """A value with its unit: `53.1 %`, `0.62` or `1 : 8.3`."""
    if unit == "percent":
        return f"{100 * value:.1f} %".replace("-0.0 ", "0.0 ").replace("-", "−")
    if unit == "ratio":
        return "none" if value <= 0 else f"1 : {1 / value:.3g}"
    if unit == "count":
        return f"{value:,.0f}"
    text = f"{value:.2f}" if value == 0 or 0.005 <= abs(value) < 100 else f"{value:.3g}"
    return text.replace("-", "−")


def interval(estimate: Estimate, unit: Unit = "percent") -> str:
    """The interval of an estimate in the unit of its value: `[48, 58]`."""
    if unit == "percent":
        return f"[{round(100 * estimate.low)}, {round(100 * estimate.high)}]".replace("-", "−")
    if unit == "ratio":
        return ""
    return f"[{number(estimate.low, unit)}, {number(estimate.high, unit)}]"


def amount(num: int | float) -> str:
    """A count in a few characters: `120K`, `1.5M`, `13B`; below a thousand as it is."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(num) >= size:
            digits = 0 if abs(num) >= 10 * size else 1
            return f"{num / size:.{digits}f}".removesuffix(".0") + letter
    return f"{num:g}"


def fraction(part: int | float, whole: int | float) -> str:
    """A share as printers write it, `¼` or `½`; otherwise in percent."""
    share = part / whole if whole else math.nan
    for value, glyph in ((0.25, "¼"), (0.5, "½"), (0.75, "¾")):
        if abs(share - value) < 0.03:
            return glyph
    return f"{100 * share:.0f} %" if math.isfinite(share) else "?"


def chip(word: str) -> str:
    """The chip class of a word of judgment; `open` for undecided, not measured and whatever is not known."""
    for kind, beginnings in _CHIPS.items():
        if word.startswith(beginnings):
            return kind
    return "open"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
