"""What the paper published in figures that can be quoted: its text, its captions and its tables, each with its place.

In: nothing. Out: `Published` values. The curves of Figures 1, 3, 4 and 5 are drawn and not printed: no number of them
stands here, since a number read off a drawing by eye would be a guess. Shares are 0-1; the paper prints them in percent
and without intervals (but for the crowd's, whose one standard deviation is drawn).
Source: Gudibande et al. 2023, arXiv 2305.15717; Tables 1 and 2, and the caption of Figure 1.
"""

from dataclasses import dataclass, replace

from epigone.records import Estimate
from epigone.reporting.panels import Panel, Point, Series
from epigone.reporting.theme import Style
from epigone.reporting.wording import metric_of, number

UNPRINTED = "the paper prints no numbers of its curves, so that none are laid over these"
METHOD = "as published, without an interval"
CURVE = Style("#7a3f8f", "cross", (2, 3), hollow=True)
ACROSS, UNDER = Style("#7a3f8f", "", (2, 3)), Style("#7a3f8f", "", (8, 3, 2, 3))
"""How the paper's own values are drawn: one colour, the ceiling dotted, the base dashed."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published value: of which model (its base, data, imitation tokens; 0 not told), and where it stands."""

    metric: str
    model: str
    value: float
    where: str
    num_tokens: int = 0

    @property
    def estimate(self) -> Estimate:
        """The value in the form of our own; n is not told with it."""
        return Estimate(self.value, self.value, self.value, 0, METHOD)

    @property
    def text(self) -> str:
        """The value as people read it."""
        return number(self.value, metric_of(shown_as(self.metric)).unit)


def shown_as(metric: str) -> str:
    """A style metric by its name among the metrics of a study; any other as it is."""
    return f"style_{metric}" if metric in ("list", "summary", "unigram", "length") else metric.replace(" ", "_")


_TABLE_1 = (
    ("7B", 0.17), ("7B, ShareGPT-Mix", 0.10), ("7B, NQ-Synthetic", 0.22), ("13B", 0.20), ("13B, ShareGPT-Mix", 0.15),
    ("13B, NQ-Synthetic", 0.27), ("ChatGPT", 0.31),
)  # fmt: skip
AMOUNTS = (20_000_000, 80_000_000, 150_000_000)
"""Imitation tokens of Table 2's columns."""
BASE, CEILING = "LLaMA", "ChatGPT #2"
_TABLE_2 = {
    "list": (0.13, 0.50, 0.67, 0.81, 0.83),
    "summary": (0.02, 0.40, 0.42, 0.48, 0.55),
    "unigram": (0.195, 0.404, 0.419, 0.425, 0.492),
    "length": (-0.11, 0.51, 0.62, 0.62, 0.67),
    "authoritative tone": (0.57, 0.99, 0.98, 0.98, 0.98),
}


def table_1() -> tuple[Published, ...]:
    """Natural Questions, zero-shot, by base and imitation data; amounts are not told."""
    return tuple(
        Published("natural_questions_chat", f"paper: {model}", value, "section 4.3, Table 1")
        for model, value in _TABLE_1
    )


def table_2() -> tuple[Published, ...]:
    """Style by amount of ShareGPT-Mix, its base and the ceiling."""
    models = ((BASE, 0), *((f"{tokens // 1_000_000}M", tokens) for tokens in AMOUNTS), (CEILING, 0))
    return tuple(
        Published(metric, f"paper: {model}", value, "section 4.4, Table 2", tokens)
        for metric, values in _TABLE_2.items()
        for (model, tokens), value in zip(models, values, strict=True)
    )


def win_or_tie() -> Published:
    """How often crowd workers found the best student’s answers equal to ChatGPT's or better: about 70 %."""
    return Published("win_or_tie", "paper: crowd workers, about", 0.70, "caption of Figure 1")


def published_rows(table_id: str) -> dict[str, dict[str, Published]]:
    """The paper's rows of a table, by model and metric."""
    found: dict[str, dict[str, Published]] = {}
    for each in {"table_1": table_1, "table_2": table_2}.get(table_id, tuple)():
        found.setdefault(each.model, {})[each.metric] = each
    return found


def overlaid(panel: Panel, quantity: str, largest: int) -> Panel:
    """A panel along amounts with the paper's values laid over it, where its axis reaches the paper's amounts."""
    if largest < min(AMOUNTS):
        return panel
    if quantity == "win_or_tie":
        found = win_or_tie()
        line = Series(found.model, ACROSS, (Point(0.0, found.estimate, found.model),), is_published=True)
        return replace(panel, references=(*panel.references, line))
    own = [each for each in table_2() if each.metric == quantity]
    points = tuple(Point(float(p.num_tokens), p.estimate, f"{p.model} ({p.where})") for p in own if p.num_tokens)
    if not points:
        return panel
    lines = tuple(
        Series(
            each.model,
            ACROSS if each.model.endswith(CEILING) else UNDER,
            (Point(0.0, each.estimate, each.model),),
            is_published=True,
        )
        for each in own
        if not each.num_tokens
    )
    curve = Series("paper: its students", CURVE, points, is_published=True)
    return replace(panel, series=(*panel.series, curve), references=(*panel.references, *lines))


def beside(largest: int) -> str:
    """What a caption says of the paper's values in a figure along amounts."""
    if largest >= min(AMOUNTS):
        return "The paper’s values (Table 2) are laid over ours, without intervals, as it gives none."
    return "The paper’s amounts, 20M to 150M tokens, lie outside this axis; its values stand in the tables."
