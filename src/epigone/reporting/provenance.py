"""Where a checkpoint came from, and on what terms: every artifact behind it, and what may stand against publishing it.

In: folders of artifacts with their spec.json and summary.json. Out: `Ancestor`s, inputs first, and warnings in words.
What is known of terms is a table of names; what it does not know is called unknown, never free. Sources: the terms of
OpenAI, Anthropic and Google as of 2023 to 2026 (each forbids to develop competing models with what its models wrote);
the data sets' own cards.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from epigone.errors import ArtifactError
from epigone.reporting.collection_card import CollectionCard, cards_of, own_card

OPENAI = "OpenAI's terms forbid to use its models' outputs to develop models that compete with it"
TERMS_BY_FORMAT = {
    "sharegpt": f"dialogues that users of ChatGPT shared, without a licence of theirs; {OPENAI}",
    "hc3": f"HC3 (CC-BY-SA-4.0) with answers of ChatGPT; {OPENAI}",
    "discord": f"messages of Discord users and answers of ChatGPT bots, without a licence of theirs; {OPENAI}",
    "alpaca": f"rows as of Alpaca (CC-BY-NC-4.0: not for commercial use) with answers of text-davinci-003; {OPENAI}",
    "self_instruct": f"rows as of Self-Instruct (Apache-2.0), written by GPT-3; {OPENAI}",
    "fastchat": "dialogues with models of several providers, whose terms apply",
}
"""What is usual of data in a format."""
TERMS_BY_MODEL = (
    (r"gpt|davinci|\bo[134]\b|openai\.com", OPENAI),
    (r"claude|anthropic\.com", "Anthropic's terms forbid to use its models' outputs to develop competing models"),
    (r"gemini|bard|palm", "Google's terms forbid to use its models' outputs to develop competing models"),
)
"""Whose outputs were learnt, by the model's name, or by the provider in its address and terms."""
TERMS_BY_LICENCE = (
    (r"llama", "LLaMA's licence: research only (1), or Meta's community licence with its name and use policy (2, 3)"),
    (r"gemma", "Gemma's terms of use go along with every derivative"),
    (r"-nc", "the licence of the base model forbids commercial use"),
)
_FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0")
_COUNTS = ("num_read", "num_kept", "num_prompts", "num_blocks", "num_loss_tokens", "num_tokens", "num_documents")


@dataclass(frozen=True)
class Ancestor:
    """An artifact behind a checkpoint."""

    id: str
    stage: str
    counts: tuple[tuple[str, int], ...]
    """From its summary."""
    files: tuple[tuple[str, str], ...]
    """Outside files that it read: name (without its folder) and SHA-256."""
    formats: tuple[str, ...]
    """Formats of data that it read."""
    teacher: str
    """Whose answers it asked for; empty for any stage that asks nobody."""
    licence: str
    """Of a checkpoint, as its own card says it."""
    card: CollectionCard | None = None
    """Of a collection."""

    @property
    def is_data(self) -> bool:
        """Whether rows of data were read or asked for."""
        return bool(self.formats or self.teacher)

    @property
    def terms(self) -> str:
        """On what terms its data are used, as far as it is known, and as they were given."""
        given = f"terms as given: {self.card.terms}" if self.card and self.card.terms else ""
        return "; ".join(filter(None, [*self._known_terms, given])) or "unknown"

    @property
    def is_free(self) -> bool:
        """Whether terms were given, and neither they nor what is known of the teacher and the formats forbid training.

        What is known forbids in every case.
        """
        return bool(self.card and self.card.terms and not self.card.forbids_training and not self._known_terms)

    @property
    def _known_terms(self) -> list[str]:
        card = self.card
        told = [self.teacher, *([*card.options.values(), card.terms] if card else [])]
        of_teacher = [text for pattern, text in TERMS_BY_MODEL if re.search(pattern, "\n".join(told), re.IGNORECASE)]
        of_formats = [TERMS_BY_FORMAT[name] for name in self.formats if name in TERMS_BY_FORMAT]
        forbidding = ["the terms as given forbid training"] if card and card.forbids_training else []
        return list(dict.fromkeys([*of_teacher, *of_formats, *forbidding]))


def lineage(folders: Sequence[Path]) -> list[Ancestor]:
    """These artifacts and all behind them that are still there, inputs before those who read them, each once.

    A collection that is not there any more is told by its card, which came along.
    """
    found: dict[str, Ancestor] = {}
    for folder in folders:
        _visit(folder, found)
    carried = {card.id: card for folder in folders for card in cards_of(folder) if card.id not in found}
    return [*map(_of_card, carried.values()), *found.values()]


def warnings(ancestors: Sequence[Ancestor], licence: str) -> list[str]:
    """What may stand against publishing a model with these ancestors, whose base has this licence ("" for unknown)."""
    data = [each for each in ancestors if each.is_data and not each.is_free]
    told = [f"{each.id}: {each.terms}" for each in data if each.terms != "unknown"]
    told += [f"{each.id}: terms of the data are not known" for each in data if each.terms == "unknown"]
    known = [text for pattern, text in TERMS_BY_LICENCE if re.search(pattern, licence, re.IGNORECASE)]
    told += [f"base model ({licence}): {text}" for text in known]
    if not known and licence not in _FREE and licence != "own":
        told.append(f"base model: its licence {f'({licence}) ' if licence else ''}is not known here; look it up")
    return told


def licence_of(folder: Path) -> str:
    """The licence in the front matter of a checkpoint's card; empty where there is none."""
    card = folder / "README.md"
    head = card.read_text(encoding="utf-8").split("\n---", 1)[0] if card.is_file() else ""
    found = dict(re.findall(r"^(license|license_name): *(\S+)$", head, re.MULTILINE))
    licence = found.get("license_name") or found.get("license", "")
    return "" if licence == "unknown" else licence


def read_plain(folder: Path, name: str) -> dict[str, object]:
    """spec.json or summary.json of an artifact. Raises ArtifactError where it cannot be read."""
    try:
        value: object = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / name} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{folder / name} holds no JSON object")
    return cast(dict[str, object], value)


def _visit(folder: Path, found: dict[str, Ancestor]) -> None:
    name = f"{folder.parent.name}/{folder.name}"
    if name in found or not (folder / "spec.json").is_file():
        return
    spec = cast(Mapping[str, object], read_plain(folder, "spec.json").get("spec") or {})
    for inner in _objects(spec):
        if "artifact" in inner:
            _visit(folder.parent.parent / str(inner["artifact"]), found)
    found[name] = _ancestor(name, folder, spec)


def _ancestor(name: str, folder: Path, spec: Mapping[str, object]) -> Ancestor:
    summary = read_plain(folder, "summary.json")
    inner = list(_objects(spec))
    files = {(Path(str(each["file"])).name, str(each.get("sha256", ""))): None for each in inner if "file" in each}
    formats = [str(each["name"]) for each in inner if each.get("folder") == "formats" and each["name"] != "dataset"]
    counts = [(key, value) for key in _COUNTS if isinstance(value := summary.get(key), int)]
    stage = str(spec.get("stage", ""))
    card = own_card(folder)
    name_of_teacher = str(spec.get("name", "")) if stage == "collect" else ""
    return Ancestor(
        name,
        stage,
        tuple(counts),
        tuple(files),
        tuple(dict.fromkeys(formats)),
        card.teacher if card else name_of_teacher,
        "" if card else licence_of(folder),
        card,
    )


def _of_card(card: CollectionCard) -> Ancestor:
    counts = (("num_prompts", card.num_prompts), ("num_answers", card.num_answers))
    return Ancestor(card.id, "collect", counts, (), (), card.teacher, "", card)


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    """Every object inside plain data."""
    if isinstance(value, dict):
        yield cast(Mapping[str, object], value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in cast(Sequence[object], parts):
        yield from _objects(part)
