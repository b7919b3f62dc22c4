"""The tables of a description: what is in it, by role, lengths, diversity, the ledger, openings, categories.

In: Description. Out: reporting.tables.Table. A dataset is a column, or a row where there are many columns.
Source: section 3.2 and Table 5 of arXiv 2305.15717.
"""

from collections.abc import Callable

from epigone.metrics.categories import CATEGORIES, TABLE_5, TABLE_5_QUERIES
from epigone.metrics.corpus import ROLES, TRAITS
from epigone.metrics.lengths import Lengths
from epigone.records import Estimate
from epigone.reporting.description.findings import Described, Description, Ledger
from epigone.reporting.tables import MISSING, Cell, Table, comma_separated
from epigone.reporting.wording import interval, number

_LENGTHS = {"query_words": "words of a query", "answer_words": "words of an answer", "turns": "turns of a conversation"}
_MOST_NAMED = 12
_PRINTED_SUM = round(sum(TABLE_5.values()), 2)


def all_tables(description: Description) -> dict[str, Table]:
    """Every table that has something to show, by id."""
    makers = (contents, roles, lengths, diversity, ledger, openings, languages, categories, agreement)
    return {table.id: table for make in makers if (table := make(description))}


def _count(value: int | float | None, sub: str = "") -> Cell:
    return Cell(MISSING) if value is None else Cell(f"{value:,.0f}", sub, numeric=True)


def _share(num: int, total: int) -> str:
    return number(num / total) if total else ""


def _by_dataset(
    description: Description, table_id: str, title: str, caption: str, rows: dict[str, Callable[[Described], Cell]]
) -> Table:
    """A row a quantity, a column a dataset; the CSV holds what the cells say, without separators."""
    columns = ("", *(d.label for d in description.datasets))
    cells = [(name, [read(d) for d in description.datasets]) for name, read in rows.items()]
    lines = [(name, *(cell.text.replace(",", "") for cell in row)) for name, row in cells]
    return Table(
        table_id,
        title,
        caption,
        columns,
        tuple((Cell(name), *row) for name, row in cells),
        comma_separated(("quantity", *columns[1:]), lines),
    )


def contents(description: Description) -> Table:
    """Conversations, messages, words, tokens, and what they have."""
    rows: dict[str, Callable[[Described], Cell]] = {
        "conversations": lambda d: _count(d.contents.num_conversations),
        "messages": lambda d: _count(d.contents.num_messages),
        "words": lambda d: _count(d.contents.num_words),
        "tokens": lambda d: _count(d.contents.num_tokens),
        "characters": lambda d: _count(sum(r.num_characters for r in d.contents.roles)),
        "languages": lambda d: _count(d.contents.num_languages),
        "sources": lambda d: _count(d.contents.num_sources),
    }
    if not description.tokenizer:
        del rows["tokens"]
    for trait, wording in TRAITS.items():
        rows[wording] = lambda d, trait=trait: _trait(d, trait)
    tokens = f"Tokens are those of {description.tokenizer}." if description.tokenizer else (
        "Tokens were not counted, no tokenizer was given (--tokenizer); words stand in for them."
    )  # fmt: skip
    caption = f"Reasoning that was kept apart counts to what its role said. {tokens}"
    return _by_dataset(description, "contents", "Counts", caption, rows)


def _trait(d: Described, trait: str) -> Cell:
    num = d.contents.traits[trait]
    share = _share(num, d.contents.num_conversations) if TRAITS[trait].startswith("conversations") else ""
    return _count(num, share)


def roles(description: Description) -> Table:
    """Messages, words and tokens by role."""
    amounts = ("messages", "words", "characters", *(("tokens",) if description.tokenizer else ()))
    found = [(d.label, r) for d in description.datasets for r in d.contents.roles if r.num_messages]
    values = [(label, r.role, [int(getattr(r, f"num_{amount}")) for amount in amounts]) for label, r in found]
    return Table(
        "roles",
        "Who says how much",
        f"Of the roles {', '.join(ROLES)}, those that occur.",
        ("dataset and role", *amounts),
        tuple((Cell(f"{label} · {role}"), *map(_count, of)) for label, role, of in values),
        comma_separated(("dataset", "role", *amounts), [(label, role, *of) for label, role, of in values]),
    )


def lengths(description: Description) -> Table:
    """Quantiles of the lengths."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for kind, wording in _LENGTHS.items():
        for d in description.datasets:
            found: Lengths = getattr(d.contents, kind)
            values = (found.num, found.mean, found.quantile_05, found.median, found.quantile_95, found.longest)
            shown = [_count(found.num), Cell(f"{found.mean:,.1f}", numeric=True), *(_count(v) for v in values[2:])]
            rows.append((Cell(f"{d.label} · {wording}"), *shown))
            lines.append((d.label, kind, *values))
    columns = ("dataset and length", "number", "mean", "5th percentile", "median", "95th percentile", "longest")
    names = ("dataset", "length", "number", "mean", "quantile_05", "median", "quantile_95", "longest")
    return Table("length_quantiles", "Lengths in numbers", "", columns, tuple(rows), comma_separated(names, lines))


def diversity(description: Description) -> Table | None:
    """Mean and median top-1 BLEU: at the N that all datasets have, and at each one's own."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    settings, several = description.datasets[0].diversity, len(description.datasets) > 1
    for place, setting in enumerate(settings):
        for d in description.datasets:
            curve = d.diversity[place]
            own = max((p.num_queries for p in curve.points), default=0)
            for n in sorted({description.equal_amount, own} - {0}):
                p = curve.at(n)
                if p is None:
                    continue
                which = "equal N" if several and n == description.equal_amount else "all of it"
                cells = (_bleu(p.mean), _bleu(p.median), Cell(number(p.identical), numeric=True))
                rows.append((Cell(d.label, f"smoothing {curve.smoothing}, {which}"), _count(n), *cells))
                lines.append((d.label, setting.tokenize, setting.smoothing, n, *_values(p.mean), *_values(p.median),
                              p.identical))  # fmt: skip
    if not rows:
        return None
    first = settings[0]
    caption = (
        f"Sentence BLEU of the most similar other query ({first.queries}; tokeniser {first.tokenize}; "
        f"{'lower-cased' if first.lowercase else 'case kept'}; seed {first.seed}). Intervals at 95 % are those of the "
        "queries, with what they are compared with held fixed. The last column is the share whose nearest other query "
        "scores 100: the same text to BLEU."
    )
    columns = ("dataset", "N", "mean", "median", "same text")
    names = ("dataset", "tokenize", "smoothing", "num_queries", "mean", "mean_low", "mean_high", "median",
             "median_low", "median_high", "identical")  # fmt: skip
    return Table("top_1_bleu", "Diversity in numbers", caption, columns, tuple(rows), comma_separated(names, lines))


def _bleu(e: Estimate) -> Cell:
    return Cell(number(e.value), f"[{100 * e.low:.1f}, {100 * e.high:.1f}]", numeric=True)


def _values(e: Estimate) -> tuple[float, float, float]:
    return e.value, e.low, e.high


def ledger(description: Description) -> Table | None:
    """Read = kept + dropped by reason, a column a dataset."""
    found = [(d.label, d.ledger) for d in description.datasets if d.ledger]
    if not found:
        return None
    steps = dict.fromkeys((x.rule, x.reason) for _, of in found for x in of.dropped)
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for rule, what in (("", "read"), ("", "kept"), *steps):
        nums = [(label, of, _rows_of(of, rule, what)) for label, of in found]
        name = what if what in ("read", "kept") and not rule else f"dropped: {what}"
        rows.append((Cell(name, rule), *(_count(num, _share(num, of.num_read)) for _, of, num in nums)))
        lines += [(label, name, rule, num) for label, _, num in nums]
    wrong = [label for label, of in found if not of.adds_up]
    caption = "What the curation read is what it kept and what it dropped, each with the reason and the rule." + (
        f" It does not add up for {', '.join(wrong)}." if wrong else ""
    )
    columns = ("", *(label for label, _ in found))
    text = comma_separated(("dataset", "what", "rule", "rows"), lines)
    return Table("ledger", "Read, kept, dropped", caption, columns, tuple(rows), text)


def _rows_of(ledger: Ledger, rule: str, what: str) -> int:
    known = {("", "read"): ledger.num_read, ("", "kept"): ledger.num_kept}
    if (rule, what) in known:
        return known[rule, what]
    return sum(x.num for x in ledger.dropped if (x.rule, x.reason) == (rule, what))


def openings(description: Description) -> Table | None:
    """Openings of two words in numbers; the CSV of the figure has all."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for d in description.datasets:
        for size, found in enumerate(d.contents.openings, start=1):
            lines += [(d.label, size, c.name, c.num) for c in found]
        told = [
            ", ".join(f"{c.name} {_share(c.num, d.contents.num_openings)}" for c in found[:_MOST_NAMED]) or "none"
            for found in d.contents.openings
        ]
        rows.append((Cell(d.label, f"{d.contents.num_openings:,} queries"), *(Cell(text) for text in told)))
    columns = ("dataset", "one word", "two words", "three words")
    text = comma_separated(("dataset", "num_words", "opening", "number"), lines)
    return Table("opening_counts", "Openings in numbers", "", columns, tuple(rows), text) if lines else None


def languages(description: Description) -> Table:
    """Languages and sources in numbers."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for d in description.datasets:
        for kind, found in (("language", d.contents.languages), ("source", d.contents.sources)):
            total = d.contents.num_conversations
            told = ", ".join(f"{c.name} {_share(c.num, total)}" for c in found[:_MOST_NAMED]) or "none"
            rows.append((Cell(f"{d.label} · {kind}"), Cell(told)))
            lines += [(d.label, kind, c.name, c.num) for c in found]
    text = comma_separated(("dataset", "kind", "name", "number"), lines)
    columns = ("dataset", "of all conversations")
    return Table("language_counts", "Languages and sources in numbers", "", columns, tuple(rows), text)


def categories(description: Description) -> Table:
    """Table 5 beside every rater's shares."""
    found = [(d, s) for d in description.datasets for s in d.shares]
    several = len(description.datasets) > 1
    names = [f"{f'{d.label}, ' if several else ''}{s.rater} ({s.num_labelled} of {s.num_sampled})" for d, s in found]
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for name in CATEGORIES:
        cells = [Cell(number(s.shares[name].value), interval(s.shares[name]), numeric=True) for _, s in found]
        rows.append((Cell(name), *cells, Cell(f"{100 * TABLE_5[name]:.0f} %", numeric=True)))
        lines += [(d.label, s.rater, name, s.counts[name], *_values(s.shares[name]), s.num_labelled) for d, s in found]
        lines.append(("Table 5", "the paper", name, "", TABLE_5[name], "", "", TABLE_5_QUERIES))
    caption = (
        "Shares of the labelled queries with 95 % Wilson intervals. A query that was not labelled, or whose reply "
        f"named no category, is missing, not counted as Invalid. The paper’s figures are printed so; they add up to "
        f"{100 * _PRINTED_SUM:.0f} %."
    )
    columns = ("category", *names, f"paper, Table 5 ({TABLE_5_QUERIES})")
    text = comma_separated(("dataset", "rater", "category", "number", "share", "low", "high", "n"), lines)
    return Table("table_5", "Table 5: categories of queries", caption, columns, tuple(rows), text)


def agreement(description: Description) -> Table | None:
    """Agreement of every two raters."""
    if not description.agreements:
        return None
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    for a in description.agreements:
        kappa = (
            Cell(number(a.kappa.value, "number"), interval(a.kappa, "number"), numeric=True)
            if a.kappa
            else Cell(MISSING)
        )
        same = Cell(number(a.same.value), interval(a.same), numeric=True)
        rows.append((Cell(" and ".join(a.raters)), _count(a.num_queries), same, kappa))
        lines.append((*a.raters, a.num_queries, *_values(a.same), *(_values(a.kappa) if a.kappa else ("", "", ""))))
    columns = ("raters", "queries", "same category", "Cohen’s kappa")
    names = ("one", "two", "num_queries", "same", "same_low", "same_high", "kappa", "kappa_low", "kappa_high")
    caption = "On the queries that both sorted. Kappa is agreement beyond chance: 0 is chance, 1 is always."
    return Table("agreement", "Do they agree?", caption, columns, tuple(rows), comma_separated(names, lines))
