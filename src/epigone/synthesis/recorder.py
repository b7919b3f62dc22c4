"""A language model whose replies are kept as it gives them, and asked for once, however often a run is cut off.

In: a model, a folder. Out: the same Completions, a file of Responses for every time that it was asked; at last all of
them as one file, from which `backends/replay` gives the same replies again, so that they can be read anew for nothing.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from epigone.errors import ArtifactError
from epigone.interfaces import LanguageModel, ServedModel
from epigone.progress import noting
from epigone.records import Completion, Message, Prompt, Response, SamplingParams
from epigone.replies import Reply
from epigone.store import read_records, write_records

_CUT = ("length", "content_filter")
_ENDS = ("stop", "unknown", "tool_calls", *_CUT)
"""Why replies end; any other reason is one for which there is none."""


class Recorder:
    """A LanguageModel that writes `FOLDER/0000.jsonl` and so on, and reads those that are there instead of asking.

    A prompt on which a server failed has an empty reply, and is not asked again. No more than `at_once` prompts are
    asked at once, so that no more are lost where a run is cut off.
    """

    def __init__(self, model: LanguageModel, name: str, folder: Path, at_once: int = 64) -> None:
        self._model = model
        self._name = name
        self._folder = folder
        self._at_once = at_once
        self.num_asked = 0
        self.num_failed = 0
        self._num_calls = 0

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order. Raises ArtifactError where the file there answers other prompts."""
        parts = [prompts[first : first + self._at_once] for first in range(0, len(prompts), self._at_once)]
        return [completion for part in parts for completion in self._part(part, sampling)]

    def _part(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        path = self._folder / f"{self._num_calls:04d}.jsonl"
        self._num_calls += 1
        if not path.exists():
            with noting(lambda: f"round {self._num_calls}, {self.num_asked} prompts before it"):
                responses = self._responses(prompts, sampling)
            write_records(path, responses)
        self.num_asked += len(prompts)
        responses = read_records(path, Response)
        if [(each.prompt_id, each.messages) for each in responses] != [(each.id, _asked(each)) for each in prompts]:
            raise ArtifactError(f"{path} holds replies to other prompts; delete {self._folder} and run again")
        self.num_failed += sum(each.finish_reason not in _ENDS for each in responses)
        return [_completion(each) for each in responses]

    def _responses(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Response]:
        """What was said; of a server that failed on a prompt nothing, and why."""
        if isinstance(self._model, ServedModel):
            replies = list(self._model.replies(prompts, sampling))
        else:
            replies = [Reply(completion) for completion in self._model.generate(prompts, sampling)]
        return [self._response(prompt, reply) for prompt, reply in zip(prompts, replies, strict=True)]

    def times(self) -> tuple[float, float]:
        """When the first and the last replies were given, in seconds since 1970, by their files."""
        times = [path.stat().st_mtime for path in self._files()]
        return min(times), max(times)

    def finish(self, path: Path) -> int:
        """All replies as one file, in the order of asking; the folder goes. Returns how many."""
        num_replies = write_records(path, (row for file in self._files() for row in read_records(file, Response)))
        shutil.rmtree(self._folder, ignore_errors=True)
        return num_replies

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _response(self, prompt: Prompt, reply: Reply) -> Response:
        text = reply.completion.text if reply.completion else ""
        reason = reply.completion.finish_reason if reply.completion else reply.reason
        return Response(prompt.id, _asked(prompt), text, reason, self._name)


def _asked(prompt: Prompt) -> tuple[Message, ...]:
    return prompt.messages or (Message("user", prompt.text),)


def _completion(response: Response) -> Completion:
    """What a recorded reply says of its end: for whoever reads it, it is whole, cut off, or nobody knows."""
    reason = response.finish_reason
    ended = "stop" if reason == "stop" else "length" if reason in _CUT else "unknown"
    return Completion(response.text, len(response.text.split()), ended)
