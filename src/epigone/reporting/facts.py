"""Figure 2 for any answers: what is right and wrong in them, sentence by sentence, side by side, and how much of it.

In: checked sentences of several models' answers to the same prompts, and judgments. Out: files by relative path:
report.html, tables/. Pure: equal findings give equal bytes; everything from data is escaped. Prompts are shown in the
order of a hash of their id among those on which every model claims something, so no outcome chooses them.
Source: arXiv 2305.15717, Figure 2.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epigone.metrics.facts import Counts, Factuality, PreferredThoughWrong, counts, factuality, preferred_though_wrong
from epigone.metrics.sentences import CheckedSentence
from epigone.records import Estimate, Judgment
from epigone.reporting.document import table_files
from epigone.reporting.page import template
from epigone.reporting.tables import MISSING, Cell, Table, comma_separated
from epigone.reporting.wording import interval, number

ESTIMATE_COLUMNS = ("value", "low", "high", "n", "method")
SIGNS = {"right": "✓", "doubtful": "≈", "wrong": "✗"}
WORDS = {"right": "correct", "doubtful": "doubtful", "wrong": "wrong"}


@dataclass(frozen=True, slots=True)
class Checked:
    """One model's answers, checked: its sentences by prompt."""

    name: str
    rater: str
    protocol: str
    sentences: Mapping[str, tuple[CheckedSentence, ...]]

    @property
    def counts(self) -> dict[str, Counts]:
        """By prompt id."""
        return {prompt_id: counts(rows) for prompt_id, rows in self.sentences.items()}


@dataclass(frozen=True, slots=True)
class Votes:
    """Judgments of one source under the prompts and names of the answers."""

    source: str
    judgments: tuple[Judgment, ...]


@dataclass(frozen=True, slots=True)
class FactsFindings:
    """All that the page shows."""

    title: str
    study_id: str
    prompts: Mapping[str, str]
    """Text of each prompt that can be shown side by side, by id."""
    models: tuple[Checked, ...]
    votes: tuple[Votes, ...] = ()
    num_examples: int = 8

    @property
    def factuality(self) -> dict[str, Factuality]:
        """By model."""
        return {model.name: factuality(list(model.counts.values())) for model in self.models}

    @property
    def preferred(self) -> list[tuple[str, str, str, PreferredThoughWrong]]:
        """Source, model, the other, and how often it was preferred though more of its sentences are wrong."""
        known = {model.name: model.counts for model in self.models}
        pairs = [(a, b) for a in known for b in known if a != b]
        found = [
            (votes.source, a, b, preferred_though_wrong(votes.judgments, a, b, known[a], known[b]))
            for votes in self.votes
            for a, b in pairs
        ]
        return [(source, a, b, each) for source, a, b, each in found if each is not None]


def render(findings: FactsFindings) -> dict[str, bytes | str]:
    """All files of the page by relative path."""
    tables = [_factuality(findings), *([_preferred(findings)] if findings.votes else [])]
    html = template("facts.html.j2").render(
        findings=findings, tables=tables, examples=_examples(findings), signs=SIGNS, words=WORDS
    )
    return {"report.html": html} | table_files(tables)


def _examples(findings: FactsFindings) -> list[tuple[str, list[tuple[str, tuple[CheckedSentence, ...]]]]]:
    claiming = {m.name: {p for p, c in m.counts.items() if c.num_claiming} for m in findings.models}
    able = [p for p in findings.prompts if all(p in each for each in claiming.values())]
    chosen = sorted(able, key=lambda p: hashlib.sha256(p.encode()).hexdigest())[: findings.num_examples]
    return [(findings.prompts[p], [(m.name, m.sentences[p]) for m in findings.models]) for p in chosen]


def _factuality(findings: FactsFindings) -> Table:
    rows, lines = [], []
    for model, found in zip(findings.models, findings.factuality.values(), strict=True):
        unread = f"{found.num_unread} not read" if found.num_unread else ""
        rows.append(
            (
                Cell(model.name, f"checked by {model.rater}"),
                _cell(found.wrong, "wrong"),
                _cell(found.doubtful),
                _cell(found.authoritative),
                Cell(f"{found.num_claiming}", f"of {found.num_sentences} sentences", numeric=True),
                Cell(f"{found.num_answers}", unread, numeric=True),
            )
        )
        told = (found.num_answers, found.num_sentences, found.num_unread, found.num_claiming)
        estimates = (found.wrong, found.doubtful, found.authoritative)
        lines.append((model.name, model.rater, *told, *(v for each in estimates for v in _plain(each)), model.protocol))
    named = [
        f"{what}{'' if column == 'value' else '_' + column}"
        for what in ("wrong", "doubtful", "authoritative")
        for column in ESTIMATE_COLUMNS
    ]
    counted = ("num_answers", "num_sentences", "num_unread", "num_claiming")
    return Table(
        "factuality",
        "Wrong, and sounding sure",
        "Wrong and doubtful: share of the sentences that claim something checkable. Authoritative: share of all "
        "sentences whose tone was read. Intervals of 95 % by a bootstrap over answers. Sentences that were not read "
        "are missing from all of it.",
        ("Model", "Wrong", "Doubtful", "Authoritative", "Claiming", "Answers"),
        tuple(rows),
        comma_separated(("model", "rater", *counted, *named, "protocol"), lines),
    )


def _preferred(findings: FactsFindings) -> Table:
    rows, lines = [], []
    for source, model, other, found in findings.preferred:
        unread = f"{found.num_unread} left out" if found.num_unread else ""
        rows.append(
            (
                Cell(model, f"against {other}"),
                Cell(source),
                Cell(number(found.share.value), interval(found.share), numeric=True),
                Cell(f"{found.share.n}", unread, numeric=True),
                Cell(f"{found.num_more_wrong}", numeric=True),
                Cell(f"{found.wins} / {found.ties} / {found.losses}", numeric=True),
            )
        )
        told = (found.num_more_wrong, found.wins, found.ties, found.losses, found.num_unread)
        lines.append((source, model, other, *_plain(found.share), *told))
    header = ("judgments", "model", "against", "preferred_though_wrong", *ESTIMATE_COLUMNS[1:])
    return Table(
        "preferred_though_wrong",
        "Preferred, though wrong",
        "Share of comparisons that a model won (majority of the verdicts) although its answer has more wrong "
        "sentences than the other. Left out: comparisons in which a sentence was not read. Beside it: how the "
        "comparisons went in which it has more wrong sentences.",
        ("Model", "Judgments", "Preferred though wrong", "Comparisons", "More wrong", "Of these won / tied / lost"),
        tuple(rows),
        comma_separated((*header, "num_more_wrong", "wins", "ties", "losses", "num_left_out"), lines),
    )


def _cell(found: Estimate | None, kind: str = "") -> Cell:
    if found is None:
        return Cell(MISSING, numeric=True)
    return Cell(number(found.value), interval(found), bar=found.value if kind else -1.0, bar_kind=kind, numeric=True)


def _plain(found: Estimate | None) -> Sequence[object]:
    return (found.value, found.low, found.high, found.n, found.method) if found else ("",) * 5
