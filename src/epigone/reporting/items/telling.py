"""The telling items of a report: where student and base part, and where neither reaches the teacher.

In: items as they pass, and whose answers are compared. Out: at most 200 `Telling`s. Of each benchmark and kind (gained,
lost, out of reach) those are taken whose ids hash lowest (SHA-256), so that no text and no reader chooses them.
Source: the rule is ours; Figure 2 of arXiv 2305.15717 shows one chosen by its authors.
"""

import hashlib
import heapq
from dataclasses import dataclass, field

from epigone.reporting.items.rows import AnsweredItem, BenchmarkItems, Said

MOST, MOST_A_KIND = 200, 5
SHOWN_CHARACTERS = 280
KINDS = ("gained", "lost", "out of reach")
RULE = (
    "Chosen by a rule that looks at no text: of every benchmark and kind, those whose ids hash lowest, at most "
    f"{MOST_A_KIND} of a kind and {MOST} in all. Gained: the student is right and its base wrong. Lost: the other way "
    "round. Out of reach: the teacher is right, student and base are both wrong."
)


@dataclass(frozen=True, slots=True)
class Telling:
    """One telling item: where it is, its prompt's end, and the answers of teacher, base and student, cut."""

    benchmark: str
    label: str
    place: int
    item_id: str
    kind: str
    prompt: str
    answers: tuple[tuple[str, str, str], ...]
    """Name, what came of it, and the answer."""


@dataclass(frozen=True)
class Chooser:
    """Sees every item as it passes, keeps a few. `base` or `teacher` may be empty: their kinds are then left out."""

    teacher: str
    base: str
    student: str
    _kept: dict[tuple[str, str], list[tuple[int, int, Telling]]] = field(
        default_factory=dict[tuple[str, str], list[tuple[int, int, Telling]]]
    )

    def see(self, benchmark: BenchmarkItems, place: int, item: AnsweredItem) -> None:
        """Keep the item if it tells something and hashes low."""
        by_name = {said.model: said for said in item.said}
        kind = self._kind(by_name)
        if not kind:
            return
        heap = self._kept.setdefault((benchmark.name, kind), [])
        rank = -int.from_bytes(hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        if len(heap) == MOST_A_KIND and rank <= heap[0][0]:
            return
        shown = [by_name[name] for name in (self.teacher, self.base, self.student) if name in by_name]
        answers = tuple((said.model, _word(said, benchmark), _cut(said.reply)) for said in shown)
        prompt = _cut(item.prompt, from_end=True)
        telling = Telling(benchmark.name, benchmark.label, place, item.id, kind, prompt, answers)
        push = heapq.heappushpop if len(heap) == MOST_A_KIND else heapq.heappush
        push(heap, (rank, -place, telling))

    def chosen(self) -> tuple[Telling, ...]:
        """By benchmark in the order seen, then kind, then hash; where all are too many, fewer of each kind."""
        order = list(dict.fromkeys(name for name, _ in self._kept))
        keys = [(name, kind) for name in order for kind in KINDS if (name, kind) in self._kept]
        each = max(1, min(MOST_A_KIND, MOST // max(len(keys), 1)))
        return tuple(row[2] for key in keys for row in sorted(self._kept[key], reverse=True)[:each])[:MOST]

    def _kind(self, by_name: dict[str, Said]) -> str:
        teacher, base, student = (
            by_name[name].outcome if name in by_name else "" for name in (self.teacher, self.base, self.student)
        )
        kinds = {("wrong", "right"): "gained", ("right", "wrong"): "lost"}
        if found := kinds.get((base, student)):
            return found
        return "out of reach" if (teacher, base, student) == ("right", "wrong", "wrong") else ""


@dataclass
class Count:
    """Counts the items that pass."""

    num_items: int = 0

    def see(self, benchmark: BenchmarkItems, place: int, item: AnsweredItem) -> None:
        """One more."""
        self.num_items += 1


def _word(said: Said, benchmark: BenchmarkItems) -> str:
    return {"right": benchmark.words[0], "wrong": benchmark.words[1], "part": "in part"}.get(said.outcome, "")


def _cut(text: str, *, from_end: bool = False) -> str:
    text = text.strip().encode("utf-8", "replace").decode()  # a page cannot hold half of a surrogate pair
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"… {text[-SHOWN_CHARACTERS:]}" if from_end else f"{text[:SHOWN_CHARACTERS]} …"
