"""What `epigone rate` and `epigone crowd` are given: answers of several models, made into pairs; folders they write.

In: PATH or NAME=PATH, as people write them. Out: pairs and Drops.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from epigone.errors import SpecError
from epigone.rating import koala
from epigone.rating.pairs import Pair, only_of, pairs_of
from epigone.recordings.load import only_model, read_answers
from epigone.records import Drop, Generation
from epigone.studies.audit import named_path


@dataclass(frozen=True)
class Sources:
    """What is compared."""

    answers: Sequence[str]
    every_pair: bool = False
    """Each model beside each, not the first alone."""
    only: Path | None = None
    """A file of prompts; nothing else is asked."""
    checks: Path | None = None
    """A file of known answers, in place of our own."""


def compared(sources: Sources) -> tuple[list[Pair], list[Drop]]:
    """The pairs of the answers that were given, and what could not be compared."""
    answers = read_models(sources.answers)
    if len(answers) < 2:
        raise SpecError(f"{', '.join(answers)}: one model's answers; give those of two models or more")
    pairs, drops = pairs_of(answers, every_pair=sources.every_pair)
    if sources.only is None:
        return pairs, drops
    prompts = [prompt.messages[-1].content for prompt in koala.read_prompts(sources.only)]
    kept, more = only_of(pairs, prompts, str(sources.only))
    return kept, drops + more


def fewest_of_a_pair(pairs: Sequence[Pair]) -> int:
    """Comparisons of the two models that are compared least."""
    return min(Counter((pair.a, pair.b) for pair in pairs).values())


def read_models(given: Sequence[str]) -> dict[str, list[Generation]]:
    """Answers by model. NAME=PATH names a file's model, or which of several is meant. Raises EpigoneError."""
    answers: dict[str, list[Generation]] = {}
    for source in given:
        name, path = named_path(source)
        rows = read_answers(path).rows
        if name:
            names = {row.model for row in rows}
            rows = tuple(replace(r, model=name) for r in only_model(rows, name if name in names else "", name, path))
        if again := sorted({row.model for row in rows} & answers.keys()):
            raise SpecError(f"{path}: {again[0]} was given already; write NAME=PATH to tell the two apart")
        for row in rows:
            answers.setdefault(row.model, []).append(row)
    return answers


def new_folder(out: Path) -> None:
    """Make a folder that is not there. Raises SpecError where something is in it."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(f"{out} is there already; name a new folder, nothing is overwritten")
    out.mkdir(parents=True, exist_ok=True)


def text_of(path: Path | None) -> str | None:
    """A file's text; None without a file. Raises SpecError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8") if path else None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}; give a file of Markdown in UTF-8") from error
