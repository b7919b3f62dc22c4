"""filter_prompts: evaluation prompts that a training set already holds, or that a study does not want, are left out.

In: files of prompts as published, and filters; a prompt goes through them as a conversation without an answer. Out:
`prompts/`: records.jsonl, the Prompts that are left; origins.jsonl, the file and the published category of each; and
dropped.jsonl, the others with every reason.
Source: section 4.1 of the paper (arXiv 2305.15717): 255 prompts from several evaluations, without those that have "BLEU
score greater than 20% with any training example", are not English or ask for code: the filters training_overlap,
language and code_prompts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from epigone.curation import PromptOrigin, evaluation_prompts
from epigone.errors import DataError
from epigone.interfaces import Filter
from epigone.records import Conversation, Drop, Prompt
from epigone.rows import bare_name, identity
from epigone.spec import Component, Input
from epigone.store import write_records

CATEGORY_FIELDS = ("category", "dataset", "task")
"""What published prompts say of themselves; the first that holds text counts."""
ID_FIELDS = ("id", "question_id", "prompt_id", "task_id")


@dataclass(frozen=True)
class FilterPrompts:
    """Options of filtering prompts."""

    sources: tuple[Input, ...]
    """Files of prompts: JSON lines or arrays with a question, text, prompt, instruction, turns or messages field."""
    filters: tuple[Component, ...] = ()
    """Applied in this order, components of `curation`; each keeps a prompt or drops it with a reason."""
    name: str = "prompts"
    """What the set of prompts is called."""

    kind: ClassVar[str] = "prompts"
    version: ClassVar[int] = 2

    @property
    def slug(self) -> str:
        """The name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 5.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Read, filter, write. Raises DataError where nothing is left, or two prompts share an id."""
        prompts, origins = _read([inputs(source) for source in self.sources])
        kept, dropped = prompts, list[Drop]()
        for component in self.filters:
            rule = component.make(inputs)
            assert isinstance(rule, Filter)
            kept, more = _split(rule.apply(kept))
            dropped += [replace(drop, filter=component.name) for drop in more]
        assert len(prompts) == len(kept) + len(dropped), "a filter lost or invented a prompt"
        reasons = dict(sorted(Counter(drop.reason for drop in dropped).items()))
        if not kept:
            raise DataError(f"all {len(prompts)} prompts were dropped ({reasons}); loosen a filter or add a source")
        write_records(out / "records.jsonl", [Prompt(talk.id, messages=talk.messages) for talk in kept])
        write_records(out / "origins.jsonl", [origins[talk.id] for talk in kept])
        write_records(out / "dropped.jsonl", dropped)
        return {"num_read": len(prompts), "num_kept": len(kept), "dropped": reasons}


def _read(paths: Iterable[Path]) -> tuple[list[Conversation], dict[str, PromptOrigin]]:
    """All prompts, and where they come from by id: the source's own, or the file's name and the row."""
    prompts: list[Conversation] = []
    origins: dict[str, PromptOrigin] = {}
    for path in paths:
        for number, messages, row in evaluation_prompts(path):
            own = next(filter(None, (identity(row.get(field)) for field in ID_FIELDS)), "")
            name = own if own and not own.isdecimal() else f"{bare_name(path)}-{own or number}"
            if name in origins:
                where = f"{path}: row {number}"
                raise DataError(f"{where}: the id {name!r} is taken by an earlier prompt; rename one, or the file")
            prompts.append(Conversation(name, messages, path.name))
            origins[name] = PromptOrigin(name, path.name, _category(row))
    return prompts, origins


def _category(row: dict[str, object]) -> str:
    return next((value for field in CATEGORY_FIELDS if isinstance(value := row.get(field), str) and value.strip()), "")


def _split(rows: Iterator[Conversation | Drop]) -> tuple[list[Conversation], list[Drop]]:
    kept: list[Conversation] = []
    dropped: list[Drop] = []
    for row in rows:
        if isinstance(row, Drop):
            dropped.append(row)
        else:
            kept.append(row)
    return kept, dropped
