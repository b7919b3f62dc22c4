"""The audit's figures: style by metric, capability by benchmark, verdicts of raters, fitted strengths.

In: AuditFindings. Out: reporting.figures.Figure. Models are rows, since an audit has no amount of data to draw along.
Source: Figures 1, 3 and 4 and Table 2 of arXiv 2305.15717, for the quantities.
"""

import csv
import io
from collections.abc import Sequence

from epigone.metrics.likeness import TABLE_2
from epigone.records import Estimate
from epigone.reporting.audit.findings import AuditFindings
from epigone.reporting.audit.wording import wording
from epigone.reporting.dots import LOSS, TIE, WIN, Dot, Split, draw_dots, draw_splits, swatch
from epigone.reporting.figures import Figure, Row, own_ids, sheet
from epigone.reporting.panels import HEIGHT, WIDTH
from epigone.reporting.theme import STYLES, glyph

MOST_STRENGTHS = 30
MOST_PANELS = 6
_SIGNS = {
    "student": "student", "base": "base model", "ceiling": "second sample of the teacher", "floor": "random floor",
    "teacher_mark": "teacher", "other": "outside this audit",
}  # fmt: skip


def all_figures(findings: AuditFindings) -> dict[str, Figure]:
    """Every figure that has something to show, by id."""
    makers = (style, capability, preference, strengths, expertise)
    return {figure.id: figure for make in makers if (figure := make(findings))}


def kind_of(findings: AuditFindings, model: str) -> str:
    """The key of a model's sign."""
    role = next((m.role for m in findings.models if m.name == model), "")
    kinds = {"teacher": "teacher_mark", "second_sample": "ceiling", "base": "base", "student": "student"}
    return kinds.get(role, "other")


def style(findings: AuditFindings) -> Figure | None:
    """Table 2, distance and classifier as rows of dots between floor and ceiling."""
    names = _ordered(findings)
    panels: list[tuple[str, list[Dot]]] = []
    for metric in (*TABLE_2, "distance", "told_apart"):
        dots = [
            Dot(name, kind_of(findings, name), found)
            for name in names
            if (found := findings.estimate(name, "style", metric))
        ]
        floor = findings.floors.get(metric)
        if dots:
            panels.append((metric, [*([Dot("random pairing", "floor", floor)] if floor else []), *dots]))
    caption = (
        f"Answers beside {findings.teacher}’s on the same prompts, with 95 % intervals. Further right is more "
        "alike in the "
        "first four panels; of the style distance and of the classifier’s AUC, less is more alike."
    )
    return _dotted(findings, "style", "Style: how near to the teacher?", caption, "style", panels)


def capability(findings: AuditFindings) -> Figure | None:
    """Benchmarks as rows of dots."""
    metrics = list(dict.fromkeys(m.metric for m in findings.measured if m.kind == "capability"))
    panels = [
        (
            metric,
            [
                Dot(m.model, kind_of(findings, m.model), m.estimate)
                for m in findings.measured
                if m.kind == "capability" and m.metric == metric
            ],
        )
        for metric in metrics[:12]
    ]
    more = f" The first 12 of {len(metrics)} are drawn; the table has all." if len(metrics) > 12 else ""
    caption = f"Imported scores with 95 % intervals.{more}"
    return _dotted(findings, "capability", "Capability: imported scores", caption, "capability", panels)


def strengths(findings: AuditFindings) -> Figure | None:
    """Fitted rates against the teacher, of the audit's models and the strongest others."""
    main = (findings.main_panel, findings.main_criterion)
    own = [s for s in findings.strengths if (s.panel, s.criterion) == main and s.rate]
    audited = [s for s in own if kind_of(findings, s.model) != "other"]
    others = [s for s in own if kind_of(findings, s.model) == "other"][: max(MOST_STRENGTHS - len(audited), 0)]
    shown = sorted([*audited, *others], key=lambda s: -s.strength.value)
    panels: list[tuple[str, list[Dot]]] = []
    for metric, read in (("strength", "rate"), ("at equal style", "controlled_rate")):
        dots = [Dot(s.model, kind_of(findings, s.model), e) for s in shown if (e := getattr(s, read))]
        if dots:
            panels.append((metric, dots))
    left = len(own) - len(shown)
    caption = (
        f"Share of prompts on which each model’s answer is found equal to {findings.teacher}’s or better, as strengths "
        f"fitted to all judgments of {findings.main_panel} imply it; the second panel "
        "between answers of equal style. Dashed: a model as strong as the teacher, which ties lift above one half."
        + (f" {left} further models stand in the table." if left else "")
    )
    return _dotted(findings, "strengths", "Fitted preference against the teacher", caption, "preference", panels)


def preference(findings: AuditFindings) -> Figure | None:
    """Wins, ties and losses against the teacher by panel."""
    splits = [
        Split(f"{d.model} · {d.panel}{f', {d.criterion}' if d.criterion else ''} (n = {d.win_or_tie.n})",
              d.wins, d.ties, d.losses)
        for d in findings.direct
    ]  # fmt: skip
    if not splits:
        return None
    svg = draw_splits(f"Against {findings.teacher}", splits[:MOST_STRENGTHS])
    legend = tuple((swatch(colour), word) for colour, word in ((WIN, "won"), (TIE, "tied"), (LOSS, "lost")))
    lines = [(d.panel, d.criterion, d.model, d.against, d.wins, d.ties, d.losses) for d in findings.direct]
    caption = (
        f"Majority of each prompt’s ratings, the model’s answer against {findings.teacher}’s. n is the number of "
        "prompts: few of them say little, see the table for intervals."
    )
    text = _csv(("panel", "criterion", "model", "against", "wins", "ties", "losses"), lines)
    return _figure("preference", "Preference: won, tied and lost against the teacher", caption, [svg], legend, text)


def expertise(findings: AuditFindings) -> Figure | None:
    """Equal or better by thirds of the votes, from the least expert raters to the most."""
    shown = [row for row in findings.expertise if row.slope][:MOST_PANELS]
    if not shown:
        return None
    drawn: list[str] = []
    lines: list[tuple[object, ...]] = []
    for row in shown:
        dots = [
            Dot(f"{name}: {100 * mean:.0f} % of known ones", kind_of(findings, row.model), rate)
            for name, mean, _, rate in row.thirds
        ]
        drawn.append(draw_dots(f"{row.model} · {row.panel}"[:40], dots, "percent"))
        lines += [(row.panel, row.criterion, row.model, name, mean, num, *_values(rate))
                  for name, mean, num, rate in row.thirds]  # fmt: skip
    caption = (
        f"Share of votes that find the answer equal to {findings.teacher}’s or better, by thirds of the votes in the "
        "order of their raters’ expertise: the share of comparisons with a known answer that they would answer rightly."
        + (" Some of these raters are simulated." if any(row.simulated for row in shown) else "")
    )
    legend = tuple(
        (glyph(STYLES[kind]), _SIGNS[kind]) for kind in dict.fromkeys(kind_of(findings, r.model) for r in shown)
    )
    columns = ("panel", "criterion", "model", "third", "expertise", "num_raters", "value", "low", "high", "n", "method")
    return _figure(
        "expertise", "Equal or better, by the raters’ expertise", caption, drawn, legend, _csv(columns, lines)
    )


def _ordered(findings: AuditFindings) -> list[str]:
    """Base, students, ceiling."""
    place = {"base": 0, "student": 1, "second_sample": 2}
    rows = [m for m in findings.models if m.role != "teacher"]
    return [m.name for m in sorted(rows, key=lambda m: place[m.role])]


def _dotted(
    findings: AuditFindings, figure_id: str, title: str, caption: str, axis: str, panels: list[tuple[str, list[Dot]]]
) -> Figure | None:
    if not panels:
        return None
    drawn: list[str] = []
    lines: list[tuple[object, ...]] = []
    equal = _equal_rate(findings)
    references = {"told_apart": 0.5, "strength": equal, "at equal style": equal}
    for metric, dots in panels:
        words = wording(axis, metric)
        heading = f"Fitted: {metric}" if metric == "at equal style" else words.heading
        drawn.append(draw_dots(heading, dots, words.unit, reference=references.get(metric)))
        lines += [(metric, dot.name, *_values(dot.estimate)) for dot in dots]
    kinds = dict.fromkeys(dot.kind for _, dots in panels for dot in dots)
    names = _SIGNS | ({"ceiling": "another version of the teacher"} if findings.ceiling_is == "another version" else {})
    legend = tuple((glyph(STYLES[kind]), names[kind]) for kind in STYLES if kind in kinds)
    text = _csv(("metric", "model", "value", "low", "high", "n", "method"), lines)
    return _figure(figure_id, title, caption, drawn, legend, text)


def _equal_rate(findings: AuditFindings) -> float | None:
    main = (findings.main_panel, findings.main_criterion)
    return next((f.equal_rate for f in findings.fits if (f.panel, f.criterion) == main), None)


def _values(e: Estimate) -> tuple[object, ...]:
    return (e.value, e.low, e.high, e.n, e.method)


def _figure(
    figure_id: str, title: str, caption: str, drawn: Sequence[str], legend: tuple[tuple[str, str], ...], text: str
) -> Figure:
    panels = tuple(own_ids(svg, f"{figure_id}-{number}-") for number, svg in enumerate(drawn, start=1))
    by_row = [tuple(panels[i : i + 3]) for i in range(0, len(panels), 3)]
    tallest = max((_height(svg) for svg in drawn), default=HEIGHT)
    whole = sheet(by_row, legend, (WIDTH, tallest))
    return Figure(figure_id, title, caption, (Row("", panels),), legend, whole, text, min(len(panels), 3))


def _height(svg: str) -> int:
    return int(float(svg.split('height="', 1)[1].split('"', 1)[0]))


def _csv(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(columns)
    out.writerows(lines)
    return text.getvalue()
