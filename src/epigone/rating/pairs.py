"""What people compare: two models' answers to one prompt, names masked, and the known answers beside them.

In: generations of two models or more, and a file of known answers. Out: Pairs, and Drops for what cannot be compared.
Source: arXiv 2305.15717, Appendix B and Figure 7 (an instruction and the outputs of two unlabelled systems).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import cast

from epigone.errors import DataError
from epigone.rating.masking import masked
from epigone.records import Drop, Generation, Message
from epigone.rows import prompt_id_of, read_rows, shown, text_field

COMPARISON, PRACTICE, ATTENTION, REPEAT = "comparison", "practice", "attention", "repeat"
KNOWN_KINDS = (PRACTICE, ATTENTION)
VERDICTS = ("a", "b", "tie")
BETTER, WORSE = "known:better", "known:worse"
"""Whose the two answers of a known pair are, in files that leave for a crowd platform."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt. `expected` and `why` belong to known answers: practice and attention checks."""

    id: str
    prompt_id: str
    messages: tuple[Message, ...]
    a: str
    b: str
    text_a: str
    text_b: str
    kind: str = COMPARISON
    expected: str = ""
    why: str = ""
    num_masked: int = 0
    """Places in the two answers where a name was taken out."""

    @property
    def asked(self) -> str:
        """The prompt as one text; of several turns each with its role."""
        if len(self.messages) == 1:
            return self.messages[0].content
        return "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in self.messages)


def pairs_of(answers: Mapping[str, Sequence[Generation]], *, every_pair: bool = False) -> tuple[list[Pair], list[Drop]]:
    """The first model beside each other one, or each beside each; prompts in the first's order.

    A prompt that one of the two left open, or whose text is not known, comes back as a Drop. Raises DataError where two
    models share no prompt.
    """
    names = list(answers)
    wanted = list(combinations(names, 2)) if every_pair else [(names[0], name) for name in names[1:]]
    pairs: list[Pair] = []
    drops: list[Drop] = []
    for a, b in wanted:
        others = {key: generation for generation in answers[b] for key in _keys(generation)}
        before = len(pairs)
        for mine in answers[a]:
            other = next((others[key] for key in _keys(mine) if key in others), None)
            found = _pair(mine, other, (a, b), names)
            (pairs if isinstance(found, Pair) else drops).append(found)  # pyright: ignore[reportArgumentType]
        if len(pairs) == before:
            raise DataError(f"{a} and {b} answered no prompt both; the ids or texts of their prompts must be the same")
    return pairs, drops


def _keys(generation: Generation) -> list[str]:
    """What a prompt is known by: its text, else its id; recordings of one prompt set may spell ids differently."""
    text = "\n".join(message.content for message in generation.messages)
    return [*([prompt_id_of(text)] if text else []), generation.prompt_id]


def _pair(mine: Generation, other: Generation | None, models: tuple[str, str], names: Sequence[str]) -> Pair | Drop:
    where = f"{mine.prompt_id}: {models[0]} and {models[1]}"
    if other is None:
        return Drop(where, "answered by one alone", f"{models[1]} did not answer it")
    if not (mine.text.strip() and other.text.strip()):
        return Drop(where, "empty answer", models[0] if not mine.text.strip() else models[1])
    messages = mine.messages or other.messages
    if not messages:
        return Drop(where, "no prompt text", "the recording does not hold what was asked")
    asked = "\n".join(message.content for message in messages)
    text_a, num_a = masked(mine.text, names, asked)
    text_b, num_b = masked(other.text, names, asked)
    id_ = hashlib.sha256("\n".join((mine.prompt_id, *models)).encode()).hexdigest()[:16]
    return Pair(id_, mine.prompt_id, messages, *models, text_a, text_b, num_masked=num_a + num_b)


def only_of(pairs: Sequence[Pair], prompts: Sequence[str], where: str) -> tuple[list[Pair], list[Drop]]:
    """The pairs that ask one of the prompts, in the order of these. Raises DataError where none does."""
    places = {prompt_id_of(text): place for place, text in reversed(list(enumerate(prompts)))}
    kept = [pair for pair in pairs if prompt_id_of(pair.asked) in places]
    if not kept:
        raise DataError(f"{where}: none of its {len(prompts)} prompts is asked by a comparison; texts must be the same")
    drops = [Drop(f"{p.prompt_id}: {p.a} and {p.b}", "not among the prompts") for p in pairs if p not in kept]
    return sorted(kept, key=lambda pair: places[prompt_id_of(pair.asked)]), drops


def read_known(path: Path | None = None) -> list[Pair]:
    """Known answers: JSON lines {"kind", "prompt", "a", "b", "expected", "why"}; without a path the package's own.

    Raises DataError naming file, row and value.
    """
    path = path or Path(__file__).with_name("known_answers.jsonl")
    return [_known(row, f"{path}: row {number}") for number, row in read_rows(path)]


def _known(row: dict[str, object], where: str) -> Pair:
    for name, allowed in (("kind", KNOWN_KINDS), ("expected", VERDICTS)):
        if row.get(name) not in allowed:
            raise DataError(f"{where}: {name} is {shown(row.get(name))}; allowed: {', '.join(allowed)}")
    prompt, a, b = (text_field(row, name, where) for name in ("prompt", "a", "b"))
    expected, kind = cast(str, row["expected"]), cast(str, row["kind"])
    id_ = hashlib.sha256(json.dumps([kind, prompt, a, b]).encode()).hexdigest()[:16]
    names = {"a": (BETTER, WORSE), "b": (WORSE, BETTER), "tie": (BETTER, BETTER)}[expected]
    why = str(row.get("why", ""))
    return Pair(id_, id_, (Message("user", prompt),), *names, a, b, kind=kind, expected=expected, why=why)
