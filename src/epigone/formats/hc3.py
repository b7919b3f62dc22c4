"""HC3, the Human ChatGPT Comparison Corpus: its JSON lines, one file a source or all.jsonl, and its flat CSV form.

In: rows {"question", "human_answers", "chatgpt_answers"}, `source` where a file holds several; or a CSV file with
text,source,question,label. Out: Conversation or Drop, one for each answer of ChatGPT.
Source: Guo et al. 2023 (arXiv 2301.07597), https://huggingface.co/datasets/Hello-SimpleAI/HC3.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from epigone.entries import Notes
from epigone.records import Conversation, Drop
from epigone.rows import bare_name, beginning, columns, identity, read_table, shown
from epigone.rows.chats import Fields, each_row, named_apart, one_turn

HUMAN_ANSWERS = "human answers left out"
_COLUMNS = {"text", "source", "question", "label"}
_MODEL_LABELS = ("ai", "chatgpt")


@dataclass(frozen=True)
class HC3:
    """Reads ChatGPT's answers: `open_qa-12-0` is the first answer to the question of row 12.

    A row without an answer of ChatGPT is one Drop. Human answers are counted; in the CSV form, where each is a row,
    they are Drops.
    """

    salvage: bool = False
    """Go on with what is whole where the file is damaged; the loss is a Drop."""

    def fits(self, path: Path) -> bool:
        """Rows with question and chatgpt_answers, or the columns of the CSV form."""
        return {"question", "chatgpt_answers"} <= beginning(path).keys() or set(columns(path)) >= _COLUMNS

    def read(self, path: Path, notes: Notes | None = None) -> Iterator[Conversation | Drop]:
        """Answers in file order. Raises DataError where the file is damaged, neither JSON lines nor such a CSV file."""
        if not set(columns(path)) >= _COLUMNS:
            return each_row(path, partial(_answers, path), salvage=self.salvage, notes=notes)
        notes = Counter() if notes is None else notes
        return named_apart(_table(path, notes), notes)


def _answers(path: Path, number: int, row: Fields, notes: Notes) -> Iterator[Conversation | Drop]:
    row_id = f"{identity(row.get('source')) or bare_name(path)}-{number}"
    answers, humans = row.get("chatgpt_answers"), row.get("human_answers")
    notes[HUMAN_ANSWERS] += len(humans) if isinstance(humans, list) else 0
    if not isinstance(answers, list):
        yield Drop(identity(row.get("id")) or row_id, "not an HC3 row", f"chatgpt_answers is {shown(answers)}")
    elif not answers:
        yield Drop(row_id, "no answer of ChatGPT", f"question {shown(row.get('question'))}")
    else:
        for place, answer in enumerate(answers):
            yield one_turn(f"{row_id}-{place}", row.get("question"), answer, path.name, notes)


def _table(path: Path, notes: Notes) -> Iterator[Conversation | Drop]:
    for number, row in read_table(path):
        row_id = f"{row['source'].strip() or bare_name(path)}-{number}"
        label = row["label"].strip().lower()
        if label == "human":
            yield Drop(row_id, "human answer")
        elif label not in _MODEL_LABELS:
            yield Drop(row_id, "unknown label", f"{shown(row['label'])}; known: human, {', '.join(_MODEL_LABELS)}")
        else:
            yield one_turn(row_id, row["question"], row["text"], path.name, notes)
