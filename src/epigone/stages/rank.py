"""rank: a model's independent answers to each prompt, put in order by a judge who compares them two by two.

In: several generations of one model on the same prompts, a judge. Out: `rankings/`: records.jsonl, of every prompt its
answers from best to worst with their points; dropped.jsonl, prompts with fewer than two answers; best.jsonl, the best
answers as dialogues that `curate` reads. Best-of-n imitation learns those; `tokenize_pairs` makes pairs of best and
worst. Source: section 5 of the paper, which leaves a teacher's judgments to be tried; the best of several as in
arXiv 2307.09288, section 3.2.3.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.errors import DataError, SpecError, WorkError
from epigone.interfaces import Judge, StageSpec
from epigone.ranking import Ranking, ranked
from epigone.records import Drop, Generation, Prompt
from epigone.spec import Artifact, Component
from epigone.store import read_records, write_records, write_text


@dataclass(frozen=True)
class Rank:
    """Options of a ranking."""

    samples: tuple[StageSpec | Artifact, ...]
    """Generations of one model on the same prompts, each with a seed of its own."""
    judge: Component
    """Who compares: a component of `judges`."""
    name: str
    """Whose answers, for people."""

    kind: ClassVar[str] = "rankings"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if len(self.samples) < 2:
            raise SpecError(f"{self.name}: {len(self.samples)} answers a prompt cannot be compared; give two or more")

    @property
    def slug(self) -> str:
        """Whose answers, and how many a prompt."""
        return f"{self.name}-best-of-{len(self.samples)}".replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Compare every two different answers; an empty one is missing, never the worst.

        Raises DataError where the samples' prompts differ, WorkError where nothing could be compared.
        """
        judge = self.judge.make(inputs)
        assert isinstance(judge, Judge)
        samples = [read_records(inputs(sample) / "records.jsonl", Generation) for sample in self.samples]
        for sample in samples[1:]:
            if [g.prompt_id for g in sample] != [g.prompt_id for g in samples[0]]:
                raise DataError(f"{self.name}: the samples answer different prompts; generate them from one file")
        rankings: list[Ranking] = []
        dropped: list[Drop] = []
        for answers in zip(*samples, strict=True):
            asked = answers[0]
            texts = list(dict.fromkeys(g.text for g in answers if g.text.strip()))
            if len(texts) > 1:
                rankings.append(ranked(judge, Prompt(asked.prompt_id, asked.messages), texts))
            else:
                dropped.append(Drop(asked.prompt_id, "fewer than two different answers", f"{len(texts)}"))
        if not rankings:
            raise WorkError(f"{self.name}: no prompt has two different answers; sample at a higher temperature")
        write_records(out / "records.jsonl", rankings)
        write_records(out / "dropped.jsonl", dropped)
        write_text(out / "best.jsonl", "".join(_dialogue(ranking) for ranking in rankings))
        return {
            "num_prompts": len(samples[0]),
            "num_ranked": len(rankings),
            "num_dropped": len(dropped),
            "num_decided": sum(ranking.is_decided for ranking in rankings),
        }


def _dialogue(ranking: Ranking) -> str:
    turns = [{"role": m.role, "content": m.content} for m in ranking.messages]
    turns.append({"role": "assistant", "content": ranking.answers[0]})
    return json.dumps({"id": ranking.prompt_id, "messages": turns}, ensure_ascii=False) + "\n"
