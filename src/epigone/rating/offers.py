"""What a crowd platform is offered: who may rate, what a comparison pays, what all of it costs.

In: the median time of a comparison, the pay an hour. Out: an Offer and its cost: pure functions.
Source: arXiv 2305.15717, footnote 3 and Appendix B: at least 95 % approval, an English-speaking country, at least 100
HITs completed, three ratings, about $15 an hour at the time that a task takes. Fees as the platforms publish them
(https://www.mturk.com/pricing; https://www.prolific.com/pricing); they change, so an offer may name its own.
"""

import math
from dataclasses import dataclass

from epigone.errors import SpecError

PLATFORMS = ("mechanical_turk", "prolific")
APPROVAL_PERCENT, FEWEST_TASKS = 95, 100
COUNTRIES = ("US", "GB", "CA", "AU", "NZ", "IE")
"""English-speaking, by ISO 3166."""
FEES = {"mechanical_turk": 0.2, "prolific": 0.428}
"""Of Mechanical Turk for up to nine raters of a comparison; of Prolific for who is no university."""
MANY_RATERS, FEE_OF_MANY = 10, 0.4
ATTENTION_EVERY = 10


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
