"""The report of a grid of real models: curves along amount of data and along bases, out of the audits of its bases.

In: a `Grid` of audits as `reporting.audit.summary` writes them. Out: report.html and the files of figures and tables.
Pure; what was not measured says so. A line joins what differs in the amount, or the base, alone.
Source: Figures 1, 3, 4 and 5, Tables 1 and 2 of arXiv 2305.15717.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import quote

from epigone.metrics.likeness import TABLE_2
from epigone.records import Estimate
from epigone.reporting.audit.cells import ESTIMATE_COLUMNS, cell, plain
from epigone.reporting.audit.wording import TONE, wording
from epigone.reporting.document import figure_files, table_files
from epigone.reporting.figures import Figure, build
from epigone.reporting.grid_items import NOTHING_SHOWN, ShownMaterial, grid_items
from epigone.reporting.items.rows import FREE
from epigone.reporting.links import link
from epigone.reporting.page import template
from epigone.reporting.panels import Panel, Point, Series
from epigone.reporting.published import UNPRINTED, beside, overlaid, published_rows, shown_as
from epigone.reporting.series import AMOUNT_LABEL
from epigone.reporting.tables import Cell, Table, comma_separated
from epigone.reporting.theme import STYLES, Style
from epigone.reporting.wording import Unit, amount, chip, metric_of

QUANTITIES: Mapping[str, tuple[str, ...]] = {
    "natural_questions_3shot": ("nq-3shot",),
    "natural_questions_chat": ("nq-chat",),
    "mmlu_letter": ("mmlu-letter", "mmlu-generated"),
    "humaneval": ("humaneval",),
    "non_toxic": ("rtp-",),
}
"""By what a figure shows, how a benchmark is called in an audit; its main metric counts, of programs pass_at_1."""
WIN_OR_TIE = "win_or_tie"
_MARKS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
_COLOURS = ("#0b5fa5", "#b3470b", "#00705a", "#7a3f8f", "#575652", "#a97fc4")
ACROSS = "#33104f"
"""Colour of lines across bases."""
_TABLE_1 = ("natural_questions_chat", "natural_questions_3shot", "mmlu_letter", "humaneval")


@dataclass(frozen=True, slots=True)
class Spot:
    """One model: its name in the audit, the line that it belongs to, its imitation tokens (0: all of a dataset)."""

    model: str
    series: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Family:
    """One base, its models, where it stands among bases, and its audit (`audit.json`)."""

    base: str
    spots: tuple[Spot, ...]
    at: Mapping[str, float | int]
    audit: Mapping[str, object]

    def measured(self, quantity: str, model: str) -> Estimate | None:
        """What the audit measured of a model; None where it did not."""
        if quantity == WIN_OR_TIE:
            return _estimate(_at(self.audit, "preference", model))
        if quantity in TABLE_2:
            return _estimate(_at(self.audit, "style", model, quantity))
        if quantity == TONE:
            return _estimate(_at(self.audit, "levels", model, TONE))
        name = self._scored(quantity, model)
        return _estimate(_at(self.audit, "capability", model, name)) if name else None

    def _scored(self, quantity: str, model: str) -> str:
        names = [name for name in _at(self.audit, "capability", model) if name.startswith(QUANTITIES[quantity])]
        return next(iter([n for n in names if n.endswith("/pass_at_1")] or [n for n in names if "/" not in n]), "")

    def benchmark(self, quantity: str, model: str) -> str:
        """What the audit calls the benchmark whose items are behind a quantity; empty where it was not measured."""
        return self._scored(quantity, model).partition("/")[0] if quantity in QUANTITIES else FREE

    def items(self, benchmark: str, models: Sequence[str] = ()) -> str:
        """Where the audit's items are, seen from the report."""
        return f"audits/{quote(self.base)}/{link(benchmark, models)}"

    def verdict(self, model: str) -> tuple[str, str]:
        """Word and sentence of a student; empty for others."""
        found = _at(self.audit, "verdict", model)
        return str(found.get("word", "")), str(found.get("sentence", ""))

    @property
    def teacher(self) -> str:
        """The teacher's name."""
        return str(self.audit["teacher"])

    @property
    def ceiling(self) -> str:
        """The second sample's name; empty where there is none."""
        return str(_at(self.audit, "ceiling").get("model", ""))


@dataclass(frozen=True, slots=True)
class Grid:
    """All bases of a study."""

    title: str
    study_id: str
    families: tuple[Family, ...]
    notes: tuple[str, ...] = ()
    material: ShownMaterial = NOTHING_SHOWN
    has_items: bool = False
    """Whether each audit lies beside the report with its items."""


def render(grid: Grid) -> dict[str, bytes | str]:
    """All files of the report by relative path."""
    drawn, tabled = figures(grid), [verdicts(grid), table_1(grid), table_2(grid), everything(grid)]
    measured = {q for q in (*QUANTITIES, *TABLE_2, TONE, WIN_OR_TIE) if is_measured(grid, q)}
    html = template("grid.html.j2").render(
        findings=grid,
        figures=drawn,
        tables=tabled,
        missing=missing(grid),
        paper=grid_items(measured, grid.material),
        material=grid.material,
    )
    files: dict[str, bytes | str] = {"report.html": html}
    return files | figure_files(drawn) | table_files(tabled)


def figures(grid: Grid) -> list[Figure]:
    """Each figure has a row along the amount of data and one along whatever bases are lined up by."""
    made = (
        ("figure_1", "Figures 1 and 3. What raters see, and what the student knows", (WIN_OR_TIE, _TABLE_1[1]),
         "Share of prompts on which the student’s answer is found equal to the teacher’s or better, by whoever judged "
         "(each base’s audit says who), and exact match on held-out questions."),
        ("figure_4", "Figure 4. Automatic evaluations", ("mmlu_letter", "humaneval", "natural_questions_3shot"),
         f"Benchmarks that broad imitation data does not support. In Figures 1, 3, 4 and 5 {UNPRINTED}."),
        ("figure_5", "Figure 5. Continuations of toxic prompts", ("non_toxic",),
         "Average non-toxicity (1 minus the mean score). Refusals and very short continuations count as non-toxic; "
         "each base’s audit has their shares."),
        ("style", "Table 2 as curves. Style by amount of data", (*TABLE_2, TONE),
         "Each model’s answers beside the teacher’s to the same prompts; the second sample, where there is one, is the "
         f"ceiling. {beside(largest_amount(grid))}"),
    )  # fmt: skip
    found = []
    for figure_id, title, quantities, caption in made:
        rows = [("More imitation data", tuple(by_amount(grid, q) for q in quantities))]
        rows += [(f"Bases by {along}", tuple(by_base(grid, q, along) for q in quantities)) for along in _along(grid)]
        found.append(replace(build(figure_id, title, caption, tuple(rows)), behind=behind(grid, quantities)))
    return found


def by_amount(grid: Grid, quantity: str) -> Panel:
    """A line for each base and series of several amounts; bases and teacher as lines across."""
    lines, across = [], []
    for number, family in enumerate(grid.families):
        for series, style in zip(_series(family), _looks(_COLOURS[number % len(_COLOURS)]), strict=False):
            spots = [spot for spot in family.spots if spot.series == series and spot.num_tokens]
            points = _points(family, quantity, [(float(s.num_tokens), s) for s in spots])
            lines.append(Series(f"{family.base}, {series}", style, points))
        base = family.measured(quantity, family.base)
        points = (Point(0.0, base, family.base),) if base else ()
        across.append(Series(f"{family.base}, base model", Style(_COLOURS[number % len(_COLOURS)], "", (6, 3)), points))
    tops = (*_teacher(grid, quantity), *_ceiling(grid, quantity))
    panel = Panel(shown_as(quantity), AMOUNT_LABEL, tuple(lines), (*across, *tops), why=_why(quantity))
    return overlaid(panel, quantity, largest_amount(grid))


def by_base(grid: Grid, quantity: str, along: str) -> Panel:
    """Base models, and their students at the largest amount that all have, along what they are lined up by."""
    families = sorted((f for f in grid.families if along in f.at), key=lambda f: f.at[along])
    lines = []
    for series, style in zip(("base", *_common(families)), (STYLES["base"], *_looks(ACROSS)), strict=False):
        name = "base model" if series == "base" else series
        shared = set.intersection(*({s.num_tokens for s in f.spots if s.series == series} for f in families))
        points: list[Point] = []
        for family in families:
            spots = [s for s in family.spots if s.series == series and s.num_tokens == max(shared, default=-1)]
            points += _points(family, quantity, [(float(family.at[along]), spot) for spot in spots])
        at = f", {amount(max(shared))}" if max(shared, default=0) else ""
        lines.append(Series(f"{name}{at}", style, tuple(points)))
    label = f"{along[:1].upper()}{along[1:]} of the base"
    return Panel(shown_as(quantity), label, tuple(lines), tuple(_teacher(grid, quantity)), why=_why(quantity))


def verdicts(grid: Grid) -> Table:
    """What each student got, in a word and a sentence."""
    rows, lines = [], []
    for family, spot in _students(grid):
        word, sentence = family.verdict(spot.model)
        rows.append((Cell(spot.model), Cell(word or "not measured", chip=chip(word)), Cell(sentence)))
        lines.append((family.base, spot.model, spot.series, spot.num_tokens, word, sentence))
    columns = ("base", "model", "series", "num_tokens", "word", "sentence")
    caption = "By each base’s own audit, which lies beside this file under audits/."
    title = "What each student got"
    return Table("verdicts", title, caption, ("Student", "It got", "Why"), tuple(rows), comma_separated(columns, lines))


def table_1(grid: Grid) -> Table:
    """Capability of bases and of students, broad and local, as in the paper's Table 1."""
    return _table(grid, "table_1", "Table 1. Broad and local imitation", "Means over items, 95 % intervals.", _TABLE_1)


def table_2(grid: Grid) -> Table:
    """Style beside the teacher's, as in the paper's Table 2."""
    caption = "Beside the teacher’s answers to the same prompts; the second sample, where there is one, is the ceiling."
    return _table(grid, "table_2", "Table 2. Style", caption, (*TABLE_2, TONE))


def everything(grid: Grid) -> Table:
    """Every quantity of the figures by model."""
    quantities = (WIN_OR_TIE, *QUANTITIES)
    return _table(grid, "all", "All quantities of the figures", "", quantities)


def missing(grid: Grid) -> dict[str, str]:
    """What of the figures nobody measured, and what the audits say is missing."""
    found = dict[str, str]()
    for family in grid.families:
        for what, why in _at(family.audit, "missing").items():
            found.setdefault(what, f"{why} ({family.base})")
    for quantity in (WIN_OR_TIE, *QUANTITIES):
        if not is_measured(grid, quantity):
            found[metric_of(quantity).label] = _why(quantity)
    return dict(sorted(found.items()))


def is_measured(grid: Grid, quantity: str) -> bool:
    """Whether any student has it."""
    return any(family.measured(quantity, spot.model) for family, spot in _students(grid))


def behind(grid: Grid, quantities: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Where the items of a figure are: in the audit of each base."""
    found: dict[str, str] = {}
    for family in grid.families if grid.has_items else ():
        for quantity in quantities:
            if benchmark := family.benchmark(quantity, family.base):
                found[f"{family.base}, {_label(quantity)}"] = family.items(benchmark)
    return tuple(found.items())


def _table(grid: Grid, table_id: str, title: str, caption: str, quantities: Sequence[str]) -> Table:
    rows, lines = [], []
    for family, model in _models(grid, style=table_id == "table_2"):
        found = [(quantity, family.measured(quantity, model)) for quantity in quantities]
        cells = [_linked(grid, family, model, quantity, estimate) for quantity, estimate in found]
        rows.append((Cell(model), *cells))
        lines += [(family.base, model, quantity, *plain(e)) for quantity, e in found if e]
    for name, values in published_rows(table_id).items():
        told = [values.get(quantity) for quantity in quantities]
        rows.append((Cell(name), *(Cell(p.text, p.where, numeric=True) if p else Cell("not told") for p in told)))
        lines += [("", name, p.metric, *plain(p.estimate)) for p in told if p]
    columns = ("Model", *(_label(quantity) for quantity in quantities))
    csv = comma_separated(("base", "model", "quantity", *ESTIMATE_COLUMNS), lines)
    return Table(table_id, title, caption, columns, tuple(rows), csv)


def _linked(grid: Grid, family: Family, model: str, quantity: str, found: Estimate | None) -> Cell:
    """A cell that leads to the items behind it, in the audit of the base."""
    made, benchmark = cell(found, _unit(quantity)), family.benchmark(quantity, model)
    if not found or not grid.has_items or not benchmark:
        return made
    return replace(made, href=family.items(benchmark, (family.teacher, family.base, model)))


def _models(grid: Grid, *, style: bool) -> Iterator[tuple[Family, str]]:
    """Every model once, base by base, and at the end the teacher; of style, its second sample."""
    for family in grid.families:
        yield from ((family, spot.model) for spot in family.spots)
    last = grid.families[-1]
    if top := last.ceiling if style else last.teacher:
        yield last, top


def _students(grid: Grid) -> Iterator[tuple[Family, Spot]]:
    return ((family, spot) for family in grid.families for spot in family.spots if spot.series != "base")


def _teacher(grid: Grid, quantity: str) -> Iterator[Series]:
    family = grid.families[0]
    if found := family.measured(quantity, family.teacher):
        yield Series(family.teacher, STYLES["teacher"], (Point(0.0, found, family.teacher),))


def _ceiling(grid: Grid, quantity: str) -> Iterator[Series]:
    """Of style, the teacher's second sample."""
    family = grid.families[0]
    found = family.measured(quantity, family.ceiling) if family.ceiling and quantity in (*TABLE_2, TONE) else None
    if found:
        yield Series(family.ceiling, STYLES["second_sample"], (Point(0.0, found, family.ceiling),))


def largest_amount(grid: Grid) -> int:
    """The most imitation tokens of any student."""
    return max((spot.num_tokens for family in grid.families for spot in family.spots), default=0)


def _points(family: Family, quantity: str, spots: Sequence[tuple[float, Spot]]) -> tuple[Point, ...]:
    measured = ((x, spot, family.measured(quantity, spot.model)) for x, spot in sorted(spots, key=lambda s: s[0]))
    return tuple(Point(x, estimate, spot.model) for x, spot, estimate in measured if estimate)


def _series(family: Family) -> list[str]:
    """Series of several amounts: those that are a line."""
    names = dict.fromkeys(s.series for s in family.spots if s.series != "base" and s.num_tokens)
    return list(names)


def _common(families: Sequence[Family]) -> list[str]:
    """Series that every base has."""
    return [
        name
        for name in dict.fromkeys(s.series for s in families[0].spots if s.series != "base")
        if all(any(s.series == name for s in family.spots) for family in families)
    ]


def _along(grid: Grid) -> list[str]:
    """What two bases or more are lined up by."""
    names = dict.fromkeys(name for family in grid.families for name in family.at)
    return [name for name in names if len({f.at[name] for f in grid.families if name in f.at}) > 1]


def _looks(colour: str) -> list[Style]:
    """Styles of the lines of one colour: one mark and dash a series."""
    return [Style(colour, mark, (4, 2) * (n % 2), n % 2 == 1) for n, mark in enumerate(_MARKS)]


def _unit(quantity: str) -> Unit:
    return _wording_unit(quantity) if quantity in TABLE_2 else "percent"


def _wording_unit(quantity: str) -> Unit:
    return wording("style", quantity).unit


def _label(quantity: str) -> str:
    if quantity in TABLE_2:
        return wording("style", quantity).label
    return "Authoritative tone" if quantity == TONE else metric_of(quantity).label


def _why(quantity: str) -> str:
    if quantity == WIN_OR_TIE:
        return "nobody judged: give --judge, or --judgments on these models"
    return "no model was scored on it"


def _at(value: object, *keys: str) -> Mapping[str, object]:
    """What lies under the keys of an audit; empty where it does not."""
    for key in keys:
        value = cast(Mapping[str, object], value).get(key) if isinstance(value, Mapping) else None
    return cast(Mapping[str, object], value) if isinstance(value, Mapping) else {}


def _estimate(found: Mapping[str, object]) -> Estimate | None:
    if "value" not in found:
        return None
    value, low, high = (float(str(found[name])) for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(str(found["n"])), str(found["method"]))
