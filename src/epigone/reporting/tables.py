"""The tables: columns, cells with their interval beneath the value, and the CSV of each.

In: `Evidence`. Out: `Table`s. A cell that was not measured says so. Source: Tables 1 and 2 of arXiv 2305.15717; the
other tables are ours.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from epigone.records import Arm, Outcome, Result, Trend
from epigone.reporting.evidence import Evidence, treatment
from epigone.reporting.plane import STYLE_METRICS
from epigone.reporting.wording import Unit, amount, chip, interval, metric_of, number, plural

MISSING = "not measured"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as text, what stands small beneath it, the chip of a word, and a bar of 0-1 of the cell's width."""

    text: str
    sub: str = ""
    chip: str = ""
    bar: float = -1.0
    bar_kind: str = ""
    numeric: bool = False
    href: str = ""
    """Where the text leads: the items behind a number, or an artifact."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; the first cell of a row names it. `csv` holds the plain numbers."""

    id: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    csv: str


def measured(result: Result | None, href: str = "") -> Cell:
    """A result as a cell: value, interval beneath; `href` leads to its items."""
    if result is None:
        return Cell(MISSING)
    unit = metric_of(result.metric).unit
    return Cell(number(result.estimate.value, unit), interval(result.estimate, unit), numeric=True, href=href)


def comma_separated(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV text with line feeds."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(columns)
    out.writerows(rows)
    return text.getvalue()


RESULT_COLUMNS = (
    "arm", "base", "role", "data", "num_params", "pretrain_tokens", "imitation_tokens", "replay_tokens", "metric",
    "value", "low", "high", "n", "num_seeds", "method", "minimum_difference", "per_seed", "protocol",
)  # fmt: skip


def result_row(result: Result) -> tuple[object, ...]:
    """One result as a CSV row of RESULT_COLUMNS."""
    a, e = result.arm, result.estimate
    spread = " ".join(f"{value:g}" for value in result.per_seed)
    difference = "" if result.minimum_difference is None else result.minimum_difference
    return (
        a.name, a.base, a.role, a.data, a.num_params, a.pretrain_tokens, a.imitation_tokens, a.replay_tokens,
        result.metric, e.value, e.low, e.high, e.n, e.num_seeds, e.method, difference, spread, result.protocol,
    )  # fmt: skip


def by_arm(
    evidence: Evidence, arms: Iterable[tuple[str, Arm]], metrics: Sequence[str]
) -> tuple[tuple[tuple[Cell, ...], ...], str]:
    """Rows of arms with a column a metric, and their CSV."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for name, arm in arms:
        found = [evidence.result(arm, metric) for metric in metrics]
        rows.append((Cell(name), *(measured(result, evidence.href(result)) for result in found)))
        lines += [result_row(result) for result in found if result]
    return tuple(rows), comma_separated(RESULT_COLUMNS, lines)


_NQ_COLUMNS = {
    "natural_questions_chat": "Chat, zero-shot",
    "natural_questions_chat_exact": "Chat, exact match",
    "natural_questions_3shot": "3-shot",
}


def table_1(evidence: Evidence) -> Table:
    """Natural Questions by base and kind of imitation."""
    metrics = ("natural_questions_chat", "natural_questions_chat_exact", "natural_questions_3shot")
    metrics = tuple(m for m in metrics if m != "natural_questions_chat_exact" or evidence.has(m))
    arms: list[tuple[str, Arm]] = []
    for base in evidence.full_bases:
        students = evidence.students(base, replay=False)
        broad = [a for a in students if a.data == "broad" and a.imitation_tokens == evidence.common_amount]
        local = [a for a in students if a.data.startswith("local")]
        arms += [(f"{evidence.base_label(a)} · {treatment(a)}", a) for a in (base, *broad, *local)]
    arms += [(evidence.label(top), top) for top in (evidence.teacher, evidence.second_sample) if top]
    rows, text = by_arm(evidence, arms, metrics)
    return Table(
        "table_1",
        "Table 1. Natural Questions: broad against local imitation",
        "Held-out questions: exact match with three examples; zero-shot in chat form the whole reply is searched for "
        "the answer. “Strict hold-out”: no tested entity occurs in the local data. “Facts supported”: "
        "local data over all entities, as in the paper’s NQ-synthetic, where test facts may be supported.",
        ("Base · imitation data", *(_NQ_COLUMNS[m] for m in metrics)),
        rows,
        text,
    )


def table_2(evidence: Evidence) -> Table:
    """Style metrics by amount of broad imitation data, with ceiling and random floor."""
    middle, ceiling = evidence.middle, evidence.second_sample
    students = evidence.students(middle, "broad", replay=False)
    columns = ["Style metric", middle.base if middle else "base"]
    columns += [amount(arm.imitation_tokens) for arm in students]
    columns += ["Second sample (ceiling)", "Random floor"]
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for metric in STYLE_METRICS:
        found = [evidence.result(arm, metric) for arm in (middle, *students, ceiling)]
        found.append(evidence.result(ceiling, f"{metric}_floor"))
        rows.append((Cell(metric_of(metric).label), *(measured(result, evidence.href(result)) for result in found)))
        lines += [result_row(result) for result in found if result]
    tone = next((why for name, why in evidence.findings.not_measured.items() if "tone" in name), "no judge was asked")
    rows.append((Cell("Outputs are in authoritative tone according to GPT-4"), Cell(f"{MISSING}: {tone}")))
    return Table(
        "table_2",
        f"Table 2. Style by amount of broad imitation data{f' ({middle.base})' if middle else ''}",
        "The student’s answers against the teacher’s on the same prompts. Ceiling: a second sample of the teacher. "
        "Floor: the teacher’s answers to other prompts, drawn at random.",
        tuple(columns),
        tuple(rows),
        comma_separated(RESULT_COLUMNS, lines),
    )


def facts(evidence: Evidence) -> Table:
    """Right and wrong claims per free answer."""
    metrics = (
        "facts_right_per_answer",
        "facts_wrong_per_answer",
        "facts_off_topic_per_answer",
        "claims_per_answer",
        "facts_right",
    )
    arms = _main_arms(evidence)
    plain, text = by_arm(evidence, arms, metrics)
    most = max((r.estimate.value for r in evidence.findings.results if r.metric in metrics[:2]), default=0.0) or 1.0
    rows: list[tuple[Cell, ...]] = []
    for cells, (_, arm) in zip(plain, arms, strict=True):
        bars = [_bar(cell, evidence.result(arm, m), most) for cell, m in zip(cells[1:3], metrics[:2], strict=True)]
        rows.append((cells[0], *bars, *cells[3:]))
    return Table(
        "facts",
        "Facts in free answers",
        "Every checkable claim of an answer is compared with the facts of the world, a repeated one once. Off topic is "
        "what is true but about something that was not asked. A base model’s prose claims little that can be checked, "
        "so that few right claims are partly an effect of form: see the claims per answer.",
        ("Arm", *(metric_of(m).label for m in metrics)),
        tuple(rows),
        text,
    )


def _bar(cell: Cell, result: Result | None, most: float) -> Cell:
    if result is None:
        return cell
    kind = "right" if "right" in result.metric else "wrong"
    return Cell(cell.text, cell.sub, bar=max(0.0, result.estimate.value / most), bar_kind=kind, numeric=True,
                href=cell.href)  # fmt: skip


def _main_arms(evidence: Evidence) -> list[tuple[str, Arm]]:
    """Teacher, second sample, the middle base and its students."""
    tops = [arm for arm in (evidence.teacher, evidence.second_sample, evidence.middle) if arm]
    return [
        (evidence.label(arm, with_base=arm.role != "student"), arm)
        for arm in (*tops, *evidence.students(evidence.middle, treated=None))
    ]


def calibration(evidence: Evidence) -> Table:
    """Accuracy, confidence, calibration error and abstention on known and unknown facts: two rows an arm."""
    stems = ("accuracy", "confidence", "calibration_error", "abstained")
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for name, arm in _main_arms(evidence):
        for side in ("known", "unknown"):
            found = [evidence.result(arm, f"{stem}_{side}") for stem in stems]
            if any(found):
                rows.append(
                    (Cell(name, f"{side} facts"), *(measured(result, evidence.href(result)) for result in found))
                )
                lines += [result_row(result) for result in found if result]
    return Table(
        "calibration",
        "Calibration and abstention",
        "Known facts are those that the base model answered rightly before imitation. Confidence is the probability "
        "that the student gives its own answer; calibration error is its mean distance from accuracy.",
        ("Arm", "Accuracy", "Confidence", "Calibration error", "Abstained"),
        tuple(rows),
        comma_separated(RESULT_COLUMNS, lines),
    )


def ratios(evidence: Evidence) -> Table:
    """Imitation : pre-training tokens and the teacher's errors repeated, of every student."""
    arms = [(evidence.label(arm), arm) for base in evidence.bases for arm in evidence.students(base, treated=None)]
    rows, text = by_arm(evidence, arms, ("imitation_ratio", "teacher_errors_repeated"))
    filled = tuple(
        (row[0], _nominal(arm) if row[1].text == MISSING else row[1], row[2])
        for row, (_, arm) in zip(rows, arms, strict=True)
    )
    return Table(
        "ratios",
        "Imitation : pre-training ratio and inherited errors",
        "In the paper imitation is a thousandth or less of what the base had read; where it is a larger share, "
        "students forget more. Inherited errors: of the facts that the teacher has wrong, the share answered with the "
        "teacher’s error.",
        ("Arm", "Imitation : pre-training tokens", "Teacher’s errors repeated"),
        filled,
        text,
    )


def _nominal(arm: Arm) -> Cell:
    """The ratio by the grid's nominal amounts, where it was not counted."""
    unit: Unit = "ratio"
    if not arm.pretrain_tokens:
        return Cell(MISSING)
    return Cell(number(arm.imitation_tokens / arm.pretrain_tokens, unit), "by nominal amounts", numeric=True)


def outcomes(evidence: Evidence) -> Table:
    """Predicted beside observed."""
    found = evidence.findings.outcomes
    lines = [_outcome_line(outcome) for outcome in found]
    header = ("id", "phenomenon", "metric", "arm", "against", "slope_axis", "expected_low", "expected_high",
              "value", "low", "high", "word", "size_as_expected", "reason")  # fmt: skip
    return Table(
        "predictions",
        "Prediction by prediction",
        "The predictions were written down before the first full run. A contrast is the metric of one arm minus that "
        "of another, or its change per doubling.",
        ("Phenomenon", "Contrast", "Expected", "Observed", "Outcome"),
        tuple(_outcome_row(outcome) for outcome in found),
        comma_separated(header, lines),
    )


def _outcome_line(outcome: Outcome) -> tuple[object, ...]:
    p, seen = outcome.prediction, outcome.observed
    observed = (seen.value, seen.low, seen.high) if seen else ("", "", "")
    return (
        p.id, p.phenomenon, p.metric, p.arm, p.against, p.slope_axis, p.expected_low, p.expected_high, *observed,
        outcome.word, outcome.size_as_expected, outcome.reason,
    )  # fmt: skip


def _outcome_row(outcome: Outcome) -> tuple[Cell, ...]:
    p, seen = outcome.prediction, outcome.observed
    unit = metric_of(p.metric).unit
    contrast = f"{p.arm} against {p.against}" if p.against else f"{p.arm}, per doubling" if p.slope_axis else p.arm
    is_contrast = bool(p.against or p.slope_axis)
    expected = _span(p.expected_low, p.expected_high, unit, is_contrast=is_contrast)
    observed = _signed(seen.value, unit) if seen and is_contrast else number(seen.value, unit) if seen else MISSING
    size = "size as expected" if outcome.size_as_expected else "size not as expected"
    return (
        Cell(p.phenomenon, f"Paper: {p.paper}" if p.paper else ""),
        Cell(metric_of(p.metric).label, contrast),
        Cell(expected, numeric=True),
        Cell(observed, interval(seen, unit) if seen else "", numeric=bool(seen)),
        Cell(outcome.word, size if outcome.word == "holds" else "", chip=chip(outcome.word)),
    )


def _span(low: float, high: float, unit: Unit, *, is_contrast: bool) -> str:
    """An expected range: `+15 to +50 pts` of a contrast, `17 to 33 %` of a value."""
    if unit != "percent":
        return f"{number(low, unit)} to {number(high, unit)}"
    sign, tail = ("+", "pts") if is_contrast else ("", "%")
    return f"{100 * low:{sign}.0f} to {100 * high:{sign}.0f} {tail}".replace("-", "−").replace("+0 ", "0 ")


def _signed(value: float, unit: Unit) -> str:
    """A difference or slope: percentages differ by points."""
    text = number(value, unit).replace(" %", " pts")
    return f"+{text}" if value > 0 and unit != "ratio" else text


_MAIN_TRENDS = (
    "natural_questions_3shot", "mmlu_option_text", "lama", "facts_right", "non_toxic", "style_list",
    "preference_e0", "preference_e1",
)  # fmt: skip
_TREND_AXES = {"imitation_tokens": "imitation data", "num_params": "base size", "pretrain_tokens": "pre-training"}


def trends(evidence: Evidence) -> Table:
    """Slope per doubling of the main metrics, with a word."""
    found = [trend for trend in evidence.findings.trends if trend.metric in _MAIN_TRENDS]
    caption = "A claim about size or amount needs three seeds; with fewer it is undecided."
    return _trend_table("trends", "Trends: change per doubling", caption, found)


def other_trends(evidence: Evidence) -> Table:
    """Slope per doubling of every other metric."""
    found = [trend for trend in evidence.findings.trends if trend.metric not in _MAIN_TRENDS]
    return _trend_table("other_trends", "Trends of the other metrics", "", found)


def _trend_table(table_id: str, title: str, caption: str, found: Sequence[Trend]) -> Table:
    rows = tuple(
        (
            Cell(metric_of(t.metric).label),
            Cell(t.series),
            Cell(_TREND_AXES[t.axis]),
            Cell(
                _signed(t.slope.value, metric_of(t.metric).unit),
                interval(t.slope, metric_of(t.metric).unit),
                numeric=True,
            ),
            Cell(t.word, plural(t.slope.num_seeds, "seed"), chip=chip(t.word)),
        )
        for t in found
    )
    lines = [
        (t.metric, t.series, t.axis, t.slope.value, t.slope.low, t.slope.high, t.slope.n, t.slope.num_seeds, t.word)
        for t in found
    ]
    header = ("metric", "series", "axis", "slope_per_doubling", "low", "high", "n", "num_seeds", "word")
    columns = ("Metric", "Series", "Per doubling of", "Slope", "Word")
    return Table(table_id, title, caption, columns, rows, comma_separated(header, lines))


def full_results(evidence: Evidence) -> Table:
    """Every result with what it rests on."""
    rows = []
    for r in evidence.findings.results:
        unit = metric_of(r.metric).unit
        cell = measured(r, evidence.href(r))
        spread = ", ".join(number(value, unit) for value in r.per_seed)
        least = "–" if r.minimum_difference is None else number(r.minimum_difference, unit)
        rows.append(
            (
                Cell(evidence.label(r.arm)), Cell(metric_of(r.metric).label, r.protocol), cell,
                Cell(str(r.estimate.n), numeric=True), Cell(str(r.estimate.num_seeds), spread, numeric=True),
                Cell(least, numeric=True),
            )
        )  # fmt: skip
    return Table(
        "results",
        "All results",
        "95 % intervals in brackets, beneath the number of seeds the value of each, and the smallest difference that "
        "so many items could show.",
        ("Arm", "Metric", "Value", "n", "Seeds", "Smallest difference"),
        tuple(rows),
        comma_separated(RESULT_COLUMNS, [result_row(r) for r in evidence.findings.results]),
    )
