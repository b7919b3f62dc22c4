"""Where imitation helped: a student's gain by how near the training data come to each item.

In: SupportFindings. Out: files by relative path: report.html, support.json, figures/, tables/. Pure: equal findings
give equal bytes; everything from data is escaped.
Source: section 4.3 of arXiv 2305.15717.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from epigone.metrics.support import FLAT_WITHIN, SupportMap
from epigone.records import Estimate
from epigone.reporting.document import table_files, template
from epigone.reporting.figures import Figure, build
from epigone.reporting.panels import Panel, Point, Series
from epigone.reporting.tables import MISSING, Cell, Table, comma_separated
from epigone.reporting.theme import STYLES, Style
from epigone.reporting.wording import chip, interval, number

ESTIMATE_COLUMNS = ("value", "low", "high", "n", "method")
SHOWN = 12
"""Items of the table of the best supported ones."""
LONGEST = 240
_LOOKS = (
    Style("#0b5fa5"), Style("#b3470b", "diamond"), Style("#00705a", "triangle-up"), Style("#7a3f8f", "cross"),
    Style("#575652", "triangle-down"), Style("#a97fc4", "square"),
)  # fmt: skip
LABEL = "Support: BLEU with the nearest training example"


@dataclass(frozen=True, slots=True)
class SupportedItem:
    """One item with its nearest training example; `support` 0-1, the other numbers by the metric."""

    item_id: str
    text: str
    support: float
    nearest: str
    conversation: str
    """The id of the conversation that the example stands in; empty where no word is shared with any."""
    base: float
    students: dict[str, float]


@dataclass(frozen=True, slots=True)
class SupportFindings:
    """All that the page shows."""

    title: str
    study_id: str
    benchmark: str
    metric: str
    base: str
    bleu: str
    """How texts were compared."""
    num_examples: int
    num_left_out: int
    """Items that some student has no score of."""
    items: tuple[SupportedItem, ...]
    maps: Mapping[str, SupportMap]
    """By student."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known to read it."""
        left = f" {self.num_left_out} items that some model has no score of are left out." if self.num_left_out else ""
        return (
            f"{len(self.items)} items of {self.benchmark}, by {self.metric}; support is sentence BLEU ({self.bleu}) "
            f"of an item with the most similar of {self.num_examples:,} training examples, searched exactly.{left}",
            "Well-supported items may be easier, or harder, for any model: the slope of the base model, which never "
            "saw the data, shows it. An item that the base has right can only be lost, so a base that is better at "
            "well-supported items makes the gain look smaller there: “learnt” and “kept” look at both kinds apart.",
            "Similar words are not the same fact: support says that something like it was asked, not that the answer "
            "was there.",
            "One seed a student: intervals are over items, not over training runs.",
        )


def render(findings: SupportFindings) -> dict[str, bytes | str]:
    """All files of the page by relative path."""
    figure = _figure(findings)
    tables = [_slopes(findings), _bins(findings), _items(findings)]
    sections = [
        ("gain", "Gain by support", [figure], tables[:2]),
        ("items", "The best supported items", [], tables[2:]),
    ]
    html = template("sections.html.j2").render(
        findings=findings,
        kicker="Support of the benchmark in the data",
        sections=sections,
        notes=findings.notes,
        missing={},
    )
    files: dict[str, bytes | str] = {"report.html": html}
    files["support.json"] = json.dumps(summary(findings), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    files |= {f"figures/{figure.id}.svg": figure.svg, f"figures/{figure.id}.csv": figure.csv}
    return files | table_files(tables)


def summary(findings: SupportFindings) -> dict[str, object]:
    """The object of --json."""
    return {
        "benchmark": findings.benchmark,
        "metric": findings.metric,
        "base": findings.base,
        "bleu": findings.bleu,
        "num_items": len(findings.items),
        "num_left_out": findings.num_left_out,
        "num_examples": findings.num_examples,
        "students": {name: asdict(each) for name, each in findings.maps.items()},
        "sentences": [sentence(name, each) for name, each in findings.maps.items()],
    }


def sentence(name: str, found: SupportMap) -> str:
    """What a student's map says, in words."""
    slope = found.slopes.get("gain")
    if slope is None:
        return f"{name}: not measured, {found.not_measured.get('gain', 'support does not vary')}."
    told = f"{number(slope.value)} {interval(slope)} for each 10 points of support, n = {slope.n}"
    words = {
        "rising": "the gain rises with support",
        "falling": "the gain falls with support",
        "flat": f"the gain does not depend on support (within ±{number(FLAT_WITHIN)})",
        "undecided": "whether the gain depends on support is undecided",
    }
    return f"{name}: {words[found.word]}: {told}."


def _figure(findings: SupportFindings) -> Figure:
    gains, levels = [], []
    for (name, found), style in zip(findings.maps.items(), _LOOKS * len(findings.maps)):
        gains.append(Series(name, style, tuple(Point(_at(b.support), b.gain, name) for b in found.bins)))
        levels.append(Series(name, style, tuple(Point(_at(b.support), b.student, name) for b in found.bins)))
    first = next(iter(findings.maps.values()))
    base = Series(
        findings.base, STYLES["base"], tuple(Point(_at(b.support), b.base, findings.base) for b in first.bins)
    )
    panels = (
        Panel("support_gain", LABEL, tuple(gains), x_scale="linear"),
        Panel("support_level", LABEL, (base, *levels), x_scale="linear"),
    )
    caption = (
        f"{findings.benchmark}: items in bins of like support. Left: student minus base on the same items; right: "
        "each by itself. 95 % intervals by a bootstrap over items."
    )
    return build("support", "Gain as a function of support", caption, (("", panels),))


def _at(support: float) -> float:
    """A place on the axis whose label stays short."""
    return round(support, 3)


_SLOPES = {"gain": "Gain", "learnt": "Learnt", "kept": "Kept", "base": "Base model"}


def _slopes(findings: SupportFindings) -> Table:
    rows, lines = [], []
    for name, found in findings.maps.items():
        odds = (
            Cell(number(found.odds.value, "number"), interval(found.odds, "number"), numeric=True)
            if found.odds
            else None
        )
        rank = (
            Cell(number(found.rank.value, "number"), interval(found.rank, "number"), numeric=True)
            if found.rank
            else None
        )
        rows.append(
            (
                Cell(name, f"mean gain {number(found.overall.value)} {interval(found.overall)}"),
                Cell(found.word, chip=chip(found.word)),
                *(_share(found.slopes.get(kind)) for kind in _SLOPES),
                odds or Cell(MISSING),
                rank or Cell(MISSING),
            )
        )
        told = {"mean_gain": found.overall, **found.slopes, "odds": found.odds, "rank": found.rank}
        lines += [
            (name, found.word, what, *_plain(each), found.not_measured.get(what, "")) for what, each in told.items()
        ]
    return Table(
        "slopes",
        "Change for each 10 points of support",
        "Gain: student minus base. Learnt: the student on items that the base has wrong; kept: on those it has right. "
        "Base model: its own score, which no training example changed. Odds: log-odds that an item on which the two "
        "differ went to the student. Rank: Spearman’s correlation of support and gain.",
        ("Student", "With support", *_SLOPES.values(), "Odds", "Rank"),
        tuple(rows),
        comma_separated(("student", "word", "what", *ESTIMATE_COLUMNS, "not_measured"), lines),
    )


def _bins(findings: SupportFindings) -> Table:
    rows, lines = [], []
    for name, found in findings.maps.items():
        for each in found.bins:
            least = each.minimum_difference
            shows = f"{number(least)} could be shown" if least is not None else ""
            rows.append(
                (
                    Cell(f"{each.low:.2f} to {each.high:.2f}", name),
                    Cell(f"{each.gain.n}", numeric=True),
                    _share(each.base),
                    _share(each.student),
                    Cell(number(each.gain.value), f"{interval(each.gain)}{', ' if shows else ''}{shows}", numeric=True),
                )
            )
            told = {"base": each.base, "student": each.student, "gain": each.gain}
            lines += [(name, each.low, each.high, each.support, what, *_plain(e), least) for what, e in told.items()]
    return Table(
        "bins",
        "Bins of like support",
        "With the least gain that so many items could show (80 % power, items of both models as if independent).",
        ("Support", "Items", "Base", "Student", "Gain"),
        tuple(rows),
        comma_separated(("student", "low", "high", "support", "what", *ESTIMATE_COLUMNS, "minimum_difference"), lines),
    )


def _items(findings: SupportFindings) -> Table:
    best = sorted(findings.items, key=lambda item: (-item.support, item.item_id))[:SHOWN]
    names = tuple(findings.maps)
    rows = tuple(
        (
            Cell(_cut(item.text), item.item_id),
            Cell(_cut(item.nearest) or "no word in common", item.conversation),
            Cell(f"{item.support:.2f}", numeric=True),
            Cell(f"{item.base:g}", numeric=True),
            *(Cell(f"{item.students[name]:g}", numeric=True) for name in names),
        )
        for item in best
    )
    lines = [
        (i.item_id, i.text, i.support, i.conversation, i.nearest, i.base, *(i.students[n] for n in names))
        for i in findings.items
    ]
    return Table(
        "items",
        f"The {len(best)} best supported of {len(findings.items)} items",
        "All of them stand in the CSV.",
        ("Item", "Nearest training example", "Support", findings.base, *names),
        rows,
        comma_separated(("item", "text", "support", "conversation", "nearest", "base", *names), lines),
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _share(found: Estimate | None) -> Cell:
    return Cell(number(found.value), interval(found), numeric=True) if found else Cell(MISSING)


def _plain(found: Estimate | None) -> tuple[object, ...]:
    return (found.value, found.low, found.high, found.n, found.method) if found else ("",) * 5
