"""Recorded answers, played back: what a teacher, a student or a base model said once is scored as often as one likes.

In: records.jsonl of Responses or Generations (or the artifact folder that holds it), or a file that was recorded
elsewhere (recordings/answers). Out: Completions, by prompt id, of a file from elsewhere also by the prompt's text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from epigone.errors import DataError, WorkError
from epigone.recordings.load import only_model, read_answers
from epigone.records import Completion, Generation, Prompt, SamplingParams
from epigone.rows import beginning, prompt_id_of, read_rows


@dataclass(frozen=True)
class Replay:
    """A LanguageModel. Sampling params are those of the recording: what is asked of it now changes nothing."""

    path: str
    """The records file, the folder that holds records.jsonl, or a file or folder that was recorded elsewhere."""
    sample: int = 0
    """Which of a teacher's independent answers to play."""
    model: str = ""
    """Which of several models that a file from elsewhere holds."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order; `num_tokens` counts words.

        Raises WorkError naming a prompt that has no recording.
        """
        found = [self._find(prompt) for prompt in prompts]
        if missing := [prompt.id for prompt, completion in zip(prompts, found, strict=True) if completion is None]:
            raise WorkError(
                f"no recorded answer for prompt {missing[0]!r} ({len(missing)} of {len(prompts)} are missing) "
                f"in {self._file}, sample {self.sample}; record them first"
            )
        return [completion for completion in found if completion is not None]

    def _find(self, prompt: Prompt) -> Completion | None:
        if prompt.id in self._recorded or self._is_ours:
            return self._recorded.get(prompt.id)
        asked = next((m.content for m in reversed(prompt.messages) if m.role == "user"), prompt.text)
        return self._recorded.get(prompt_id_of(asked))

    @property
    def _file(self) -> Path:
        records = Path(self.path) / "records.jsonl"
        return records if records.exists() else Path(self.path)

    @cached_property
    def _is_ours(self) -> bool:
        return self._file.name == "records.jsonl" or "prompt_id" in beginning(self._file)

    @cached_property
    def _recorded(self) -> dict[str, Completion]:
        recorded: dict[str, Completion] = {}
        if not self._is_ours:
            answers = only_model(read_answers(self._file).rows, self.model, "", self._file)
            return {key: _completion(answer) for answer in answers for key in _keys(answer)}
        for number, row in read_rows(self._file):
            if row.get("sample", 0) != self.sample:
                continue
            prompt_id, completion = _read(row, f"{self._file}: row {number}")
            if prompt_id in recorded:
                raise DataError(f"{self._file}: row {number} answers prompt {prompt_id!r} a second time")
            recorded[prompt_id] = completion
        return recorded


def _keys(answer: Generation) -> list[str]:
    """The ids that an answer is found by: the source's own, and its prompt's text."""
    asked = [message.content for message in answer.messages if message.role == "user"]
    return [answer.prompt_id, *(prompt_id_of(text) for text in asked[-1:])]


def _completion(answer: Generation) -> Completion:
    return Completion(answer.text, len(answer.text.split()), "unknown")


def _read(row: dict[str, object], where: str) -> tuple[str, Completion]:
    prompt_id, text = row.get("prompt_id"), row.get("text")
    if not isinstance(prompt_id, str) or not isinstance(text, str):
        raise DataError(f"{where} needs the strings prompt_id and text; it has: {', '.join(row)}")
    return prompt_id, Completion(text, len(text.split()), _finish_reason(row.get("finish_reason"), where))


def _finish_reason(value: object, where: str) -> Literal["stop", "length", "unknown"]:
    for allowed in ("stop", "length", "unknown"):
        if value == allowed:
            return allowed
    raise DataError(f"{where}: finish_reason is {value!r}; allowed: stop, length, unknown")
