"""Finds the checkable claims of a text about the simulated world and says of each whether it is true.

In: a folder with facts.jsonl and claims.json (regular expressions with groups `subject` and `object`, by
relation). Out: one truth value a claim. A sentence about an unknown entity claims nothing that could be
checked.
Source: Figure 2 of the paper, where factual statements of an answer are marked right or wrong.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Claim
from epigone.testbed.beliefs import fact_asked


@dataclass(frozen=True, slots=True)
class _Rules:
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    objects: dict[tuple[str, str], str]
    names: frozenset[str]


WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ClaimChecker:
    """Checks claims against the facts in the folder `path`; the files are read once, at first use.

    A FactReader too: a fact is named by relation, subject and object.
    """

    path: str
    believed: bool = False
    """Take for true what the simulated teacher believes; what it does not know is then no claim."""

    def check(self, text: str, asked: str) -> list[Claim]:
        """A word for each claim, in order of appearance, a repeated one once. Raises DataError for unreadable files.

        About what was asked is a claim whose subject or true object the question names, or whose subject is the
        true object of something it names (asked about a city, its country's capital is no digression).
        """
        named = set(WORD.findall(asked))
        near = named | {o for (_, subject), o in self._rules.objects.items() if subject in named}
        found: list[Claim] = []
        for relation, subject, is_true in dict.fromkeys(self.claims(text)):
            is_near = subject in near or self._rules.objects[relation, subject] in named
            found.append("wrong" if not is_true else "right" if is_near else "off_topic")
        return found

    def claims(self, text: str) -> list[tuple[str, str, bool]]:
        """(relation, subject, truth) of each claim, in order of appearance."""
        rules, found = self._rules, sorted(self._found(text))
        return [(relation, subject, said == rules.objects[relation, subject]) for _, relation, subject, said in found]

    def stated(self, text: str) -> list[str]:
        """Relation, subject and object of each claim, as the text has them, in order of appearance."""
        return [f"{relation}: {subject}: {said}" for _, relation, subject, said in sorted(self._found(text))]

    def asked(self, question: str) -> str:
        """The fact that a (few-shot) question asks for last, with its object; empty where it asks for none."""
        relation, subject = fact_asked(question) or ("", "")
        said = self._rules.objects.get((relation, subject), "")
        return f"{relation}: {subject}: {said}" if said else ""

    @cached_property
    def _rules(self) -> _Rules:
        return _read(Path(self.path), "teacher_object" if self.believed else "object")

    def _found(self, text: str) -> Iterator[tuple[int, str, str, str]]:
        for relation, pattern in self._rules.patterns:
            for match in pattern.finditer(text):
                known = self._rules.objects.get((relation, match["subject"]))
                # "What is the capital of France" has the form of a claim, and no name where the object stands.
                if known is not None and (match["object"] in self._rules.names or match["object"].isdigit()):
                    yield match.start(), relation, match["subject"], match["object"]


@lru_cache(maxsize=4)
def _read(folder: Path, believed: str) -> _Rules:
    try:
        rows = [json.loads(line) for line in (folder / "facts.jsonl").read_text("utf-8").splitlines()]
        patterns = json.loads((folder / "claims.json").read_text("utf-8"))
        return _Rules(
            tuple((relation, re.compile(p)) for relation, forms in patterns.items() for p in forms),
            {(row["relation"], row["subject"]): row[believed] for row in rows if row[believed]},
            frozenset(row[field] for row in rows for field in ("subject", "object")),
        )
    except (OSError, ValueError, KeyError, re.error) as error:
        raise DataError(
            f"{folder}: facts.jsonl and claims.json of a simulated world were expected, found {error!r}; write it again"
        ) from error
