"""Rows of dots with intervals, and rows of stacked shares: panels that compare models by name instead of along an axis.

In: named rows. Out: SVG strings 320 px wide and as high as their rows need, in the type and colours of all panels. A
name stands above its row, so that long names fit on the smallest phone; one that does not is cut and stays in the hover
title.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from epigone.records import Estimate
from epigone.reporting.panels import WIDTH, mark_of, svg_of, y_domain
from epigone.reporting.theme import INK, STYLES, TEXT_SIZE
from epigone.reporting.wording import Unit, interval, number

ROW, BAR_ROW = 36, 44
LONGEST = 46
_PAD = {"left": 10, "right": 22, "top": 30, "bottom": 30}
_INNER = WIDTH - _PAD["left"] - _PAD["right"]
WIN, TIE, LOSS = "#93c9a0", "#e4e1d8", "#e9a79f"


@dataclass(frozen=True, slots=True)
class Dot:
    """One row: a name, the key of its style, an estimate; `note` stands behind the name."""

    name: str
    kind: str
    estimate: Estimate
    note: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """One row of a stacked bar: how many comparisons were won, tied and lost."""

    name: str
    wins: int
    ties: int
    losses: int

    @property
    def total(self) -> int:
        """All comparisons."""
        return self.wins + self.ties + self.losses


def short(name: str, longest: int = LONGEST) -> str:
    """A name that fits above a row."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def draw_dots(title: str, dots: Sequence[Dot], unit: Unit, *, reference: float | None = None) -> str:
    """Dots with intervals under one another; `reference` draws a line at a value that means something (0.5, 0)."""
    height = _PAD["top"] + ROW * len(dots) + _PAD["bottom"]
    inner = height - _PAD["top"] - _PAD["bottom"]
    spread = [v for d in dots for v in (d.estimate.low, d.estimate.high, d.estimate.value)]
    low, high, ticks = y_domain([*spread, *([reference] if reference is not None else [])], unit)
    kept = ticks if len(ticks) <= 6 else ticks[::2]
    axis = alt.Axis(values=kept, title=None, format="~%" if unit == "percent" else "~g", domain=False, ticks=False)
    x_scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    y_scale = alt.Scale(domain=[0, inner], range=[0, inner], nice=False, zero=True)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=x_scale, axis=axis)

    def y(field: str = "y") -> alt.Y:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=None)

    layers: list[alt.Chart] = []
    if reference is not None:
        ends = alt.Data(values=[{"x": reference, "y": 0}, {"x": reference, "y": inner}])
        line = alt.Chart(ends).mark_line(color="#8d8b84", strokeDash=[3, 3], strokeWidth=1, aria=False)
        layers.append(line.encode(x=x("x"), y=y()))
    for kind in dict.fromkeys(dot.kind for dot in dots):  # a layer a kind: drawing a layer a dot takes seconds
        rows = [_row(dot, ROW * place + 25, unit) for place, dot in enumerate(dots) if dot.kind == kind]
        style, data = STYLES[kind], alt.Data(values=rows)
        bar = alt.Chart(data).mark_rule(color=style.colour, strokeWidth=1.6, opacity=0.8, clip=True, aria=False)
        layers.append(bar.encode(x=x("low"), x2=alt.X2("high"), y=y()))
        layers.append(mark_of(style, data).encode(x=x("x"), y=y(), description=alt.Description("text:N")))
    names = [(f"{short(dot.name)}{dot.note}", ROW * place + 9) for place, dot in enumerate(dots)]
    layers.append(_names(names, y_scale))
    return svg_of(layers, label=title, size=(WIDTH, height), padding=_PAD)


def _row(dot: Dot, y: int, unit: Unit) -> dict[str, object]:
    e = dot.estimate
    told = f"{dot.name}: {number(e.value, unit)} {interval(e, unit)}, n = {e.n}"
    return {"x": e.value, "low": e.low, "high": e.high, "y": y, "text": told}


def _names(names: Sequence[tuple[str, int]], y_scale: alt.Scale) -> alt.Chart:
    data = alt.Data(values=[{"text": text, "y": y} for text, y in names])
    mark = alt.Chart(data).mark_text(align="left", baseline="middle", fontSize=TEXT_SIZE, color=INK, aria=False)
    return mark.encode(x=alt.XValue(0), y=alt.Y("y:Q", scale=y_scale, axis=None), text=alt.Text("text:N"))


def draw_splits(title: str, splits: Sequence[Split]) -> str:
    """Wins, ties and losses as shares of a bar, with their counts where they fit."""
    height = _PAD["top"] + BAR_ROW * len(splits) + _PAD["bottom"]
    inner = height - _PAD["top"] - _PAD["bottom"]
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], title=None, format="~%", domain=False, ticks=False)
    x_scale = alt.Scale(domain=[0, 1], nice=False)
    y_scale = alt.Scale(domain=[0, inner], range=[0, inner], nice=False)
    layers: list[alt.Chart] = []
    for part, colour in enumerate((WIN, TIE, LOSS)):
        rows = [_share(split, part, BAR_ROW * place + 18) for place, split in enumerate(splits)]
        bar = alt.Chart(alt.Data(values=rows)).mark_rect(color=colour, aria=False)
        x = alt.X("x:Q", scale=x_scale, axis=axis)
        y = alt.Y("y:Q", scale=y_scale, axis=None)
        layers.append(bar.encode(x=x, x2=alt.X2("x2"), y=y, y2=alt.Y2("y2")))
        fitting = [row for row in rows if row["fits"]]
        text = alt.Chart(alt.Data(values=fitting)).mark_text(
            fontSize=TEXT_SIZE, color=INK, baseline="middle", aria=False
        )
        across = alt.X("middle:Q", scale=x_scale, axis=axis)
        layers.append(text.encode(x=across, y=alt.Y("at:Q", scale=y_scale, axis=None), text=alt.Text("count:Q")))
    layers.append(_names([(short(s.name), BAR_ROW * place + 9) for place, s in enumerate(splits)], y_scale))
    return svg_of(layers, label=title, size=(WIDTH, height), padding=_PAD)


def _share(split: Split, part: int, top: int) -> dict[str, object]:
    """One part of a bar: where it lies, its count, and whether the count fits into it."""
    counts = (split.wins, split.ties, split.losses)
    total = max(split.total, 1)
    start, share = sum(counts[:part]) / total, counts[part] / total
    return {
        "x": start,
        "x2": start + share,
        "y": top,
        "y2": top + 18,
        "middle": start + share / 2,
        "at": top + 9,
        "count": counts[part],
        "fits": share * _INNER >= 8 * len(str(counts[part])) + 4,
    }


def swatch(colour: str) -> str:
    """A legend sign of a filled bar, 30 x 12 px, as an SVG fragment."""
    return f'<rect x="4" y="1" width="22" height="10" fill="{colour}"/>'
