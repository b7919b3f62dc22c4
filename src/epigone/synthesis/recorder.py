"""A language model whose replies are kept as it gives them, and asked for once, however often a run is cut off.

In: a model, a folder. Out: the same Completions, a file of Responses for every time that it was asked; at last all of
them as one file, from which `backends/replay` gives the same replies again, so that they can be read anew for nothing.
"""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from epigone.errors import ArtifactError
from epigone.interfaces import LanguageModel
from epigone.progress import noting
from epigone.records import Completion, Message, Prompt, Response, SamplingParams
from epigone.store import read_records, write_records


class Recorder:
    """A LanguageModel that writes `FOLDER/0000.jsonl` and so on, and reads those that are there instead of asking.

    No more than `at_once` prompts are asked at once, so that no more are lost where a run is cut off.
    """

    def __init__(self, model: LanguageModel, name: str, folder: Path, at_once: int = 64) -> None:
        self._model = model
        self._name = name
        self._folder = folder
        self._at_once = at_once
        self.num_asked = 0
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
                completions = self._model.generate(prompts, sampling)
            write_records(path, map(self._response, prompts, completions))
        self.num_asked += len(prompts)
        responses = read_records(path, Response)
        if [(each.prompt_id, each.messages) for each in responses] != [(each.id, _asked(each)) for each in prompts]:
            raise ArtifactError(f"{path} holds replies to other prompts; delete {self._folder} and run again")
        return [_completion(each) for each in responses]

    def days(self) -> tuple[str, str]:
        """The first and the last day (UTC, ISO 8601) on which a reply was given; empty where there is none."""
        days = sorted(datetime.fromtimestamp(p.stat().st_mtime, UTC).date().isoformat() for p in self._files())
        return (days[0], days[-1]) if days else ("", "")

    def finish(self, path: Path) -> int:
        """All replies as one file, in the order of asking; the folder goes. Returns how many."""
        num_replies = write_records(path, (row for file in self._files() for row in read_records(file, Response)))
        shutil.rmtree(self._folder, ignore_errors=True)
        return num_replies

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.jsonl"))

    def _response(self, prompt: Prompt, completion: Completion) -> Response:
        return Response(prompt.id, _asked(prompt), completion.text, completion.finish_reason, self._name)


def _asked(prompt: Prompt) -> tuple[Message, ...]:
    return prompt.messages or (Message("user", prompt.text),)


def _completion(response: Response) -> Completion:
    reason = response.finish_reason
    ended = "length" if reason == "length" else "stop" if reason == "stop" else "unknown"
    return Completion(response.text, len(response.text.split()), ended)
