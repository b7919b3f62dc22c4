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


@dataclass(frozen=True, slots=True)
class _Rules:
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    objects: dict[tuple[str, str], str]
    names: frozenset[str]


WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ClaimChecker:
    """Checks claims against the facts in the folder `path`; the files are read once, at first use."""

    path: str

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
        return [(relation, subject, is_true) for _, relation, subject, is_true in sorted(self._found(text))]

    @cached_property
    def _rules(self) -> _Rules:
        return _read(Path(self.path))

    def _found(self, text: str) -> Iterator[tuple[int, str, str, bool]]:
        for relation, pattern in self._rules.patterns:
            for match in pattern.finditer(text):
                known = self._rules.objects.get((relation, match["subject"]))
                # "What is the capital of France" has the form of a claim, and no name where the object stands.
                if known is not None and (match["object"] in self._rules.names or match["object"].isdigit()):
                    yield match.start(), relation, match["subject"], match["object"] == known


@lru_cache(maxsize=4)
def _read(folder: Path) -> _Rules:
    try:
        rows = [json.loads(line) for line in (folder / "facts.jsonl").read_text("utf-8").splitlines()]
        patterns = json.loads((folder / "claims.json").read_text("utf-8"))
        return _Rules(
            tuple((relation, re.compile(p)) for relation, forms in patterns.items() for p in forms),
            {(row["relation"], row["subject"]): row["object"] for row in rows},
            frozenset(row[field] for row in rows for field in ("subject", "object")),
        )
    except (OSError, ValueError, KeyError, re.error) as error:
        raise DataError(
            f"{folder}: facts.jsonl and claims.json of a simulated world were expected, found {error!r}; write it again"
        ) from error
