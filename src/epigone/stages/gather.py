"""gather: the audits of a grid's bases -> one report, with the paper's figures along amount of data and base.

In: one audit a base, and where each of its models stands in the grid. Out: `studies/`: report.html, figures/, tables/,
and every audit's own report under audits/. Holds derived figures only; the same inputs give the same bytes.
Source: Figures 1, 3, 4 and 5 and Tables 1 and 2 of arXiv 2305.15717.
"""

import hashlib
import heapq
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.datasets import iterate_dataset
from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.reporting.curves import Family, Grid, Spot, render
from epigone.reporting.grid_items import ShownMaterial
from epigone.reporting.pictures import with_pictures
from epigone.spec import Artifact, Component, Resolver
from epigone.store import write_text
from epigone.synthesis.pairs import Pairs

NUM_DIALOGUES, MOST_TURNS, TURN_CHARACTERS = 3, 4, 600


@dataclass(frozen=True)
class Place:
    """Where a model of an audit stands in the grid."""

    model: str
    """What the audit calls it."""
    series: str
    """base, or the kind of data and the arm that it shares a line with, such as `broad`."""
    num_tokens: int = 0
    """Imitation tokens; 0 where that is all of a dataset."""


@dataclass(frozen=True)
class Audited:
    """One base with its audit."""

    base: str
    """What the report calls it."""
    audit: StageSpec | Artifact
    """Its audit."""
    places: tuple[Place, ...]
    """Its models, the base first."""
    at: tuple[tuple[str, float | int], ...]
    """Where the base stands, by what bases are lined up along: `parameters`, `tokens of pre-training`."""


@dataclass(frozen=True)
class Gather:
    """Options of a gathering."""

    title: str
    """Headline of the report."""
    name: str
    """The study, for people."""
    families: tuple[Audited, ...]
    """One a base."""
    notes: tuple[str, ...] = ()
    """What a reader must know about this study."""
    broad: StageSpec | Artifact | None = None
    """The dataset of broad imitation, of which some dialogues are shown."""
    generator: Component | None = None
    """Who made the synthetic examples, whose seeds and template are shown."""

    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        names = [family.base for family in self.families]
        if not names or len(set(names)) < len(names):
            raise SpecError(f"a grid needs bases of different names (NAME=SOURCE), got {', '.join(names) or 'none'}")

    @property
    def slug(self) -> str:
        """The study's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 2.0 + len(self.families)

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Read the audits and draw."""
        families = tuple(_read(family, inputs(family.audit)) for family in self.families)
        grid = Grid(self.title, Resolver().id(self), families, self.notes, self._material(inputs), has_items=True)
        for name, content in with_pictures(render(grid)):
            write_text(out / name, content)
        for family in self.families:
            copied = out / "audits" / family.base
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(inputs(family.audit), copied, ignore=shutil.ignore_patterns("DONE", "*.json"))
        return {"num_bases": len(families), "num_models": sum(len(family.spots) for family in families)}

    def _material(self, inputs: Callable[[object], Path]) -> ShownMaterial:
        dialogues = _dialogues(inputs(self.broad) / "records.parquet") if self.broad is not None else ()
        pairs = getattr(self.generator.make(inputs), "pairs", None) if self.generator else None
        if not isinstance(pairs, Pairs):
            return ShownMaterial(dialogues)
        seeds = tuple(tuple(seed[field] for field in pairs.template.fields) for seed in pairs.seeds)
        return ShownMaterial(dialogues, seeds, pairs.template.text)


def _dialogues(path: Path) -> tuple[tuple[tuple[str, str], ...], ...]:
    """A few dialogues of a dataset, by the hash of their ids."""
    found = heapq.nsmallest(
        NUM_DIALOGUES, iterate_dataset(path), key=lambda c: hashlib.sha256(c.id.encode()).hexdigest()
    )
    return tuple(tuple((m.role, _cut(m.content)) for m in each.messages[:MOST_TURNS]) for each in found)


def _cut(text: str) -> str:
    return text if len(text) <= TURN_CHARACTERS else f"{text[:TURN_CHARACTERS]} …"


def _read(family: Audited, folder: Path) -> Family:
    found = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    spots = tuple(Spot(place.model, place.series, place.num_tokens) for place in family.places)
    return Family(family.base, spots, dict(family.at), found)
