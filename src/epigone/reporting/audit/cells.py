"""Cells of estimates, and grids of them that stay readable whether two models are audited or twenty.

In: Estimates. Out: Cells, CSV columns, and rows with their header.
"""

from collections.abc import Callable, Sequence

from epigone.records import Estimate
from epigone.reporting.tables import MISSING, Cell
from epigone.reporting.wording import Unit, interval, number

ESTIMATE_COLUMNS = ("value", "low", "high", "n", "method")
MOST_ACROSS = 6
"""Models across, as in the paper's Table 2; more of them stand below one another."""


def cell(found: Estimate | None, unit: Unit = "percent") -> Cell:
    """A value with its interval beneath, or that it was not measured."""
    if found is None:
        return Cell(MISSING, numeric=True)
    return Cell(number(found.value, unit), interval(found, unit), numeric=True)


def plain(found: Estimate | None) -> tuple[object, ...]:
    """The values of ESTIMATE_COLUMNS."""
    return (found.value, found.low, found.high, found.n, found.method) if found else ("", "", "", "", "")


def grid(
    corner: str, metrics: Sequence[Cell], models: Sequence[str], at: Callable[[int, int], Cell]
) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Columns and rows of `at(metric, model)`: models across where they fit, else down."""
    if len(models) <= MOST_ACROSS:
        rows = tuple((name, *(at(i, k) for k in range(len(models)))) for i, name in enumerate(metrics))
        return (corner, *models), rows
    rows = tuple((Cell(name), *(at(i, k) for i in range(len(metrics)))) for k, name in enumerate(models))
    return ("Model", *(m.text for m in metrics)), rows
