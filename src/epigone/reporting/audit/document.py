"""The audit's report: AuditFindings in, `report.html` and everything beside it out.

Beside it: audit.json (the object of --json), methods.md, every figure as SVG and CSV, every table as CSV, Markdown and
LaTeX. Pure: equal findings give equal bytes. Everything that comes from data is escaped.
Source: the report of a study, `reporting.document`, whose page and parts this one shares.
"""

import json
from dataclasses import replace

from epigone.metrics.likeness import TABLE_2
from epigone.records import AxisVerdict, Estimate
from epigone.reporting.audit.figures import all_figures
from epigone.reporting.audit.findings import AuditFindings, StudentVerdict
from epigone.reporting.audit.items import led
from epigone.reporting.audit.summary import summary
from epigone.reporting.audit.tables import all_tables
from epigone.reporting.audit.wording import wording
from epigone.reporting.document import PaperItem, figure_files, table_files
from epigone.reporting.evidence import NOTHING
from epigone.reporting.figures import Figure
from epigone.reporting.headline import Axis, Headline, Line, Measured
from epigone.reporting.item_tables import artifacts, telling
from epigone.reporting.items.rows import FREE
from epigone.reporting.links import Beside, link
from epigone.reporting.page import template
from epigone.reporting.paper_values import printed
from epigone.reporting.wording import chip, interval, number

LONGEST_ANSWER = 2400
_KINDS = {"capability": "Capability", "style": "Style", "preference": "Preference"}
_SECTIONS = {
    "style": ("Style", ("style",), ("table_2", "paper_table_2", "style_parts", "first_look", "levels")),
    "capability": ("Capability", ("capability",), ("capability", "paper_table_1")),
    "preference": ("Preference", ("preference", "strengths"), ("preference", "controlled", "strengths", "fits")),
    "raters": ("Judges and raters", ("expertise",), ("agreement", "expertise", "raters")),
    "tests": ("Tests", (), ("tests",)),
}


def render(findings: AuditFindings, beside: Beside = NOTHING) -> dict[str, bytes | str]:
    """All files of the report by relative path; with pages of items `beside` it every number leads to its items."""
    models = [model.name for model in findings.models]
    figures = {key: with_own_items(findings, figure, beside) for key, figure in all_figures(findings).items()}
    tables = {key: led(table, models, beside) for key, table in all_tables(findings).items()}
    tables |= {
        table.id: table for table in (printed("table_2"), *([printed("table_1")] if _asked(findings, "nq-") else []))
    }
    if beside.num_items:
        tables |= {"telling": telling(beside), "artifacts": artifacts(beside)}
    sections = [
        (key, title, [figures[i] for i in drawn if i in figures], [tables[i] for i in tabled if i in tables])
        for key, (title, drawn, tabled) in _SECTIONS.items()
    ]
    html = template("audit.html.j2").render(
        findings=findings,
        beside=beside,
        tables=tables,
        headline=headline(findings, beside),
        models=tables["models"],
        sections=[part for part in sections if part[2] or part[3] or part[0] in _KINDS],
        empty=_why_empty(findings),
        examples=[(e, [(name, *_cut(text)) for name, text in e.answers]) for e in findings.examples],
        paper=paper_items(findings),
        missing=findings.missing,
    )
    files: dict[str, bytes | str] = {"report.html": html, "methods.md": findings.methods + "\n"}
    files["audit.json"] = json.dumps(summary(findings), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return files | figure_files(figures.values()) | table_files(tables.values())


def with_own_items(findings: AuditFindings, figure: Figure, beside: Beside) -> Figure:
    """The figure with links to what it was counted over."""
    if not beside.num_items:
        return figure
    scored = [m.metric.partition("/")[0] for m in findings.measured if m.kind == "capability"]
    names = scored if figure.id == "capability" else [FREE]
    return replace(figure, behind=tuple((name.replace("_", " "), link(name)) for name in dict.fromkeys(names)))


def lead_of(findings: AuditFindings) -> str:
    """The student nearest to the teacher in style; empty where there is none."""
    return min((v.student for v in findings.verdicts), key=lambda name: _distance(findings, name), default="")


def headline(findings: AuditFindings, beside: Beside = NOTHING) -> Headline:
    """The student nearest to the teacher in style leads; the others stand in one group."""
    lead = next((v for v in findings.verdicts if v.student == lead_of(findings)), None)
    others = tuple(_line(v, beside) for v in findings.verdicts if v is not lead)
    groups = (("Beside it", others),) if others else ()
    return Headline(_line(lead, beside) if lead else None, groups, _notices(findings))


def _distance(findings: AuditFindings, student: str) -> float:
    found = findings.estimate(student, "style", "distance")
    return found.value if found else float("inf")


def _notices(findings: AuditFindings) -> tuple[str, ...]:
    notices = [f"{findings.num_prompts} prompts; all of this is computed from stored answers, verdicts and scores."]
    if not findings.base:
        notices.append(
            "No base was given: what the students had before imitation is not known, so nothing is “gained”."
        )
    if not findings.ceiling:
        notices.append("No second sample of the teacher: the ceiling of style is not measured.")
    elif findings.ceiling_is == "another version":
        notices.append(f"{findings.ceiling} is another version of the teacher, not a second sample.")
    return (*notices, *findings.flags)


def _line(verdict: StudentVerdict, beside: Beside) -> Line:
    kinds = {kind: [a for a in verdict.axes if a.axis == kind] for kind in _KINDS}
    shown = {
        "capability": kinds["capability"][:4],
        "style": [a for a in kinds["style"] if a.metric in TABLE_2],
        "preference": kinds["preference"],
    }
    axes = tuple(
        Axis(_KINDS[kind], tuple(_measured(verdict.student, axis, beside) for axis in found))
        for kind, found in shown.items()
    )
    return Line(verdict.student, verdict.word, chip(verdict.word), verdict.sentence, axes)


def _measured(student: str, axis: AxisVerdict, beside: Beside) -> Measured:
    metric = wording(axis.axis, axis.metric)
    stands: tuple[tuple[str, Estimate | None], ...] = (
        ("base", axis.base), ("student", axis.student), ("teacher", axis.teacher), ("ceiling", axis.ceiling),
    )  # fmt: skip
    steps = tuple((f"{name}{_fitted(axis, e)}", number(e.value, metric.unit)) for name, e in stands if e)
    closed = axis.gap_closed
    gap = f"{number(closed.value)} {interval(closed)}" if closed else "not measured"
    name = axis.metric.partition("/")[0] if axis.axis == "capability" else FREE
    href = link(name, (*beside.lead, student)) if beside.num_items else ""
    return Measured(metric.label, axis.word, chip(axis.word), steps, gap, href)


def _fitted(axis: AxisVerdict, found: Estimate) -> str:
    """A rate that was not judged directly says so: it may stand beside one that was."""
    return ", fitted" if axis.axis == "preference" and "Bradley-Terry" in found.method else ""


def _why_empty(findings: AuditFindings) -> dict[str, str]:
    """What a section says that has nothing to show."""
    none = "Not measured."
    return {
        key: next((f"Not measured: {why}." for name, why in findings.missing.items() if name == key), none)
        for key in _KINDS
    }


def _cut(text: str) -> tuple[str, int]:
    """An answer as far as it is shown, and how many characters are left out."""
    return text[:LONGEST_ANSWER], max(0, len(text) - LONGEST_ANSWER)


def _asked(findings: AuditFindings, beginning: str) -> bool:
    """Whether a student was scored on a benchmark whose protocol begins so."""
    return any(m.kind == "capability" and m.metric.startswith(beginning) for m in findings.measured)


def paper_items(findings: AuditFindings) -> tuple[PaperItem, ...]:
    """Every figure and table of the paper: where it is, or why it is not."""
    people = any(d.people for d in findings.direct)
    models = any(not d.people for d in findings.direct) or any(not f.position for f in findings.fits)
    scored = any(m.kind == "capability" for m in findings.measured)
    amounts = "one student is one amount of data, so there is no curve"
    return (
        PaperItem(
            "Figure 1", "preference" if people else "", amounts if people else "no people's judgments were given"
        ),
        PaperItem("Figure 2", "examples" if findings.examples else "", "nobody marked which sentences are true"),
        PaperItem("Figure 3", "preference" if models else "", amounts if models else "no judge's verdicts were given"),
        PaperItem("Figure 4", "capability" if scored else "", amounts if scored else "no scores were given (--scores)"),
        PaperItem(
            "Figure 5", *(("capability", amounts) if _asked(findings, "rtp-") else ("", "no toxic prompts were asked"))
        ),
        PaperItem("Figure 6", "", "it shows training data"),
        PaperItem("Figure 7", "", "it shows the raters' interface"),
        PaperItem(
            "Table 1", *(("capability", "") if _asked(findings, "nq-") else ("", "no Natural Questions were asked"))
        ),
        PaperItem("Table 2", "table_2", "authoritative tone needs a judge"),
        PaperItem("Table 3", "", "it shows seed questions for synthetic data"),
        PaperItem("Table 4", "", "it shows a prompt for the teacher"),
        PaperItem("Table 5", "", "it counts categories of training data"),
    )
