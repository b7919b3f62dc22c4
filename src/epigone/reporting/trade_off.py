"""What style costs: every treated arm by style gained and capability lost or gained, the frontier marked.

In: `Evidence` with the metrics of `analysis_trade_offs`. Out: a Table, and a Figure in two sizes, a phone's and a
page's; none where no arm was treated. Arms bear numbers, since their names would hide one another.
Source: section 4.3 of arXiv 2305.15717, which leaves open whether the trade-off can be mitigated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import altair as alt

from epigone.records import Arm, Estimate, Result
from epigone.reporting.evidence import Evidence, treatment
from epigone.reporting.figures import Figure, Row, own_ids, sheet
from epigone.reporting.panels import Axes, svg_of, y_domain
from epigone.reporting.plane import kind_of
from epigone.reporting.tables import Cell, Table, comma_separated, measured
from epigone.reporting.theme import FONT, PAPER, SOFT_INK, STYLES, Style
from epigone.reporting.wording import chip, interval, number, plural

SIZES = {"narrow": (320, 360), "wide": (680, 460)}
_PAD = {"left": 50, "right": 18, "top": 34, "bottom": 44}
_RADIUS = 9
_BESIDE = ("lama", "facts_right_per_answer", "preference_e0", "preference_e1")


@dataclass(frozen=True, slots=True)
class Spot:
    """An arm with its number, where it stands, and whether no other arm nor the base beats it by value."""

    number: int
    arm: Arm
    name: str
    style: Result
    capability: Result
    on_frontier: bool

    @property
    def look(self) -> Style:
        """Its colour, hollow off the frontier."""
        kind = "treated" if self.arm.treatment else kind_of(self.arm)
        return Style(STYLES[kind].colour, "circle", hollow=not self.on_frontier)


def spots(evidence: Evidence) -> tuple[Spot, ...]:
    """Arms of the middle base, the plain ones first; none where none was treated."""
    arms = evidence.students(evidence.middle, treated=None)
    found = [(a, evidence.result(a, "style_gained"), evidence.result(a, "capability_change")) for a in arms]
    known = [(a, s, c) for a, s, c in found if s and c]
    places = [(s.estimate.value, c.estimate.value) for _, s, c in known]
    on = frontier(places)
    return tuple(
        Spot(number, arm, _name(arm), style, capability, on[number - 1])
        for number, (arm, style, capability) in enumerate(known, start=1)
    )


def frontier(places: Sequence[tuple[float, float]]) -> list[bool]:
    """Of each (style, capability), whether no other one nor (0, 0), the base, has as much of both and more of one."""
    others = [(0.0, 0.0), *places]
    return [not any(x >= own[0] and y >= own[1] and (x, y) != own for x, y in others) for own in places]


def _name(arm: Arm) -> str:
    return arm.treatment or treatment(arm)


def table_treatments(evidence: Evidence) -> Table:
    """An arm a row: style, capability, what the raters prefer, whether it is on the frontier, the verdict."""
    words = {verdict.arm: verdict.word for verdict in evidence.findings.verdicts}
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for spot in spots(evidence):
        share = evidence.result(spot.arm, "frontier_share")
        beside = [evidence.result(spot.arm, metric) for metric in _BESIDE]
        smallest = spot.capability.minimum_difference or 0.0
        rows.append(
            (
                Cell(f"{spot.number}. {spot.name}"), measured(spot.style), _points(spot.capability.estimate),
                Cell(f"{100 * smallest:.1f} pts", numeric=True), *(measured(result) for result in beside),
                Cell("yes" if spot.on_frontier else "no", f"{_share(share)} of resamples"),
                Cell(words.get(spot.arm, "not measured"), plural(spot.style.estimate.num_seeds, "seed"),
                     chip=chip(words.get(spot.arm, ""))),
            )
        )  # fmt: skip
        lines.append(_line(spot, share, beside, words.get(spot.arm, "")))
    columns = ("Arm", "Style gained", "Capability", "Smallest difference", "Stored knowledge", "Right per answer",
               "Naive rater", "Expert rater", "On the frontier", "Verdict")  # fmt: skip
    return Table(
        "treatments", "What style costs, treatment by treatment",
        "Style gained: of the way from the base to the teacher’s second sample. Capability: against the base, in "
        "points, mean of Natural Questions 3-shot, MMLU by option text and stored knowledge; beside it the smallest "
        "difference that would show. On the frontier: no other arm, nor the base, has as much of both and more of one. "
        "Raters: found equal to the teacher or better by simulated raters.",
        columns, tuple(rows), comma_separated(_HEADER, lines),
    )  # fmt: skip


_HEADER = (
    "number", "arm", "style_gained", "style_low", "style_high", "style_n", "capability_change", "capability_low",
    "capability_high", "capability_n", "minimum_difference", "num_seeds", "style_per_seed", "capability_per_seed",
    "on_frontier", "frontier_share", *_BESIDE, "verdict",
)  # fmt: skip


def _line(spot: Spot, share: Result | None, beside: Sequence[Result | None], word: str) -> tuple[object, ...]:
    s, c = spot.style.estimate, spot.capability.estimate
    spread = [" ".join(f"{value:g}" for value in r.per_seed) for r in (spot.style, spot.capability)]
    values = [result.estimate.value if result else "" for result in beside]
    return (
        spot.number, spot.arm.name, s.value, s.low, s.high, s.n, c.value, c.low, c.high, c.n,
        spot.capability.minimum_difference, c.num_seeds, *spread, spot.on_frontier,
        share.estimate.value if share else "", *values, word,
    )  # fmt: skip


def _points(estimate: Estimate) -> Cell:
    text = f"{100 * estimate.value:+.1f} pts".replace("-", "−")
    return Cell(text, interval(estimate), numeric=True)


def _share(share: Result | None) -> str:
    return number(share.estimate.value) if share else "not counted"


def figure_trade_off(evidence: Evidence) -> Figure | None:
    """The plane of both axes with the frontier; None where no arm was treated."""
    found = spots(evidence)
    if not found:
        return None
    narrow, wide = (own_ids(draw_trade_off(found, size), f"trade_off-{size}-") for size in SIZES)
    legend = tuple((_numbered(spot), spot.name) for spot in found)
    caption = (
        "Right is more of the teacher’s style, up is more capability kept or gained. The square is the base. Filled, "
        "and joined by the line: the frontier, which no other arm nor the base beats on both by value; the table says "
        "in which share of the resamples that is so. Bars are 95 % intervals over seeds and items. Each treatment "
        "stands at one strength."
    )
    return Figure(
        "trade_off", "Style gained against capability lost", caption, (Row("", (narrow, wide)),), legend,
        sheet([(wide,)], legend, SIZES["wide"]), table_treatments(evidence).csv, 1,
    )  # fmt: skip


def draw_trade_off(found: Sequence[Spot], size: str) -> str:
    """The plane at one of SIZES as SVG."""
    width, height = SIZES[size]
    estimates = [(spot.style.estimate, spot.capability.estimate) for spot in found]
    x_low, x_high, x_ticks = y_domain([v for s, _ in estimates for v in (s.low, s.high, s.value)], "number")
    y_low, y_high, y_ticks = y_domain([v for _, c in estimates for v in (c.low, c.high, c.value)], "number")
    room = (x_high - x_low) * 0.03
    signed = "(datum.value > 0 ? '+' : '') + format(100 * datum.value, '~f')"
    axes = Axes(
        alt.Scale(domain=[x_low - room, x_high + room], nice=False, zero=False),
        alt.Axis(values=x_ticks, format="~%", grid=False, title="Style gained", titlePadding=7),
        alt.Scale(domain=[y_low, y_high], nice=False, zero=False),
        alt.Axis(values=y_ticks, title=None, labelExpr=signed, domain=False, ticks=False),
    )
    layers = [*_frontier(found, axes), _base(axes)]
    for spot in found:
        layers += _mark(spot, axes)
    title = "Capability against the base, in points" if size == "wide" else "Capability against the base, points"
    return svg_of(layers, label=title, size=(width, height), padding=_PAD)


def _frontier(found: Sequence[Spot], axes: Axes) -> list[alt.Chart]:
    """A staircase: as much style as at its right end costs the capability of that end."""
    places = [(s.style.estimate.value, s.capability.estimate.value) for s in found]
    base = [] if any(x >= 0 and y >= 0 for x, y in places) else [(0.0, 0.0)]
    on = sorted([*base, *(place for place, spot in zip(places, found, strict=True) if spot.on_frontier)])
    rows = [{"x": x, "y": y, "step": step} for step, (x, y) in enumerate(on)]
    line = alt.Chart(alt.Data(values=rows)).mark_line(
        color=SOFT_INK, strokeWidth=1.6, strokeDash=[5, 3], interpolate="step-before", aria=False
    )
    return [line.encode(x=axes.x(), y=axes.y(), order=alt.Order("step:Q"))]


def _base(axes: Axes) -> alt.Chart:
    data = alt.Data(values=[{"x": 0.0, "y": 0.0, "text": "base model"}])
    mark = alt.Chart(data).mark_point(shape="square", size=90, filled=True, opacity=1, fill=STYLES["base"].colour)
    return mark.encode(x=axes.x(), y=axes.y(), description=alt.Description("text:N"))


def _mark(spot: Spot, axes: Axes) -> list[alt.Chart]:
    s, c, look = spot.style.estimate, spot.capability.estimate, spot.look
    text = f"{spot.name}: style gained {number(s.value)} {interval(s)}, capability {_points(c).text} {interval(c)}"
    row = {"x": s.value, "y": c.value, "x1": s.low, "x2": s.high, "y1": c.low, "y2": c.high}
    data = alt.Data(values=[row | {"text": text, "number": str(spot.number)}])
    bar = alt.Chart(data).mark_rule(color=look.colour, strokeWidth=1.1, opacity=0.45, clip=True, aria=False)
    dot = alt.Chart(data).mark_point(
        shape="circle", size=_RADIUS**2 * 3.2, filled=True, opacity=1, fill=PAPER if look.hollow else look.colour,
        stroke=look.colour, strokeWidth=1.5,
    )  # fmt: skip
    label = alt.Chart(data).mark_text(
        fontSize=10.5, fontWeight=600, color=look.colour if look.hollow else PAPER, baseline="middle", aria=False
    )
    return [
        bar.encode(x=axes.x("x1"), x2=alt.X2("x2"), y=axes.y()),
        bar.encode(x=axes.x(), y=axes.y("y1"), y2=alt.Y2("y2")),
        dot.encode(x=axes.x(), y=axes.y(), description=alt.Description("text:N")),
        label.encode(x=axes.x(), y=axes.y(), text=alt.Text("number:N")),
    ]


def _numbered(spot: Spot) -> str:
    """A legend sign, 30 x 12 px: the mark with its number."""
    look = spot.look
    fill, ink = (PAPER, look.colour) if look.hollow else (look.colour, PAPER)
    return (
        f'<circle cx="15" cy="6" r="{_RADIUS - 0.5:g}" fill="{fill}" stroke="{look.colour}" stroke-width="1.5"/>'
        f'<text x="15" y="9.6" text-anchor="middle" font-family="{escape(FONT, quote=True)}" font-size="10.5" '
        f'font-weight="600" fill="{ink}">{spot.number}</text>'
    )
