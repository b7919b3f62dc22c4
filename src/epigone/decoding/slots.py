"""Fixed slots of a KV cache, refilled as rows finish: requests join and leave while others run.

In: requests, at any time. Out: after each step what every running row drew, and which rows ended. A new row begins with
the longest beginning of its prompt that any slot still holds, whoever wrote it (few-shot text, a system prompt, the
conversation so far), and beginnings that several waiting rows share are read once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from epigone.decoding import loop, prefixes
from epigone.decoding.ready import Ready
from epigone.decoding.sampling import Drawing, How
from epigone.decoding.shapes import first_part, num_rows, padded, roomy

READ_TOKENS = 1024
"""Padded tokens that are read in one call at most, but for one row that is longer."""


@dataclass(frozen=True)
class Request:
    """A prompt to be continued by 1 to `max_new_tokens` tokens; `seed` holds the row's own 32 random bits."""

    prompt: Sequence[int]
    max_new_tokens: int
    temperature: float | int = 0.0
    top_p: float | int = 1.0
    top_k: int = 0
    seed: int = 0
    is_over: Callable[[Sequence[int]], bool] | None = None
    """Whether a reply ends with the last of these tokens, as at a stop string; asked once a token."""


class Event(NamedTuple):
    """What one step gave one row: tokens with their log-probabilities, and why it ended where it did."""

    ticket: int
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: Literal["stop", "length"] | None


@dataclass
class _Row:
    ticket: int
    request: Request
    tokens: list[int] = field(default_factory=list)


class Slots:
    """`num_slots` rows of at most `capacity` tokens, prompt and reply together; for one thread at a time."""

    def __init__(
        self,
        ready: Ready,
        num_slots: int,
        capacity: int,
        *,
        end_ids: Sequence[int] = (),
        share_prefixes: bool = True,
        num_steps: int = loop.NUM_COLUMNS,
    ) -> None:
        self.capacity, self.num_slots = capacity, num_slots
        self._ready, self._share, self._num_steps = ready, share_prefixes, num_steps
        self._room = roomy(capacity + loop.NUM_COLUMNS)
        self._cache = ready.empty_cache(num_slots, self._room)
        self._ends = frozenset(end_ids)
        vocab_size = ready.model.config.vocab_size
        self._is_end_V = jnp.zeros(vocab_size, bool).at[jnp.asarray(list(end_ids), int)].set(True)
        self._held = np.zeros((num_slots, self._room), np.int32)  # tokens of the cache, so far as they are valid
        self._lengths = np.zeros(num_slots, np.int32)
        self._rows: dict[int, _Row] = {}
        self._free = deque(range(num_slots))
        self._waiting: deque[_Row] = deque()
        self._num_submitted = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request is running or waiting."""
        return not (self._rows or self._waiting)

    def submit(self, request: Request) -> int:
        """Let a request wait for a slot. Returns its ticket. The caller has checked that it fits in `capacity`."""
        assert 0 < len(request.prompt) <= self.capacity - request.max_new_tokens, "more than a slot holds"
        self._num_submitted += 1
        self._waiting.append(_Row(self._num_submitted, request))
        return self._num_submitted

    def cancel(self, ticket: int) -> None:
        """Forget a request; what runs frees its slot."""
        self._waiting = deque(row for row in self._waiting if row.ticket != ticket)
        for slot in [slot for slot, row in self._rows.items() if row.ticket == ticket]:
            self._release(slot)

    def step(self) -> list[Event]:
        """Fill free slots, and draw a few tokens for every row."""
        events: list[Event] = []
        if self._waiting and len(self._free) >= min(len(self._waiting), max(1, self.num_slots // 8)):
            events += self._admit()
        return events + self._draw() if self._rows else events

    def _admit(self) -> list[Event]:
        rows = [self._waiting.popleft() for _ in range(min(len(self._free), len(self._waiting)))]
        if not self._share:
            return self._read(sorted(rows, key=lambda row: len(row.request.prompt)), 0, 0)
        events: list[Event] = []
        alone: list[_Row] = []
        for group in prefixes.grouped([row.request.prompt for row in rows]):
            members = [rows[i] for i in group.rows]
            prompt = members[0].request.prompt
            beginning = prompt[: group.length or len(prompt) - 1]
            donor, shared = self._donor(beginning)
            if group.length - shared >= prefixes.MIN_SHARED:
                donor, shared = self._remember(beginning), group.length
            if shared >= prefixes.MIN_SHARED:
                events += self._read(members, donor, shared)
            else:
                alone += members
        return events + self._read(sorted(alone, key=lambda row: len(row.request.prompt)), 0, 0)

    def _donor(self, beginning: Sequence[int]) -> tuple[int, int]:
        """The slot that holds most of a beginning, and how much of it."""
        length = len(beginning)
        same = (self._held[:, :length] == np.asarray(beginning)) & (np.arange(length) < self._lengths[:, None])
        shared = np.cumprod(same, axis=1).sum(axis=1)
        return int(shared.argmax()), int(shared.max())

    def _remember(self, beginning: Sequence[int]) -> int:
        """Read what several rows share into the slot that the first of them gets."""
        slot = self._free[0]
        for _ in self._reads([_Row(0, Request(beginning, 1))], *self._donor(beginning), [slot]):
            pass
        return slot

    def _read(self, rows: Sequence[_Row], donor: int, shared: int) -> list[Event]:
        """Rows into free slots, each with its first token."""
        slots = [self._free.popleft() for _ in rows]
        self._rows |= zip(slots, rows)
        return [
            self._advance(slot, [token], [logprob]) for slot, token, logprob in self._reads(rows, donor, shared, slots)
        ]

    def _reads(
        self, rows: Sequence[_Row], donor: int, shared: int, slots: Sequence[int]
    ) -> Iterator[tuple[int, int, float]]:
        """(slot, first token, its log-probability) of every row, read in calls of rows of like length."""
        start = 0
        while start < len(rows):
            lengths = [len(row.request.prompt) - shared for row in rows[start:]]
            count, computed = first_part(lengths, self.num_slots, READ_TOKENS)
            part, into = rows[start : start + count], slots[start : start + count]
            new, num_past = self._new(part, into, _repeated(count, computed), (donor, shared))
            self._cache, drawn = self._ready.read(self._cache, new, _how(part), num_past)
            tokens, logprobs = jax.device_get((drawn.tokens, drawn.logprobs))
            for row, slot, token, logprob in zip(part, into, tokens[:, 0], logprobs[:, 0]):
                self._hold(slot, 0, row.request.prompt)
                yield slot, int(token), float(logprob)
            start += count

    def _new(
        self, rows: Sequence[_Row], slots: Sequence[int], index: Sequence[int], known: tuple[int, int]
    ) -> tuple[loop.New, int]:
        length = padded(max(len(row.request.prompt) for row in rows) - known[1])
        shared = min(known[1], self._room - length)  # what is padded must not reach beyond the slot
        tokens_BT = np.zeros((len(index), length), np.int32)
        for place, row in enumerate(index):
            own = rows[row].request.prompt[shared:]
            tokens_BT[place, : len(own)] = own
        new = loop.New(
            jnp.asarray(tokens_BT),
            jnp.asarray([len(rows[row].request.prompt) - shared for row in index], jnp.int32),
            jnp.asarray([slots[row] for row in index], jnp.int32),
            jnp.int32(known[0]),
            jnp.int32(shared),
            _drawing([rows[row] for row in index]),
        )
        return new, min(padded(shared), self._room) if shared else 0

    def _draw(self) -> list[Event]:
        slots = list(self._rows)
        index = _repeated(len(slots), num_rows(len(slots), self.num_slots))
        rows = [self._rows[slots[i]] for i in index]
        lengths = self._lengths[slots]
        running = loop.Running(
            jnp.asarray([slots[i] for i in index], jnp.int32),
            jnp.asarray(lengths[index]),
            jnp.asarray([row.tokens[-1] for row in rows], jnp.int32),
            jnp.asarray([len(row.tokens) for row in rows], jnp.int32),
            jnp.asarray([row.request.max_new_tokens - len(row.tokens) for row in rows], jnp.int32),
            _drawing(rows),
        )
        self._cache, drawn = self._ready.draw(
            self._cache,
            running,
            self._is_end_V,
            num_steps=self._num_steps,
            how=_how(rows),
            num_seen=min(padded(max(int(lengths.max()), 64)), self._room),
        )
        tokens, logprobs = jax.device_get((drawn.tokens, drawn.logprobs))
        return [
            self._advance(slot, tokens[row, : self._num_steps].tolist(), logprobs[row].tolist())
            for row, slot in enumerate(slots)
        ]

    def _advance(self, slot: int, tokens: Sequence[int], logprobs: Sequence[float]) -> Event:
        """What a row takes of the tokens that were drawn for it: up to its end."""
        row = self._rows[slot]
        reason, before = None, len(row.tokens)
        for token in tokens:
            row.tokens.append(token)
            reason = self._reason(row)
            if reason:
                break
        new = row.tokens[before:]
        self._hold(slot, int(self._lengths[slot]), row.tokens[max(before - 1, 0) : -1])
        if reason:
            self._release(slot)
        return Event(row.ticket, tuple(new), tuple(logprobs[: len(new)]), reason)

    def _reason(self, row: _Row) -> Literal["stop", "length"] | None:
        asked, tokens = row.request, row.tokens
        if tokens[-1] in self._ends or (asked.is_over is not None and asked.is_over(tokens)):
            return "stop"
        return "length" if len(tokens) >= asked.max_new_tokens else None

    def _hold(self, slot: int, start: int, tokens: Sequence[int]) -> None:
        """Note what a slot holds from `start` on."""
        self._lengths[slot] = start + len(tokens)
        self._held[slot, start : start + len(tokens)] = tokens

    def _release(self, slot: int) -> None:
        del self._rows[slot]
        self._free.append(slot)


def _repeated(count: int, computed: int) -> list[int]:
    """Row numbers, the first repeated up to the number of rows that are computed."""
    return [*range(count), *[0] * (computed - count)]


def _drawing(rows: Sequence[_Row]) -> Drawing:
    asked = [row.request for row in rows]
    return Drawing(
        jnp.asarray([r.seed for r in asked], jnp.uint32),
        jnp.asarray([r.temperature for r in asked], jnp.float32),
        jnp.asarray([r.top_p for r in asked], jnp.float32),
        jnp.asarray([r.top_k for r in asked], jnp.int32),
    )


def _how(rows: Sequence[_Row]) -> How:
    """The least that draws as all of these rows asked."""
    asked = [row.request for row in rows if row.request.temperature > 0]
    if not asked:
        return "greedy"
    return "filtered" if any(request.top_k > 0 or request.top_p < 1 for request in asked) else "sampled"
