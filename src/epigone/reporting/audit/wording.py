"""What an audit's metrics are called, their unit, and which sections a number belongs to.

In: metric names of metrics.likeness and of other harnesses. Out: short English. Table 2's names are the paper's.
"""

from epigone.metrics.likeness import FIRST_LOOK, OTHER_DEFINITIONS, TABLE_2
from epigone.reporting.audit.standings import LESS_IS_BETTER
from epigone.reporting.wording import Metric

TONE = "authoritative tone"
"""The criterion of judgments that mark each answer by its tone, 0 or 1."""
METRICS: dict[str, Metric] = {
    "list": Metric("If the teacher outputs a list, do we?", title="List where the teacher lists"),
    "summary": Metric("If the teacher outputs a summary paragraph, do we?", title="Summary where the teacher does"),
    "unigram": Metric("Unigram overlap with the teacher’s output", title="Unigram overlap"),
    "length": Metric("Correlation in length with the teacher’s output", "number", "Length correlation"),
    "list_agreement": Metric("Both list, or neither does"),
    "summary_loose": Metric("Summary, looser rule"),
    "unigram_types": Metric("Shared words over all different words (Jaccard)"),
    "length_log": Metric("Correlation of log lengths", "number"),
    "bold": Metric("Bold: both or neither"),
    "headers": Metric("Headers: both or neither"),
    "hedges": Metric("Hedges: closeness of rates"),
    "refusals": Metric("Refusals: both or neither"),
    "self_identification": Metric("Says it is an AI: both or neither"),
    "sentence_length": Metric("Closeness in sentence length"),
    "vocabulary": Metric("Closeness in variety of words"),
    "distance": Metric("Style distance (0 the teacher, 1 its answer to another question)", "number", "Style distance"),
    "told_apart": Metric("Told apart from the teacher (AUC; 0.5 cannot be)", "number", "Told apart (AUC)"),
    "strength": Metric("Equal to the teacher or better", title="Equal to the teacher or better"),
}
LEVELS: dict[str, Metric] = {
    "list": Metric("Answers with a list"),
    "summary": Metric("Answers with a summary"),
    "words": Metric("Words per answer", "number"),
    "bold": Metric("Answers with bold"),
    "headers": Metric("Answers with headers"),
    "hedges": Metric("Hedges per 100 words", "number"),
    "refusals": Metric("Refusals"),
    "self_identification": Metric("Say they are an AI"),
    "sentence_length": Metric("Words per sentence", "number"),
    "vocabulary": Metric("Variety of words (MATTR)", "number"),
    TONE: Metric("In an authoritative tone, says a judge"),
}
STYLE_ORDER = (*TABLE_2, "distance", "told_apart", *FIRST_LOOK, *OTHER_DEFINITIONS)


def wording(axis: str, metric: str) -> Metric:
    """A metric in words; a benchmark by its own name, in percent where its metric is a share."""
    if axis == "capability":
        return Metric(metric, "number" if metric.rpartition("/")[2] in LESS_IS_BETTER else "percent")
    return METRICS.get(metric) or Metric(metric.replace("_", " "))


def p_value(p: float | None) -> str:
    """`0.031`, `< 0.001`, or nothing where nothing was tested."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
