"""What a crowd platform is offered: who may rate, what a comparison pays, what all of it costs.

In: the median time of a comparison, the pay an hour. Out: an Offer and its cost: pure functions.
Source: arXiv 2305.15717, footnote 3 and Appendix B: at least 95 % approval, an English-speaking country, at least 100
HITs completed, three ratings, about $15 an hour at the time that a task takes. Fees as the platforms publish them
(https://www.mturk.com/pricing; https://www.prolific.com/pricing); they change, so an offer may name its own.
"""

import math
from dataclasses import dataclass

from epigone.errors import SpecError
from epigone.metrics.intervals import comparisons_needed, minimum_difference_of_preference

PLATFORMS = ("mechanical_turk", "prolific")
APPROVAL_PERCENT, FEWEST_TASKS = 95, 100
COUNTRIES = ("US", "GB", "CA", "AU", "NZ", "IE")
"""English-speaking, by ISO 3166."""
FEES = {"mechanical_turk": 0.2, "prolific": 0.428}
"""Of Mechanical Turk for up to nine raters of a comparison; of Prolific for who is no university."""
MANY_RATERS, FEE_OF_MANY = 10, 0.4
ATTENTION_EVERY = 10
TIE_SHARE = 0.2
"""Of comparisons, before any was rated; fewer ties need more of them."""
WANTED_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Offer:
    """What is offered for a comparison."""

    platform: str
    seconds: float | int = 60.0
    """Median time of a comparison, from a pilot."""
    hourly_usd: float | int = 15.0
    """What an hour of such comparisons pays."""
    num_raters: int = 3
    """Different raters of every comparison."""
    fee_share: float | int | None = None
    """The platform's share on top, 0-1; None: as published."""

    def __post_init__(self) -> None:
        if self.platform not in PLATFORMS:
            raise SpecError(f"platform {self.platform!r}: there is {', '.join(PLATFORMS)}")
        if not (self.seconds > 0 and self.hourly_usd > 0 and self.num_raters >= 1):
            raise SpecError(
                f"seconds {self.seconds}, hourly_usd {self.hourly_usd}, num_raters {self.num_raters}: all must be more "
                "than 0"
            )
        if self.fee_share is not None and not 0 <= self.fee_share <= 2:
            raise SpecError(f"fee_share is {self.fee_share}; it is a share, e.g. 0.2 for 20 %")

    @property
    def fee(self) -> float:
        """The platform's share on top of what raters get, 0-1."""
        if self.fee_share is not None:
            return float(self.fee_share)
        is_dear = self.platform == "mechanical_turk" and self.num_raters >= MANY_RATERS
        return FEE_OF_MANY if is_dear else FEES[self.platform]

    @property
    def reward_usd(self) -> float:
        """Of one comparison, whole cents, rounded up: an hour never pays less than was said."""
        return math.ceil(round(100 * self.hourly_usd * self.seconds / 3600, 6)) / 100


@dataclass(frozen=True, slots=True)
class Cost:
    """What all of it comes to. `num_checks` are attention checks, which are paid like comparisons."""

    num_comparisons: int
    num_checks: int
    num_ratings: int
    reward_usd: float
    raters_usd: float
    fee_usd: float
    total_usd: float
    hours: float
    """Of all raters together."""


def num_checks(num_comparisons: int) -> int:
    """Attention checks that go with so many comparisons: about one in `ATTENTION_EVERY`, at least one."""
    return max(1, round(num_comparisons / ATTENTION_EVERY)) if num_comparisons else 0


@dataclass(frozen=True, slots=True)
class Power:
    """What comparisons of one pair of models can show, the majority of each one's raters taken.

    `smallest` is the least distance of the win share (ties as halves) from one half that is told from it, 80 % power
    and 5 % two-sided; None where not even a model that never loses would be. `num_needed` are comparisons for
    `WANTED_DIFFERENCE`. A `TIE_SHARE` of them is taken to be ties.
    """

    num_comparisons: int
    smallest: float | None
    num_needed: int


def power_of(num_comparisons: int) -> Power:
    """Power of so many comparisons. Raises DataError without any."""
    smallest = minimum_difference_of_preference(num_comparisons, TIE_SHARE)
    needed = comparisons_needed(WANTED_DIFFERENCE, tie_share=TIE_SHARE)
    return Power(num_comparisons, smallest if math.isfinite(smallest) else None, needed)


def power_told(power: Power) -> str:
    """The same in words, before anybody is paid."""
    if power.smallest is None:
        shows = "show nothing: not even a model that never loses would be told from an equal one"
    else:
        shows = f"show a win share {100 * power.smallest:.0f} points or more from one half, not less"
    return (
        f"{power.num_comparisons} comparisons of a pair of models {shows} (ties as halves and in {TIE_SHARE:.0%}; 80 % "
        f"power); {power.num_needed} would show {100 * WANTED_DIFFERENCE:.0f} points. More raters of each make a "
        "verdict surer, not the comparisons more"
    )


def cost_of(offer: Offer, num_comparisons: int) -> Cost:
    """The cost of so many comparisons with their attention checks, each by the offer's raters."""
    checks = num_checks(num_comparisons)
    num_ratings = (num_comparisons + checks) * offer.num_raters
    raters_usd = round(num_ratings * offer.reward_usd, 2)
    fee_usd = round(raters_usd * offer.fee, 2)
    return Cost(
        num_comparisons=num_comparisons,
        num_checks=checks,
        num_ratings=num_ratings,
        reward_usd=offer.reward_usd,
        raters_usd=raters_usd,
        fee_usd=fee_usd,
        total_usd=round(raters_usd + fee_usd, 2),
        hours=round(num_ratings * offer.seconds / 3600, 1),
    )
