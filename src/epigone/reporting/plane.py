"""The style-versus-capability plane: how much of the ceiling's style an arm has, against how much capability it gained.

In: `Evidence`. x is the mean over the style metrics of Table 2 of arm / ceiling (the teacher's second sample), its bar the
mean of the single intervals, which is wider than a joint one; y is the share of the gap from base to teacher closed on
Natural Questions (or the first capability axis there is). Out: plane points, and the plane as SVG in two sizes: a phone's
and a page's. Source: section 4 of arXiv 2305.15717, which makes the claim in words; the plane is ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt

from epigone.records import Arm, ArmVerdict, Estimate
from epigone.reporting.evidence import Evidence
from epigone.reporting.panels import svg_of, y_domain
from epigone.reporting.theme import INK, PAPER, SOFT_INK, STYLES, TEXT_SIZE, Style
from epigone.reporting.wording import amount, number

STYLE_METRICS = ("style_list", "style_summary", "style_unigram", "style_length")
SIZES = {"narrow": (320, 330), "wide": (680, 430)}
_PAD = {"left": 50, "right": 18, "top": 34, "bottom": 44}


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
    """Base, every student with both coordinates, and the second sample at (1, its own gap)."""
    found: list[PlanePoint] = []
    zero, one = (Estimate(v, v, v, 0, "by definition") for v in (0.0, 1.0))
    if evidence.middle and (share := style_share(evidence, evidence.middle)):
        found.append(PlanePoint(evidence.label(evidence.middle), "base", "base", share, zero))
    for verdict in evidence.findings.verdicts:
        share, gap = style_share(evidence, verdict.arm), capability_gap(verdict)
        if share and gap:
            other = evidence.base_of(verdict.arm) != evidence.middle
            short = evidence.base_label(verdict.arm) if other else _short(verdict.arm)
            found.append(PlanePoint(evidence.label(verdict.arm), short, kind_of(verdict.arm), share, gap, other))
    if found and evidence.second_sample:
        found.append(PlanePoint(evidence.second_sample.base, "second sample", "second_sample", one, one))
    return tuple(found)


def kind_of(arm: Arm) -> str:
    """The key of an arm's Style."""
    if arm.role != "student":
        return arm.role
    return f"{arm.data}_replay" if arm.data == "broad" and arm.replay_tokens else arm.data


def _short(arm: Arm) -> str:
    if arm.data == "broad":
        return amount(arm.imitation_tokens)
    return {"local_strict": "strict", "local_supported": "supported", "replay_only": "replay only"}.get(arm.data, "")


def draw_plane(found: tuple[PlanePoint, ...], size: str) -> str:
    """The plane at one of SIZES as SVG."""
    width, height = SIZES[size]
    x_low, x_high, x_ticks = y_domain([*(v for p in found for v in (p.style.low, p.style.high)), 1.05], "number")
    y_low, y_high, y_ticks = y_domain(
        [*(v for p in found for v in (p.capability.low, p.capability.high)), 1.0], "number"
    )
    x_room = (x_high - x_low) * 0.03
    domain = (x_low - x_room, x_high + x_room, y_low, y_high)
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=list(domain[:2]), nice=False, zero=False),
        axis=alt.Axis(values=x_ticks, format="~%", grid=False, title="Style: share of the ceiling", titlePadding=7),
    )
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(domain=list(domain[2:]), nice=False, zero=False),
        axis=alt.Axis(values=y_ticks, format="~%", title=None, domain=False, ticks=False),
    )
    layers = [*_guides(domain, x, y), *_paths(found, x, y)]
    for point in found:
        layers += _mark(point, x, y)
    inner = (width - _PAD["left"] - _PAD["right"], height - _PAD["top"] - _PAD["bottom"])
    layers += _labels(found, domain, inner)
    title = "Capability: share of the gap from base to teacher closed"
    return svg_of(
        alt.layer(*layers),
        label=title if size == "wide" else "Capability gap closed",
        size=(width, height),
        padding=_PAD,
    )


def _guides(domain: tuple[float, float, float, float], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Base line y = 0, teacher line y = 1, ceiling x = 1."""
    ends = {"base": ((domain[0], 0.0), (domain[1], 0.0)), "teacher": ((domain[0], 1.0), (domain[1], 1.0))}
    ends["second_sample"] = ((1.0, domain[2]), (1.0, domain[3]))
    charts = []
    for kind, pair in ends.items():
        data = alt.Data(values=[{"x": px, "y": py} for px, py in pair])
        style = STYLES[kind]
        mark = alt.Chart(data).mark_line(color=style.colour, strokeDash=list(style.dash), strokeWidth=1.3, aria=False)
        charts.append(mark.encode(x=x, y=y, order=alt.value(0)))
    return charts


def _paths(found: Iterable[PlanePoint], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Broad arms of the middle base joined in order of amount, with and without replay."""
    charts = []
    for kind in ("broad", "broad_replay"):
        own = [p for p in found if p.kind == kind and not p.other_base]
        rows = [{"x": p.style.value, "y": p.capability.value, "step": i} for i, p in enumerate(own)]
        mark = alt.Chart(alt.Data(values=rows)).mark_line(
            color=STYLES[kind].colour, strokeWidth=1.6, opacity=0.55, aria=False
        )
        charts += [mark.encode(x=x, y=y, order="step:Q")] if rows else []
    return charts


def _mark(point: PlanePoint, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    s, c = point.style, point.capability
    look = STYLES[point.kind]
    style = Style(look.colour, look.mark or "circle", hollow=look.hollow or point.other_base)
    text = f"{point.arm}: style {number(s.value)}, gap closed {number(c.value)}"
    row = {"x": s.value, "y": c.value, "x1": s.low, "x2": s.high, "y1": c.low, "y2": c.high, "text": text}
    data = alt.Data(values=[row])
    bar = alt.Chart(data).mark_rule(color=style.colour, strokeWidth=1.1, opacity=0.55, clip=True, aria=False)
    mark = alt.Chart(data).mark_point(
        shape=style.mark, size=70, filled=True, opacity=1, fill=PAPER if style.hollow else style.colour,
        stroke=style.colour, strokeWidth=1.5,
    )  # fmt: skip
    return [
        bar.encode(x=alt.X("x1:Q"), x2="x2:Q", y=y),
        bar.encode(x=x, y=alt.Y("y1:Q"), y2="y2:Q"),
        mark.encode(x=x, y=y, description="text:N"),
    ]


def _labels(
    found: tuple[PlanePoint, ...], domain: tuple[float, float, float, float], inner: tuple[int, int]
) -> list[alt.Chart]:
    """Short names beside the points, each where it touches neither a name nor a mark; left out where there is no room."""
    x_low, x_high, y_low, y_high = domain
    spots = [
        (
            (p.style.value - x_low) / (x_high - x_low) * inner[0],
            (y_high - p.capability.value) / (y_high - y_low) * inner[1],
        )
        for p in found
    ]
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in spots]
    charts: list[alt.Chart] = []
    for point, (px, py) in zip(found, spots, strict=True):
        wide = 7.0 * len(point.short)
        for left, top in (
            (px + 9, py - 15),
            (px - 9 - wide, py - 15),
            (px + 9, py + 2),
            (px - 9 - wide, py + 2),
            (px - wide / 2, py - 24),
            (px - wide / 2, py + 10),
        ):
            box = (left, top, left + wide, top + 14)
            if point.short and _inside(box, inner) and not any(_touch(box, other) for other in taken):
                taken.append(box)
                charts.append(_text(point, left + wide / 2, top + 7))
                break
    return charts


def _text(point: PlanePoint, px: float, py: float) -> alt.Chart:
    colour = SOFT_INK if point.kind in ("base", "second_sample") else STYLES[point.kind].colour
    mark = alt.Chart(alt.Data(values=[{"text": point.short}])).mark_text(
        fontSize=TEXT_SIZE, color=colour or INK, baseline="middle", aria=False
    )
    return mark.encode(x=alt.value(px), y=alt.value(py), text="text:N")


def _inside(box: tuple[float, float, float, float], inner: tuple[int, int]) -> bool:
    return box[0] >= 2 and box[1] >= 0 and box[2] <= inner[0] + 12 and box[3] <= inner[1]


def _touch(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
