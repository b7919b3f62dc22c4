"""A template that shows a model some examples and asks for more: filled with examples, and its replies read back.

In: a text such as Table 4 of the paper (arXiv 2305.15717), with places such as `{question 1}`, one a line behind its
label. Out: prompts, and of a reply every example that it holds, whole or not. Labels are found whatever a model puts
around them: numbers (`1.`, `Q3:`), bullets, bold type, the field's whole name, both fields on one line.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from epigone.errors import DataError, SpecError
from epigone.rows import read_rows, text_field

Example = Mapping[str, str]
"""A text by each field of a template."""
_PLACE = re.compile(r"\{(\w+) (\d+)\}")
_LINE = re.compile(r"^(.*\S)\s*\{(\w+) \d+\}$")
_BULLET = r"[\s>#*•–-]{0,9}(?:\(?\d{1,4}[.):]\s?)?[\s*_]{0,9}"
_AFTER = r"[\s*_]{0,9}(?:#?\d{1,3})?[\s*_]{0,9}"
NOTHING, CUT = "nothing found", "cut off"


class Found(NamedTuple):
    """An example as a reply holds it."""

    example: dict[str, str]
    """Its fields; of one with a problem, those that are there."""
    problem: str
    """Why it cannot be used; empty where it can."""
    text: str
    """The lines as they stand."""


@dataclass(frozen=True)
class Template:
    """A template's text. Raises SpecError where its places do not fit together."""

    text: str

    def __post_init__(self) -> None:
        wanted = {(field, number) for field in self.fields for number in range(1, self.num_examples + 1)}
        places = [(field, int(number)) for field, number in _PLACE.findall(self.text)]
        if len(self.fields) < 2 or sorted(wanted) != sorted(places):
            raise SpecError(
                f"a template needs two fields or more, each numbered from 1 without a gap, such as {{question 1}} and "
                f"{{answer 1}}; this one has: {', '.join(f'{{{f} {n}}}' for f, n in places) or 'none'}"
            )
        if bare := [field for field in self.fields if field not in self.labels]:
            raise SpecError(f"{{{bare[0]} 1}} needs a line of its own behind a label, such as `Q: {{question 1}}`")

    @classmethod
    def load(cls, path: Path) -> "Template":
        """A template from a text file, without line feeds at its end. Raises SpecError."""
        try:
            return cls(path.read_text(encoding="utf-8").rstrip("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"cannot read the template {path}: {error}; give the path of a text file") from error

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields of an example, in their order."""
        return tuple(dict.fromkeys(field for field, _ in _PLACE.findall(self.text)))

    @cached_property
    def num_examples(self) -> int:
        """Examples that a prompt shows."""
        return max((int(number) for _, number in _PLACE.findall(self.text)), default=0)

    @cached_property
    def labels(self) -> dict[str, str]:
        """What stands before each field, without the colon."""
        found = [match.groups() for line in self.text.splitlines() if (match := _LINE.match(line))]
        return {field: label.rstrip(":").strip() for label, field in reversed(found)}

    def fill(self, examples: Sequence[Example]) -> str:
        """The prompt's text with so many examples as there are places, in this order."""
        assert len(examples) == self.num_examples, "as many examples as places"
        return _PLACE.sub(lambda place: examples[int(place[2]) - 1][place[1]], self.text)

    def read(self, reply: str, *, is_cut: bool) -> list[Found]:
        """Every example of a reply, in order; of a reply that was cut off one that stands at its end is not whole.

        A line right behind a field that is not the last goes on with it. A reply without any example is one Found with
        the problem `nothing found`.
        """
        found = list(self._joined(self._lines(reply)))
        if not found:
            return [Found({}, NOTHING if reply.strip() else "empty reply", reply.strip())]
        if is_cut and not found[-1].problem and reply.rstrip().endswith(found[-1].text.splitlines()[-1]):
            found[-1] = found[-1]._replace(problem=CUT)
        return found

    @cached_property
    def _starts(self) -> dict[str, re.Pattern[str]]:
        """What a line begins with that holds a field."""
        names = {field: f"(?:{re.escape(label)}|{re.escape(field)})" for field, label in self.labels.items()}
        return {f: re.compile(rf"^{_BULLET}{name}{_AFTER}:(.*)$", re.IGNORECASE) for f, name in names.items()}

    def _lines(self, reply: str) -> list[tuple[str, str, str]]:
        """(field, value, line) of every line that holds a field; several on one line are taken apart."""
        lines: list[tuple[str, str, str]] = []
        goes_on = False
        for line in map(str.strip, reply.splitlines()):
            fields = self._fields_of(line)
            if goes_on and line and not fields:
                field, value, before = lines.pop()
                fields = [(field, f"{value} {_bare(line)}".strip(), f"{before}\n{line}")]
            goes_on = bool(fields) and fields[-1][0] != self.fields[-1]
            lines += fields
        return lines

    def _fields_of(self, line: str) -> list[tuple[str, str, str]]:
        for field, start in self._starts.items():
            if match := start.match(line):
                value, rest = self._apart(match[1], self.fields[self.fields.index(field) + 1 :])
                own = line.removesuffix(rest).rstrip() if rest else line
                return [(field, _bare(value), own), *(self._fields_of(rest) if rest else [])]
        return []

    def _apart(self, value: str, later: Sequence[str]) -> tuple[str, str]:
        """A value, and what follows it from the label of a later field on."""
        for field in later:
            if match := re.search(rf"\s[*_]*{re.escape(self.labels[field])}[*_]*:", value):
                return value[: match.start()], value[match.start() :].strip()
        return value, ""

    def _joined(self, lines: Sequence[tuple[str, str, str]]) -> list[Found]:
        """Fields in their order are an example; whatever breaks the order is one with a problem."""
        groups: list[list[tuple[str, str, str]]] = []
        for line in lines:
            last = groups[-1][-1][0] if groups else self.fields[-1]
            if self.fields.index(line[0]) > self.fields.index(last) and groups:
                groups[-1].append(line)
            else:
                groups.append([line])
        return [self._found(group) for group in groups]

    def _found(self, group: Sequence[tuple[str, str, str]]) -> Found:
        example = {field: value for field, value, _ in group}
        missing = [field for field in self.fields if not example.get(field)]
        problem = f"no {missing[0]}" if missing else ""
        if not problem and any(_PLACE.search(value) for value in example.values()):
            problem = "the template's own place"
        return Found(example, problem, "\n".join(line for *_, line in group))


def read_examples(path: Path, template: Template) -> list[dict[str, str]]:
    """Seed examples: JSON lines with the template's fields. Raises DataError, also where there are too few."""
    examples = []
    for number, row in read_rows(path):
        examples.append({field: text_field(row, field, f"{path}: row {number}") for field in template.fields})
    if len(examples) < template.num_examples:
        raise DataError(
            f"{path} holds {len(examples)} seed examples and the template shows {template.num_examples}; add some, or "
            "write a template with fewer places"
        )
    return examples


def _bare(value: str) -> str:
    """Without the bold type and the blanks around it."""
    return value.strip(" \t*_")
