"""The style-versus-capability plane: how much of the ceiling's style an arm has, against how much capability it gained.

In: `Evidence`. x is the mean over the style metrics of Table 2 of arm / ceiling (the teacher's second sample), its bar
the mean of the single intervals, which is wider than a joint one; y is the share of the gap from base to teacher closed
on Natural Questions (or the first capability axis there is). Out: plane points, and the plane as SVG in two sizes: a
phone's and a page's. Source: section 4 of arXiv 2305.15717, which makes the claim in words; the plane is ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import altair as alt

from epigone.records import Arm, ArmVerdict, Estimate
from epigone.reporting.evidence import Evidence
from epigone.reporting.panels import Axes, mark_of, share_axis, svg_of, y_domain
from epigone.reporting.theme import INK, STYLES, TEXT_SIZE, Style
from epigone.reporting.wording import amount, number

STYLE_METRICS = ("style_list", "style_summary", "style_unigram", "style_length")
SIZES = {"narrow": (320, 330), "wide": (680, 430)}
_JOINED = ("broad", "broad_replay")
_PAD = {"left": 50, "right": 18, "top": 34, "bottom": 44}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; in pixels y runs downward, in data units `top` is the lower value."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "Box") -> bool:
        """Whether the two share a point."""
        across = self.left <= other.right and other.left <= self.right
        return across and self.top <= other.bottom and other.top <= self.bottom

    def inside(self, other: "Box") -> bool:
        """Whether this one lies within the other."""
        across = self.left >= other.left and self.right <= other.right
        return across and self.top >= other.top and self.bottom <= other.bottom


@dataclass(frozen=True, slots=True)
class PlanePoint:
    """An arm on the plane; `short` is written beside it, `arm` stands in the CSV."""

    arm: str
    short: str
    kind: str
    style: Estimate
    capability: Estimate
    other_base: bool = False


def style_share(evidence: Evidence, arm: Arm) -> Estimate | None:
    """Mean share of the ceiling over the style metrics that arm and ceiling both have; None without any."""
    shares: list[Estimate] = []
    for metric in STYLE_METRICS:
        own, ceiling = evidence.result(arm, metric), evidence.result(evidence.second_sample, metric)
        if own and ceiling and ceiling.estimate.value > 0:
            e, top = own.estimate, ceiling.estimate.value
            shares.append(Estimate(e.value / top, e.low / top, e.high / top, e.n, e.method, e.num_seeds))
    if not shares:
        return None
    value, low, high = (sum(getattr(s, k) for s in shares) / len(shares) for k in ("value", "low", "high"))
    return Estimate(value, low, high, min(s.n for s in shares), "mean of intervals", shares[0].num_seeds)


def capability_gap(verdict: ArmVerdict) -> Estimate | None:
    """Gap closed on Natural Questions 3-shot; failing that on the first capability axis that has one."""
    axes = [axis for axis in verdict.axes if axis.axis == "capability" and axis.gap_closed]
    axes.sort(key=lambda axis: axis.metric != "natural_questions_3shot")
    return axes[0].gap_closed if axes else None


def points(evidence: Evidence) -> tuple[PlanePoint, ...]:
    """Base, every student with both coordinates, and the second sample at (1, 1), which it is by definition."""
    found: list[PlanePoint] = []
    zero, one = (Estimate(v, v, v, 0, "by definition") for v in (0.0, 1.0))
    if evidence.middle and (share := style_share(evidence, evidence.middle)):
        found.append(PlanePoint(evidence.label(evidence.middle), "base", "base", share, zero))
    for verdict in evidence.findings.verdicts:
        share, gap = style_share(evidence, verdict.arm), capability_gap(verdict)
        if share and gap and not verdict.arm.treatment:  # treated arms have a figure of their own
            other = evidence.base_of(verdict.arm) != evidence.middle
            short = "" if other else _short(verdict.arm)
            found.append(PlanePoint(evidence.label(verdict.arm), short, kind_of(verdict.arm), share, gap, other))
    if found and evidence.second_sample:
        found.append(PlanePoint(evidence.label(evidence.second_sample), "second sample", "second_sample", one, one))
    return tuple(found)


def kind_of(arm: Arm) -> str:
    """The key of an arm's Style."""
    if arm.role != "student":
        return arm.role
    return f"{arm.data}_replay" if arm.data == "broad" and arm.replay_tokens else arm.data


def _short(arm: Arm) -> str:
    if arm.data == "broad":
        return "" if arm.replay_tokens else amount(arm.imitation_tokens)
    return {"local_strict": "strict", "local_supported": "supported", "replay_only": "replay only"}.get(arm.data, "")


def draw_plane(found: tuple[PlanePoint, ...], size: str) -> str:
    """The plane at one of SIZES as SVG."""
    width, height = SIZES[size]
    x_low, x_high, x_ticks = y_domain([*(v for p in found for v in (p.style.low, p.style.high)), 1.05], "number")
    y_low, y_high, y_ticks = y_domain(
        [*(v for p in found for v in (p.capability.low, p.capability.high)), 1.0], "number"
    )
    x_room, y_room = (x_high - x_low) * 0.02, (y_high - y_low) * 0.04
    domain = Box(x_low - x_room, y_low, x_high + x_room, y_high + y_room)
    axes = Axes(
        alt.Scale(domain=[domain.left, domain.right], nice=False, zero=False),
        alt.Axis(values=x_ticks, format="~%", grid=False, title="Style: share of the ceiling", titlePadding=7),
        alt.Scale(domain=[domain.top, domain.bottom], nice=False, zero=False),
        share_axis(y_ticks, "percent"),
    )
    layers = [*_guides(domain, axes), *_paths(found, axes)]
    for point in found:
        layers += _mark(point, axes)
    inner = (width - _PAD["left"] - _PAD["right"], height - _PAD["top"] - _PAD["bottom"])
    layers += [_text(point, x, y) for point, x, y in _labels(found, domain, inner)]
    title = (
        "Capability: share of the gap from base to teacher closed"
        if size == "wide"
        else "Capability: share of the gap closed"
    )
    return svg_of(layers, label=title, size=(width, height), padding=_PAD)


def _guides(domain: Box, axes: Axes) -> list[alt.Chart]:
    """Base line y = 0, teacher line y = 1, ceiling x = 1."""
    ends = {
        "base": ((domain.left, 0.0), (domain.right, 0.0)),
        "teacher": ((domain.left, 1.0), (domain.right, 1.0)),
        "second_sample": ((1.0, domain.top), (1.0, domain.bottom)),
    }
    charts = []
    for kind, pair in ends.items():
        data = alt.Data(values=[{"x": x, "y": y} for x, y in pair])
        style = STYLES[kind]
        mark = alt.Chart(data).mark_line(color=style.colour, strokeDash=list(style.dash), strokeWidth=1.3, aria=False)
        charts.append(mark.encode(x=axes.x(), y=axes.y(), order=alt.OrderValue(0)))
    return charts


def _paths(found: Iterable[PlanePoint], axes: Axes) -> list[alt.Chart]:
    """Broad arms of the middle base joined in order of amount, with and without replay."""
    charts = []
    for kind in _JOINED:
        own = [p for p in found if p.kind == kind and not p.other_base]
        rows = [{"x": p.style.value, "y": p.capability.value, "step": i} for i, p in enumerate(own)]
        line = alt.Chart(alt.Data(values=rows)).mark_line(color=STYLES[kind].colour, strokeWidth=2, aria=False)
        charts += [line.encode(x=axes.x(), y=axes.y(), order=alt.Order("step:Q"))] if rows else []
    return charts


def _mark(point: PlanePoint, axes: Axes) -> list[alt.Chart]:
    s, c = point.style, point.capability
    look = STYLES[point.kind]
    style = Style(look.colour, look.mark or "circle", hollow=look.hollow or point.other_base)
    text = f"{point.arm}: style {number(s.value)}, gap closed {number(c.value)}"
    row = {"x": s.value, "y": c.value, "x1": s.low, "x2": s.high, "y1": c.low, "y2": c.high, "text": text}
    data = alt.Data(values=[row])
    opacity = 0.25 if point.other_base else 0.5
    bar = alt.Chart(data).mark_rule(color=style.colour, strokeWidth=1.1, opacity=opacity, clip=True, aria=False)
    return [
        bar.encode(x=axes.x("x1"), x2=alt.X2("x2"), y=axes.y()),
        bar.encode(x=axes.x(), y=axes.y("y1"), y2=alt.Y2("y2")),
        mark_of(style, data).encode(x=axes.x(), y=axes.y(), description=alt.Description("text:N")),
    ]


def _labels(
    found: tuple[PlanePoint, ...], domain: Box, inner: tuple[int, int]
) -> list[tuple[PlanePoint, float, float]]:
    """Short names with their centre in pixels: clear of marks, names, bars and lines, else of marks and names alone.

    A name that finds no room is left out; pointing at its mark still tells it.
    """

    def pixels(x: float, y: float) -> tuple[float, float]:
        across, down = domain.right - domain.left, domain.bottom - domain.top
        return (x - domain.left) / across * inner[0], (domain.bottom - y) / down * inner[1]

    frame = Box(2.0, 0.0, inner[0] + 12.0, float(inner[1]))
    spots = [pixels(p.style.value, p.capability.value) for p in found]
    taken = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    thin = [Box(frame.left, y, frame.right, y) for _, y in (pixels(1.0, 0.0), pixels(1.0, 1.0))]
    thin.append(Box(pixels(1.0, 0.0)[0], 0.0, pixels(1.0, 0.0)[0], float(inner[1])))
    for p in found:
        x, y = pixels(p.style.value, p.capability.value)
        thin.append(Box(pixels(p.style.low, 0.0)[0], y, pixels(p.style.high, 0.0)[0], y))
        thin.append(Box(x, pixels(0.0, p.capability.high)[1], x, pixels(0.0, p.capability.low)[1]))
    for kind in _JOINED:
        own = [spot for p, spot in zip(found, spots, strict=True) if p.kind == kind and not p.other_base]
        for (x1, y1), (x2, y2) in pairwise(own):
            steps = [(x1 + (x2 - x1) * i / 24, y1 + (y2 - y1) * i / 24) for i in range(25)]
            thin += [Box(x, y, x, y) for x, y in steps]
    placed: list[tuple[PlanePoint, float, float]] = []
    for point, (x, y) in zip(found, spots, strict=True):
        boxes = [box for box in _around(x, y, 6.6 * len(point.short)) if point.short and box.inside(frame)]
        free = [box for box in boxes if not any(box.touches(other) for other in taken)]
        clear = [box for box in free if not any(box.touches(other) for other in thin)]
        for box in (clear or free)[:1]:
            taken.append(box)
            placed.append((point, (box.left + box.right) / 2, (box.top + box.bottom) / 2))
    return placed


def _around(x: float, y: float, wide: float) -> list[Box]:
    """Places for a name of this width beside a mark, the nearest first."""
    lefts = (x + 8, x - 8 - wide, x - wide / 2)
    tops = (y - 16, y + 3, y - 22, y + 9, y - 34, y + 21)
    return [Box(left, top, left + wide, top + 13) for top in tops for left in lefts]


def _text(point: PlanePoint, x: float, y: float) -> alt.Chart:
    colour = INK if point.kind == "second_sample" else STYLES[point.kind].colour
    data = alt.Data(values=[{"text": point.short}])
    mark = alt.Chart(data).mark_text(fontSize=TEXT_SIZE, color=colour, baseline="middle", aria=False)
    return mark.encode(x=alt.XValue(x), y=alt.YValue(y), text=alt.Text("text:N"))
