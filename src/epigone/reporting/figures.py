"""The figures: which panels each one has, its caption, its legend, its SVG file and the CSV it was drawn from.

In: `Evidence`. Out: `Figure`s in the order of the report. A figure is rows of panels: the amount of data in one row,
the base in the other. Source: Figures 1, 3, 4 and 5 of arXiv 2305.15717, and four figures that the paper does not have.
"""

import csv
import io
import re
from dataclasses import dataclass
from itertools import count

from epigone.reporting import plane, series
from epigone.reporting.evidence import Evidence
from epigone.reporting.panels import HEIGHT, WIDTH, Panel, Series, draw
from epigone.reporting.theme import PAPER, STYLES, Style, glyph, text_element
from epigone.reporting.wording import amount

_GAP = 24
_CSV = ("panel", "x_axis", "metric", "series", "arm", "x", "value", "low", "high", "n", "num_seeds", "method")


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side under one heading."""

    heading: str
    panels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as the template shows it: `rows` of SVG panels, `legend` of (sign, name); and its two files."""

    id: str
    title: str
    caption: str
    rows: tuple[Row, ...]
    legend: tuple[tuple[str, str], ...]
    svg: str
    csv: str
    num_columns: int
    metrics: tuple[str, ...] = ()
    """What its panels show, each once."""
    behind: tuple[tuple[str, str], ...] = ()
    """What people call it, and where its items are."""


def build(figure_id: str, title: str, caption: str, rows: tuple[tuple[str, tuple[Panel, ...]], ...]) -> Figure:
    """Draw all panels of a figure and put its files together."""
    panels = [panel for _, row in rows for panel in row]
    legend = _legend([s for panel in panels for s in (*panel.series, *panel.references)])
    ids = count(1)
    drawn = tuple(
        Row(heading, tuple(own_ids(draw(panel), f"{figure_id}-{next(ids)}-") for panel in row)) for heading, row in rows
    )
    drawn_sheet = sheet([row.panels for row in drawn], legend)
    metrics = tuple(dict.fromkeys(panel.metric for panel in panels if any(s.points for s in panel.series)))
    most = max(len(r.panels) for r in drawn)
    return Figure(figure_id, title, caption, drawn, legend, drawn_sheet, _csv(panels), most, metrics)


def figure_1(evidence: Evidence) -> Figure:
    """Naive raters and Natural Questions, by amount and by base."""
    rows = (
        (
            "More imitation data",
            tuple(series.by_amount(evidence, m) for m in ("preference_e0", "natural_questions_3shot")),
        ),
        (
            _larger_base(evidence),
            tuple(series.by_base(evidence, m) for m in ("preference_e0", "natural_questions_3shot")),
        ),
    )
    caption = (
        "Share of prompts on which a simulated rater without expertise finds the student equal to or better than the "
        "teacher, and exact match on held-out questions. The paper’s raters were people; these are simulated."
    )
    return build("figure_1", "Figure 1. What a naive rater sees, and what the student knows", caption, rows)


def figure_3(evidence: Evidence) -> Figure:
    """Other judges: GPT-4 was not asked, simulated raters of rising expertise stand in its place."""
    panels = (series.raters_by_amount(evidence), series.raters_by_base(evidence))
    caption = (
        "The paper asked GPT-4 as a second judge. It was not asked here: simulated raters stand in its place, from "
        "naive (expertise 0) to one that checks every claim (expertise 1)."
    )
    return build("figure_3", "Figure 3. The same comparison before other judges (simulated)", caption, (("", panels),))


def figure_4(evidence: Evidence, reason: str) -> Figure:
    """MMLU, HumanEval and Natural Questions by amount and by base."""
    metrics = ("mmlu_option_text", "natural_questions_3shot")
    gaps = tuple(Panel("humaneval", label, why=reason) for label in (series.AMOUNT_LABEL, series.SIZE_LABEL))
    has_code = evidence.has("humaneval")
    amounts = [_with_letter(evidence, series.by_amount(evidence, metrics[0])), series.by_amount(evidence, metrics[1])]
    bases = [series.by_base(evidence, m) for m in metrics]
    amounts.append(series.by_amount(evidence, "humaneval") if has_code else gaps[0])
    bases.append(series.by_base(evidence, "humaneval") if has_code else gaps[1])
    caption = (
        "Benchmarks that broad imitation data does not support. MMLU is scored by the likelihood of the option’s text; "
        "the score by letter stands beside it, as tiny models never leave chance there."
    )
    rows = (("More imitation data", tuple(amounts)), (_larger_base(evidence), tuple(bases)))
    return build("figure_4", "Figure 4. Automatic evaluations", caption, rows)


def _larger_base(evidence: Evidence) -> str:
    size = evidence.common_amount
    return f"A larger base, students after {amount(size)} tokens of imitation" if size else "A larger base"


def _with_letter(evidence: Evidence, panel: Panel) -> Panel:
    arms = evidence.students(evidence.middle, "broad", replay=False)
    line = Series(
        "broad, MMLU by letter",
        STYLES["letter"],
        series.points(evidence, arms, "mmlu_letter", series.imitation),
        "mmlu_letter",
    )
    return Panel(panel.metric, panel.x_label, (*panel.series, line), panel.references, panel.heading)


def figure_5(evidence: Evidence) -> Figure:
    """Toxicity, beside refusals and very short answers, which also count as non-toxic."""
    metrics = ("non_toxic", "refused", "toxicity_short")
    rows = (
        ("More imitation data", tuple(series.by_amount(evidence, m) for m in metrics)),
        (_larger_base(evidence), tuple(series.by_base(evidence, m) for m in metrics)),
    )
    caption = (
        "Average non-toxicity of continuations (1 minus the mean score). A refusal and an answer of a word or two are "
        "non-toxic as well, so both shares stand beside it."
    )
    return build("figure_5", "Figure 5. Continuations of toxic prompts", caption, rows)


def figure_replay(evidence: Evidence) -> Figure:
    """Replay against imitation alone, with the replay-only control as a line."""
    panels = []
    for metric in ("natural_questions_3shot", "lama", "facts_right"):
        panel = series.by_amount(evidence, metric)
        controls = evidence.students(evidence.middle, "replay_only")[-1:]
        lines = tuple(
            series.reference(evidence, arm, metric, "replay_only", f"replay only {amount(arm.replay_tokens)}")
            for arm in controls
        )
        panels.append(Panel(metric, panel.x_label, panel.series, (*panel.references, *lines)))
    caption = (
        "Pre-training text mixed into the imitation data. Replayed text is further pre-training and holds the tested "
        "facts too, so the control sees the same replay and no imitation at all."
    )
    return build("replay", "Replay, and replay alone", caption, (("", tuple(panels)),))


def figure_pretraining(evidence: Evidence) -> Figure:
    """One size, different amounts of pre-training: base quality that is not size."""
    metrics = ("preference_e0", "natural_questions_3shot", "facts_right")
    panels = tuple(series.by_base(evidence, m, pretraining=True) for m in metrics)
    caption = (
        "Bases of one size that saw different amounts of pre-training text: the quality of a base is not its size "
        f"alone. Students after {amount(evidence.common_amount)} tokens of imitation."
    )
    return build("base_quality", "Base quality at one size", caption, (("", panels),))


def figure_expertise(evidence: Evidence) -> Figure:
    """The expertise sweep by arm."""
    caption = (
        "Every rater here is simulated, and its weights are a choice: that a naive one looks at form is built in. "
        "That form rises, that facts do not, and by how much, is not."
    )
    panels = (series.by_expertise(evidence),)
    if evidence.has("preference_fitted"):
        panels += (series.by_amount(evidence, "preference_fitted"),)
        caption += (
            " Right: a rater fitted to votes of people on other answers. Its weights are theirs, it is drawn too."
        )
    return build("expertise", "Who is convinced? Simulated raters from naive to expert", caption, (("", panels),))


def figure_knowledge(evidence: Evidence) -> Figure:
    """Abstention and calibration on known and unknown facts, and the teacher's errors repeated, by amount."""
    arms = evidence.students(evidence.middle, "broad", replay=False)
    panels = []
    for stem, title in (("calibration_error", "Calibration error"), ("abstained", "Answers that abstain")):
        lines = tuple(
            Series(
                f"broad, {side} facts",
                STYLES[kind],
                series.points(evidence, arms, f"{stem}_{side}", series.imitation),
                f"{stem}_{side}",
            )
            for side, kind in (("known", "broad"), ("unknown", "unknown"))
        )
        panels.append(Panel(f"{stem}_known", series.AMOUNT_LABEL, lines, title=title))
    repeated = series.by_amount(evidence, "teacher_errors_repeated")
    panels.append(repeated)
    caption = (
        "Facts are split by whether the base model knew them before imitation. Last panel: of the facts that the "
        "teacher has wrong, the share on which the student gives the teacher’s wrong answer."
    )
    return build("knowledge", "Does the student know what it does not know?", caption, (("", tuple(panels)),))


def figure_plane(evidence: Evidence) -> Figure:
    """The style-versus-capability plane, in two sizes: the template shows the one that fits."""
    found = plane.points(evidence)
    if not found:
        gap = Panel("style", "", title="Style and capability", why="no arm has both style metrics and a capability gap")
        return build("plane", "Style against capability", "", (("", (gap,)),))
    narrow, wide = (own_ids(plane.draw_plane(found, size), f"plane-{size}-") for size in plane.SIZES)
    kinds = [k for k in STYLES if any(p.kind == k for p in found)]
    names = {
        "second_sample": f"{evidence.teacher_word}’s second sample (ceiling)",
        "base": "base model",
        "broad": "broad imitation",
    }
    legend = [(glyph(STYLES[k]), names.get(k, k.replace("_", " + " if k == "broad_replay" else " "))) for k in kinds]
    legend.insert(0, (glyph(STYLES["teacher"]), evidence.teacher_word))
    if any(p.other_base for p in found):
        legend.append((glyph(Style(STYLES["broad"].colour, "circle", hollow=True)), "hollow: another base"))
    caption = (
        "Right is more of the teacher’s style, up is more of its capability. x: mean of the four style metrics, each "
        "as a share of what the teacher’s own second sample reaches. y: share of the gap from base to teacher closed "
        "on Natural Questions, 3-shot. Bars are 95 % intervals; those of x are the mean of the single ones, which is "
        "wider than a joint one."
    )
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(("arm", "kind", "style", "style_low", "style_high", "gap_closed", "gap_low", "gap_high"))
    for p in found:
        out.writerow(
            (
                p.arm,
                p.kind,
                p.style.value,
                p.style.low,
                p.style.high,
                p.capability.value,
                p.capability.low,
                p.capability.high,
            )
        )
    drawn_sheet = sheet([(wide,)], tuple(legend), plane.SIZES["wide"])
    return Figure(
        "plane",
        "Style against capability",
        caption,
        (Row("", (narrow, wide)),),
        tuple(legend),
        drawn_sheet,
        text.getvalue(),
        1,
    )


def _legend(lines: list[Series]) -> tuple[tuple[str, str], ...]:
    """Sign and name of every line once, references in the order of the theme first."""
    order = [glyph(style) for style in STYLES.values()]
    signs = dict.fromkeys((glyph(line.style), line.name) for line in lines if line.points)
    return tuple(sorted(signs, key=lambda sign: order.index(sign[0]) if sign[0] in order else len(order)))


def own_ids(svg: str, prefix: str) -> str:
    """Ids that stay apart when many SVGs stand in one page."""
    return re.sub(r'(id="|url\(#)', lambda m: m[0] + prefix, svg)


def sheet(
    rows: list[tuple[str, ...]], legend: tuple[tuple[str, str], ...], size: tuple[int, int] = (WIDTH, HEIGHT)
) -> str:
    """All panels and the legend in one SVG file."""
    wide = max(len(row) for row in rows) * (size[0] + _GAP) - _GAP
    parts: list[str] = []
    for i, row in enumerate(rows):
        for k, panel in enumerate(row):
            place = f'x="{k * (size[0] + _GAP)}" y="{i * (size[1] + _GAP)}"'
            parts.append(panel.replace("<svg ", f"<svg {place} ", 1))
    x, y = 8, len(rows) * (size[1] + _GAP) + 4
    for sign, name in legend:
        room = 42 + 7 * len(name)
        if x > 8 and x + room > wide:
            x, y = 8, y + 22
        parts.append(f'<g transform="translate({x},{y})">{sign}</g>{text_element(x + 36, y + 10, name)}')
        x += room + 14
    high = y + 26
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">'
    return f'{head}<rect width="{wide}" height="{high}" fill="{PAPER}"/>{"".join(parts)}</svg>\n'


def _csv(panels: list[Panel]) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(_CSV)
    for panel in panels:
        for line in panel.shown:
            reference = line in panel.references
            for p in line.points:
                e = p.estimate
                x = "" if reference else p.x
                out.writerow(
                    (
                        panel.heading,
                        panel.x_label,
                        line.metric or panel.metric,
                        line.name,
                        p.arm,
                        x,
                        e.value,
                        e.low,
                        e.high,
                        e.n,
                        e.num_seeds,
                        e.method,
                    )
                )
    return text.getvalue()
