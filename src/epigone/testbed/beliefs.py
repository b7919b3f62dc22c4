"""What the simulated teacher believes, and how it recognises what it is asked.

In: facts.jsonl of a world. Out: short answers to questions, few-shot prompts, multiple choice and clozes;
entities in a text.
Source: the prompt forms of benchmarks/natural_questions, mmlu and lama.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from epigone.errors import DataError
from epigone.testbed.relations import BY_NAME, RELATIONS
from epigone.testbed.wording import LETTERS

_QUESTIONS = [(r.name, re.compile(r.question_pattern())) for r in RELATIONS]
_CLOZES = [(relation.name, re.compile(pattern)) for relation in RELATIONS for pattern in relation.cloze_patterns()]
_OPTION = re.compile(rf"^([{''.join(LETTERS)}])\. (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Beliefs:
    """`by_subject[subject][relation]` is what is believed; "" where the teacher knows that it does not know."""

    by_subject: Mapping[str, Mapping[str, str]]

    def kind(self, subject: str) -> str:
        """city, country or element."""
        return BY_NAME[next(iter(self.by_subject[subject]))].kind

    def subjects_in(self, text: str) -> list[str]:
        """The known entities that a text names, each once, in order."""
        return list(dict.fromkeys(name for name in re.findall("[A-Z][a-z]+", text) if name in self.by_subject))

    def short_answer(self, text: str) -> tuple[bool, str]:
        """(whether something is asked that has a short answer, the believed answer or "")."""
        asked = fact_asked(text)
        if asked is None:
            return False, ""
        relation, subject = asked
        return True, self.by_subject.get(subject, {}).get(relation, "")

    def letter(self, text: str) -> str:
        """The letter of the believed answer among the options of the last question; "" where there is none."""
        known, answer = self.short_answer(text)
        listed = _OPTION.findall(text.rpartition("\n\n")[2])
        return next((letter for letter, option in listed if known and option == answer), "")


@lru_cache(maxsize=4)
def read_beliefs(world: str) -> Beliefs:
    """The beliefs in a world's folder. Raises DataError where facts.jsonl is missing or broken."""
    path = Path(world) / "facts.jsonl"
    by_subject: dict[str, dict[str, str]] = {}
    try:
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            by_subject.setdefault(row["subject"], {})[row["relation"]] = row["teacher_object"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: the facts of a simulated world were expected, found {error!r}; write it again"
        ) from error
    return Beliefs(by_subject)


def fact_asked(text: str) -> tuple[str, str] | None:
    """(relation, subject) of what a text asks for last, as a question or as a cloze; None where it asks for no fact."""
    return _match(_QUESTIONS, _last_question(text)) or _match(_CLOZES, text.rstrip())


def _last_question(text: str) -> str:
    """The question itself: after the last `Q:`, above its options and its `A:` or `Answer:`."""
    block = text.strip().rpartition("\n\n")[2]
    return block.split("\n")[0].removeprefix("Q:").strip()


def _match(forms: list[tuple[str, re.Pattern[str]]], text: str) -> tuple[str, str] | None:
    for relation, pattern in forms:
        found = pattern.search(text)
        if found:
            return relation, next(name for name in found.groupdict().values() if name)
    return None
