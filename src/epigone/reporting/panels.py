"""One panel of a figure: lines with intervals over amount, size or expertise, with teacher and base as reference lines.

In: a `Panel` (points with their intervals, in the unit of the metric). Out: an SVG string of exactly 320 x 250 px whose
text is real text of at least 11 px, drawn by Altair and vl-convert. Sizes are fixed (no automatic fitting), so that the
bytes do not depend on the fonts of the machine and a page may show a panel at its natural size on the smallest phone.
"""

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from typing import Literal

import altair as alt
import vl_convert

from epigone.records import Estimate
from epigone.reporting.theme import FONT, GRID, INK, PAPER, SOFT_INK, TEXT_SIZE, WASH, Style, text_element
from epigone.reporting.wording import Unit, amount, interval, metric_of, number

WIDTH, HEIGHT = 320, 250
_PAD = {"left": 46, "right": 14, "top": 32, "bottom": 42}
_INNER_HEIGHT = HEIGHT - _PAD["top"] - _PAD["bottom"]
_CHARS_A_LINE, _LINES = 42, 8
_TICK_GAP = 44.0


@dataclass(frozen=True, slots=True)
class Point:
    """One estimate at x; `arm` names it in the CSV and when pointed at."""

    x: float
    estimate: Estimate
    arm: str


@dataclass(frozen=True, slots=True)
class Series:
    """Points joined by a line, or a reference line; `metric` where it is not the panel's."""

    name: str
    style: Style
    points: tuple[Point, ...]
    metric: str = ""
    is_published: bool = False
    """Whether these are the paper's values, which have no intervals."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows. With nothing to show, `why` says so in its place."""

    metric: str
    x_label: str
    series: tuple[Series, ...] = ()
    references: tuple[Series, ...] = ()
    title: str = ""
    x_scale: Literal["log", "linear"] = "log"
    why: str = ""

    @property
    def heading(self) -> str:
        """The line above the panel."""
        return self.title or metric_of(self.metric).heading

    @property
    def shown(self) -> tuple[Series, ...]:
        """Every series that has points, references first."""
        return tuple(s for s in (*self.references, *self.series) if s.points)


def draw(panel: Panel) -> str:
    """The panel as SVG."""
    layers = _plot(panel) if any(s.points for s in panel.series) else _gap(panel)
    return svg_of(layers, label=panel.heading, size=(WIDTH, HEIGHT), padding=_PAD)


def svg_of(layers: list[alt.Chart], *, label: str, size: tuple[int, int], padding: dict[str, int]) -> str:
    """Layers as one chart at a fixed size in the report's type, as SVG with stable ids and hover titles."""
    width, height = size
    fixed = alt.layer(*layers).properties(
        width=width - padding["left"] - padding["right"],
        height=height - padding["top"] - padding["bottom"],
        padding=padding,
        autosize=alt.AutoSizeParams(type="none"),
        background=PAPER,
    )
    config = alt.Config(
        font=FONT,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            aria=False, domainColor="#8d8b84", tickColor="#8d8b84", gridColor=GRID, labelColor=INK,
            labelFontSize=TEXT_SIZE, labelOverlap=False, titleColor=SOFT_INK, titleFontSize=TEXT_SIZE,
            titleFontWeight="normal", labelPadding=4,
        ),
    )  # fmt: skip
    spec = fixed.to_dict(validate=False) | {"config": config.to_dict()}
    return _tidy(vl_convert.vegalite_to_svg(spec), label)


def _tidy(svg: str, label: str) -> str:
    """Stable clip ids (vl-convert numbers them through a process), one accessible name, and labels as hover titles."""
    numbers: dict[str, str] = {}
    ids = count()
    prefix = "c" + "".join(c for c in label.lower() if c.isalnum())[:24]
    svg = re.sub(r"\bclip\d+\b", lambda m: numbers.setdefault(m[0], f"{prefix}-{next(ids)}"), svg)
    svg = re.sub(
        r'(<path) aria-label="([^"]*)" role="graphics-symbol"[^>]*?( transform=[^>]*?)/>',
        r"\1\3><title>\2</title></path>",
        svg,
    )
    svg = re.sub(r' (?:aria-(?!hidden)[a-z]+|role)="[^"]*"', "", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label, quote=True)}" ', 1)
    return svg.replace("</svg>", f"{text_element(0, 15, label, bold=True)}</svg>")


def y_domain(values: Sequence[float], unit: Unit) -> tuple[float, float, list[float]]:
    """Bottom, top and ticks of a y axis that holds all values; shares start at 0 and never pass 100 % by much."""
    bottom, top = min(0.0, *values), max(0.0, *values)
    if unit == "percent" and bottom >= 0:
        top = 1.0 if top > 0.6 else max(top, 0.05)
    step = _nice_step(max(top - bottom, 1e-6) / 5)
    low, high = math.floor(bottom / step + 1e-9) * step, math.ceil(top / step - 1e-9) * step
    high = max(high, low + step)
    return low, high, [round(low + i * step, 10) for i in range(round((high - low) / step) + 1)]


def _nice_step(rough: float) -> float:
    scale = 10.0 ** math.floor(math.log10(rough))
    return next(scale * m for m in (1, 2, 2.5, 5, 10) if scale * m >= rough * 0.999)


def _x_domain(values: Sequence[float], scale: str) -> tuple[float, float]:
    low, high = min(values), max(values)
    if scale == "log":
        room = (high / low) ** 0.08 if high > low else 1.5
        return low / room, high * room
    room = (high - low) * 0.08 or 0.5
    return low - room, high + room


def _x_ticks(values: Sequence[float], domain: tuple[float, float], scale: str) -> list[float]:
    """The values themselves, but for those whose labels would touch the one before; the last one always stays."""
    low, high = (math.log(d) for d in domain) if scale == "log" else domain
    kept: list[tuple[float, float]] = []
    for value in sorted(set(values), reverse=True):
        place = ((math.log(value) if scale == "log" else value) - low) / (high - low) * (WIDTH - 60)
        if not kept or kept[-1][0] - place >= _TICK_GAP:
            kept.append((place, value))
    return [value for _, value in reversed(kept)]


@dataclass(frozen=True, slots=True)
class Axes:
    """The one scale and axis that all marks of a chart share, whatever field they read."""

    x_scale: alt.Scale
    x_axis: alt.Axis
    y_scale: alt.Scale
    y_axis: alt.Axis

    def x(self, field: str = "x") -> alt.X:
        """The x channel of a field."""
        return alt.X(f"{field}:Q", scale=self.x_scale, axis=self.x_axis)

    def y(self, field: str = "y") -> alt.Y:
        """The y channel of a field."""
        return alt.Y(f"{field}:Q", scale=self.y_scale, axis=self.y_axis)


def share_axis(ticks: list[float], unit: Unit) -> alt.Axis:
    """A y axis of labels and grid lines alone."""
    return alt.Axis(values=ticks, title=None, format="~%" if unit == "percent" else "~s", domain=False, ticks=False)


def _plot(panel: Panel) -> list[alt.Chart]:
    unit = metric_of(panel.metric).unit
    xs = [point.x for s in panel.series for point in s.points]
    x_domain = _x_domain(xs, panel.x_scale)
    ticks = _x_ticks(xs, x_domain, panel.x_scale)
    estimates = [point.estimate for s in panel.shown for point in s.points]
    low, high, y_ticks = y_domain([v for e in estimates for v in (e.low, e.high, e.value)], unit)
    x_text = f"{{{','.join(f'{float(t)!r}:{amount(t)!r}' for t in ticks)}}}[datum.value]"
    axes = Axes(
        alt.Scale(type=panel.x_scale, domain=list(x_domain), nice=False, zero=False),
        alt.Axis(values=ticks, title=panel.x_label, grid=False, titlePadding=7, labelExpr=x_text),
        alt.Scale(domain=[low, high], nice=False),
        share_axis(y_ticks, unit),
    )
    marks: list[alt.Chart] = []
    for reference in panel.references:
        marks += _reference(reference, axes, x_domain)
    for series in panel.series:
        marks += _line(series, axes, unit)
    return marks


def _reference(reference: Series, axes: Axes, x_domain: tuple[float, float]) -> list[alt.Chart]:
    """A horizontal line across the panel with its interval as a faint band."""
    marks: list[alt.Chart] = []
    for point in reference.points:
        e, style = point.estimate, reference.style
        data = alt.Data(values=[{"x": x_domain[i], "y": e.value, "low": e.low, "high": e.high} for i in (0, 1)])
        band = alt.Chart(data).mark_area(color=style.colour, opacity=0.09, clip=True, aria=False)
        line = alt.Chart(data).mark_line(color=style.colour, strokeDash=list(style.dash), strokeWidth=1.6, aria=False)
        marks += [band.encode(x=axes.x(), y=axes.y("low"), y2=alt.Y2("high")), line.encode(x=axes.x(), y=axes.y())]
    return marks


def _line(series: Series, axes: Axes, unit: Unit) -> list[alt.Chart]:
    """Points with interval bars, joined by a line."""
    rows = [
        {
            "x": p.x, "y": p.estimate.value, "low": p.estimate.low, "high": p.estimate.high,
            "text": f"{p.arm}: {number(p.estimate.value, unit)} "
            + ("as published" if series.is_published else interval(p.estimate, unit)),
        }
        for p in series.points
    ]  # fmt: skip
    if not rows:
        return []
    style, data = series.style, alt.Data(values=rows)
    bar = alt.Chart(data).mark_rule(color=style.colour, strokeWidth=1.4, opacity=0.75, clip=True, aria=False)
    line = alt.Chart(data).mark_line(color=style.colour, strokeDash=list(style.dash), strokeWidth=2, aria=False)
    return [
        bar.encode(x=axes.x(), y=axes.y("low"), y2=alt.Y2("high")),
        line.encode(x=axes.x(), y=axes.y()),
        mark_of(style, data).encode(x=axes.x(), y=axes.y(), description=alt.Description("text:N")),
    ]


def mark_of(style: Style, data: alt.Data) -> alt.Chart:
    """The point mark of a style."""
    return alt.Chart(data).mark_point(
        shape=style.mark or "circle", size=58, filled=True, opacity=1, fill=PAPER if style.hollow else style.colour,
        stroke=style.colour, strokeWidth=1.5,
    )  # fmt: skip


def _gap(panel: Panel) -> list[alt.Chart]:
    """An empty panel that says what is missing."""
    words = f"not measured: {panel.why or f'no arm of this study has {panel.metric}'}"
    lines = textwrap.wrap(words, _CHARS_A_LINE, break_long_words=True, max_lines=_LINES, placeholder=" …")
    place = alt.Data(values=[{"lines": lines}])
    ground = (
        alt.Chart(place)
        .mark_rect(fill=WASH, aria=False)
        .encode(
            x=alt.XValue(-_PAD["left"]),
            x2=alt.X2Value(WIDTH - _PAD["left"] - _PAD["right"]),
            y=alt.YValue(0),
            y2=alt.Y2Value(_INNER_HEIGHT),
        )
    )
    text = alt.Chart(place).mark_text(
        align="left", baseline="top", fontSize=TEXT_SIZE, lineHeight=17, color=SOFT_INK, fontStyle="italic", aria=False
    )
    return [ground, text.encode(x=alt.XValue(14 - _PAD["left"]), y=alt.YValue(14), text=alt.Text("lines:N"))]
