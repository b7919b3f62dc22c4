"""One self-contained page about a dataset, or two side by side, and the figures, tables and JSON beside it.

In: Description. Out: files by relative path: report.html, description.json, categorise.html (where there is something
to sort), figures/, tables/. Pure: equal descriptions give equal bytes; everything from data is escaped.
Source: section 3.2, Appendix A, Figure 6 and Table 5 of arXiv 2305.15717.
"""

import json

from epigone.reporting.description.figures import all_figures
from epigone.reporting.description.findings import Description
from epigone.reporting.description.sorting import sorting_page
from epigone.reporting.description.summary import summary
from epigone.reporting.description.tables import all_tables
from epigone.reporting.document import figure_files, table_files
from epigone.reporting.page import template
from epigone.reporting.wording import amount, number, plural

SORTING_PAGE = "categorise.html"
_SECTIONS = {
    "lengths": ("Lengths", ("lengths",), ("length_quantiles", "roles")),
    "diversity": ("Diversity", ("diversity",), ("top_1_bleu",)),
    "openings": ("Openings", ("openings",), ("opening_counts",)),
    "languages": ("Languages and sources", ("languages",), ("language_counts",)),
    "categories": ("Categories", ("categories",), ("table_5", "agreement")),
    "ledger": ("Ledger", (), ("ledger",)),
}


def render(description: Description) -> dict[str, bytes | str]:
    """All files of a description by relative path."""
    figures, tables = all_figures(description), all_tables(description)
    sections = [
        (key, title, [figures[i] for i in drawn if i in figures], [tables[i] for i in tabled if i in tables])
        for key, (title, drawn, tabled) in _SECTIONS.items()
    ]
    queries = {q.query_id: q for d in description.datasets for q in d.queries}
    unordered = [queries[query_id] for query_id in sorted(queries)]  # which dataset a query is from is not to be seen
    html = template("description.html.j2").render(
        findings=description,
        tiles=_tiles(description),
        notices_told=_notices(description),
        contents=tables["contents"],
        sections=sections,
        sorting_page=SORTING_PAGE if queries else "",
        num_to_sort=len(queries),
        missing=dict(description.missing),
    )
    files: dict[str, bytes | str] = {"report.html": html}
    files["description.json"] = json.dumps(summary(description), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if queries:
        files[SORTING_PAGE] = sorting_page(description.title, description.study_id, unordered)
    return files | figure_files(figures.values()) | table_files(tables.values())


def _tiles(description: Description) -> list[tuple[str, list[tuple[str, str]]]]:
    """The figures that lead the page, a group a dataset."""
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    for d in description.datasets:
        c = d.contents
        amounts = [("conversations", f"{c.num_conversations:,}"), ("messages", f"{c.num_messages:,}")]
        if c.num_tokens is None:
            amounts.append(("words", amount(c.num_words)))
        else:
            amounts.append(("tokens", amount(c.num_tokens)))
        amounts.append(("turns, median", f"{c.turns.median:g}"))
        known = [one for one in c.languages if one.name != "unknown"][:1]
        amounts += [(f"language {one.name}", number(one.num / c.num_conversations)) for one in known]
        if d.diversity and d.diversity[0].points:
            curve = d.diversity[0]
            n = description.equal_amount or max(p.num_queries for p in curve.points)
            if point := curve.at(n):
                amounts.append((f"mean top-1 BLEU ({curve.smoothing}), N = {n:,}", number(point.mean.value)))
        groups.append((d.label, amounts))
    return groups


def _notices(description: Description) -> list[str]:
    """What has to be said before any number."""
    notices = [f"Drawn with seed {description.seed}."]
    sizes = [d.contents.num_conversations for d in description.datasets]
    notices += [
        f"Only {plural(n, 'conversation')} in {d.label}." for n, d in zip(sizes, description.datasets) if n < 50
    ]
    if not description.tokenizer:
        notices.append("Counted in words between blanks, not in tokens: no tokenizer was given.")
    for d in description.datasets:
        if d.diversity and d.diversity[0].points:
            curve = d.diversity[0]
            used = max(p.num_queries for p in curve.points)
            if used < curve.num_available:
                notices.append(
                    f"Diversity of {d.label} is that of {used:,} of {curve.num_available:,} {curve.queries}."
                )
        if d.ledger and not d.ledger.adds_up:
            notices.append(f"The ledger of {d.label} does not add up.")
    if description.num_unmatched:
        notices.append(f"{plural(description.num_unmatched, 'label')} given for queries that are not in the sample.")
    return notices
