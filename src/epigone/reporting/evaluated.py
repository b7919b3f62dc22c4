"""What one trained model brought home: its scores, answers and judgments, as a study hands them to the analysis.

In: nothing. Out: `ModelData`, and the few questions that the analysis asks of a list of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from epigone.errors import DataError
from epigone.records import Arm, Judgment, Score


@dataclass(frozen=True)
class ModelData:
    """One model: an arm at one seed. The teacher and its second sample are models too (roles of their arms)."""

    arm: Arm
    seed: int
    scores: Mapping[str, Sequence[Score]] = field(default_factory=dict[str, Sequence[Score]])
    """Benchmark name -> one Score an item."""
    protocols: Mapping[str, str] = field(default_factory=dict[str, str])
    """Benchmark name -> protocol id."""
    answers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Prompt id -> free answer."""
    judgments: Mapping[float, Sequence[Judgment]] = field(default_factory=dict[float, Sequence[Judgment]])
    """Expertise -> Judgments of this model against the teacher."""
    fitted: Sequence[Judgment] = ()
    """The same by raters that are drawn from a model of real people's votes."""
    tokens: Mapping[str, float] = field(default_factory=dict[str, float])
    """Real counts: imitation_tokens, pretrain_tokens, replay_tokens, num_steps, peak_learning_rate."""
    artifacts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Ids of what it was read from: a benchmark's scores by its name, `answers`, `judgments`, `training`."""


def by_arm(models: Sequence[ModelData]) -> dict[Arm, list[ModelData]]:
    """Models of each arm by seed. Raises DataError for a seed given twice or two arms of one name."""
    grouped: dict[Arm, list[ModelData]] = {}
    for model in sorted(models, key=lambda m: m.seed):
        grouped.setdefault(model.arm, []).append(model)
    for arm, members in grouped.items():
        if len({m.seed for m in members}) < len(members):
            raise DataError(f"arm {arm.name!r} holds a seed twice: {[m.seed for m in members]}; give each model once")
    if len({arm.name for arm in grouped}) < len(grouped):
        raise DataError(f"two arms share a name, results could not be told apart: {sorted(a.name for a in grouped)}")
    return grouped


def base_arm(arm: Arm) -> Arm:
    """The arm of the base model that a student was made from (itself for a base)."""
    return Arm("base", arm.base, arm.num_params, arm.pretrain_tokens)


def only(models: Sequence[ModelData], role: str) -> ModelData | None:
    """The one teacher or second sample, or None. Raises DataError where there are several."""
    found = [m for m in models if m.arm.role == role]
    if len(found) > 1:
        raise DataError(f"a study has one {role}, got {[f'{m.arm.name} seed {m.seed}' for m in found]}")
    return found[0] if found else None


def named(model: ModelData) -> str:
    """The name of a model among the items: its arm and its seed; the teacher has none."""
    return f"{model.arm.name} s{model.seed}" if model.arm.role in ("base", "student") else model.arm.name
