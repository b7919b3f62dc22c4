"""What a collection asks, and what it came to: dialogues in turns, a tally, the dialogues as published data.

In: conversations; responses and failures. Out: turns to ask; counts for summary.json; a ShareGPT array.
"""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from epigone.records import Message, Response
from epigone.replies import Failure, RawReply

_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system", "tool": "tool"}


@dataclass(frozen=True)
class Dialogue:
    """What is said to the teacher, in turns: each is followed by the teacher's answer."""

    id: str
    turns: tuple[tuple[Message, ...], ...]

    @classmethod
    def of(cls, dialogue_id: str, messages: Sequence[Message], turns: str) -> "Dialogue":
        """A conversation's turns: as it is, up to its first user turn, or each user turn (others' answers left out)."""
        if turns == "last":
            return cls(dialogue_id, (tuple(messages),) if messages and messages[-1].role == "user" else ())
        found: list[tuple[Message, ...]] = []
        said: tuple[Message, ...] = ()
        for message, after in zip(messages, [*messages[1:], None], strict=True):
            said += (message,) if message.role in ("system", "user") else ()
            if message.role == "user" and (after is None or after.role != "user"):
                found.append(said)
                said = ()
        return cls(dialogue_id, tuple(found[:1] if turns == "first" else found))


@dataclass
class Tally:
    """What a collection came to, counted."""

    num_kept: int = 0
    num_with_reasoning: int = 0
    reasons: Counter[str] = field(default_factory=Counter[str])
    tokens_in: int = 0
    tokens_out: int = 0
    num_uncounted: int = 0
    """Replies of which the server did not say how many tokens they took."""
    seconds: list[float] = field(default_factory=list[float])
    """Of each reply."""

    def count(self, outcome: Response | Failure) -> None:
        """Take note of what became of a prompt."""
        if isinstance(outcome, Failure):
            self.reasons[outcome.reason] += 1
        else:
            self.num_kept += 1
            self.num_with_reasoning += bool(outcome.reasoning)

    def add(self, raw: RawReply) -> None:
        """Take note of what a reply took."""
        self.tokens_in += raw.tokens_in or 0
        self.tokens_out += raw.tokens_out or 0
        self.num_uncounted += raw.tokens_out is None
        self.seconds.append(raw.seconds)

    @property
    def num_asked(self) -> int:
        """Prompts, once for each sample."""
        return self.num_kept + self.reasons.total()

    @property
    def coverage(self) -> float:
        """Share of the prompts that have an answer; 1 where nothing was asked."""
        return self.num_kept / self.num_asked if self.num_asked else 1.0

    def summary(self) -> dict[str, object]:
        """The counts for summary.json."""
        found: dict[str, object] = {
            "num_prompts": self.num_asked,
            "num_kept": self.num_kept,
            "num_failed": self.reasons.total(),
            "failures": dict(sorted(self.reasons.items())),
            "coverage": self.coverage,
            "num_with_reasoning": self.num_with_reasoning,
        }
        if not self.seconds:
            return found
        return found | {
            "num_replies": len(self.seconds),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "num_uncounted": self.num_uncounted,
            "median_seconds": round(statistics.median(self.seconds), 3),
        }


class ShareGPTWriter:
    """The dialogues as a ShareGPT array (id, conversations of from/value), one by one; a context."""

    def __init__(self, path: Path, *, has_samples: bool) -> None:
        self._path, self._partial = path, path.with_name(path.name + ".partial")
        self._has_samples = has_samples
        self._handle = self._partial.open("w", encoding="utf-8")
        self._between = "[\n"

    def __enter__(self) -> "ShareGPTWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._handle as handle:
            handle.write("[]" if self._between == "[\n" else "\n]")
        if kind is None:
            self._partial.rename(self._path)

    def write(self, response: Response) -> None:
        """Add one; several samples of a prompt have ids of their own."""
        turns = [{"from": _SPEAKERS[m.role], "value": m.content} for m in response.messages]
        name = f"{response.prompt_id}-sample{response.sample}" if self._has_samples else response.prompt_id
        entry = {"id": name, "conversations": [*turns, {"from": "gpt", "value": response.text}]}
        self._handle.write(self._between + json.dumps([entry], ensure_ascii=False, indent=1)[2:-2])
        self._between = ",\n"
