"""Two drawings that a description needs: lengths of two datasets over one another, and bars by name side by side.

In: bins, or named shares. Out: SVG strings 320 px wide in the type and colours of all panels. The bins double in width,
so every step of the axis is one bin. A name stands above its bars and is cut where it does not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from epigone.metrics.lengths import Lengths
from epigone.records import Estimate
from epigone.reporting.dots import short
from epigone.reporting.panels import HEIGHT, WIDTH, Axes, share_axis, svg_of, y_domain
from epigone.reporting.theme import INK, SOFT_INK, STYLES, TEXT_SIZE
from epigone.reporting.wording import amount, interval, number

COLOURS = (STYLES["broad"].colour, STYLES["broad_replay"].colour)
"""Of the first and of the second dataset."""
REFERENCE = INK
_PAD = {"left": 46, "right": 14, "top": 32, "bottom": 42}
_BAR_PAD = {"left": 10, "right": 22, "top": 30, "bottom": 30}
_NAME, _BAR, _ROOM = 18, 12, 8
_MOST_TICKS = 7
_VALUE_ROOM = 54
_ROOM_WIDE = WIDTH - _BAR_PAD["left"] - _BAR_PAD["right"]


@dataclass(frozen=True, slots=True)
class Bars:
    """One name, the share of each dataset (None where it has none), and what the paper says of it."""

    name: str
    shares: tuple[Estimate | None, ...]
    reference: float | None = None


def draw_lengths(title: str, x_label: str, sets: Sequence[Lengths]) -> str:
    """The share of values in every bin; the first dataset filled, the second as an outline."""
    edges = _edges(sets)
    shares = [_shares(lengths, len(edges) - 1) for lengths in sets]
    low, high, y_ticks = y_domain([s for of_one in shares for s in of_one], "percent")
    places = list(range(len(edges) - 1))
    labels = {place: amount(edges[place]) for place in places[:: -(-len(places) // _MOST_TICKS)]}
    text = f"{{{','.join(f'{place}:{label!r}' for place, label in labels.items())}}}[datum.value]"
    axes = Axes(
        alt.Scale(domain=[0, len(places)], nice=False, zero=False),
        alt.Axis(values=list(labels), title=x_label, grid=False, titlePadding=7, labelExpr=text),
        alt.Scale(domain=[low, high], nice=False),
        share_axis(y_ticks, "percent"),
    )
    layers: list[alt.Chart] = []
    for order, (lengths, of_one) in enumerate(zip(sets, shares, strict=True)):
        if lengths.num:
            layers += _steps(order, of_one, edges, axes)
    return svg_of(layers or [_nothing(axes)], label=title, size=(WIDTH, HEIGHT), padding=_PAD)


def _edges(sets: Sequence[Lengths]) -> list[int]:
    """The beginnings of all bins that are used, and the end of the last."""
    used = max((lengths.bins for lengths in sets), key=len, default=())
    return [*(part.low for part in used), used[-1].high + 1] if used else [0, 1]


def _shares(lengths: Lengths, num_bins: int) -> list[float]:
    found = [part.num / lengths.num for part in lengths.bins] if lengths.num else []
    return [*found, *[0.0] * (num_bins - len(found))]


def _steps(order: int, shares: Sequence[float], edges: Sequence[int], axes: Axes) -> list[alt.Chart]:
    colour = COLOURS[order]
    bars = [
        {"x": i, "x2": i + 1, "y": share, "zero": 0, "text": f"{_range(edges, i)}: {number(share)}"}
        for i, share in enumerate(shares)
    ]
    outline = [{"x": i, "y": share} for i, share in enumerate(shares)] + [{"x": len(shares), "y": shares[-1]}]
    fill = alt.Chart(alt.Data(values=bars)).mark_rect(color=colour, opacity=0.3 if order == 0 else 0.0)
    line = alt.Chart(alt.Data(values=outline)).mark_line(
        color=colour, interpolate="step-after", strokeWidth=1.8, strokeDash=[1, 0] if order == 0 else [6, 3], aria=False
    )
    return [
        fill.encode(
            x=axes.x(), x2=alt.X2("x2"), y=axes.y("zero"), y2=alt.Y2("y"), description=alt.Description("text:N")
        ),
        line.encode(x=axes.x(), y=axes.y()),
    ]


def _range(edges: Sequence[int], place: int) -> str:
    low, high = edges[place], edges[place + 1] - 1
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _nothing(axes: Axes) -> alt.Chart:
    """The axes and a word."""
    middle = alt.Data(values=[{"x": 0.5, "y": 0.025, "text": "there are none"}])
    word = alt.Chart(middle).mark_text(fontSize=TEXT_SIZE, fontStyle="italic", color=SOFT_INK, aria=False)
    return word.encode(x=axes.x(), y=axes.y(), text=alt.Text("text:N"))


def draw_bars(title: str, rows: Sequence[Bars]) -> str:
    """Bars of shares under their names, a bar a dataset, with intervals where there are any; a tick for the paper."""
    num_bars = max((len(row.shares) for row in rows), default=1)
    step = _NAME + num_bars * _BAR + _ROOM
    inner = max(step * len(rows), step)
    height = inner + _BAR_PAD["top"] + _BAR_PAD["bottom"]
    known = [v for row in rows for e in row.shares if e for v in (e.value, e.high)]
    high, ticks = y_domain([*known, *(row.reference or 0.0 for row in rows)], "percent")[1:]
    x_scale = alt.Scale(domain=[0, high], range=[0, _ROOM_WIDE - _VALUE_ROOM], nice=False)
    axes = Axes(
        x_scale,
        alt.Axis(values=ticks[:: 1 if len(ticks) < 6 else 2], title=None, format="~%", domain=False, ticks=False),
        alt.Scale(domain=[0, inner], range=[0, inner], nice=False),
        alt.Axis(values=[], title=None, domain=False, ticks=False, labels=False),
    )
    layers = [_names(rows, step, axes)]
    for order in range(num_bars):
        found = [(step * i + _NAME + order * _BAR, row) for i, row in enumerate(rows) if order < len(row.shares)]
        layers += _bars(order, [(top, row.name, e) for top, row in found if (e := row.shares[order])], axes)
    marks = [(step * i + _NAME, row.reference) for i, row in enumerate(rows) if row.reference is not None]
    if marks:
        layers.append(_ticks(marks, num_bars * _BAR, axes))
    return svg_of(layers, label=title, size=(WIDTH, height), padding=_BAR_PAD)


def _bars(order: int, found: Sequence[tuple[int, str, Estimate]], axes: Axes) -> list[alt.Chart]:
    rows = [
        {
            "zero": 0, "x": e.value, "low": e.low, "high": e.high, "y": top + 1, "y2": top + _BAR - 1,
            "middle": top + _BAR / 2, "value": number(e.value), "wide": e.high > e.low,
            "text": f"{name}: {number(e.value)}{_spread(e)}, n = {e.n:,}",
        }
        for top, name, e in found
    ]  # fmt: skip
    if not rows:
        return []
    bar = alt.Chart(alt.Data(values=rows)).mark_rect(color=COLOURS[order], opacity=0.85)
    value = alt.Chart(alt.Data(values=rows)).mark_text(
        align="right", baseline="middle", fontSize=TEXT_SIZE, color=INK, aria=False
    )
    layers = [
        bar.encode(
            x=axes.x("zero"), x2=alt.X2("x"), y=axes.y(), y2=alt.Y2("y2"), description=alt.Description("text:N")
        ),
        value.encode(x=alt.XValue(_ROOM_WIDE), y=axes.y("middle"), text=alt.Text("value:N")),
    ]
    if spread := [row for row in rows if row["wide"]]:
        rule = alt.Chart(alt.Data(values=spread)).mark_rule(color=INK, strokeWidth=1.2, opacity=0.8, aria=False)
        layers.append(rule.encode(x=axes.x("low"), x2=alt.X2("high"), y=axes.y("middle")))
    return layers


def _spread(e: Estimate) -> str:
    return f" {interval(e)}" if e.high > e.low else ""


def _names(rows: Sequence[Bars], step: int, axes: Axes) -> alt.Chart:
    data = alt.Data(values=[{"text": short(row.name), "y": step * i + 9} for i, row in enumerate(rows)])
    mark = alt.Chart(data).mark_text(align="left", baseline="middle", fontSize=TEXT_SIZE, color=INK, aria=False)
    return mark.encode(x=alt.XValue(0), y=axes.y(), text=alt.Text("text:N"))


def _ticks(marks: Sequence[tuple[int, float]], high: int, axes: Axes) -> alt.Chart:
    """The paper's figures as upright strokes across a name's bars."""
    rows = [{"x": x, "y": top - 1, "y2": top + high + 1, "text": f"the paper: {number(x)}"} for top, x in marks]
    stroke = alt.Chart(alt.Data(values=rows)).mark_rule(color=REFERENCE, strokeWidth=2.2, strokeDash=[3, 2], aria=False)
    return stroke.encode(x=axes.x(), y=axes.y(), y2=alt.Y2("y2"))
