"""Strengths of many models from votes on pairs: Bradley-Terry with ties, position effect and style covariates.

In: Judgments, or Votes: arrays of one row a vote. Out: Strengths, from which any pair's share follows with its
interval, whether or not the two were ever compared.

    P(a) : P(tie) : P(b) = exp(d/2) : exp(tie) : exp(-d/2)
    d = theta_a - theta_b + position * (1 a shown first, -1 b, 0 unknown) + beta . (x_a - x_b)

The thetas sum to 0. The log-likelihood is concave; a ridge keeps a model that won everything finite. Votes on one
prompt hang together, so covariances are sandwiches over prompts, G/(G-1) times, with quantiles of Student's t at G-1
degrees of freedom. With fewer than 20 prompts their coverage is not to be relied upon to the percent, which their
method says.
Source: Davidson (1970), https://doi.org/10.1080/01621459.1970.10481082; covariates as in Chatbot Arena's style control,
https://lmsys.org/blog/2024-08-28-style-control/; Cameron & Miller (2015), https://doi.org/10.3368/jhr.50.2.317
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, stdtrit

from epigone.errors import DataError
from epigone.metrics.agreement import share_of_a
from epigone.metrics.resampling import Array
from epigone.records import Estimate, Judgment

Index = NDArray[np.int64]

RIDGE = 0.01
"""A normal prior with a standard deviation of 10 on every parameter: beside 60 votes it moves a theta by 1 in 1,000."""
FEW_CLUSTERS = 20
POSITION = "shown first"


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """One row a vote: `a` and `b` (m,) index `models`, `share_a` (m,) is 1 for a, 0.5 for a tie, 0 for b.

    A share between counts as so much of a win and so much of a tie. `clusters` (m,) numbers the prompt, `first` (m,) is
    1 where a was shown first, -1 where b was, 0 where it is unknown; `covariates` (m, k) are a's minus b's.
    """

    models: tuple[str, ...]
    a: Index
    b: Index
    share_a: Array
    clusters: Index
    first: Array | None = None
    weights: Array | None = None
    covariates: Array | None = None
    covariate_names: tuple[str, ...] = ()


def votes_of(
    judgments: Sequence[Judgment],
    features: Mapping[tuple[str, str], Sequence[float | int]] | None = None,
    names: Sequence[str] = (),
) -> Votes:
    """Judgments as Votes; `features` are those of the answer by (prompt id, model), in the order of `names`."""
    sides = [j.a for j in judgments], [j.b for j in judgments]
    models = tuple(sorted({*sides[0], *sides[1]}))
    place = {model: number for number, model in enumerate(models)}
    prompts = {prompt_id: number for number, prompt_id in enumerate(dict.fromkeys(j.prompt_id for j in judgments))}
    shown = {"a": 1.0, "b": -1.0, "unknown": 0.0}
    covariates = None
    if features is not None:
        of_a, of_b = ([features[j.prompt_id, model] for j, model in zip(judgments, side)] for side in sides)
        covariates = np.asarray(of_a, dtype=np.float64) - np.asarray(of_b, dtype=np.float64)
    return Votes(
        models=models,
        a=np.asarray([place[model] for model in sides[0]], dtype=np.int64),
        b=np.asarray([place[model] for model in sides[1]], dtype=np.int64),
        share_a=np.asarray([share_of_a(j) for j in judgments]),
        clusters=np.asarray([prompts[j.prompt_id] for j in judgments], dtype=np.int64),
        first=np.asarray([shown[j.first] for j in judgments]),
        covariates=covariates,
        covariate_names=tuple(names),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Likelihood:
    """Minus the penalised log-likelihood; the parameters are the columns of `design`, and last the tie's if any tied.

    `design` (r, p): d is design @ parameters. `outcomes` (r, 3): the weight of a, tie and b in every row.
    """

    design: Array
    outcomes: Array
    ridge: float

    @property
    def num_parameters(self) -> int:
        """Without any tie there is no tie parameter: it would be minus infinity."""
        return self.design.shape[1] + bool(self.outcomes[:, 1].any())

    def log_shares(self, parameters: Array) -> Array:
        """Log-probabilities of a, tie and b in every row, (r, 3)."""
        num_columns = self.design.shape[1]
        half = self.design @ parameters[:num_columns] / 2
        tie = parameters[num_columns] if len(parameters) > num_columns else -np.inf
        terms = np.stack([half, np.full_like(half, tie), -half], axis=1)
        return terms - np.logaddexp.reduce(terms, axis=1)[:, None]

    def value(self, parameters: Array) -> float:
        """What is minimised."""
        logs = np.where(self.outcomes > 0, self.log_shares(parameters), 0.0)
        return float(-(self.outcomes * logs).sum() + self.ridge / 2 * parameters @ parameters)

    def scores(self, parameters: Array) -> Array:
        """Every row's gradient of the log-likelihood, without the ridge, (r, num_parameters)."""
        rest = self.outcomes - np.exp(self.log_shares(parameters)) * self.outcomes.sum(axis=1)[:, None]
        by_column = self.design * ((rest[:, 0] - rest[:, 2]) / 2)[:, None]
        return np.hstack([by_column, rest[:, 1:2]])[:, : self.num_parameters]

    def gradient(self, parameters: Array) -> Array:
        """First derivative of `value`, (num_parameters,)."""
        return self.ridge * parameters - self.scores(parameters).sum(axis=0)

    def hessian(self, parameters: Array) -> Array:
        """Second derivative of `value`, (num_parameters, num_parameters)."""
        a, tie, b = np.exp(self.log_shares(parameters)).T
        totals, lead = self.outcomes.sum(axis=1), a - b
        by_column = (self.design * (totals * (a + b - lead**2) / 4)[:, None]).T @ self.design
        with_tie = -self.design.T @ (totals * lead * tie / 2)
        whole = np.block([[by_column, with_tie[:, None]], [with_tie[None, :], np.sum(totals * tie * (1 - tie))]])
        return whole[: self.num_parameters, : self.num_parameters] + self.ridge * np.eye(self.num_parameters)

    def minimum(self) -> Array:
        """The parameters at which `value` is smallest."""
        found = minimize(
            self.value,
            np.zeros(self.num_parameters),
            jac=self.gradient,
            hess=self.hessian,
            method="trust-exact",
            options={"gtol": 1e-6},
        )
        # The last digits of a sum of thousands of logs are noise to a trust region; a Newton step looks at slopes only.
        last = np.linalg.solve(self.hessian(found.x), self.gradient(found.x))
        return found.x - last


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """What a fit found. `theta` (K,) belongs to `models` and sums to 0; `tie` is minus infinity where nothing tied.

    `covariance` is the sandwich over prompts, `model_covariance` the one that takes votes as independent; both in the
    order theta, position, betas, tie. `unbounded` are models that won or lost everything against the others: the ridge
    alone keeps them finite, so the wider of both covariances holds for them.
    """

    models: tuple[str, ...]
    theta: Array
    tie: float
    covariance: Array
    model_covariance: Array
    num_votes: int
    num_clusters: int
    position: Estimate | None = None
    betas: dict[str, Estimate] = field(default_factory=dict[str, Estimate])
    unbounded: tuple[str, ...] = ()
    not_comparable: dict[str, str] = field(default_factory=dict[str, str])
    """Models that were left out, each with the reason."""

    @property
    def num_unconnected(self) -> int:
        """How many models were left out."""
        return len(self.not_comparable)

    def strength(self, model: str, against: str = "") -> Estimate:
        """Theta of a model, minus that of `against` or the mean of all models; in log-odds."""
        contrast = self._contrast(model, against) if against else self._at(model) - 1 / len(self.theta)
        value = float(contrast @ self.theta)
        half = self._half_width(np.append(contrast, self._rest(0.0)), (model, against))
        return Estimate(value, value - half, value + half, self.num_votes, self._method((model, against)))

    def rate(self, a: str, b: str) -> Estimate:
        """The share in which `a` is found equal or better than `b`, shown in no order and at equal style."""
        d = float(self._contrast(a, b) @ self.theta)
        at_least = np.logaddexp(d / 2, self.tie)
        by_tie = float(np.exp(self.tie - at_least))
        return self._share(a, b, float(at_least + d / 2), (1 - by_tie / 2, by_tie))

    def win_share(self, a: str, b: str) -> Estimate:
        """The share of `a` against `b` with ties as halves, shown in no order and at equal style."""
        d = float(self._contrast(a, b) @ self.theta)
        log_half = self.tie - np.log(2)
        over, under = np.logaddexp(d / 2, log_half), np.logaddexp(-d / 2, log_half)
        tie_over, tie_under = float(np.exp(log_half - over)), float(np.exp(log_half - under))
        return self._share(a, b, float(over - under), (1 - (tie_over + tie_under) / 2, tie_over - tie_under))

    def _share(self, a: str, b: str, logit: float, slopes: tuple[float, float]) -> Estimate:
        """A share by the delta method; `slopes` are those of its logit in d and in the tie parameter."""
        contrast = np.append(slopes[0] * self._contrast(a, b), self._rest(slopes[1]))
        half = self._half_width(contrast, (a, b))
        value, low, high = (float(expit(x)) for x in (logit, logit - half, logit + half))
        return Estimate(value, low, high, self.num_votes, self._method((a, b)))

    def _at(self, model: str) -> Array:
        if model not in self.models:
            reason = self.not_comparable.get(model, f"there is no vote on it; there are {', '.join(self.models)}")
            raise DataError(f"{model!r} has no strength: {reason}")
        return (np.arange(len(self.theta)) == self.models.index(model)).astype(np.float64)

    def _contrast(self, a: str, b: str) -> Array:
        return self._at(a) - self._at(b)

    def _rest(self, at_tie: float) -> Array:
        """The contrast's entries behind the thetas."""
        rest = np.zeros(len(self.covariance) - len(self.theta))
        if np.isfinite(self.tie):
            rest[-1] = at_tie
        return rest

    def _half_width(self, contrast: Array, models: tuple[str, ...]) -> float:
        variance = float(contrast @ self.covariance @ contrast)
        if set(models) & set(self.unbounded):
            variance = max(variance, float(contrast @ self.model_covariance @ contrast))
        return float(stdtrit(self.num_clusters - 1, 0.975)) * variance**0.5

    def _method(self, models: tuple[str, ...]) -> str:
        held = [f"{model} won or lost everything, held by a ridge" for model in models if model in self.unbounded]
        return "; ".join([method_text(self.num_clusters), *held])


def method_text(num_clusters: int) -> str:
    """What an interval of this module rests on."""
    few = f"; approximate, fewer than {FEW_CLUSTERS} prompts" if num_clusters < FEW_CLUSTERS else ""
    return f"Bradley-Terry with ties, robust over {num_clusters} prompts, t with {num_clusters - 1} df{few}"


def strengths(votes: Votes, *, with_position: bool = True, ridge: float = RIDGE) -> Strengths:
    """Fits the largest group of models that votes connect; `with_position` asks for the effect of being shown first.

    Raises DataError where arrays do not fit together, and with votes on one prompt only, which have no interval.
    """
    rows = _rows(votes, with_position)
    kept, left_out = _largest_group(votes.models, rows)
    models = tuple(votes.models[int(k)] for k in kept)
    rows = rows.among(kept)
    num_clusters, num_models = len(np.unique(rows.clusters)), len(kept)
    if num_clusters < 2:
        raise DataError("strengths need votes on two prompts or more: their intervals rest on how prompts differ")
    scale = np.sqrt(np.mean(rows.extra**2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    thetas = np.eye(num_models)
    likelihood = Likelihood(np.hstack([thetas[rows.a] - thetas[rows.b], rows.extra / scale]), rows.outcomes, ridge)
    found = likelihood.minimum()
    robust, plain = _covariances(likelihood, found, rows.clusters)
    # Back to the units of the covariates, and every theta as its distance from their mean.
    back = np.eye(len(found))
    back[:num_models, :num_models] -= 1 / num_models
    back[range(num_models, num_models + len(scale)), range(num_models, num_models + len(scale))] = 1 / scale
    found, robust, plain = back @ found, back @ robust @ back, back @ plain @ back
    effects = _effects(rows, found[num_models:], np.diag(robust)[num_models:], num_clusters)
    return Strengths(
        models=models,
        theta=found[:num_models],
        tie=float(found[-1]) if rows.outcomes[:, 1].any() else -np.inf,
        covariance=robust,
        model_covariance=plain,
        num_votes=rows.num_votes,
        num_clusters=num_clusters,
        position=effects.pop(POSITION, None),
        betas=effects,
        unbounded=tuple(models[k] for k in _unbounded(rows, num_models)),
        not_comparable=left_out,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Equal votes on one prompt as one row, a < b; `outcomes` (r, 3) are weights, `extra` (r, q) position and style."""

    a: Index
    b: Index
    clusters: Index
    counts: Index
    outcomes: Array
    extra: Array
    names: tuple[str, ...]

    @property
    def num_votes(self) -> int:
        return int(self.counts.sum())

    def among(self, kept: Index) -> "_Rows":
        """The rows of some models, which are numbered anew."""
        place = np.full(max(self.a.max(), self.b.max(), kept.max()) + 1, -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        used = place[self.a] >= 0
        a, b, clusters, counts = place[self.a[used]], place[self.b[used]], self.clusters[used], self.counts[used]
        return _Rows(a, b, clusters, counts, self.outcomes[used], self.extra[used], self.names)


def _rows(votes: Votes, with_position: bool) -> _Rows:
    m = len(votes.a)
    first = np.zeros(m) if votes.first is None or not with_position else votes.first
    covariates = np.zeros((m, 0)) if votes.covariates is None else votes.covariates
    weights = np.ones(m) if votes.weights is None else votes.weights
    _check(votes, [votes.b, votes.share_a, votes.clusters, first, covariates, weights])
    has_position = bool(np.any(first != 0))
    extra = np.hstack([first[:, None], covariates]) if has_position else covariates
    turn = np.where(votes.a > votes.b, -1, 1)
    share = np.where(turn < 0, 1 - votes.share_a, votes.share_a)
    tie = 1 - np.abs(2 * share - 1)
    outcomes = np.stack([share - tie / 2, tie, 1 - share - tie / 2], axis=1) * weights[:, None]
    ends = np.minimum(votes.a, votes.b), np.maximum(votes.a, votes.b), votes.clusters
    keys = np.column_stack([*ends, extra * turn[:, None] + 0.0])  # + 0.0: a turned 0 is the same 0
    rows, member = np.unique(keys.astype(np.float64), axis=0, return_inverse=True)
    summed = _sums(member, outcomes)
    a, b, clusters = rows[:, :3].astype(np.int64).T
    names = (*((POSITION,) if has_position else ()), *votes.covariate_names)
    return _Rows(a, b, clusters, np.bincount(member), summed, rows[:, 3:], names)


def _check(votes: Votes, arrays: Sequence[NDArray[np.generic]]) -> None:
    lengths = [len(votes.a), *map(len, arrays)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise DataError(f"votes are arrays of one length, at least 1, got {lengths}")
    num_columns = 0 if votes.covariates is None else votes.covariates.shape[1]
    if num_columns != len(votes.covariate_names):
        raise DataError(f"{num_columns} covariates need as many names, got {list(votes.covariate_names)}")
    if not 0 <= votes.share_a.min() <= votes.share_a.max() <= 1:
        raise DataError("a share_a lies between 0 (b preferred) and 1 (a preferred)")
    if np.any(votes.a == votes.b):
        raise DataError(f"a model is not compared with itself: {votes.models[votes.a[votes.a == votes.b][0]]!r}")
    if not all(np.isfinite(np.asarray(values, dtype=np.float64)).all() for values in arrays):
        raise DataError("votes hold a value that is not finite; leave such votes out")


def _largest_group(models: tuple[str, ...], rows: _Rows) -> tuple[Index, dict[str, str]]:
    """Which models can be compared with most others, by number; the rest by name, with the reason."""
    links = csr_array((np.ones(len(rows.a)), (rows.a, rows.b)), shape=(len(models), len(models)))
    _, group = connected_components(links, directed=False)
    sizes = np.bincount(group)
    num_votes = np.bincount(group[rows.a], weights=rows.counts, minlength=len(sizes))
    largest = max(range(len(sizes)), key=lambda g: (sizes[g], num_votes[g]))
    out = {
        models[k]: f"no vote links it to the {sizes[largest]} models that were fitted"
        for k in np.flatnonzero(group != largest)
    }
    return np.flatnonzero(group == largest), out


def _unbounded(rows: _Rows, num_models: int) -> list[int]:
    """Models outside the largest group in which everybody can be reached by beating and by losing (Ford, 1957)."""
    won, lost = (rows.outcomes[:, side] + rows.outcomes[:, 1] > 0 for side in (0, 2))
    winners = np.concatenate([rows.a[won], rows.b[lost]])
    losers = np.concatenate([rows.b[won], rows.a[lost]])
    beaten = csr_array((np.ones(len(winners)), (winners, losers)), shape=(num_models, num_models))
    _, group = connected_components(beaten, directed=True, connection="strong")
    sizes = np.bincount(group)
    return [k for k in range(num_models) if sizes.max() == 1 or group[k] != sizes.argmax()]


def _covariances(likelihood: Likelihood, parameters: Array, clusters: Index) -> tuple[Array, Array]:
    """The sandwich over clusters, and the inverse Hessian."""
    inverse = np.asarray(np.linalg.inv(likelihood.hessian(parameters)), dtype=np.float64)
    _, number = np.unique(clusters, return_inverse=True)
    by_cluster = _sums(number, likelihood.scores(parameters)) @ inverse
    g = len(by_cluster)
    return g / (g - 1) * (by_cluster.T @ by_cluster), inverse


def _sums(groups: Index, values: Array) -> Array:
    """Rows of `values` (m, k) added up by their group, (number of groups, k)."""
    total = np.zeros((int(groups.max()) + 1, values.shape[1]))
    np.add.at(total, groups, values)
    return total


def _effects(rows: _Rows, values: Array, variances: Array, num_clusters: int) -> dict[str, Estimate]:
    """Position and betas by name; log-odds for a unit of each."""
    quantile = float(stdtrit(num_clusters - 1, 0.975))
    found: dict[str, Estimate] = {}
    for name, value, variance in zip(rows.names, values.tolist(), variances.tolist()):
        half = quantile * variance**0.5
        found[name] = Estimate(value, value - half, value + half, rows.num_votes, method_text(num_clusters))
    return found
