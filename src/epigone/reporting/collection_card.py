"""The card of a collection: who was asked, when, how, where the prompts came from, and on what terms.

In: what a stage knows that asked a teacher. Out: card.json and README.md beside the answers. `carry_cards` takes the
cards of a stage's inputs along (cards.json), so that a student's card tells them although the collection is elsewhere.
Days stand here as in raw.jsonl: they are those of the answers, not of a later build. No path, address of a user or key
gets in. Source: Mitchell et al. 2019 (arXiv 1810.03993), for collections of answers.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import epigone
from epigone.errors import ArtifactError
from epigone.spec import Artifact, Component, Input, is_stage
from epigone.store import decode, read_record, write_json, write_text

CARD, CARRIED = "card.json", "cards.json"
_FORBIDDING = re.compile(
    r"(?<!not )\b(?:forbid|prohibit|disallow)|\bcannot\b|\bexcept (?:to|for)\b"
    r"|\bnot (?:be )?(?:allowed|permitted|used?)\b"
    r"|\b(?:may|must|shall|can|do|does|are|is|will)(?: not|n't)\b(?! (?:forbid|prohibit|disallow))",
    re.IGNORECASE,
)
_TRAINING = re.compile(r"\b(?:train|fine-?tun|distil|develop|compet|imitat|derivative)", re.IGNORECASE)
_SECRET = re.compile(r"key|token|secret|password|header", re.IGNORECASE)
_SENTENCE = re.compile(r"[.;\n]+\s*")


@dataclass(frozen=True)
class CollectionCard:
    """What is told of a collection."""

    teacher: str
    """What the teacher is called in the records."""
    backend: str
    """The component that was asked, as FOLDER/NAME."""
    options: dict[str, str]
    """Its options, without paths and keys."""
    parameters: dict[str, str]
    """How replies were drawn."""
    prompts: str
    """Where the prompts came from."""
    num_prompts: int
    num_answers: int
    first_day: str
    """Of the answers, UTC, ISO 8601; empty where it means nothing (a simulated teacher) or is not known."""
    last_day: str
    terms: str
    """The provider's, as whoever asked gave them; empty where nobody did."""
    epigone: str
    """Version of the software."""
    id: str = ""
    """Of the collection's artifact; empty in its own folder, whose name it is."""

    @property
    def forbids_training(self) -> bool:
        """Whether a sentence of the terms as given says, in its words, that no model may be trained or developed."""
        sentences = _SENTENCE.split(self.terms)
        return any(_FORBIDDING.search(text) and _TRAINING.search(text) for text in sentences)


def card_of(
    teacher: Component,
    name: str,
    inputs: Callable[[object], Path],
    *,
    parameters: Mapping[str, object],
    prompts: str,
    num_prompts: int,
    num_answers: int,
    terms: str = "",
    days: tuple[str, str] | None = None,
) -> CollectionCard:
    """A card; `inputs` says where a spec's artifact lies. Without `days` it is today's, none if simulated."""
    if days is None:
        today = "" if is_simulated(teacher) else day_of(time.time())
        days = (today, today)
    return CollectionCard(
        teacher=name,
        backend=f"{teacher.folder}/{teacher.name}",
        options={key: _shown(value, inputs) for key, value in teacher.options if not _SECRET.search(key)},
        parameters={key: _shown(value, inputs) for key, value in parameters.items()},
        prompts=prompts,
        num_prompts=num_prompts,
        num_answers=num_answers,
        first_day=days[0],
        last_day=days[1],
        terms=terms.strip(),
        epigone=epigone.__version__,
    )


def is_simulated(teacher: Component) -> bool:
    """Whether a teacher is one of the simulated world, whose answers are the same on every day."""
    return teacher.name.startswith(f"{epigone.__name__}.testbed")


def day_of(unix: float | int) -> str:
    """The day of a time in seconds since 1970, UTC, ISO 8601."""
    return datetime.fromtimestamp(unix, UTC).date().isoformat()


def source_of(path: Path) -> str:
    """How a file of prompts is called on a card: by its artifact, or by its name alone."""
    folder = path if path.is_dir() else path.parent
    if not (folder / "DONE").is_file():
        return path.name
    artifact = f"{folder.parent.name}/{folder.name}"
    return artifact if path.is_dir() else f"{artifact}/{path.name}"


def write_card(out: Path, card: CollectionCard) -> None:
    """card.json and README.md of a collection's folder."""
    write_json(out / CARD, asdict(card))
    write_text(out / "README.md", f"# Answers of {card.teacher}\n\n{card_lines(card)}\n")


def card_lines(card: CollectionCard) -> str:
    """The card as a Markdown list."""
    days = card.first_day if card.first_day == card.last_day else f"{card.first_day} to {card.last_day}"
    told = {
        "teacher": card.teacher,
        "asked through": _pairs({"backend": card.backend} | card.options),
        "asked on": days or "no day (simulated, or not known)",
        "replies drawn by": _pairs(card.parameters),
        "prompts": card.prompts,
        "counts": f"{card.num_prompts:,} prompts, {card.num_answers:,} answers",
        "the provider's terms, as given": card.terms or "none were given",
        "made with": f"epigone {card.epigone}",
    }
    lines = [f"- {key}: {' '.join(value.split())}" for key, value in told.items()]
    if card.forbids_training:
        lines.append("- **warning: these terms forbid training**")
    return "\n".join(lines)


def carry_cards(sources: Iterable[Path], out: Path) -> None:
    """Write the cards of all collections behind these artifacts, or files of artifacts, as cards.json, if any."""
    cards = {card.id: card for source in sources for card in cards_of(source)}
    if cards:
        write_json(out / CARRIED, [asdict(card) for _, card in sorted(cards.items())])


def cards_of(source: Path) -> list[CollectionCard]:
    """A collection's own card and those that came along, of an artifact's folder or a file in it."""
    folder = source if source.is_dir() else source.parent
    own = own_card(folder)
    return [*([own] if own else []), *_carried(folder / CARRIED)]


def own_card(folder: Path) -> CollectionCard | None:
    """The card of a collection's folder. Raises ArtifactError where it cannot be read."""
    path = folder / CARD
    if not _is_ours(path):
        return None
    return replace(read_record(path, CollectionCard), id=f"{folder.parent.name}/{folder.name}")


def _carried(path: Path) -> list[CollectionCard]:
    if not _is_ours(path):
        return []
    try:
        rows = cast(list[object], json.loads(path.read_text(encoding="utf-8")))
        return [cast(CollectionCard, decode(CollectionCard, row)) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} holds no cards of collections: {error}; build {path.parent} again") from error


def _is_ours(path: Path) -> bool:
    """Whether a file is there and belongs to an artifact: elsewhere a card.json may be anything."""
    return path.is_file() and (path.parent / "DONE").is_file()


def _shown(value: object, inputs: Callable[[object], Path]) -> str:
    """An option's value, without the folder of a path and without what an address tells of a user.

    What another stage made is called by its id, whether the spec holds that stage or only names what it made: a study
    and one stage of it, run from its file, write the same card.
    """
    if isinstance(value, Input):
        if value.of is None:
            return Path(value.path).name
        return f"{_shown(value.of, inputs)}/{value.path}".removesuffix("/.")
    if isinstance(value, Artifact):
        return value.id
    if is_stage(value):
        folder = inputs(value)
        return f"{folder.parent.name}/{folder.name}"
    if isinstance(value, tuple):
        return "+".join(_shown(part, inputs) for part in cast(tuple[object, ...], value))
    if isinstance(value, Component):
        return f"{value.folder}/{value.name}"
    text = str(value)
    if "://" in text:
        return re.sub(r"(?<=://)[^/@]*@", "", text).partition("?")[0]
    return Path(text).name if "/" in text and Path(text).exists() else text


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
