"""Recorded answers, played back: what a teacher, a student or a base model said once is scored as often as one likes.

In: records.jsonl of Responses or Generations (or the artifact folder that holds it). Out: Completions, by prompt id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from epigone.errors import DataError, WorkError
from epigone.records import Completion, Prompt, SamplingParams
from epigone.rows import read_rows


@dataclass(frozen=True)
class Replay:
    """A LanguageModel. Sampling params are those of the recording: what is asked of it now changes nothing."""

    path: str
    """The records file, or the folder that holds records.jsonl."""
    sample: int = 0
    """Which of a teacher's independent answers to play."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order; `num_tokens` counts words.

        Raises WorkError naming a prompt that has no recording.
        """
        if missing := [prompt.id for prompt in prompts if prompt.id not in self._recorded]:
            raise WorkError(
                f"no recorded answer for prompt {missing[0]!r} ({len(missing)} of {len(prompts)} are missing) "
                f"in {self._file}, sample {self.sample}; record them first"
            )
        return [self._recorded[prompt.id] for prompt in prompts]

    @property
    def _file(self) -> Path:
        path = Path(self.path)
        return path / "records.jsonl" if path.is_dir() else path

    @cached_property
    def _recorded(self) -> dict[str, Completion]:
        recorded: dict[str, Completion] = {}
        for number, row in read_rows(self._file):
            if row.get("sample", 0) != self.sample:
                continue
            prompt_id, completion = _read(row, f"{self._file}: row {number}")
            if prompt_id in recorded:
                raise DataError(f"{self._file}: row {number} answers prompt {prompt_id!r} a second time")
            recorded[prompt_id] = completion
        return recorded


def _read(row: dict[str, object], where: str) -> tuple[str, Completion]:
    prompt_id, text = row.get("prompt_id"), row.get("text")
    if not isinstance(prompt_id, str) or not isinstance(text, str):
        raise DataError(f"{where} needs the strings prompt_id and text; it has: {', '.join(row)}")
    return prompt_id, Completion(text, len(text.split()), _finish_reason(row.get("finish_reason"), where))


def _finish_reason(value: object, where: str) -> Literal["stop", "length"]:
    for allowed in ("stop", "length"):
        if value == allowed:
            return allowed
    raise DataError(f"{where}: finish_reason is {value!r}; allowed: stop, length")
