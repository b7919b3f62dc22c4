"""Generation over slots with a KV cache, and log-likelihoods, over token ids.

In: a `Model` and rows of token ids. Out: one `Continuation`, log-likelihood or row of token scores each, in order. What
a row gets does not depend on its neighbours: only on its own tokens and seed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import jax

from epigone.decoding import prefixes, scoring
from epigone.decoding.ready import Ready
from epigone.decoding.sampling import row_seed
from epigone.decoding.shapes import num_rows
from epigone.decoding.slots import Request, Slots
from epigone.errors import WorkError
from epigone.models.family import Model
from epigone.models.layers import KVCache
from epigone.progress import tell


class Continuation(NamedTuple):
    """What was generated after one prompt. `tokens` ends with the end token where `finish_reason` is "stop".

    `mean_logprob` is the mean natural-log probability of all `tokens`, at temperature 1.
    """

    tokens: tuple[int, ...]
    finish_reason: Literal["stop", "length"]
    mean_logprob: float


class TokenScores(NamedTuple):
    """Natural-log probability of each token of a continuation, and the likeliest tokens in its place, best first."""

    logprobs: list[float]
    top: list[list[tuple[int, float]]]


@dataclass(frozen=True)
class Engine:
    """A model made ready to answer."""

    model: Model
    batch_size: int = 64
    """Rows computed at once, at most."""
    share_prefixes: bool = True
    """Whether what prompts begin with alike is read once; without, each prompt is read whole."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        end_ids: Sequence[int] = (),
        temperature: float | int = 0.0,
        top_p: float | int = 1.0,
        top_k: int = 0,
        seed: int = 0,
        is_over: Callable[[Sequence[int]], bool] | None = None,
        names: Sequence[str] = (),
        on_done: Callable[[int, float], None] | None = None,
    ) -> list[Continuation]:
        """Continue each prompt up to one of `end_ids`, a token where `is_over`, or `max_new_tokens`.

        A row's randomness is of seed and prompt. Raises WorkError for an empty prompt and for one that leaves no room;
        `names` name the prompts in the message; `on_done` hears of each row how many seconds it had its slot.
        """
        self.check_room(((prompt, max_new_tokens) for prompt in prompts), names)
        longest = max(map(len, prompts), default=0)
        slots = self.slots(num_rows(len(prompts), self.batch_size), longest + max_new_tokens, end_ids=end_ids)
        asked: dict[int, int] = {}
        for row in self._order(prompts):
            own_seed = row_seed(prompts[row], seed)
            request = Request(prompts[row], max_new_tokens, temperature, top_p, top_k, own_seed, is_over)
            asked[slots.submit(request)] = row
        found: dict[int, Continuation] = {}
        drawn: dict[int, tuple[list[int], float]] = {ticket: ([], 0.0) for ticket in asked}
        began: dict[int, float] = {}
        while not slots.is_idle:
            before, events, after = time.monotonic(), slots.step(), time.monotonic()
            for event in events:
                began.setdefault(event.ticket, before)
                tokens, total = drawn[event.ticket]
                drawn[event.ticket] = [*tokens, *event.tokens], total + sum(event.logprobs)
                if event.finish_reason:
                    tokens, total = drawn.pop(event.ticket)
                    row = asked[event.ticket]
                    found[row] = Continuation(tuple(tokens), event.finish_reason, total / len(tokens))
                    if on_done:
                        on_done(row, after - began[event.ticket])
            tell(len(found), len(prompts), "prompts")
        return [found[row] for row in range(len(prompts))]

    def slots(self, num_slots: int, capacity: int, *, end_ids: Sequence[int] = (), num_steps: int = 0) -> Slots:
        """Slots for rows of `capacity` tokens, prompt and reply together; `num_steps` as in `Slots`, 0 its own."""
        steps = {"num_steps": num_steps} if num_steps else {}
        return Slots(self.ready, num_slots, capacity, end_ids=end_ids, share_prefixes=self.share_prefixes, **steps)

    def loglikelihood(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, names: Sequence[str] = ()
    ) -> list[float]:
        """Natural-log probability of each continuation (second of a pair) after its prefix, summed over its tokens.

        Raises WorkError for an empty prefix or continuation, and for a pair longer than the model's positions.
        """
        return [sum(scores.logprobs) for scores in self.token_scores(pairs, names=names)]

    def token_scores(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, num_top: int = 0, names: Sequence[str] = ()
    ) -> list[TokenScores]:
        """The same for every token of the continuation, with the `num_top` likeliest tokens in its place."""
        self.check_room(((prefix, len(continuation)) for prefix, continuation in pairs), names)
        found = [TokenScores([], []) for _ in pairs]
        read: tuple[Sequence[int], KVCache | None] = ((), None)
        num_done = 0
        for batch in scoring.batches(pairs, self.batch_size, share_prefixes=self.share_prefixes):
            if batch.shared != read[0]:
                read = batch.shared, self.ready.remember(batch.shared) if batch.shared else None
            scored = jax.device_get(self.ready.score(batch.marked, read[1], len(batch.shared), num_top))
            for place, asked in enumerate(batch.asked):
                for at, pair in enumerate(asked):
                    best = zip(scored.top_tokens[place, at].tolist(), scored.top_logprobs[place, at].tolist())
                    found[pair].logprobs.append(float(scored.logprobs[place, at]))
                    found[pair].top.append(list(best))
                num_done += len(set(asked))
            tell(num_done, len(pairs), "continuations")
        return found

    @cached_property
    def ready(self) -> Ready:
        """The model with its compiled calls."""
        return Ready(self.model)

    def check_room(self, rows: Iterator[tuple[Sequence[int], int]], names: Sequence[str] = ()) -> None:
        """Raises WorkError for an empty prompt, nothing to come, or more than the model's positions."""
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

    def _order(self, prompts: Sequence[Sequence[int]]) -> list[int]:
        """Rows that begin alike together, and those of like length."""
        if not self.share_prefixes:
            return sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        groups = prefixes.grouped(prompts)
        groups.sort(key=lambda group: (bool(group.length), len(prompts[group.rows[0]])))
        return [row for group in groups for row in group.rows]
