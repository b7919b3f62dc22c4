"""Whom a model imitates: verdicts on suspects, and how far they can be believed by what is known of other models.

In: TraceFindings. Out: files by relative path: report.html, trace.json, figures/, tables/. Pure: equal findings give
equal bytes; everything from data is escaped.
Source: section 6 of arXiv 2305.15717.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from epigone.metrics.attribution import CANNOT_TELL, NONE, Traced
from epigone.metrics.intervals import estimate, minimum_difference
from epigone.records import Estimate
from epigone.reporting.document import table_files, template
from epigone.reporting.dots import Dot, draw_dots, short
from epigone.reporting.figures import Figure, Row, own_ids, sheet
from epigone.reporting.panels import WIDTH
from epigone.reporting.tables import MISSING, Cell, Table, comma_separated
from epigone.reporting.theme import STYLES, glyph
from epigone.reporting.wording import interval, number

RATES = (0.05, 0.1, 0.15, 0.2, 0.3)
"""False-positive rates whose outcome on the known models stands side by side."""
ESTIMATE_COLUMNS = ("value", "low", "high", "n", "method")


@dataclass(frozen=True, slots=True)
class TraceFindings:
    """All that the page shows."""

    title: str
    study_id: str
    teachers: tuple[str, ...]
    num_prompts: int
    rate: float | int
    """The false-positive rate that was asked for."""
    suspects: tuple[Traced, ...]
    held_out: tuple[Traced, ...]
    """Known models, each as it looks when its family is held out."""
    base: Traced | None = None
    """What the suspects were before."""
    not_measured: Mapping[str, str] | None = None

    @property
    def students(self) -> list[Traced]:
        """Known models that imitate a candidate."""
        return [one for one in self.held_out if one.truth]

    @property
    def independent(self) -> list[Traced]:
        """Known models that imitate none of the candidates."""
        return [one for one in self.held_out if not one.truth]

    def said(self, one: Traced) -> str:
        """The verdict on a model; a suspect whose base is named in the same way shows nothing."""
        verdict = one.verdict(self.rate)
        is_named = verdict not in (NONE, CANNOT_TELL)
        repeats = self.base is not None and one in self.suspects and self.base.verdict(self.rate) == verdict
        return CANNOT_TELL if is_named and repeats else verdict

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known to read the verdicts."""
        least = 1 / (len(self.independent) + 1)
        told = [
            f"A candidate is named at a false-positive rate of {number(self.rate)}: where at most that share of "
            "independent models, and the model itself, look as much like their best candidate. "
            f"{len(self.independent)} independent models can show no rate below {number(least)}."
        ]
        if least > self.rate:
            needed = int(1 / self.rate + 1e-9)
            told.append(f"So no candidate can be named here: that takes {needed - 1} independent models or more.")
        if not self.students:
            told.append(
                "No known student was given: the weights of the signals are those believed beforehand, all alike, and "
                "the probabilities are not calibrated."
            )
        if self.base is not None and self.base.verdict(self.rate) not in (NONE, CANNOT_TELL):
            told.append(
                f"The base {self.base.name} itself is traced to {self.base.best}: of a suspect that is traced there "
                "too nothing is said, since its base looked so before."
            )
        told.append(
            "To look like a candidate is no proof: two models that learnt from the same text look alike. What is not "
            "among the candidates cannot be named."
        )
        return tuple(told)


def held_out_summary(findings: TraceFindings, rate: float | int) -> dict[str, Estimate | None]:
    """What the verdicts on known models are worth at a rate; None where there is no such model.

    accuracy: right among those of which something is said. abstention: "cannot tell". false_positives: independent
    models for which a candidate is named. found: students whose teacher is named. wrong_teacher: students for which
    another is named. closed_set: students whose most probable candidate is theirs, whatever is said.
    """
    verdicts = {one.name: one.verdict(rate) for one in findings.held_out}
    said = [one for one in findings.held_out if verdicts[one.name] != CANNOT_TELL]
    named = [one for one in findings.held_out if verdicts[one.name] not in (NONE, CANNOT_TELL)]
    return {
        "accuracy": _share([one.is_right(verdicts[one.name]) for one in said]),
        "abstention": _share([verdicts[one.name] == CANNOT_TELL for one in findings.held_out]),
        "false_positives": _share([one in named for one in findings.independent]),
        "found": _share([verdicts[one.name] in (one.truth or ()) for one in findings.students]),
        "wrong_teacher": _share([one in named and not one.is_right(verdicts[one.name]) for one in findings.students]),
        "closed_set": _share([one.best in (one.truth or ()) for one in findings.students]),
    }


def _share(values: Sequence[bool]) -> Estimate | None:
    if not values:
        return None
    found = estimate([[float(value) for value in values]])
    return replace(found, method=found.method.replace("over items", "over models"))


def render(findings: TraceFindings) -> dict[str, bytes | str]:
    """All files of the page by relative path."""
    sections = [
        ("verdicts", "Verdicts", [_figure(findings)] if findings.suspects else [], _verdict_tables(findings)),
        ("held-out", "How far to believe it", [], _held_out_tables(findings)),
    ]
    html = template("sections.html.j2").render(
        findings=findings,
        kicker="Whom does it imitate?",
        sections=[each for each in sections if each[2] or each[3]],
        notes=findings.notes,
        missing=findings.not_measured or {},
    )
    figures = [figure for section in sections for figure in section[2]]
    files: dict[str, bytes | str] = {"report.html": html}
    files["trace.json"] = json.dumps(summary(findings), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for figure in figures:
        files |= {f"figures/{figure.id}.svg": figure.svg, f"figures/{figure.id}.csv": figure.csv}
    return files | table_files([table for section in sections for table in section[3]])


def summary(findings: TraceFindings) -> dict[str, object]:
    """The object of --json."""

    def told(one: Traced) -> dict[str, object]:
        return {
            "model": one.name,
            "verdict": findings.said(one),
            "most_probable": one.best,
            "probabilities": {name: asdict(each) for name, each in one.probabilities.items()},
            "p_named": one.p_named,
            "p_none": one.p_none,
            "truth": None if one.truth is None else list(one.truth) or [NONE],
            "signals": {teacher: dict(each) for teacher, each in one.signals.items()},
        }

    by_rate = {f"{rate:g}": held_out_summary(findings, rate) for rate in sorted({*RATES, float(findings.rate)})}
    return {
        "num_prompts": findings.num_prompts,
        "false_positive_rate": findings.rate,
        "candidates": list(findings.teachers),
        "suspects": [told(one) for one in findings.suspects],
        "base": told(findings.base) if findings.base else None,
        "held_out": [told(one) for one in findings.held_out],
        "by_rate": {
            rate: {name: asdict(each) if each else None for name, each in found.items()}
            for rate, found in by_rate.items()
        },
        "not_measured": dict(findings.not_measured or {}),
        "notes": list(findings.notes),
    }


_CHIPS = {NONE: "plain", CANNOT_TELL: "open"}


def _verdict_tables(findings: TraceFindings) -> list[Table]:
    models = [*findings.suspects, *([findings.base] if findings.base else [])]
    if not models:
        return []
    names = (*findings.teachers, NONE)
    rows, lines, stands, stood = [], [], [], []
    for one in models:
        verdict = findings.said(one)
        role = "the base" if one is findings.base else ""
        cells = [Cell(number(p.value), interval(p), numeric=True) for p in map(one.probabilities.__getitem__, names)]
        rows.append((Cell(one.name, role), Cell(verdict, chip=_CHIPS.get(verdict, "local")), *cells, *_ranks(one)))
        for name in names:
            lines.append((one.name, verdict, name, *_plain(one.probabilities[name]), one.p_named, one.p_none))
        for teacher, signals in one.signals.items():
            stands.append((Cell(one.name, f"as {teacher}"), *(_stand(value) for value in signals.values())))
            stood += [(one.name, teacher, signal, value) for signal, value in signals.items()]
    signals = tuple(next(iter(models[0].signals.values()), {}))
    return [
        Table(
            "verdicts",
            "What each suspect imitates",
            f"Probabilities over {findings.num_prompts} prompts, with 95 % intervals by a bootstrap over prompts. "
            "Beside them the share of independent models (and the model itself) that look as much like their best "
            "candidate, and the share of known students that look as little like any.",
            ("Model", "Verdict", *findings.teachers, "None of them", "As much, by chance", "As little, imitating"),
            tuple(rows),
            comma_separated(("model", "verdict", "candidate", *ESTIMATE_COLUMNS, "p_named", "p_none"), lines),
        ),
        Table(
            "signals",
            "What speaks for whom",
            "How far each signal stands above what independent models have beside the same candidate, in spreads over "
            "models; 0 where too few prompts speak. Without independent models: above the other candidates.",
            ("Model", *(name.capitalize() for name in signals)),
            tuple(stands),
            comma_separated(("model", "candidate", "signal", "spreads"), stood),
        ),
    ]


def _ranks(one: Traced) -> tuple[Cell, Cell]:
    return Cell(number(one.p_named), numeric=True), Cell(number(one.p_none), numeric=True)


def _stand(value: float) -> Cell:
    return Cell(f"{value:+.1f}".replace("-", "−"), numeric=True)


def _held_out_tables(findings: TraceFindings) -> list[Table]:
    if not findings.held_out:
        return []
    return [_confusion(findings), _by_rate(findings), _models(findings)]


def _confusion(findings: TraceFindings) -> Table:
    verdicts = (*findings.teachers, NONE, CANNOT_TELL)
    rows, lines = [], []
    for truth in (*findings.teachers, NONE):
        of = [one for one in findings.held_out if truth in (one.truth or (NONE,))]
        counts = [sum(one.verdict(findings.rate) == verdict for one in of) for verdict in verdicts]
        rows.append(
            (Cell(truth), *(Cell(str(count), numeric=True) for count in counts), Cell(str(len(of)), numeric=True))
        )
        lines.append((truth, *counts, len(of)))
    return Table(
        "confusion",
        "Known models, their family held out",
        f"Rows: what is known. Columns: what is said at a false-positive rate of {number(findings.rate)}. A model that "
        "imitates several candidates stands in several rows.",
        ("Imitates", *verdicts, "Models"),
        tuple(rows),
        comma_separated(("imitates", *verdicts, "num_models"), lines),
    )


def _by_rate(findings: TraceFindings) -> Table:
    names = {
        "false_positives": "Independent, yet named", "found": "Students: teacher named",
        "wrong_teacher": "Students: another named", "accuracy": "Right where said", "abstention": "Cannot tell",
        "closed_set": "Best candidate is right",
    }  # fmt: skip
    rows, lines = [], []
    for rate in sorted({*RATES, float(findings.rate)}):
        found = held_out_summary(findings, rate)
        rows.append((Cell(number(rate)), *(_shown(found[name]) for name in names)))
        lines += [(rate, name, *_plain(each), _shows(each)) for name, each in found.items()]
    return Table(
        "by_rate",
        "At other false-positive rates",
        "Shares of known models with 95 % intervals by a bootstrap over models and the number of models; the least "
        "difference that they could show (80 % power) stands in the CSV. The last column says nothing of none: "
        "whether a student’s most probable candidate is its teacher.",
        ("Rate", *names.values()),
        tuple(rows),
        comma_separated(("rate", "share", *ESTIMATE_COLUMNS, "minimum_difference"), lines),
    )


def _models(findings: TraceFindings) -> Table:
    rows, lines = [], []
    for one in findings.held_out:
        verdict, truth = one.verdict(findings.rate), " or ".join(one.truth or (NONE,))
        told = "cannot tell" if verdict == CANNOT_TELL else "right" if one.is_right(verdict) else "wrong"
        kind = {"right": "good", "wrong": "bad"}.get(told, "open")
        best, none = one.probabilities[one.best], one.probabilities[NONE]
        rows.append(
            (
                Cell(one.name),
                Cell(truth),
                Cell(verdict, chip=kind),
                Cell(one.best),
                Cell(number(best.value), interval(best), numeric=True),
                Cell(number(none.value), interval(none), numeric=True),
                *_ranks(one),
            )
        )
        lines.append(
            (one.name, truth, verdict, told, one.best, *_plain(best), *_plain(none)[:3], one.p_named, one.p_none)
        )
    columns = ("model", "imitates", "verdict", "outcome", "best", *ESTIMATE_COLUMNS)
    return Table(
        "models",
        "Each known model",
        "As the table of verdicts, each by weights that its family had no part in.",
        ("Model", "Imitates", "Said", "Most probable", "Its probability", "None", "As much", "As little"),
        tuple(rows),
        comma_separated((*columns, "none", "none_low", "none_high", "p_named", "p_none"), lines),
    )


def _shown(found: Estimate | None) -> Cell:
    return Cell(number(found.value), f"{interval(found)}, n = {found.n}", numeric=True) if found else Cell(MISSING)


def _shows(found: Estimate | None) -> float | str:
    return minimum_difference(found.n, found.value) if found else ""


def _plain(found: Estimate | None) -> tuple[object, ...]:
    return (found.value, found.low, found.high, found.n, found.method) if found else ("",) * 5


def _figure(findings: TraceFindings) -> Figure:
    """A panel a suspect: the probability of each candidate and of none."""
    panels, lines = [], []
    for number_, one in enumerate(findings.suspects, start=1):
        dots = [Dot(n, "other" if n == NONE else "student", e) for n, e in one.probabilities.items()]
        panels.append(own_ids(draw_dots(short(one.name), dots, "percent"), f"suspects-{number_}-"))
        lines += [(one.name, n, *_plain(e)) for n, e in one.probabilities.items()]
    rows = [tuple(panels[at : at + 3]) for at in range(0, len(panels), 3)]
    signs = ((glyph(STYLES["student"]), "candidate"), (glyph(STYLES["other"]), "none of them"))
    height = 60 + 36 * (len(findings.teachers) + 1)
    return Figure(
        "suspects",
        "Whom does each suspect imitate?",
        f"Probability of each candidate and of none, with 95 % intervals over {findings.num_prompts} prompts.",
        tuple(Row("", row) for row in rows),
        signs,
        sheet(rows, signs, (WIDTH, height)),
        comma_separated(("model", "candidate", *ESTIMATE_COLUMNS), lines),
        max(map(len, rows)),
    )
