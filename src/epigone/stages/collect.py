"""collect: ask a teacher every prompt and keep its answers (section 3 of the paper).

In: prompts (JSONL with messages), a teacher. Out: `responses/`: records.jsonl, and sharegpt.json, the same dialogues in
the format in which such data is published, so that curation reads them as it reads any dump.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from epigone.formats.messages import read_prompts
from epigone.interfaces import LanguageModel
from epigone.records import Completion, Prompt, Response, SamplingParams
from epigone.reporting.collection_card import card_of, carry_cards, source_of, write_card
from epigone.spec import Component, Input
from epigone.store import write_records, write_text

_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


@dataclass(frozen=True)
class Collect:
    """Options of a collection."""

    teacher: Component
    """Who is asked: a component of `backends`."""
    prompts: Input
    """JSON lines of conversations that end in a user turn."""
    name: str = "teacher"
    """What the teacher is called in records."""
    sample: int = 0
    """Tells independent answers to the same prompts apart."""
    max_tokens: int = 512
    """Longest answer."""
    terms: str = ""
    """The terms of the teacher's provider, in words or as an address; they go onto the card."""

    kind: ClassVar[str] = "responses"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """Teacher, prompts, sample."""
        return f"{self.name}-{Path(self.prompts.path).stem}-sample{self.sample}".replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Ask every prompt once. Empty answers are failures, kept apart from the responses."""
        teacher = self.teacher.make(inputs)
        assert isinstance(teacher, LanguageModel)
        prompts = read_prompts(inputs(self.prompts))
        sampling = SamplingParams(max_tokens=self.max_tokens, temperature=1.0, seed=self.sample)
        answered = list(zip(prompts, teacher.generate(prompts, sampling), strict=True))
        responses = [self._response(p, c) for p, c in answered if c.text.strip()]
        write_records(out / "records.jsonl", responses)
        write_records(out / "failed.jsonl", [p for p, c in answered if not c.text.strip()])
        write_text(out / "sharegpt.json", sharegpt_json(responses))
        drawn = {"temperature": sampling.temperature, "max_tokens": self.max_tokens, "sample": self.sample}
        source = inputs(self.prompts)
        told = {"prompts": source_of(source), "num_prompts": len(prompts), "num_answers": len(responses)}
        carry_cards([source], out)
        write_card(out, card_of(self.teacher, self.name, parameters=drawn, terms=self.terms, **told))
        return {"num_prompts": len(prompts), "num_kept": len(responses), "num_failed": len(prompts) - len(responses)}

    def _response(self, prompt: Prompt, completion: Completion) -> Response:
        return Response(
            prompt_id=prompt.id,
            messages=prompt.messages,
            text=completion.text,
            finish_reason=completion.finish_reason,
            model=self.name,
            sample=self.sample,
        )


def sharegpt_json(responses: list[Response]) -> str:
    """The dialogues as a ShareGPT array (id, conversations of from/value)."""
    entries: list[dict[str, object]] = []
    for response in responses:
        turns = [{"from": _SPEAKERS[m.role], "value": m.content} for m in response.messages]
        entries.append({"id": response.prompt_id, "conversations": [*turns, {"from": "gpt", "value": response.text}]})
    return json.dumps(entries, ensure_ascii=False, indent=1)
