"""One self-contained report: Findings in, `report.html` and the SVG, CSV, Markdown and LaTeX beside it out.

`render` is pure: no clock, no random id, no file read but the package's own template; equal Findings give equal bytes.
Everything that comes from data is escaped. Every figure and table of the paper (arXiv 2305.15717) is shown or listed
with the reason why not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from epigone.records import Findings, Outcome
from epigone.reporting import figures, tables, trade_off
from epigone.reporting.evidence import NOTHING, Evidence
from epigone.reporting.headline import headline
from epigone.reporting.item_tables import artifacts, telling
from epigone.reporting.links import Beside, benchmark_of, link
from epigone.reporting.page import template
from epigone.reporting.paper_values import published
from epigone.reporting.plain_tables import latex, markdown
from epigone.reporting.wording import metric_of

NO_REASON = "the findings give no reason"
_PAPER = {
    "Figure 1": ("figure_1", "preference_e0"),
    "Figure 2": ("examples", ""),
    "Figure 3": ("figure_3", "preference_e1"),
    "Figure 4": ("figure_4", "mmlu_option_text"),
    "Figure 5": ("figure_5", "non_toxic"),
    "Figure 6": ("", ""),
    "Figure 7": ("", ""),
    "Table 1": ("table_1", "natural_questions_3shot"),
    "Table 2": ("table_2", "style_unigram"),
    "Table 3": ("", ""),
    "Table 4": ("", ""),
    "Table 5": ("", ""),
}


@dataclass(frozen=True, slots=True)
class PaperItem:
    """A figure or table of the paper: the place in this report, or why it is not there."""

    name: str
    anchor: str
    why: str


def render(findings: Findings, beside: Beside = NOTHING) -> dict[str, bytes | str]:
    """All files of a report by relative path: report.html, figures/<id>.svg and .csv, tables/<id>.csv, .md and .tex.

    With pages of items `beside` it every number links to its items, and the telling ones are shown.
    """
    evidence = Evidence(findings, beside)
    drawn = {name: with_items(figure, beside) for name, figure in _figures(evidence).items()}
    tabled = _tables(evidence)
    html = template("report.html.j2").render(
        findings=findings,
        beside=beside,
        headline=headline(evidence),
        figures=drawn,
        tables=tabled,
        paper=paper_items(evidence),
        missing=_unlisted(findings),
        labels={arm.name: evidence.label(arm) for arm in evidence.arms},
        failed=[o for o in findings.outcomes if o.word != "holds"],
        outcome_counts=_counts(findings.outcomes),
    )
    files: dict[str, bytes | str] = {"report.html": html}
    shown = [t for t in tabled.values() if beside.num_items or t.id not in ("telling", "artifacts")]
    return files | figure_files(drawn.values()) | table_files(shown)


def with_items(figure: figures.Figure, beside: Beside) -> figures.Figure:
    """The figure with links to the items behind each of its metrics."""
    named = {benchmark_of(m): metric_of(m).label for m in reversed(figure.metrics) if benchmark_of(m)}
    behind = tuple((label, link(name)) for name, label in reversed(named.items())) if beside.num_items else ()
    return replace(figure, behind=behind)


def figure_files(drawn: Iterable[figures.Figure]) -> dict[str, bytes | str]:
    """Every figure as SVG and CSV by relative path."""
    files: dict[str, bytes | str] = {}
    for figure in drawn:
        files[f"figures/{figure.id}.svg"] = figure.svg
        files[f"figures/{figure.id}.csv"] = figure.csv
    return files


def table_files(tabled: Iterable[tables.Table]) -> dict[str, bytes | str]:
    """Every table as CSV, Markdown and LaTeX by relative path."""
    files: dict[str, bytes | str] = {}
    for table in tabled:
        files[f"tables/{table.id}.csv"] = table.csv
        files[f"tables/{table.id}.md"] = markdown(table)
        files[f"tables/{table.id}.tex"] = latex(table)
    return files


def paper_items(evidence: Evidence) -> tuple[PaperItem, ...]:
    """Every figure and table of the paper, shown (with its anchor) or not measured (with the reason)."""
    reasons = {_key(name): why for name, why in evidence.findings.not_measured.items()}
    items: list[PaperItem] = []
    for name, (anchor, metric) in _PAPER.items():
        shown = bool(evidence.findings.examples) if anchor == "examples" else bool(anchor) and evidence.has(metric)
        items.append(PaperItem(name, anchor if shown else "", reasons.get(_key(name), "" if shown else NO_REASON)))
    return tuple(items)


def _unlisted(findings: Findings) -> dict[str, str]:
    """What was not measured and is no figure or table of the paper, e.g. a benchmark."""
    known = {_key(name) for name in _PAPER}
    return {name: why for name, why in findings.not_measured.items() if _key(name) not in known}


def _figures(evidence: Evidence) -> dict[str, figures.Figure]:
    code = next((why for name, why in evidence.findings.not_measured.items() if "humaneval" in _key(name)), NO_REASON)
    built = (
        figures.figure_plane(evidence),
        figures.figure_1(evidence),
        figures.figure_3(evidence),
        figures.figure_4(evidence, code),
        figures.figure_5(evidence),
        figures.figure_replay(evidence),
        figures.figure_pretraining(evidence),
        figures.figure_expertise(evidence),
        figures.figure_knowledge(evidence),
        trade_off.figure_trade_off(evidence),
    )
    return {figure.id: figure for figure in built if figure}


def _tables(evidence: Evidence) -> dict[str, tables.Table]:
    makers = (
        tables.table_1, tables.table_2, tables.outcomes, tables.facts, tables.calibration, tables.ratios, tables.trends,
        tables.other_trends, tables.full_results, published,
    )  # fmt: skip
    built = [*(make(evidence) for make in makers), telling(evidence.beside), artifacts(evidence.beside)]
    treated = trade_off.table_treatments(evidence)
    return {table.id: table for table in (*built, *([treated] if treated.rows else []))}


def _counts(outcomes: tuple[Outcome, ...]) -> dict[str, int]:
    words = ("holds", "fails", "undecided", "not measured")
    return {word: count for word in words if (count := sum(o.word == word for o in outcomes))}


def _key(name: str) -> str:
    """`Figure 6`, `figure_6` and `figure-6` are one id."""
    return "".join(c for c in name.lower() if c.isalnum())
