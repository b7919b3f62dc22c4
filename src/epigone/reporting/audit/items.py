"""The items of an audit: every benchmark item whose scores were recorded one by one, every answer with its votes.

In: `Recorded`, and what was found. Out: `StudyItems`, and tables whose numbers lead to them. Nobody marked sentences;
an answer counts as right here where most of its votes against the teacher find it equal or better.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from epigone.records import Judgment, Score, ScoreSheet
from epigone.reporting.audit.alignment import Aligned, align, matched_judgments
from epigone.reporting.audit.analysis import Recorded, sheets_by_model
from epigone.reporting.audit.findings import AuditFindings
from epigone.reporting.audit.standings import pooled, primary_of
from epigone.reporting.audit.wording import TONE
from epigone.reporting.items.rows import FREE, AnsweredItem, BenchmarkItems, Said, StudyItems, Votes, Who, outcome_of
from epigone.reporting.links import Beside, link
from epigone.reporting.tables import MISSING, Cell, Table

VOTED = ("equal to the teacher or better", "worse than the teacher")
FREE_TABLES = frozenset(
    {"table_2", "style_parts", "first_look", "levels", "preference", "controlled", "strengths", "expertise"}
)
"""Tables whose numbers were counted over the free answers."""

Sheets = Mapping[str, Sequence[ScoreSheet]]
"""By model, the sheets of one benchmark, a metric each."""


def audit_items(recorded: Recorded, findings: AuditFindings, student: str) -> StudyItems:
    """All items; `student` stands beside teacher and base at first."""
    own = sheets_by_model(recorded.models, recorded.sheets)[0]
    by_benchmark: dict[str, dict[str, list[ScoreSheet]]] = {}
    for model, sheet in pooled(own):
        if sheet.scores:
            by_benchmark.setdefault(sheet.benchmark, {}).setdefault(model, []).append(sheet)
    found = [_benchmark(name, sheets, recorded.artifacts) for name, sheets in by_benchmark.items()]
    found.append(_free(recorded, findings.teacher))
    order = {"teacher": 0, "second_sample": 1, "base": 2, "student": 3}
    who = [Who(m.name, m.role, m.name) for m in sorted(recorded.models, key=lambda m: order[m.role])]
    lead = tuple(filter(None, (findings.teacher, findings.base, student)))
    return StudyItems(findings.title, findings.study_id, tuple(who), tuple(found), lead)


def _benchmark(name: str, sheets: Sheets, artifacts: Mapping[tuple[str, str], str]) -> BenchmarkItems:
    primary = primary_of(list(dict.fromkeys(sheet.metric for found in sheets.values() for sheet in found)))

    def items() -> Iterator[AnsweredItem]:
        by_model = {model: _merged(found) for model, found in sheets.items()}
        for item_id in dict.fromkeys(item_id for scores in by_model.values() for item_id in scores):
            rows = [(model, scores[item_id]) for model, scores in by_model.items() if item_id in scores]
            prompt = rows[0][1].prompt
            said = tuple(
                Said(model, score.reply, outcome_of(score.metrics.get(primary)), score.parsed, score.metrics,
                     score.prompt if score.prompt != prompt else "")
                for model, score in rows
            )  # fmt: skip
            yield AnsweredItem(item_id, prompt, said, rows[0][1].group)

    ids = {model: (artifacts[model, name],) for model in sheets if (model, name) in artifacts}
    protocols = {model: found[0].protocol for model, found in sheets.items()}
    return BenchmarkItems(name, name, items, ("right", "wrong"), ids, protocols)


def _merged(sheets: Sequence[ScoreSheet]) -> dict[str, Score]:
    """One score an item, with the metrics of all sheets."""
    found: dict[str, Score] = {}
    for sheet in sheets:
        for score in sheet.scores:
            before = found.get(score.item_id)
            found[score.item_id] = replace(before, metrics=before.metrics | score.metrics) if before else score
    return found


def _free(recorded: Recorded, teacher: str) -> BenchmarkItems:
    aligned = align(recorded.models, 0.0)
    judgments = [j for j in matched_judgments(aligned, recorded.judgments)[0] if j.criterion != TONE]

    def items() -> Iterator[AnsweredItem]:
        votes = _votes(judgments)
        for place, prompt_id in enumerate(aligned.prompt_ids):
            said = [
                _said(aligned, name, place, votes.get((prompt_id, name), ()), teacher) for name in _who(aligned, place)
            ]
            yield AnsweredItem(prompt_id, aligned.prompts[place], tuple(said))

    ids = {m.name: (recorded.artifacts[m.name, FREE],) for m in recorded.models if (m.name, FREE) in recorded.artifacts}
    return BenchmarkItems(FREE, "Free answers", items, VOTED, ids)


def _who(aligned: Aligned, place: int) -> list[str]:
    return [name for name, column in aligned.answers.items() if column[place] is not None]


def _said(aligned: Aligned, name: str, place: int, votes: tuple[Votes, ...], teacher: str) -> Said:
    cast = [v for v in votes if v.against == teacher]
    good, bad = sum(v.wins + v.ties for v in cast), sum(v.losses for v in cast)
    outcome = outcome_of(1.0 if good > bad else 0.0 if bad > good else 0.5) if cast else ""
    return Said(name, aligned.answers[name][place] or "", outcome, votes=votes)


def _votes(judgments: Sequence[Judgment]) -> dict[tuple[str, str], tuple[Votes, ...]]:
    """By prompt and model, a row a panel, criterion and rival."""
    counts: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = {}
    for j in judgments:
        panel = " ".join(filter(None, (j.panel or j.rater, j.criterion, "(simulated)" if j.simulated else "")))
        for mine, other, side in ((j.a, j.b, "a"), (j.b, j.a, "b")):
            place = 1 if j.verdict == "tie" else 0 if j.verdict == side else 2
            counts.setdefault((j.prompt_id, mine), {}).setdefault((panel, other), [0, 0, 0])[place] += 1
    return {
        key: tuple(Votes(panel, other, *each) for (panel, other), each in found.items())
        for key, found in counts.items()
    }


def led(table: Table, models: Sequence[str], beside: Beside) -> Table:
    """The table with every number leading to the items that it was counted over."""
    if not beside.num_items or not (table.id in FREE_TABLES or table.id == "capability"):
        return table
    columns = [_model(column, models) for column in table.columns]
    rows: list[tuple[Cell, ...]] = []
    for row in table.rows:
        own = _model(row[0].text, models)
        cells = [row[0]]
        for place, cell in enumerate(row[1:], 1):
            name = own or columns[place]
            metric = FREE if table.id in FREE_TABLES else table.columns[place] if own else row[0].text
            href = link(metric.partition("/")[0], (*beside.lead, *((name,) if name else ())))
            is_number = cell.numeric and cell.text != MISSING
            cells.append(replace(cell, href=href) if is_number else cell)
        rows.append(tuple(cells))
    return replace(table, rows=tuple(rows))


def _model(text: str, models: Sequence[str]) -> str:
    """The model that a header names, with or without its role in brackets."""
    return text if text in models else next((m for m in models if text.startswith(f"{m} (")), "")
