"""The figures of a description: lengths, diversity over N, openings, languages and sources, categories.

In: Description. Out: reporting.figures.Figure, with its SVG file and the CSV it was drawn from. The first dataset is
blue and filled, the second vermilion and dashed.
Source: section 3.2 and Table 5 of arXiv 2305.15717, for the quantities.
"""

from collections.abc import Sequence

from epigone.metrics.categories import CATEGORIES, TABLE_5
from epigone.metrics.corpus import MOST_OPENINGS, MOST_SOURCES, Counted
from epigone.metrics.lengths import Lengths
from epigone.records import Estimate
from epigone.reporting.description.charts import COLOURS, REFERENCE, Bars, draw_bars, draw_lengths
from epigone.reporting.description.findings import Described, Description
from epigone.reporting.dots import swatch
from epigone.reporting.figures import Figure, Row, own_ids, sheet
from epigone.reporting.panels import HEIGHT, WIDTH, Panel, Point, Series, draw
from epigone.reporting.tables import comma_separated
from epigone.reporting.theme import STYLES, Style, glyph

_LINES = (STYLES["broad"], STYLES["broad_replay"])
_MOST_BARS = 10
Line = tuple[object, ...]


def all_figures(description: Description) -> dict[str, Figure]:
    """Every figure that has something to show, by id."""
    makers = (lengths, diversity, openings, languages, categories)
    return {figure.id: figure for make in makers if (figure := make(description))}


def lengths(description: Description) -> Figure:
    """Words of queries and answers, turns of conversations."""
    kinds = (
        ("Words of a query", "words", "query_words"),
        ("Words of an answer", "words", "answer_words"),
        ("Turns of a conversation", "turns of user and assistant", "turns"),
    )
    drawn: list[str] = []
    lines: list[Line] = []
    for title, x_label, kind in kinds:
        found: list[Lengths] = [getattr(d.contents, kind) for d in description.datasets]
        drawn.append(draw_lengths(title, x_label, found))
        lines += [
            (d.label, kind, part.low, part.high, part.num)
            for d, of_one in zip(description.datasets, found, strict=True)
            for part in of_one.bins
        ]
    caption = (
        "Share of all queries, answers and conversations in bins that double in width: 0, 1, 2 to 3, 4 to 7 and so on. "
        "Words are what stands between blanks, so a text in a script without blanks counts as few."
    )
    columns = ("dataset", "length", "from", "to", "number")
    return _figure("lengths", "How long they are", caption, drawn, _names(description), comma_separated(columns, lines))


def diversity(description: Description) -> Figure | None:
    """Mean top-1 BLEU over N, a panel a smoothing."""
    panels: list[Panel] = []
    lines: list[Line] = []
    settings = description.datasets[0].diversity
    for place, setting in enumerate(settings):
        series: list[Series] = []
        for order, dataset in enumerate(description.datasets):
            curve = dataset.diversity[place]
            points = tuple(Point(float(p.num_queries), p.mean, dataset.label) for p in curve.points)
            series.append(Series(dataset.label, _LINES[order], points))
            lines += [
                (dataset.label, curve.queries, curve.tokenize, curve.smoothing, curve.lowercase, p.num_queries,
                 p.mean.value, p.mean.low, p.mean.high, p.median.value, p.identical)
                for p in curve.points
            ]  # fmt: skip
        title = f"Mean top-1 BLEU, smoothing {setting.smoothing}"
        panels.append(Panel("top_1_bleu", f"N, {setting.queries}", tuple(series), title=title))
    if not any(line.points for panel in panels for line in panel.series):
        return None
    first = settings[0]
    caption = (
        f"For each of N queries, the sentence BLEU of the other one that is most like it ({first.queries}, tokeniser "
        f"{first.tokenize}, {'lower-cased' if first.lowercase else 'case kept'}); less is more diverse. It rises with "
        "N, "
        "so two datasets are compared where their N is the same. The paper says 8 % for ShareGPT-Mix and 61 % for "
        "Super-NaturalInstructions, and names neither N nor tokeniser nor smoothing nor which queries."
    )
    columns = ("dataset", "queries", "tokenize", "smoothing", "lowercase", "num_queries", "mean", "low", "high",
               "median", "identical")  # fmt: skip
    legend = [(glyph(style), d.label) for style, d in zip(_LINES, description.datasets)]
    title = "How near is the nearest other query?"
    return _figure(
        "diversity", title, caption, [draw(panel) for panel in panels], legend, comma_separated(columns, lines)
    )


def openings(description: Description) -> Figure | None:
    """First words, first two, first three."""
    drawn: list[str] = []
    lines: list[Line] = []
    for size, title in enumerate(("First word", "First two words", "First three words")):
        counted = [(d, d.contents.openings[size], d.contents.num_openings) for d in description.datasets]
        rows = _share_rows(counted)
        if rows:
            drawn.append(draw_bars(f"{title} of a query", rows))
        lines += [(d.label, size + 1, c.name, c.num, total) for d, found, total in counted for c in found]
    if not drawn:
        return None
    caption = "The most frequent beginnings of queries, as shares of all that were looked at. Case does not count."
    columns = ("dataset", "num_words", "opening", "number", "of")
    return _figure(
        "openings", "How queries begin", caption, drawn, _swatches(description), comma_separated(columns, lines)
    )


def languages(description: Description) -> Figure | None:
    """Languages and sources of conversations."""
    datasets = description.datasets
    kinds = {
        "Language": [(d, d.contents.languages, d.contents.num_conversations) for d in datasets],
        "Source": [(d, d.contents.sources, d.contents.num_conversations) for d in datasets],
    }
    drawn = [draw_bars(f"{kind} of a conversation", rows) for kind, one in kinds.items() if (rows := _share_rows(one))]
    if not drawn:
        return None
    lines: list[Line] = [
        (d.label, kind.lower(), c.name, c.num, total)
        for kind, one in kinds.items()
        for d, found, total in one
        for c in found
    ]
    caption = (
        "The language is that of most user turns, with code, links and markup left out, else that of the answers; "
        "unknown where there are fewer than 20 letters, or doubt. The source is the file that a conversation "
        "was read from."
    )
    columns = ("dataset", "kind", "name", "number", "of")
    return _figure(
        "languages", "Languages and sources", caption, drawn, _swatches(description), comma_separated(columns, lines)
    )


def _share_rows(counted: Sequence[tuple[Described, Sequence[Counted], int]]) -> list[Bars]:
    """The most frequent names of all datasets; a name that a dataset's list of the most frequent lacks has no bar."""
    best: dict[str, float] = {}
    for _, found, total in counted:
        for one in found:
            best[one.name] = max(best.get(one.name, 0.0), one.num / total)
    names = sorted(best, key=lambda name: (-best[name], name))[:_MOST_BARS]
    return [Bars(name, tuple(_exact(name, found, total) for _, found, total in counted)) for name in names]


def _exact(name: str, found: Sequence[Counted], total: int) -> Estimate | None:
    """A share of everything there is: counted, not estimated. None where a name may be among those left out."""
    num = next((c.num for c in found if c.name == name), None)
    if num is None and len(found) >= min(MOST_OPENINGS, MOST_SOURCES):
        return None
    share = (num or 0) / total if total else 0.0
    return Estimate(share, share, share, total, "counted")


def categories(description: Description) -> Figure | None:
    """The category audit beside Table 5, a panel a rater."""
    raters = dict.fromkeys(s.rater for d in description.datasets for s in d.shares)
    drawn: list[str] = []
    lines: list[Line] = []
    for rater in raters:
        found = [next((s for s in d.shares if s.rater == rater), None) for d in description.datasets]
        rows = [Bars(name, tuple(s.shares[name] if s else None for s in found), TABLE_5[name]) for name in CATEGORIES]
        drawn.append(draw_bars(f"Sorted by {rater}", rows))
        for d, s in zip(description.datasets, found, strict=True):
            lines += [
                (d.label, rater, name, e.value, e.low, e.high, e.n) for name, e in (s.shares if s else {}).items()
            ]
    if not drawn:
        return None
    caption = (
        "Shares of a random sample of first queries with 95 % Wilson intervals; the stroke is Table 5 of the paper. "
        "Its 50 queries hold 14 % that are not English, although its text says that conversations in other languages "
        "were removed: compare a dataset before and after that filter. The printed shares add up to 99 %."
    )
    columns = ("dataset", "rater", "category", "share", "low", "high", "n")
    stroke = glyph(Style(REFERENCE, "", (3, 2)))
    legend = [*_swatches(description), (stroke, "Table 5 of the paper")]
    return _figure("categories", "What queries ask for", caption, drawn, legend, comma_separated(columns, lines))


def _names(description: Description) -> list[tuple[str, str]]:
    signs = (swatch(COLOURS[0]).replace("/>", ' opacity="0.45"/>'), glyph(Style(COLOURS[1], "", (6, 3))))
    return [(sign, d.label) for sign, d in zip(signs, description.datasets)]


def _swatches(description: Description) -> list[tuple[str, str]]:
    return [(swatch(colour), d.label) for colour, d in zip(COLOURS, description.datasets)]


def _figure(
    figure_id: str,
    title: str,
    caption: str,
    drawn: Sequence[str],
    legend: Sequence[tuple[str, str]],
    text: str,
) -> Figure:
    panels = tuple(own_ids(svg, f"{figure_id}-{number}-") for number, svg in enumerate(drawn, start=1))
    by_row = [tuple(panels[i : i + 3]) for i in range(0, len(panels), 3)]
    tallest = max((int(float(svg.split('height="', 1)[1].split('"', 1)[0])) for svg in drawn), default=HEIGHT)
    whole = sheet(by_row, tuple(legend), (WIDTH, tallest))
    return Figure(figure_id, title, caption, (Row("", panels),), tuple(legend), whole, text, min(len(panels), 3))
