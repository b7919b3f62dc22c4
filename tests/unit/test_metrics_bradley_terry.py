"""Strengths against choix, a likelihood written twice, finite differences, simulated prompts and a real crowd."""

import csv
from dataclasses import replace

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from epigone.errors import DataError
from epigone.metrics.bradley_terry import FEW_CLUSTERS, Likelihood, Strengths, Votes, strengths, votes_of
from epigone.records import Judgment

NAMES = ("m0", "m1", "m2", "m3", "m4")


def drawn(rng, theta: np.ndarray, tie: float, num_votes: int, num_prompts: int = 30, **effects) -> Votes:
    """Votes from the model itself; `noise` moves the thetas from prompt to prompt."""
    prompt = rng.integers(num_prompts, size=num_votes)
    moved = theta + effects.get("noise", 0.0) * rng.standard_normal((num_prompts, len(theta)))
    a = rng.integers(len(theta), size=num_votes)
    b = (a + rng.integers(1, len(theta), size=num_votes)) % len(theta)
    first = rng.choice([-1.0, 1.0], size=num_votes)
    style = rng.standard_normal((num_votes, 1))
    d = moved[prompt, a] - moved[prompt, b]
    d = d + effects.get("position", 0.0) * first + effects.get("beta", 0.0) * style[:, 0]
    masses = np.exp(np.stack([d / 2, np.full_like(d, tie), -d / 2]))
    luck = rng.random(num_votes) * masses.sum(axis=0)
    share = np.where(luck < masses[0], 1.0, np.where(luck < masses[:2].sum(axis=0), 0.5, 0.0))
    names = tuple(f"m{number}" for number in range(len(theta)))
    return Votes(names, a, b, share, prompt, first, None, style, ("length",))


def plain(votes: Votes) -> Votes:
    return replace(votes, first=None, covariates=None, covariate_names=())


THETA = np.array([0.9, 0.4, 0.0, -0.3, -1.0])


def test_without_ties_it_is_bradley_terry_as_choix_fits_it() -> None:
    votes = plain(drawn(np.random.default_rng(0), THETA, -np.inf, 2000))
    pairs = [(int(a), int(b)) if s == 1 else (int(b), int(a)) for a, b, s in zip(votes.a, votes.b, votes.share_a)]
    found = strengths(votes, ridge=1e-6)
    for oracle in (choix.opt_pairwise(5, pairs, alpha=1e-6), choix.ilsr_pairwise(5, pairs, alpha=1e-6)):
        assert found.theta == pytest.approx(oracle - oracle.mean(), abs=1e-3)
    assert found.tie == -np.inf
    assert found.rate("m0", "m4").value == pytest.approx(found.win_share("m0", "m4").value)
    assert found.rate("m0", "m4").value == pytest.approx(1 / (1 + np.exp(found.theta[4] - found.theta[0])))


def test_with_ties_position_and_style_it_is_the_likelihood_written_out() -> None:
    votes = drawn(np.random.default_rng(1), THETA, -0.5, 1500, position=0.3, beta=0.5)

    def minus_log_likelihood(x: np.ndarray) -> float:
        theta, position, beta, tie = np.append(0.0, x[:4]), x[4], x[5], x[6]
        total = 0.0
        for a, b, share, first, style in zip(votes.a, votes.b, votes.share_a, votes.first, votes.covariates[:, 0]):
            strong, weak = theta[a] + position * first + beta * style, theta[b]
            masses = {1.0: strong / 2, 0.5: tie + weak / 2, 0.0: weak - strong / 2}  # all three times exp(weak / 2)
            total += np.log(sum(np.exp(m) for m in masses.values())) - masses[share]
        return total

    oracle = minimize(minus_log_likelihood, np.zeros(7), method="BFGS", options={"gtol": 1e-3}).x
    found = strengths(votes, ridge=1e-6)
    assert found.theta - found.theta[0] == pytest.approx(np.append(0.0, oracle[:4]), abs=2e-3)
    assert found.position.value == pytest.approx(oracle[4], abs=2e-3)
    assert found.betas["length"].value == pytest.approx(oracle[5], abs=2e-3)
    assert found.tie == pytest.approx(oracle[6], abs=2e-3)
    assert (
        found.position.low < 0.3 < found.position.high and found.betas["length"].low < 0.5 < found.betas["length"].high
    )


def test_slopes_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(2)
    likelihood = Likelihood(rng.standard_normal((40, 6)), rng.random((40, 3)), 0.3)
    point = rng.standard_normal(7)
    assert likelihood.gradient(point) == pytest.approx(approx_fprime(point, likelihood.value, 1e-7), abs=1e-4)
    assert likelihood.hessian(point) == pytest.approx(approx_fprime(point, likelihood.gradient, 1e-7), abs=1e-4)
    summed = likelihood.scores(point).sum(axis=0)
    assert 0.3 * point - summed == pytest.approx(likelihood.gradient(point))


def test_the_minimum_is_where_the_slope_is_nothing() -> None:
    rng = np.random.default_rng(3)
    likelihood = Likelihood(rng.standard_normal((60, 6)), rng.random((60, 3)) * 50, 0.01)
    assert np.abs(likelihood.gradient(likelihood.minimum())).max() < 1e-8


def coverage(found: list[Strengths], truth: float, *, robust: bool) -> float:
    fits = found if robust else [replace(f, covariance=f.model_covariance) for f in found]
    intervals = [f.strength("m0", "m2") for f in fits]
    return float(np.mean([i.low <= truth <= i.high for i in intervals]))


def test_intervals_over_prompts_cover_the_truth_and_those_over_votes_do_not() -> None:
    rng = np.random.default_rng(4)
    everybody = plain(drawn(rng, THETA, -0.3, 400_000, 20_000, noise=0.8))
    truth = strengths(everybody).strength("m0", "m2").value
    found = [strengths(plain(drawn(rng, THETA, -0.3, 1500, 30, noise=0.8))) for _ in range(250)]
    assert 0.90 <= coverage(found, truth, robust=True) <= 0.985
    assert coverage(found, truth, robust=False) < 0.8


def test_shares_move_with_the_delta_method() -> None:
    """The slopes of both shares, by refitting nothing: a small step of theta and tie, by hand."""
    found = strengths(plain(drawn(np.random.default_rng(5), THETA, -0.3, 3000)))
    at = {name: number for number, name in enumerate(found.models)}

    def shares(parameters: np.ndarray) -> np.ndarray:
        d, tie = parameters[at["m1"]] - parameters[at["m3"]], parameters[-1]
        masses = np.exp([d / 2, tie, -d / 2]) / np.exp([d / 2, tie, -d / 2]).sum()
        at_least, won = masses[0] + masses[1], masses[0] + masses[1] / 2
        return np.log([at_least / (1 - at_least), won / (1 - won)])

    point = np.append(found.theta, found.tie)
    slopes = approx_fprime(point, shares, 1e-7)
    for estimate, value, slope in zip(
        (found.rate("m1", "m3"), found.win_share("m1", "m3")), shares(point), slopes, strict=True
    ):
        half = 2.045230 * np.sqrt(slope @ found.covariance @ slope)  # Student's t, 29 degrees of freedom
        expected = 1 / (1 + np.exp([-value, half - value, -half - value]))
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(expected, abs=1e-5)
    assert found.rate("m1", "m3").value + found.rate("m3", "m1").value > 1
    assert found.win_share("m1", "m3").value + found.win_share("m3", "m1").value == pytest.approx(1)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_neither_sides_nor_the_order_of_votes_matter(seed: int, share_turned: float) -> None:
    rng = np.random.default_rng(seed)
    votes = drawn(rng, THETA, 0.0, 200, 12, position=0.2, beta=0.4)
    turn = rng.random(200) < share_turned
    order = rng.permutation(200)
    other = Votes(
        votes.models,
        np.where(turn, votes.b, votes.a)[order],
        np.where(turn, votes.a, votes.b)[order],
        np.where(turn, 1 - votes.share_a, votes.share_a)[order],
        votes.clusters[order] * 7 + 3,
        np.where(turn, -votes.first, votes.first)[order],
        None,
        np.where(turn[:, None], -votes.covariates, votes.covariates)[order],
        votes.covariate_names,
    )
    one, two = strengths(votes), strengths(other)
    assert one.theta == pytest.approx(two.theta, abs=1e-7)
    assert one.covariance == pytest.approx(two.covariance, abs=1e-7)
    assert one.tie == pytest.approx(two.tie, abs=1e-7)
    assert one.position.low == pytest.approx(two.position.low, abs=1e-7)


def test_weights_count_votes_several_times() -> None:
    votes = plain(drawn(np.random.default_rng(6), THETA, 0.0, 300, 12))
    twice = np.repeat(np.arange(300), 2)
    doubled = Votes(votes.models, votes.a[twice], votes.b[twice], votes.share_a[twice], votes.clusters[twice])
    weighted = strengths(replace(votes, weights=np.full(300, 2.0)))
    assert weighted.theta == pytest.approx(strengths(doubled).theta, abs=1e-8)
    assert weighted.covariance == pytest.approx(strengths(doubled).covariance, abs=1e-8)
    assert (weighted.num_votes, strengths(doubled).num_votes) == (300, 600)


def compared(prompt_id: str, a: str, b: str, verdict: str, share_a: float | None = None) -> Judgment:
    return Judgment(prompt_id, a, b, verdict, "r", "unknown", share_a=share_a)


def test_models_that_no_vote_links_are_named() -> None:
    votes = [compared(p, a, b, v) for p in "pqr" for a, b, v in (("x", "y", "a"), ("y", "z", "tie"), ("x", "z", "b"))]
    votes += [compared("p", "u", "v", "a")] * 20
    found = strengths(votes_of(votes))
    assert found.models == ("x", "y", "z")
    assert set(found.not_comparable) == {"u", "v"} and found.num_unconnected == 2
    assert found.not_comparable["u"] == "no vote links it to the 3 models that were fitted"
    assert found.num_votes == 9 and found.num_clusters == 3
    with pytest.raises(DataError, match=r"'u' has no strength: no vote links it"):
        found.rate("x", "u")
    with pytest.raises(DataError, match="there is no vote on it; there are x, y, z"):
        found.strength("nobody")


def test_a_model_that_won_everything_stays_finite_and_says_so() -> None:
    votes = [compared(p, a, b, v) for p in "pqrst" for a, b, v in (("y", "z", "a"), ("y", "z", "b"), ("y", "z", "tie"))]
    votes += [compared(p, "star", other, "a") for p in "pqrst" for other in "yz"]
    found = strengths(votes_of(votes))
    star = found.rate("star", "y")
    assert found.unbounded == ("star",)
    assert 0.97 < star.value < 1 and np.isfinite(found.theta).all()
    assert star.low < 0.9 and "star won or lost everything" in star.method
    assert "won or lost" not in found.rate("y", "z").method and "approximate" in star.method
    assert strengths(votes_of([compared(p, "y", "z", "a") for p in "pq"])).unbounded == ("y", "z")
    only_ties = strengths(votes_of([compared(p, "y", "z", "tie") for p in "pqr"]))
    assert only_ties.theta == pytest.approx(0, abs=1e-9) and only_ties.rate("y", "z").value > 0.95


def test_shares_between_the_verdicts_are_part_of_each() -> None:
    ties = [compared(p, "x", "y", v) for p in "pqr" for v in ("a", "tie", "b", "tie")]
    mixed = [compared(p, "x", "y", "a", s) for p in "pqr" for s in (0.75, 0.75, 0.25, 0.25)]
    assert strengths(votes_of(ties)).tie == pytest.approx(strengths(votes_of(mixed)).tie)


def test_style_of_answers_is_read_by_prompt_and_model() -> None:
    votes = [compared(p, "x", "y", v) for p, v in (("p", "a"), ("q", "b"), ("r", "tie"))]
    features = {("p", "x"): [3], ("p", "y"): [1.0], ("q", "x"): [1.0], ("q", "y"): [5.0], ("r", "x"): [0.0]}
    features["r", "y"] = [0.0]
    assert votes_of(votes, features, ["words"]).covariates.tolist() == [[2.0], [-4.0], [0.0]]
    assert list(strengths(votes_of(votes, features, ["words"])).betas) == ["words"]


def test_votes_that_cannot_be_read() -> None:
    votes = plain(drawn(np.random.default_rng(7), THETA, 0.0, 50, 5))
    for changed, message in (
        ({"share_a": votes.share_a[:-1]}, "one length"),
        ({"share_a": votes.share_a + 1}, "between 0"),
        ({"b": votes.a}, "compared with itself"),
        ({"covariates": np.ones((50, 2))}, "as many names"),
        ({"weights": np.full(50, np.nan)}, "not finite"),
        ({"clusters": np.zeros(50, dtype=np.int64)}, "two prompts or more"),
    ):
        with pytest.raises(DataError, match=message):
            strengths(replace(votes, **changed))


def test_few_prompts_are_called_approximate() -> None:
    rng = np.random.default_rng(8)
    few, many = (plain(drawn(rng, THETA, 0.0, 600, g)) for g in (FEW_CLUSTERS - 1, FEW_CLUSTERS))
    assert "approximate" in strengths(few).strength("m0").method
    assert "approximate" not in strengths(many).strength("m0").method


def test_a_real_crowd_of_59_models(data_root) -> None:
    with open(data_root / "human_ratings/llmfao/crowd-comparisons.csv", encoding="utf-8") as file:
        words = {"left": "a", "right": "b", "tie": "tie"}
        votes = [
            Judgment(r["prompt"], r["left"], r["right"], words[r["winner"]], r["worker"], "a")
            for r in csv.DictReader(file)
        ]
    rows = votes_of(votes)
    found = strengths(rows)
    ranking = sorted(found.models, key=lambda model: -found.strength(model).value)
    by_model, direct, fitted, weights = direct_and_fitted(rows, strengths(rows, with_position=False))
    agreement = np.average(np.abs(direct - fitted), weights=weights)
    print(f"\n{ranking[:5]}; position {found.position}; direct against fitted {agreement:.3f}")
    assert (len(found.models), found.num_votes, found.num_clusters) == (59, 8931, 13)
    assert "GPT 4" in ranking[:3] and not found.not_comparable
    assert by_model == pytest.approx(0, abs=0.05)  # a model wins as many votes as it was fitted to win
    assert np.corrcoef(direct, fitted)[0, 1] > 0.4


def direct_and_fitted(votes: Votes, found: Strengths) -> tuple[np.ndarray, ...]:
    """Won votes beyond those fitted, by model; the direct and the fitted share and the number of votes, by pair."""
    pairs = sorted(set(zip(votes.a.tolist(), votes.b.tolist())))
    rows = [(votes.a == a) & (votes.b == b) for a, b in pairs]
    direct = np.array([votes.share_a[row].mean() for row in rows])
    fitted = np.array([found.win_share(votes.models[a], votes.models[b]).value for a, b in pairs])
    num_votes = np.array([row.sum() for row in rows])
    beyond = num_votes * (direct - fitted)
    ends = np.array(pairs).T
    return np.bincount(ends[0], beyond) - np.bincount(ends[1], beyond), direct, fitted, num_votes
