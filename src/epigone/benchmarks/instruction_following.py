"""Instruction following: what an answer was told to look like, checked by rules, and whether it did what was asked.

In: the 120 items that come with the package, or others as JSON lines {"id", "prompt", "constraints": [{"kind",
options}]}. Out: one Score an item: constraints followed, strictly and loosely.
Source: the items are our own; the kind of item, and strict and loose accuracy by prompt and by instruction, are those
of IFEval (Zhou et al. 2023, arXiv 2311.07911). An axis of its own in the paper (arXiv 2305.15717, abstract): to raters,
students "appear far better at following instructions", whatever they know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from epigone.errors import DataError
from epigone.interfaces import LanguageModel
from epigone.metrics import constraints
from epigone.metrics.answers import protocol_id
from epigone.records import Item, Message, Prompt, SamplingParams, Score
from epigone.rows import read_rows, text_field

OURS = Path(__file__).parent / "items" / "instruction_following.jsonl"
ON_TASK = """Below are a request and an answer. Does the answer do what the request asks for, in its content? Its length
and form are judged elsewhere. An answer on another subject, one that only repeats the request, and a refusal do not.

<<<REQUEST
{prompt}
REQUEST>>>

<<<ANSWER
{reply}
ANSWER>>>

Answer with yes or no and nothing else."""


@dataclass(frozen=True)
class InstructionFollowing:
    """Share of constraints followed; strictly as the answer stands, loosely without a line before or after it.

    Metrics of an item: prompt_strict and prompt_loose (1 where every constraint is followed); instruction_strict and
    instruction_loose (share of its constraints); num_constraints, followed_strict and followed_loose (counts: summed
    over items they give the accuracy by instruction, metrics.constraints.by_instruction); on_task, where a judge was
    given and said yes or no. An empty reply follows nothing. `parsed` names what was not followed strictly.
    """

    path: str | Path = ""
    """Items of one's own; empty: those of the package."""
    judge: LanguageModel | None = None
    """Who says whether an answer did what was asked: a component of `backends`; unset: nobody."""
    max_tokens: int = 512
    """Longest answer in tokens."""
    limit: int | None = None
    """Use only the first `limit` items."""

    @property
    def protocol(self) -> str:
        """`instruction-following--hash`, over items and constraints, sampling, and the judge and its question."""
        asked = [(item.question, rules) for item, rules in self._rows()]
        judged = {"judge": self.judge, "on_task": ON_TASK} if self.judge else {}
        return protocol_id("instruction-following", items=asked, sampling=self._sampling(), rules=1, **judged)

    def items(self) -> list[Item]:
        """The items in file order. Raises DataError naming file, row and constraint."""
        return [item for item, _ in self._rows()]

    def prompt(self, item: Item) -> Prompt:
        """What the model is asked: the request as a user message."""
        return Prompt(item.id, messages=(Message("user", item.question),))

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score an item, in order."""
        rows = self._rows()
        if items is not None:
            known = {item.id: (item, rules) for item, rules in rows}
            rows = [known[item.id] for item in items]
        completions = model.generate([self.prompt(item) for item, _ in rows], self._sampling())
        replies = [completion.text for completion in completions]
        scores = [_score(item, rules, reply) for (item, rules), reply in zip(rows, replies, strict=True)]
        for score, said in zip(scores, self._judged([item for item, _ in rows], replies)):
            score.metrics.update(said)
        return scores

    def _judged(self, items: list[Item], replies: list[str]) -> list[dict[str, float]]:
        """What the judge says of each answer; nothing where it says neither yes nor no, or there is no answer."""
        if self.judge is None:
            return []
        asked = [row for row, reply in enumerate(replies) if reply.strip()]
        texts = [ON_TASK.format(prompt=items[row].question, reply=replies[row]) for row in asked]
        prompts = [Prompt(f"{items[row].id}-on-task", messages=(Message("user", t),)) for row, t in zip(asked, texts)]
        found: list[dict[str, float]] = [{} for _ in replies]
        for row, said in zip(asked, self.judge.generate(prompts, SamplingParams(max_tokens=8))):
            word = said.text.strip().strip("*.\"'").lower()
            if word in ("yes", "no"):
                found[row] = {"on_task": float(word == "yes")}
        return found

    def _sampling(self) -> SamplingParams:
        return SamplingParams(max_tokens=self.max_tokens)

    def _rows(self) -> list["_Row"]:
        path = Path(self.path) if self.path else OURS
        return [_row(row, f"{path}: row {number}") for number, row in read_rows(path)][: self.limit]


_Rule = tuple[str, Mapping[str, object]]
_Row = tuple[Item, list[_Rule]]


def _row(row: dict[str, object], where: str) -> _Row:
    item = Item(text_field(row, "id", where), text_field(row, "prompt", where))
    listed = row.get("constraints")
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{where}: field 'constraints' is {str(listed)[:60]!r}; a non-empty list is needed")
    rules: list[_Rule] = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
            raise DataError(f'{where}: constraint {str(entry)[:60]!r}; an object {{"kind": ...}} is needed')
        options = {str(name): value for name, value in cast(dict[str, object], entry).items() if name != "kind"}
        constraints.known(entry["kind"], options, where)
        rules.append((entry["kind"], options))
    return item, rules


def _score(item: Item, rules: list[_Rule], reply: str) -> Score:
    strict = [constraints.follows(reply, kind, options) for kind, options in rules]
    loose = [constraints.follows_loosely(reply, kind, options) for kind, options in rules]
    metrics = {"num_constraints": float(len(rules))}
    for reading, followed in (("strict", strict), ("loose", loose)):
        metrics[f"prompt_{reading}"] = float(all(followed))
        metrics[f"followed_{reading}"] = float(sum(followed))
        metrics[f"instruction_{reading}"] = sum(followed) / len(rules)
    missed = [kind for (kind, _), is_followed in zip(rules, strict) if not is_followed]
    return Score(item.id, metrics, item.question, reply, ", ".join(missed))
