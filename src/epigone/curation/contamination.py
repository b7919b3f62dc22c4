"""Decontamination: conversations that ask what an evaluation asks are dropped.

In: conversations, and evaluation files (JSON lines or arrays with a question, text, prompt, instruction, turns or
messages field). Out: the conversations, contaminated ones as Drops that name the file, the row and the score. Reads
ahead by a few thousand turns at most.
Source: "BLEU score greater than 20% with any training example", section 4.1 of the paper (arXiv 2305.15717), which
names neither tokeniser, smoothing nor direction; they are options here. Two texts with the same words in the same order
are always a match. Where one text holds the other and more, BLEU falls with the share that is not common: with the
training text as the hypothesis slowly (half of it: about 50), with the evaluation's fast (about 37), and the other way
round where the evaluation's text is the longer one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from epigone.curation import evaluation_prompts, normalise_query, texts_of
from epigone.errors import SpecError
from epigone.records import Conversation, Drop
from epigone.similarity import Settings, nearest_of_each

AHEAD = 512
"""Conversations that are compared at once."""

SIDES: dict[str, tuple[Literal["text", "prompt"], ...]] = {
    "training": ("text",),
    "evaluation": ("prompt",),
    "either": ("text", "prompt"),
}


@dataclass(frozen=True)
class Contamination:
    """Drops a conversation when one of its turns that count is near to an evaluation prompt, or has its words."""

    paths: str | Path | tuple[str | Path, ...]
    """Evaluation files whose prompts must not be trained on."""
    threshold: float | int | None = 20
    """Sentence BLEU in percent above which a turn is contaminated; None or 0 looks for equal words alone."""
    turns: Literal["user", "all"] = "user"
    """Whose turns are compared, each by itself: the user's, or everyone's."""
    hypothesis: Literal["training", "evaluation", "either"] = "training"
    """Which text BLEU takes as the hypothesis, the other being the reference; `either` takes the higher score."""
    tokenize: Literal["13a", "whitespace"] = "13a"
    """BLEU's tokeniser."""
    smoothing: Literal["none", "exp", "floor"] = "none"
    """BLEU's smoothing."""
    lowercase: bool = False
    """Whether BLEU ignores case."""

    def __post_init__(self) -> None:
        if not 0 <= (self.threshold or 0) < 100:
            raise SpecError(f"threshold {self.threshold!r}: a BLEU from 0 to below 100 is needed, in percent, or None")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order. Raises DataError for a row without a prompt."""
        texts, places = self._prompts()
        known = dict(zip(map(normalise_query, reversed(texts)), reversed(places)))
        stream = iter(conversations)
        while batch := list(islice(stream, AHEAD)):
            turns = [texts_of(conversation, self.turns) for conversation in batch]
            asked = [next((known[w] for w in map(normalise_query, t) if w in known), "") for t in turns]
            near = self._near(turns, texts, places) if self.threshold and texts else [""] * len(batch)
            for conversation, same, close in zip(batch, asked, near):
                detail = f"asks {same}" if same else close
                yield Drop(conversation.id, "contaminated", detail) if detail else conversation

    def _prompts(self) -> tuple[list[str], list[str]]:
        """What the evaluations ask, and where each stands."""
        paths = (self.paths,) if isinstance(self.paths, str | Path) else self.paths
        asked = [
            (message.content, f"{path.name} row {number}")
            for path in map(Path, paths)
            for number, messages, _ in evaluation_prompts(path)
            for message in messages
            if message.role == "user"
        ]
        return [text for text, _ in asked], [place for _, place in asked]

    def _near(self, turns: list[list[str]], texts: list[str], places: list[str]) -> list[str]:
        """For each conversation its highest score above the threshold and the prompt it is with, or nothing."""
        settings = Settings(smoothing=self.smoothing, tokenize=self.tokenize, lowercase=self.lowercase)
        flat = [text for group in turns for text in group]
        found = [nearest_of_each(flat, texts, settings, hypothesis=side) for side in SIDES[self.hypothesis]]
        scored = [zip(each.scores.tolist(), each.partners.tolist()) for each in found]
        best = iter([max(pairs) for pairs in zip(*scored)])
        highest = [max([next(best) for _ in group], default=(0.0, -1)) for group in turns]
        near = [score > (self.threshold or 0) for score, _ in highest]
        return [f"BLEU {score:.1f} with {places[at]}" if so else "" for so, (score, at) in zip(near, highest)]
