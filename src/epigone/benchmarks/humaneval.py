"""HumanEval: a function's head and docstring, its body to be written, right where it passes the published check.

In: the published HumanEval.jsonl(.gz) {"task_id", "prompt", "entry_point", "canonical_solution", "test"}. Out: one
Score a problem; programs run in the sandbox, each for 3 s at most.
Sources: Chen et al. 2021 (arXiv 2107.03374) for items, stops, timeout and pass@k; https://github.com/openai/human-eval.
Chat models are asked for the whole function in a fenced block, which is a protocol of its own: cut at the stops of the
other one their replies would score about 0. 164 problems show differences of about 15 points, unpaired.
"""

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.decoding.stops import cut
from epigone.errors import SpecError
from epigone.interfaces import LanguageModel
from epigone.metrics.answers import protocol_id
from epigone.metrics.pass_at_k import pass_at_k
from epigone.records import Item, Message, Prompt, Sample, SamplingParams, Score
from epigone.rows import read_rows, text_field
from epigone.sandbox import REASONS, Limits, Outcome, Program, Sandbox

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
ASK = """Complete this Python function. Answer with the whole function in one fenced code block, imports included.

```python
{prompt}
```"""
NO_PROGRAM = Outcome("no_program", "no fenced block holds the function")
_FENCED = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)[^\n]*\n(?P<code>.*?)(?:^[ \t]*(?P=fence)|\Z)", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class HumanEval:
    """pass@k for each k, and beside it the share of samples that failed in each way.

    Metrics of an item: pass_at_1, pass_at_10 ... (unbiased), and wrong, error, timeout, memory, refused, no_program (a
    chat reply without the function). Every sample is kept: reply, program, reason, what was raised.
    """

    path: str | Path
    """The published JSON lines, gzipped or not."""
    chat: bool = False
    """Ask for the whole function as a user message, and take the last fenced block that holds it."""
    num_samples: int = 1
    """Independent samples a problem; several need a temperature above 0."""
    k: tuple[int, ...] = (1,)
    """The ks of pass@k, none above num_samples."""
    temperature: float | int = 0.0
    """Sampling temperature; 0 is greedy."""
    seed: int = 0
    """Seed of the first sample; each further one has the next."""
    max_tokens: int | None = None
    """Longest reply in tokens; unset: 512, in chat form 1,024."""
    limit: int | None = None
    """Use only the first `limit` problems."""
    timeout_seconds: float | int = 3
    """Longest run of a program and its check."""
    allow_unsandboxed: bool = False
    """Run programs without isolation where there is none: read epigone.sandbox first."""

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1 or max(self.k) > self.num_samples:
            raise SpecError(f"humaneval: k={self.k}, num_samples={self.num_samples}: each k is 1 to num_samples")
        if self.num_samples > 1 and self.temperature == 0:
            raise SpecError(
                f"humaneval: {self.num_samples} greedy samples are one sample; give a temperature, e.g. 0.8"
            )

    @property
    def protocol(self) -> str:
        """`humaneval-completion--hash` or `humaneval-chat--hash`, over prompt, stops, sampling and limits."""
        shape = {"ask": ASK if self.chat else "", "sampling": self._sampling(0), "limits": self._sandbox.limits}
        readable = "humaneval-chat" if self.chat else "humaneval-completion"
        return protocol_id(readable, num_samples=self.num_samples, checked="apart", **shape)

    def items(self) -> list[Item]:
        """The problems in file order. Raises DataError naming file, row and field."""
        return [problem.item for problem in self._problems()]

    def prompt(self, item: Item) -> Prompt:
        """What the model is asked for an item."""
        if self.chat:
            return Prompt(item.id, messages=(Message("user", ASK.format(prompt=item.question.strip())),))
        return Prompt(item.id, text=item.question)

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score a problem, in order. Raises WorkError, before anything is asked, where there is no isolation."""
        sandbox = self._sandbox
        sandbox.found  # noqa: B018 (raises)
        problems = self._problems()
        if items is not None:
            known = {problem.item.id: problem for problem in problems}
            problems = [known[item.id] for item in items]
        prompts = [self.prompt(problem.item) for problem in problems]
        drawn = [model.generate(prompts, self._sampling(number)) for number in range(self.num_samples)]
        replies = [[completions[row].text for completions in drawn] for row in range(len(problems))]
        sources = [[self._program(problem, reply) for reply in texts] for problem, texts in zip(problems, replies)]
        programs = [problem.program(s) for problem, several in zip(problems, sources) for s in several if s is not None]
        outcomes = iter(sandbox.run(programs))
        scores: list[Score] = []
        for problem, prompt, texts, several in zip(problems, prompts, replies, sources, strict=True):
            found = [NO_PROGRAM if source is None else next(outcomes) for source in several]
            samples = tuple(map(_sample, texts, several, found))
            scores.append(self._score(problem.item, prompt.text or prompt.messages[-1].content, samples))
        return scores

    @property
    def _sandbox(self) -> Sandbox:
        return Sandbox(Limits(timeout_seconds=self.timeout_seconds), allow_unsandboxed=self.allow_unsandboxed)

    def _sampling(self, number: int) -> SamplingParams:
        max_tokens = self.max_tokens or (1024 if self.chat else 512)
        stops = () if self.chat else STOPS
        return SamplingParams(max_tokens, float(self.temperature), self.seed + number, stops)

    def _problems(self) -> list["_Problem"]:
        rows = read_rows(Path(self.path))
        return [_problem(row, f"{self.path}: row {number}") for number, row in rows][: self.limit]

    def _program(self, problem: "_Problem", reply: str) -> str | None:
        """The program that a reply makes; None where it has none."""
        if not self.chat:
            return problem.item.question + cut(reply, STOPS)[0]
        found = function_in(reply, problem.entry_point)
        return None if found is None else f"{problem.preamble}\n{found}"

    def _score(self, item: Item, prompt: str, samples: tuple[Sample, ...]) -> Score:
        reasons = [sample.reason for sample in samples]
        metrics = {f"pass_at_{k}": pass_at_k(len(samples), reasons.count("passed"), k) for k in self.k}
        failed = (*(reason for reason in REASONS if reason != "passed"), NO_PROGRAM.reason)
        metrics |= {reason: reasons.count(reason) / len(samples) for reason in failed}
        return Score(item.id, metrics, prompt, samples[0].reply, samples[0].parsed, samples=samples)


def function_in(reply: str, entry_point: str) -> str | None:
    """The code of the last fenced block of a reply that defines the function; of a reply without fences, all of it.

    A block that was never closed ends with the reply. None where the function is nowhere.
    """
    defines = re.compile(
        rf"^[ \t]*(?:(?:async[ \t]+)?def[ \t]+{entry_point}[ \t]*\(|{entry_point}[ \t]*=)", re.MULTILINE
    )
    blocks = [textwrap.dedent(found["code"]) for found in _FENCED.finditer(reply)]
    if not blocks and _is_python(reply):
        blocks = [reply]
    return next((block for block in reversed(blocks) if defines.search(block)), None)


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


@dataclass(frozen=True)
class _Problem:
    """A row: the item, and what its check needs."""

    item: Item
    entry_point: str
    test: str

    @property
    def preamble(self) -> str:
        """What stands in the prompt before the function: imports, and functions that it may use."""
        return self.item.question.rpartition(f"def {self.entry_point}(")[0]

    def program(self, source: str) -> Program:
        """A source, and the published check beside the prompt's own imports and functions."""
        return Program(source, self.entry_point, self.test, prelude=self.item.question)


def _problem(row: dict[str, object], where: str) -> _Problem:
    text = {name: text_field(row, name, where) for name in ("task_id", "prompt", "entry_point", "test")}
    return _Problem(Item(text["task_id"], text["prompt"]), text["entry_point"], text["test"])


def _sample(reply: str, source: str | None, outcome: Outcome) -> Sample:
    return Sample(reply, source or "", outcome.reason, outcome.detail)
