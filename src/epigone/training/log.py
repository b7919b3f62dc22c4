"""What happened in every step of a run: kept beside its state, written as JSON lines, said in words.

In: columns, an entry a step. Out: a TrainLog; its rows; what is to be said where a run never reached its learning rate.
No clock stands in it: equal runs have equal logs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class TrainStep(NamedTuple):
    """One step, counted from 1."""

    step: int
    loss: float
    learning_rate: float
    num_loss_tokens: int
    penalty: float
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class TrainLog:
    """One entry a step."""

    losses: Float[np.ndarray, " s"]
    """Mean over the learnt tokens, natural log, without what treatments add."""
    num_loss_tokens: Float[np.ndarray, " s"]
    """Learnt tokens."""
    learning_rates: Float[np.ndarray, " s"]
    penalties: Float[np.ndarray, " s"]
    """What treatments added to the mean loss."""
    gradient_norms: Float[np.ndarray, " s"]
    """Of all gradients together, before clipping."""

    @classmethod
    def empty(cls, num_steps: int) -> "TrainLog":
        """Room for a whole run."""
        return cls(*np.zeros((len(fields(cls)), num_steps), np.float32))

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return len(self.losses)

    @property
    def peak_learning_rate(self) -> float:
        """The highest rate that was reached: a run shorter than its warm-up never sees the recipe's."""
        return float(self.learning_rates.max())

    def first_broken(self, start: int, stop: int) -> int | None:
        """The first step (from 0) of some whose loss or gradients are no numbers."""
        sound = np.isfinite(self.losses[start:stop]) & np.isfinite(self.gradient_norms[start:stop])
        return None if sound.all() else start + int(np.argmin(sound))

    def rows(self, start: int, stop: int) -> Iterator[TrainStep]:
        """The steps from `start` to `stop` (from 0, not included)."""
        for i in range(start, stop):
            loss, tokens, rate, penalty, norm = (column[i].item() for column in self.columns)
            yield TrainStep(i + 1, loss, rate, int(tokens), penalty, norm)


def warmup_note(log: TrainLog, learning_rate: float, warmup_steps: int) -> str | None:
    """What to say of a run that ended within its warm-up; amounts of data then differ in their learning rate too."""
    if log.num_steps > warmup_steps:
        return None
    reached, wanted = _short(log.peak_learning_rate), _short(learning_rate)
    return f"peak learning rate reached {reached} of {wanted}: {log.num_steps:,} of {warmup_steps:,} warm-up steps"


def _short(value: float) -> str:
    number, _, exponent = f"{value:.1e}".partition("e")
    return f"{number}e{int(exponent)}"
