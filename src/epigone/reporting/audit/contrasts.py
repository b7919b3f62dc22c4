"""Every student beside every model of a role: the difference, its interval, a test, and what n could have shown.

In: standings, the roles. Out: Contrasts, with p-values adjusted over the whole family by Holm's method. Tested are the
four metrics of Table 2, the distance, and each benchmark's primary metric; the others are shown without a p-value.
McNemar's exact test where two models answered the same items right or wrong, else the bootstrap's p.
Source: Holm (1979), https://www.jstor.org/stable/4615733.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from epigone.metrics.intervals import Z_POWER, Z_TWO_SIDED, mcnemar
from epigone.metrics.likeness import TABLE_2
from epigone.metrics.resampling import Array, Draws
from epigone.metrics.testing import bootstrap_p, holm
from epigone.records import ArmRole
from epigone.reporting.audit.findings import Contrast
from epigone.reporting.audit.standings import Standing
from epigone.reporting.audit.verdicts import Roles

TESTED_STYLE = (*TABLE_2, "distance")


def contrasts(
    standings: Sequence[Standing], roles: Mapping[str, ArmRole], other_p: Sequence[float] = ()
) -> tuple[tuple[Contrast, ...], tuple[float, ...]]:
    """All contrasts with adjusted p-values. `other_p` are tests made elsewhere that belong to the family.

    Returns the contrasts, and the adjusted values of `other_p` in their order.
    """
    found = [c for standing in standings for c in _of_standing(standing, roles)]
    tested = [c.p for c in found if c.p is not None]
    adjusted = holm([*tested, *other_p])
    own = iter(adjusted[: len(tested)])
    done = tuple(c if c.p is None else replace(c, p_holm=next(own)) for c in found)
    return done, tuple(adjusted[len(tested) :])


def _of_standing(standing: Standing, roles: Mapping[str, ArmRole]) -> Iterator[Contrast]:
    students = [name for name in standing.draws if roles[name] == "student"]
    others = [name for name in standing.draws if roles[name] != "student"]
    for student in students:
        for against in others:
            yield _contrast(standing, student, against, roles[against])


def _contrast(standing: Standing, student: str, against: str, role: ArmRole) -> Contrast:
    moved = standing.draws[student] - standing.draws[against]
    pair = _shared(standing, student, against)
    if pair is not None:
        test, p = "McNemar's exact test", mcnemar(*pair)
    elif standing.items or standing.axis == "style":
        test, p = "paired bootstrap", bootstrap_p(moved)
    else:
        test, p = "normal, from published standard errors", bootstrap_p(moved)
    spread = float(moved.samples.std(ddof=1))
    tested = standing.metric in TESTED_STYLE if standing.axis == "style" else standing.primary
    return Contrast(
        axis=standing.axis,
        metric=standing.metric,
        student=student,
        against=against,
        role=role,
        difference=moved.estimate(),
        test=test,
        smallest=(Z_TWO_SIDED + Z_POWER) * spread,
        p=p if tested and np.isfinite(p) else None,
    )


def rate_contrasts(draws: Mapping[str, Draws], roles: Roles) -> tuple[Contrast, ...]:
    """Fitted rates against the teacher, student minus base and ceiling; shown, not tested."""
    found: list[Contrast] = []
    for student in (name for name in draws if roles.of(name) == "student"):
        for against in (name for name in draws if roles.of(name) in ("base", "second_sample")):
            moved = draws[student] - draws[against]
            estimate = replace(moved.estimate(), method="fitted strengths, drawn jointly")
            smallest = (Z_TWO_SIDED + Z_POWER) * float(moved.samples.std(ddof=1))
            role = roles.of(against)
            found.append(Contrast("preference", "rate", student, against, role, estimate, estimate.method, smallest))
    return tuple(found)


def _shared(standing: Standing, one: str, two: str) -> tuple[Array, Array] | None:
    """The items that both have, where all of them are right or wrong."""
    if one not in standing.items or two not in standing.items:
        return None
    a, b = standing.items[one], standing.items[two]
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    return (a, b) if len(a) and np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all() else None
