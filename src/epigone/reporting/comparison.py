"""Two studies side by side: the same cells, what differs, and what may not be compared.

In: what each study measured, by cell and metric. Out: a `Comparison`. Only equal protocols are compared; others are
refused by name. Where both studies asked the same items the difference is paired: the draws of both are over the same
resamples. Else its interval comes from the two intervals as if they were independent (MOVER), the cautious one.
Source: Zou & Donner (2008), https://doi.org/10.1002/sim.3095, for the interval of a difference from two intervals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from epigone.errors import SpecError
from epigone.metrics.intervals import Z_POWER, Z_TWO_SIDED, minimum_difference
from epigone.metrics.resampling import Draws
from epigone.records import Estimate
from epigone.reporting.document import table_files
from epigone.reporting.page import template
from epigone.reporting.tables import Cell, Table, comma_separated
from epigone.reporting.wording import Unit, chip, interval, number

UNPAIRED = "from both intervals, as if independent"


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One metric of one cell. `items` tells the items and prompts that it was counted over; empty: not known."""

    label: str
    """What people call the metric."""
    unit: Unit
    protocol: str
    estimate: Estimate
    draws: Draws | None = None
    seeds: tuple[int, ...] = ()
    items: str = ""


Measured = Mapping[tuple[str, str], Measurement]
"""By the cell's name and the metric."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The second study's value minus the first's. `smallest`: the difference that so many items show (80 % power)."""

    cell: str
    metric: str
    label: str
    unit: Unit
    protocol: str
    first: Estimate
    second: Estimate
    difference: Estimate
    smallest: float
    is_paired: bool

    @property
    def word(self) -> str:
        """Whether the interval lies on one side of 0."""
        if self.difference.low == self.difference.high == 0:
            return "equal"
        is_apart = self.difference.low > 0 or self.difference.high < 0
        return ("higher" if self.difference.value > 0 else "lower") if is_apart else "undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two studies have in common, what was refused (cell, metric, why), and cells of one of them alone."""

    names: tuple[str, str]
    differences: tuple[Difference, ...]
    refused: tuple[tuple[str, str, str], ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def num_apart(self) -> int:
        """How many intervals lie on one side of 0."""
        return sum(d.word in ("higher", "lower") for d in self.differences)


def compare(first: Measured, second: Measured, names: tuple[str, str]) -> Comparison:
    """The comparison, in the order of the first study. Raises SpecError where the two have no cell in common."""
    both = [key for key in first if key in second]
    cells = [list(dict.fromkeys(cell for cell, _ in study)) for study in (first, second)]
    if not both:
        told = (", ".join(found[:4]) + (", …" if len(found) > 4 else "") for found in cells)
        raise SpecError(
            "the studies have no cell in common: {} has {}; {} has {}".format(*_alternating(names, tuple(told)))
        )
    refused, kept = list[tuple[str, str, str]](), list[Difference]()
    for key in both:
        a, b = first[key], second[key]
        if a.protocol != b.protocol:
            refused.append((key[0], a.label, f"protocol {a.protocol} in {names[0]}, {b.protocol} in {names[1]}"))
        else:
            kept.append(_difference(key, a, b))
    alone = tuple(tuple(cell for cell in mine if cell not in theirs) for mine, theirs in (cells, cells[::-1]))
    return Comparison(names, tuple(kept), tuple(refused), (alone[0], alone[1]))


def _alternating(names: tuple[str, str], told: Sequence[str]) -> tuple[str, ...]:
    return names[0], told[0], names[1], told[1]


def _difference(key: tuple[str, str], a: Measurement, b: Measurement) -> Difference:
    shared = [seed for seed in a.seeds if seed in b.seeds]
    is_paired = bool(a.draws and b.draws and a.items and a.items == b.items and shared)
    if a.draws and b.draws and is_paired:
        mine, theirs = (m.draws.select([m.seeds.index(seed) for seed in shared]) for m in (a, b) if m.draws)
        found = (theirs - mine).estimate()
        found = replace(found, method=f"paired {found.method}")
    else:
        found = unpaired(a.estimate, b.estimate)
    smallest = _smallest(found, a.estimate.value)
    return Difference(*key, a.label, a.unit, a.protocol, a.estimate, b.estimate, found, smallest, is_paired)


def _smallest(found: Estimate, value: float) -> float:
    """What so many items show, from the interval; where no item differs there is none, and n alone says it."""
    half = (found.high - found.low) / 2
    if half == 0:
        return minimum_difference(max(found.n, 1), min(max(value, 0.0), 1.0))
    return half * (Z_TWO_SIDED + Z_POWER) / Z_TWO_SIDED


def unpaired(first: Estimate, second: Estimate) -> Estimate:
    """Second minus first, as if the two were independent."""
    value = second.value - first.value
    down = math.hypot(second.value - second.low, first.high - first.value)
    up = math.hypot(second.high - second.value, first.value - first.low)
    seeds = min(first.num_seeds, second.num_seeds)
    return Estimate(value, value - down, value + up, min(first.n, second.n), UNPAIRED, seeds)


def render(comparison: Comparison) -> dict[str, bytes | str]:
    """The page, and its tables as CSV, Markdown and LaTeX."""
    tables = [table(comparison), refused(comparison)]
    page = _Page(" against ".join(reversed(comparison.names)), " · ".join(comparison.names))
    html = template("compare.html.j2").render(findings=page, comparison=comparison, tables=tables)
    return {"report.html": html} | table_files(tables)


@dataclass(frozen=True, slots=True)
class _Page:
    """What every page is headed by."""

    title: str
    study_id: str


def table(comparison: Comparison) -> Table:
    """Every difference with what it rests on."""
    rows, lines = [], []
    chips = {"higher": "plain", "lower": "plain", "equal": "plain"}
    for d in comparison.differences:
        rows.append(
            (
                Cell(d.cell), Cell(d.label), _cell(d.first, d.unit), _cell(d.second, d.unit),
                Cell(signed(d.difference.value, d.unit), interval(d.difference, d.unit), numeric=True),
                Cell(str(d.difference.n), "paired" if d.is_paired else "not paired", numeric=True),
                Cell(number(d.smallest, d.unit), numeric=True), Cell(d.word, chip=chips.get(d.word, chip(d.word))),
            )
        )  # fmt: skip
        lines.append((d.cell, d.metric, d.protocol, d.first.value, d.first.low, d.first.high, d.second.value,
                      d.second.low, d.second.high, d.difference.value, d.difference.low, d.difference.high,
                      d.difference.n, d.difference.num_seeds, d.difference.method, d.smallest, d.word))  # fmt: skip
    header = ("cell", "metric", "protocol", "first", "first_low", "first_high", "second", "second_low", "second_high",
              "difference", "low", "high", "n", "num_seeds", "method", "smallest", "word")  # fmt: skip
    caption = (
        f"{comparison.names[1]} minus {comparison.names[0]}, 95 % intervals; paired where both asked the same items "
        f"with the same prompts. {comparison.num_apart} of {len(comparison.differences)} intervals lie on one side of "
        "0; of so many about one in twenty would by chance alone."
    )
    columns = ("Cell", "Metric", *comparison.names, "Difference", "n", "Smallest difference", "Word")
    return Table("differences", "Differences", caption, columns, tuple(rows), comma_separated(header, lines))


def refused(comparison: Comparison) -> Table:
    """What was not compared, since its protocols differ."""
    rows = tuple((Cell(cell), Cell(metric), Cell(why)) for cell, metric, why in comparison.refused)
    csv = comma_separated(("cell", "metric", "why"), comparison.refused)
    caption = "Measured in another way in each study, so that a difference would say nothing."
    return Table("refused", "Not compared", caption, ("Cell", "Metric", "Why"), rows, csv)


def signed(value: float, unit: Unit) -> str:
    """A difference: percentages differ by points."""
    text = number(value, unit).replace(" %", " pts")
    return f"+{text}" if value > 0 else text


def _cell(found: Estimate, unit: Unit) -> Cell:
    return Cell(number(found.value, unit), interval(found, unit), numeric=True)
