"""Raters drawn from a model that was fitted to real people's votes: still a simulation, but none of our choosing.

In: a prompt and two answers; a file that `epigone fit-rater` wrote (numbers alone: it is parsed, never run). Out: one
Judgment a rater, drawn by the fitted chances of either verdict, all marked simulated.
Source: metrics/rater_model; votes such as those of https://github.com/dustalov/llmfao (Ustalov 2023).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from epigone.errors import DataError, SpecError
from epigone.interfaces import FactChecker
from epigone.metrics.drawing import uniforms
from epigone.metrics.rater_model import FEATURES, RaterModel, features
from epigone.records import Judgment, Prompt, Verdict
from epigone.rows import read_document
from epigone.store import decode


@dataclass(frozen=True)
class FittedRater:
    """A panel of raters of one fitted model. Blind: models' names only seed the coin and the draw."""

    model: str
    """The fitted model's file."""
    checker: FactChecker | None = None
    """Tells which answers are right (all that they claim is, and they claim something); None: nobody knows."""
    seed: int = 0
    """Seed of the order and the draw."""
    num_raters: int = 3
    """Ratings a comparison."""

    def __post_init__(self) -> None:
        if self.num_raters < 1:
            raise SpecError(f"num_raters is {self.num_raters}; it must be 1 or more")

    def compare(self, prompt: Prompt, a: tuple[str, str], b: tuple[str, str]) -> list[Judgment]:
        """One Judgment a rater. Which of `a` and `b` a model is passed as makes no difference. Raises DataError."""
        asked = prompt.text or (prompt.messages[-1].content if prompt.messages else "")
        one, two = (features(asked, text, right=self._is_right(text, asked)) for _, text in (a, b))
        return [self._judge(prompt.id, (a[0], b[0]), one, two, number) for number in range(1, self.num_raters + 1)]

    def _is_right(self, text: str, asked: str) -> bool:
        claims = self.checker.check(text, asked) if self.checker else []
        return bool(claims) and all(claim == "right" for claim in claims)

    def _judge(
        self, prompt_id: str, models: tuple[str, str], one: tuple[float, ...], two: tuple[float, ...], number: int
    ) -> Judgment:
        is_sorted = models[0] <= models[1]
        coin, luck = uniforms(self.seed, prompt_id, number, *sorted(models))
        first: Literal["a", "b"] = "a" if (coin < 0.5) == is_sorted else "b"
        for_a, for_tie, _ = self._fitted.probabilities(one, two, first)
        luck = luck if is_sorted else 1 - luck
        verdict: Verdict = "a" if luck < for_a else "tie" if luck < for_a + for_tie else "b"
        rater = f"fitted-{self._fitted.name}-r{number}"
        return Judgment(prompt_id, models[0], models[1], verdict, rater, first, simulated=True)

    @cached_property
    def _fitted(self) -> RaterModel:
        return read_model(Path(self.model))


def read_model(path: Path) -> RaterModel:
    """The fitted model of a file. Raises DataError for one that is none, or has features that are not known here."""
    try:
        found = cast(RaterModel, decode(RaterModel, read_document(path)))
        unknown = sorted(found.features.keys() - set(FEATURES))
        numbers = [*found.features.values(), found.first, found.tie]
        if unknown or not all(isinstance(value, int | float) for value in numbers) or found.tie <= 0:
            raise ValueError(f"feature {unknown[0]!r} is unknown" if unknown else "a coefficient is no number")
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} is no fitted rater: {error}; known features: {', '.join(FEATURES)}. `epigone fit-rater` writes one"
        ) from error
    return found
