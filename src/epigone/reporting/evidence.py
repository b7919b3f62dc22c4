"""Findings made easy to ask: which arms there are, which belong to which base, and what a metric of an arm is.

In: `records.Findings`. Out: `Evidence`, with bases in order of size, the middle base (the one with most students), and
its arms by data. A metric that was not measured is None, never a number.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from epigone.records import Arm, Findings, Result
from epigone.reporting.links import Beside
from epigone.reporting.wording import amount, fraction

NOTHING = Beside()
_SIMULATED_TEACHER = re.compile(
    r"simulated teacher|teacher (and raters )?(is|are) simulated|teacher is a program", re.IGNORECASE
)
_DATA = {
    "none": "no imitation",
    "broad": "broad",
    "local_strict": "local, strict hold-out",
    "local_supported": "local, facts supported",
    "replay_only": "replay only",
}


@dataclass(frozen=True)
class Evidence:
    """An index over one study's Findings."""

    findings: Findings
    beside: Beside = NOTHING
    """The pages of items beside the report."""

    def href(self, result: Result | None) -> str:
        """Where the items behind a result are; empty where no pages of items stand beside the report."""
        return self.beside.href(result.arm.name, result.metric) if result else ""

    @cached_property
    def _results(self) -> dict[tuple[Arm, str], Result]:
        return {(result.arm, result.metric): result for result in self.findings.results}

    def result(self, arm: Arm | None, metric: str) -> Result | None:
        """The metric of an arm, or None where it was not measured."""
        return self._results.get((arm, metric)) if arm else None

    def has(self, metric: str) -> bool:
        """Whether any arm has this metric."""
        return any(result.metric == metric for result in self.findings.results)

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """Every arm once, in the order of the findings."""
        arms = [result.arm for result in self.findings.results] + [verdict.arm for verdict in self.findings.verdicts]
        return tuple(dict.fromkeys(arms))

    @cached_property
    def teacher(self) -> Arm | None:
        """The teacher's arm."""
        return next((arm for arm in self.arms if arm.role == "teacher"), None)

    @cached_property
    def second_sample(self) -> Arm | None:
        """The teacher's second sample: the ceiling."""
        return next((arm for arm in self.arms if arm.role == "second_sample"), None)

    @cached_property
    def bases(self) -> tuple[Arm, ...]:
        """Base models, smallest first, then by pre-training tokens."""
        bases = [arm for arm in self.arms if arm.role == "base"]
        return tuple(sorted(bases, key=lambda arm: (arm.num_params, arm.pretrain_tokens, arm.base)))

    @cached_property
    def full_bases(self) -> tuple[Arm, ...]:
        """Of each size the base with the most pre-training."""
        best = {base.num_params or base.base: base for base in self.bases}
        return tuple(best.values())

    @cached_property
    def middle(self) -> Arm | None:
        """The base with the most students; between equals the one in the middle by size."""
        if not self.bases:
            return None
        students = Counter(self.base_of(arm) for arm in self.arms if arm.role == "student")
        centre = (len(self.full_bases) - 1) / 2
        ranked = [(-students[base], abs(i - centre), i) for i, base in enumerate(self.full_bases)]
        return self.full_bases[min(ranked)[2]]

    def base_of(self, arm: Arm) -> Arm | None:
        """The base model that a student was made from: same name, size and pre-training; failing that, same name."""
        key = (arm.base, arm.num_params, arm.pretrain_tokens)
        exact = [base for base in self.bases if (base.base, base.num_params, base.pretrain_tokens) == key]
        return next(iter(exact or [base for base in self.bases if base.base == arm.base]), None)

    def students(
        self, base: Arm | None, data: str = "", *, replay: bool | None = None, treated: bool | None = False
    ) -> tuple[Arm, ...]:
        """Students of a base by amount; `data`, `replay` and `treated` narrow them down, None does not."""
        found = [
            arm
            for arm in self.arms
            if arm.role == "student"
            and self.base_of(arm) == base
            and data in ("", arm.data)
            and replay in (None, arm.replay_tokens > 0)
            and treated in (None, bool(arm.treatment))
        ]
        order = list(_DATA)
        return tuple(
            sorted(
                found,
                key=lambda a: (bool(a.treatment), order.index(a.data), a.replay_tokens > 0, a.imitation_tokens),
            )
        )

    @cached_property
    def common_amount(self) -> int:
        """The broad amount that most bases have; between equals the largest. 0 where there is no broad arm."""
        broad = [arm for arm in self.arms if arm.role == "student" and arm.data == "broad"]
        counts = Counter(arm.imitation_tokens for arm in broad)
        return max(counts, key=lambda tokens: (counts[tokens], tokens), default=0)

    @property
    def simulated_raters(self) -> bool:
        """Whether the preferences come from simulated raters."""
        return any(result.metric.startswith("preference_e") for result in self.findings.results)

    @cached_property
    def simulated_teacher(self) -> bool:
        """Whether the notes or the teacher's own name say that the teacher is simulated."""
        return any(
            _SIMULATED_TEACHER.search(text)
            for text in (*self.findings.notes, self.teacher.base if self.teacher else "")
        )

    @property
    def teacher_word(self) -> str:
        """`simulated teacher` where it is one, else `teacher`."""
        return "simulated teacher" if self.simulated_teacher else "teacher"

    def base_label(self, arm: Arm) -> str:
        """The name of a base, with its share of the pre-training where another of the same name had more."""
        most = max((b.pretrain_tokens for b in self.bases if b.base == arm.base), default=0)
        if not arm.pretrain_tokens or arm.pretrain_tokens >= most:
            return arm.base
        return f"{arm.base} ({fraction(arm.pretrain_tokens, most)} pre-training)"

    def label(self, arm: Arm, *, with_base: bool = True) -> str:
        """An arm in words, e.g. `w64 · broad 120K + replay 60K`."""
        if arm.role in ("teacher", "second_sample"):
            named = not self.simulated_teacher or "simulated" in arm.base.lower()
            return arm.base if named else f"{arm.base} (simulated)"
        base = self.base_label(arm)
        if arm.role == "base":
            return f"{base} · base model" if with_base else "base model"
        words = treatment(arm)
        return f"{base} · {words}" if with_base else words


def treatment(arm: Arm) -> str:
    """What was done to a base, without its name: `broad 120K + replay 60K`, `broad 120K, KL to base`."""
    words = _DATA[arm.data]
    if arm.data == "replay_only":
        return f"{words} {amount(arm.replay_tokens)}"
    if arm.imitation_tokens:
        words += f" {amount(arm.imitation_tokens)}"
    words += f" + replay {amount(arm.replay_tokens)}" if arm.replay_tokens else ""
    return f"{words}, {arm.treatment}" if arm.treatment else words
