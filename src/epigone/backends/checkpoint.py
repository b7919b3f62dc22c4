"""A checkpoint folder that answers in this process: students and base models.

In: a folder in the published layout (config.json, model.safetensors, tokenizer.json), or a .gguf file. A prompt's
`messages` go through the chat template that the checkpoint was published with and the reply ends at its end token; a
prompt's `text` is continued as it is, behind what the model was trained to see before any text (`<bos>`), if anything.
Out: Completions with their mean log-probability, and Likelihoods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from epigone.decoding.engine import Continuation, Engine
from epigone.decoding.stops import cut, is_over
from epigone.decoding.texts import Texts
from epigone.interfaces import ChatTemplate
from epigone.models.hub import here
from epigone.models.weights import load_checkpoint
from epigone.parallel.mesh import make_mesh
from epigone.records import Completion, Likelihood, Prompt, SamplingParams


@dataclass(frozen=True)
class Checkpoint:
    """A LikelihoodModel; weights are read at the first question.

    `num_tokens` of a Completion counts the end token too, and `mean_logprob` is the mean over exactly these tokens.
    """

    path: str
    """Folder of the checkpoint, a .gguf file, or hf://OWNER/NAME[@REVISION] on the model hub."""
    batch_size: int = 64
    """Rows computed at once, whatever is asked."""
    template: ChatTemplate | None = None
    """How messages are written; None: as the checkpoint was published, or by special tokens."""
    mesh: str = ""
    """Devices that hold the model together, `data,fsdp,tensor` as in training; empty: one."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order.

        Raises WorkError for a prompt that leaves no room for `sampling.max_tokens`.
        """
        seconds = [0.0] * len(prompts)
        continuations = self._engine.generate(
            [self._texts.ids(prompt) for prompt in prompts],
            max_new_tokens=sampling.max_tokens,
            end_ids=self._texts.end_ids,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=sampling.seed,
            is_over=is_over(self._texts.decode, sampling.stop),
            names=[prompt.id for prompt in prompts],
            on_done=seconds.__setitem__,
        )
        return [self._completion(c, sampling.stop, took) for c, took in zip(continuations, seconds, strict=True)]

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        """Likelihood of each continuation after its prompt, in order; in chat form without the end token."""
        pairs = [self._texts.pair(prompt, continuation) for prompt, continuation in requests]
        return self._likelihoods(pairs, [prompt.id for prompt, _ in requests])

    @property
    def num_positions(self) -> int:
        """The most tokens of prompt and continuation together."""
        return self._engine.model.config.max_positions

    def token_ids(self, prompt: Prompt, continuation: str = "") -> tuple[list[int], list[int]]:
        """Ids of what is read for a prompt, and of the continuation behind it, as `loglikelihood` scores them."""
        return self._texts.pair(prompt, continuation) if continuation else (self._texts.ids(prompt), [])

    def rolling_loglikelihood(self, texts: Sequence[str]) -> list[Likelihood]:
        """Likelihood of whole texts, every token once, in windows of the model's positions, the first behind `<bos>`.

        Where nothing opens a text, the token that the checkpoint names bos or eos stands in its place.
        Source: loglikelihood_rolling of https://github.com/EleutherAI/lm-evaluation-harness.
        """
        windows = [self._texts.windows(text, self.num_positions) for text in texts]
        names = [f"text {number}" for number, each in enumerate(windows) for _ in each]
        found = iter(self._likelihoods([pair for each in windows for pair in each], names))
        return [_summed([next(found) for _ in each]) for each in windows]

    def _likelihoods(self, pairs: Sequence[tuple[list[int], list[int]]], names: Sequence[str]) -> list[Likelihood]:
        scored = self._engine.token_scores(pairs, num_top=1, names=names)
        return [
            Likelihood(
                sum(scores.logprobs),
                len(tail),
                all(token == best[0][0] for token, best in zip(tail, scores.top, strict=True)),
            )
            for scores, (_, tail) in zip(scored, pairs, strict=True)
        ]

    @cached_property
    def _engine(self) -> Engine:
        return Engine(load_checkpoint(here(self.path), make_mesh(self.mesh) if self.mesh else None), self.batch_size)

    @cached_property
    def _texts(self) -> Texts:
        return Texts(here(self.path), self.template)

    def _completion(self, continuation: Continuation, stops: Sequence[str], seconds: float) -> Completion:
        text, stopped = cut(self._texts.decode(continuation.tokens), stops)
        return Completion(
            text=text,
            num_tokens=len(continuation.tokens),
            finish_reason="stop" if stopped else continuation.finish_reason,
            mean_logprob=continuation.mean_logprob,
            seconds=seconds,
        )


def _summed(parts: Sequence[Likelihood]) -> Likelihood:
    total, count = sum(part.logprob for part in parts), sum(part.num_tokens for part in parts)
    return Likelihood(float(total), count, all(part.is_greedy for part in parts))
