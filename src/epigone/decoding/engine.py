"""Batched generation with a KV cache, and log-likelihoods, over token ids.

In: a `Model` and rows of token ids. Out: one `Continuation` or log-likelihood a row, in order. Rows are sorted by
length and padded to a length bucket and to a fixed batch size, so that few shapes are compiled and a row is computed in
the same shape whoever its neighbours are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from epigone.decoding import loop
from epigone.decoding.sampling import row_seed
from epigone.errors import WorkError
from epigone.models.family import Model
from epigone.progress import tell

LENGTHS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Continuation(NamedTuple):
    """What was generated after one prompt. `tokens` ends with the end token where `finish_reason` is "stop".

    `mean_logprob` is the mean natural-log probability of all `tokens`, at temperature 1.
    """

    tokens: tuple[int, ...]
    finish_reason: Literal["stop", "length"]
    mean_logprob: float


@dataclass(frozen=True)
class Engine:
    """A model made ready to answer. `batch_size` rows are computed at once, always."""

    model: Model
    batch_size: int = 64

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        end_ids: Sequence[int] = (),
        temperature: float = 0.0,
        seed: int = 0,
        names: Sequence[str] = (),
    ) -> list[Continuation]:
        """Continue each prompt up to one of `end_ids` or `max_new_tokens`. A row's randomness is of seed and prompt.

        Raises WorkError for an empty prompt and for one that leaves no room; `names` name the prompts in the message.
        """
        self._check_room(((prompt, max_new_tokens) for prompt in prompts), names)
        is_end_V = jnp.zeros(self.model.config.vocab_size, bool).at[jnp.asarray(end_ids, int)].set(True)
        found: dict[int, Continuation] = {}
        for length, rows in _batches([len(prompt) for prompt in prompts], self.batch_size):
            asked = loop.Asked(
                self._pad([prompts[row] for row in rows], length),
                self._column([len(prompts[row]) for row in rows]),
                self._column([row_seed(prompts[row], seed) for row in rows]).view(jnp.uint32),
                is_end_V,
                jnp.float32(temperature),
                jnp.int32(max_new_tokens),
            )
            drawn = loop.generate(
                self.model.params,
                asked,
                family=self.model.family,
                config=self.model.config,
                num_slots=length + bucket(max_new_tokens),
            )
            found |= zip(rows, _continuations(drawn), strict=False)
            tell(len(found), len(prompts), "prompts")
        return [found[row] for row in range(len(prompts))]

    def loglikelihood(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, names: Sequence[str] = ()
    ) -> list[float]:
        """Natural-log probability of each continuation (second of a pair) after its prefix, summed over its tokens.

        Raises WorkError for an empty prefix or continuation, and for a pair longer than the model's positions.
        """
        self._check_room(((prefix, len(continuation)) for prefix, continuation in pairs), names)
        texts = [[*prefix, *continuation] for prefix, continuation in pairs]
        found: dict[int, float] = {}
        for length, rows in _batches([len(text) for text in texts], self.batch_size):
            sums_B = loop.score(
                self.model.params,
                self._pad([texts[row] for row in rows], length),
                self._column([len(pairs[row][0]) for row in rows]),
                self._column([len(texts[row]) for row in rows]),
                family=self.model.family,
                config=self.model.config,
            )
            found |= zip(rows, np.asarray(sums_B).tolist(), strict=False)
            tell(len(found), len(pairs), "continuations")
        return [found[row] for row in range(len(pairs))]

    def _check_room(self, rows: Iterator[tuple[Sequence[int], int]], names: Sequence[str]) -> None:
        positions = self.model.config.max_positions
        for index, (prompt, num_new) in enumerate(rows):
            name = repr(names[index]) if names else f"number {index}"
            if not prompt or num_new < 1:
                raise WorkError(f"prompt {name} has {len(prompt)} tokens and {num_new} to come; both must be 1 or more")
            if len(prompt) + num_new > positions:
                raise WorkError(
                    f"prompt {name} has {len(prompt)} tokens and {num_new} to come, but the model has {positions} "
                    "positions; shorten the prompt (fewer shots) or ask for fewer tokens"
                )

    def _pad(self, rows: Sequence[Sequence[int]], length: int) -> Int[Array, "B T"]:
        tokens_BT = np.zeros((self.batch_size, length), np.int32)
        for row, tokens in enumerate(rows):
            tokens_BT[row, : len(tokens)] = tokens
        return jnp.asarray(tokens_BT)

    def _column(self, values: Sequence[int]) -> Int[Array, " B"]:
        column_B = np.zeros(self.batch_size, np.int64)
        column_B[: len(values)] = values
        return jnp.asarray(column_B.astype(np.uint32).view(np.int32))  # 32 bits, whatever the sign


def bucket(length: int) -> int:
    """The padded length of `length` tokens."""
    return next((b for b in LENGTHS if b >= length), -(-length // LENGTHS[-1]) * LENGTHS[-1])


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[tuple[int, list[int]]]:
    """(padded length, rows): each row in the bucket of its own length, whatever else is asked."""
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    for length, group in groupby(order, key=lambda row: bucket(lengths[row])):
        rows = list(group)
        for start in range(0, len(rows), batch_size):
            yield length, rows[start : start + batch_size]


def _continuations(drawn: loop.Drawn) -> Iterator[Continuation]:
    fetched = jax.device_get(drawn)
    for tokens, num, done, logprob in zip(fetched.tokens, fetched.num, fetched.done, fetched.logprob, strict=True):
        reason = "stop" if done else "length"
        yield Continuation(tuple(tokens[:num].tolist()), reason, float(logprob) / max(int(num), 1))
