"""Instructions out of instructions: lists of tasks that a model goes on with, and which of its tasks are new.

In: tasks of people and of the model; replies. Out: prompts, instructions or what is wrong with them, duplicates found
by the exact BLEU index.
Source: Wang et al. 2022 (arXiv 2212.10560), section 2.2 and Table 6; the rules for what no language model can do are
those of https://github.com/yizhongw/self-instruct. Their measure of likeness is ROUGE-L above 0.7. Ours is the BLEU of
`epigone.similarity`, exact and fast over a pool of any size: the higher of both directions, in lower case, above 50. On
seed instructions with words or stretches replaced, that agrees with ROUGE-L above 0.7 in about 87 of 100 pairs.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy

from epigone.errors import DataError
from epigone.records import Conversation
from epigone.rows import read_rows, shown, text_field
from epigone.similarity import BleuIndex, Settings

FEWEST_WORDS, MOST_WORDS = 4, 150
UNSEEN = (
    ["image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot"],
    re.compile(r"\bgo to\b", re.IGNORECASE),
)
"""What a language model cannot see or do."""
_NUMBER = re.compile(r"^[ \t]{0,9}\*{0,2}\d{1,3}[ \t]?[.):]\*{0,2}[ \t]+", re.MULTILINE)
_WORDS = re.compile(r"[a-z]+")


class Task(NamedTuple):
    """A seed task."""

    instruction: str
    instances: tuple[tuple[str, str], ...]
    """Input (may be empty) and output."""
    is_classification: bool


def read_tasks(path: Path) -> list[Task]:
    """Seed tasks: JSON lines as published with Self-Instruct. Raises DataError."""
    tasks = []
    for number, row in read_rows(path):
        where = f"{path}: row {number}"
        instances = row.get("instances")
        if not isinstance(instances, list) or not all(isinstance(each, dict) for each in instances):
            raise DataError(f"{where}: instances is {shown(instances)}; a list of objects with input and output is due")
        pairs = tuple((str(each.get("input") or "").strip(), text_field(each, "output", where)) for each in instances)
        tasks.append(Task(plain(text_field(row, "instruction", where)), pairs, row.get("is_classification") is True))
    return tasks


def plain(instruction: str) -> str:
    """On one line, without a colon at its end."""
    return " ".join(instruction.split()).rstrip(":")


def list_prompt(instructions: Sequence[str]) -> str:
    """A list of tasks, and the number of the one that is to come."""
    told = "".join(f"{number}. {each}\n" for number, each in enumerate(instructions, start=1))
    return f"Come up with a series of tasks:\n{told}{len(instructions) + 1}."


def drawn(
    people: Sequence[str], machine: Sequence[str], num_people: int, num_machine: int, random: numpy.random.Generator
) -> list[str]:
    """Instructions to be shown, in random order: the model's own as far as there are any, people's for the rest."""
    own = _some(machine, num_machine, random)
    both = [*own, *_some(people, num_people + num_machine - len(own), random)]
    return _some(both, len(both), random)


def read_list(reply: str, *, is_cut: bool) -> list[tuple[str, str]]:
    """(instruction, what is wrong with it or nothing) of a reply that goes on with the list, in order."""
    texts = [" ".join(text.split()) for text in _NUMBER.split(reply)]
    texts = [text[:1].upper() + text[1:] for text in texts if text]
    if not texts:
        return [("", "empty reply")]
    found = [(text, _problem(text)) for text in texts]
    return [*found[:-1], (texts[-1], "cut off")] if is_cut else found


def _problem(text: str) -> str:
    words = text.split()
    if len(words) < FEWEST_WORDS:
        return "too short"
    if len(words) > MOST_WORDS:
        return "too long"
    if set(_WORDS.findall(text.lower())) & set(UNSEEN[0]) or UNSEEN[1].search(text):
        return "about what no language model sees"
    if text.startswith("Write a program"):
        return "asks for a program"
    if text.endswith(":"):
        return "ends in a colon"
    if text[0] in string.punctuation or not text[0].isascii():
        return "begins with no letter"
    return ""


def _some(texts: Sequence[str], number: int, random: numpy.random.Generator) -> list[str]:
    order: list[int] = random.permutation(len(texts)).tolist()
    return [texts[at] for at in order[:number]]


@dataclass
class Pool:
    """The instructions that are there; one that is too similar to any of them, or to a candidate before it, is old."""

    texts: list[str]
    """Of people and of the model, in order; those found new are added."""
    threshold: float | int
    """BLEU in percent, in either direction."""

    SETTINGS = Settings(lowercase=True)

    def reasons(self, candidates: Sequence[Conversation]) -> list[tuple[str, str]]:
        """(reason, detail) of each that is too similar, and ("", "") of the others, which are in the pool from now."""
        fresh = [each.messages[0].content for each in candidates]
        known, near = [*self.texts, *fresh], self._near(fresh)
        reasons: list[tuple[str, str]] = []
        old: set[int] = set()
        for number, text in enumerate(fresh, start=len(self.texts)):
            close = [(score, other) for other, score in near.get(number, []) if other not in old]
            if (first := known.index(text)) < number and first not in old:
                close.append((100.0, first))
            if close:
                old.add(number)
                score, other = max(close)
                reasons.append(("similar instruction", f"BLEU {score:.1f} with {known[other]!r}"))
            else:
                reasons.append(("", ""))
        self.texts += [text for text, (reason, _) in zip(fresh, reasons) if not reason]
        return reasons

    def _near(self, fresh: Sequence[str]) -> dict[int, list[tuple[int, float]]]:
        """By the place of a candidate behind the pool: (place, score) of all texts before it that are too similar."""
        if not fresh:
            return {}
        index, first = BleuIndex.build([*self.texts, *fresh], self.SETTINGS), len(self.texts)
        rows = range(first, first + len(fresh))
        near: dict[int, list[tuple[int, float]]] = {}
        for side in ("query", "indexed"):
            for query, other, score in zip(*index.pairs_above(self.threshold, hypothesis=side, rows=rows)):
                if other < query:
                    near.setdefault(int(query), []).append((int(other), float(score)))
        return near
