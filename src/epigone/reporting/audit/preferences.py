"""What recorded judgments say: who is preferred to the teacher, how strong every model is, what style explains of it.

In: judgments under the audit's names and prompt ids, the form of answers. Out: direct preferences, Bradley-Terry fits
and strengths by panel and criterion, and the standing of preference. A panel is a crowd or a judge; panels are never
pooled. Fits use all judgments of a panel, those on models outside the audit too; style is controlled where the answers
of both sides are at hand.
Source: arXiv 2305.15717, section 4.1 and Figures 1 and 3; see metrics.bradley_terry and metrics.controlled for methods.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from epigone.metrics import bradley_terry
from epigone.metrics.agreement import share_of_a
from epigone.metrics.bradley_terry import Strengths, strengths, votes_of
from epigone.metrics.controlled import controlled
from epigone.metrics.intervals import comparisons_needed, estimate, minimum_difference_of_preference
from epigone.metrics.likeness import Look, look
from epigone.metrics.preference import comparisons, win_or_tie_rate
from epigone.metrics.resampling import NUM_RESAMPLES, Array, Draws
from epigone.metrics.testing import sign_test
from epigone.records import Estimate, Generation, Judgment
from epigone.reporting.audit.alignment import Aligned, keys_of
from epigone.reporting.audit.findings import Controlled, DirectPreference, Fit, FittedStrength
from epigone.reporting.audit.standings import Standing
from epigone.reporting.audit.verdicts import Roles
from epigone.reporting.wording import plural

FEATURES = ("log words", "list", "summary", "bold", "headers")
LENGTH_ONLY = ("log words",)
MIN_CONTROLLED = 30
"""Fewer prompts say nothing of slopes."""
MIN_INTERVAL = 5
MIN_BOTH_ORDERS = 0.2
"""Share of judgments on pairs shown in both orders; below it position stays out of the fit, as it cannot be told."""
WANTED_DIFFERENCE = 0.05
"""Of a win share from one half; the number of comparisons that it takes is shown."""
FITTED_PROTOCOL = "Bradley-Terry with ties (Davidson), strengths in log-odds"

Group = tuple[str, str]
"""Panel and criterion."""


@dataclass(frozen=True)
class Preferences:
    """Everything that judgments say, by panel; `main` is the panel with most comparisons of students and teacher."""

    direct: tuple[DirectPreference, ...] = ()
    fits: tuple[Fit, ...] = ()
    strengths: tuple[FittedStrength, ...] = ()
    main: Group = ("", "")
    rates: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    rate_sources: Mapping[str, str] = field(default_factory=dict[str, str])
    standing: Standing | None = None
    outcomes: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    rate_draws: Mapping[str, Draws] = field(default_factory=dict[str, Draws])
    missing: Mapping[str, str] = field(default_factory=dict[str, str])


def by_group(judgments: Iterable[Judgment]) -> dict[Group, list[Judgment]]:
    """Judgments by panel (a rater without one is a panel) and criterion, sorted."""
    grouped: dict[Group, list[Judgment]] = defaultdict(list)
    for judgment in judgments:
        grouped[judgment.panel or judgment.rater, judgment.criterion].append(judgment)
    return dict(sorted(grouped.items()))


Forms = Mapping[tuple[str, str], Sequence[float]]
"""FEATURES of an answer by (prompt id, model)."""


def preferences(judgments: Sequence[Judgment], models: Sequence[str], forms: Forms, roles: Roles) -> Preferences:
    """All that judgments say of the audit's `models`."""
    groups = by_group(judgments)
    rivals = [name for name in models if name != roles.teacher]
    direct: list[DirectPreference] = []
    for group, found in groups.items():
        for model in rivals:
            pair = [j for j in found if {j.a, j.b} == {model, roles.teacher}]
            if pair:
                direct.append(_direct(group, pair, model, roles.teacher, forms))
    fitted = {group: fit for group, found in groups.items() if (fit := _fit(found, forms))}
    main = _main(groups, direct, fitted, [n for n in rivals if roles.of(n) == "student"], roles.teacher)
    rates, sources = _rates(main, direct, fitted, rivals, roles.teacher)
    return Preferences(
        direct=tuple(direct),
        fits=tuple(_fit_row(group, *fit) for group, fit in fitted.items()),
        strengths=tuple(
            row for group, fit in fitted.items() for row in _strength_rows(group, *fit, groups[group], roles)
        ),
        main=main,
        rates=rates,
        rate_sources=sources,
        standing=_standing(fitted.get(main), models),
        outcomes={name: _outcomes(groups.get(main, []), name, roles.teacher) for name in rivals},
        rate_draws=_rate_draws(fitted.get(main), rivals, roles.teacher),
        missing=_missing(rivals, rates, groups, roles),
    )


def _direct(group: Group, pair: Sequence[Judgment], model: str, teacher: str, forms: Forms) -> DirectPreference:
    counted = win_or_tie_rate(pair, model)
    shares = _shares(pair, model)
    values = np.asarray(list(shares.values()))
    explained, why = _controlled(shares, model, teacher, forms)
    tie_share = min(float(np.mean(values == 0.5)), 1 - 2 * WANTED_DIFFERENCE)
    return DirectPreference(
        panel=group[0],
        criterion=group[1],
        model=model,
        against=teacher,
        wins=counted.wins,
        ties=counted.ties,
        losses=counted.losses,
        num_splits=counted.num_splits,
        num_ratings=len(pair),
        win_or_tie=counted.win_or_tie,
        sd_of_mean=counted.sd_of_mean,
        win_share=_share_estimate(values),
        position=_position(pair, model, teacher),
        people=any(j.is_person for j in pair),
        simulated=any(j.simulated for j in pair),
        p=sign_test(counted.wins, counted.losses),
        controlled=explained,
        not_controlled=why,
        smallest=_finite(minimum_difference_of_preference(len(values), tie_share)),
        num_needed=comparisons_needed(WANTED_DIFFERENCE, tie_share=tie_share),
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _share_estimate(values: Array) -> Estimate:
    """With a handful of prompts a bootstrap shows no spread that means anything: no interval then, all of 0-1."""
    if len(values) < MIN_INTERVAL:
        return Estimate(float(values.mean()), 0.0, 1.0, len(values), f"fewer than {MIN_INTERVAL} prompts: no interval")
    return estimate([values])


def _shares(pair: Sequence[Judgment], model: str) -> dict[str, float]:
    """Mean share of the model by prompt: 1 a win, 0.5 a tie, fractions as they were given."""
    found: dict[str, list[float]] = defaultdict(list)
    for judgment in pair:
        share = share_of_a(judgment)
        found[judgment.prompt_id].append(share if judgment.a == model else 1 - share)
    return {prompt_id: float(np.mean(values)) for prompt_id, values in found.items()}


def forms_of(aligned: Aligned, looks: Mapping[str, Sequence[Look]], others: Sequence[Generation]) -> Forms:
    """Forms of every non-empty answer, those of models outside the audit too where a recording holds them."""
    found = {
        (prompt_id, model): _form(seen)
        for model, column in looks.items()
        for prompt_id, seen in zip(aligned.prompt_ids, column, strict=True)
        if not seen.empty
    }
    for generation in others:
        place = next((aligned.place_of[key] for key in keys_of(generation) if key in aligned.place_of), None)
        model = aligned.known_as.get(generation.model, generation.model)
        if place is not None and generation.text.strip():
            found.setdefault((aligned.prompt_ids[place], model), _form(look(generation.text)))
    return found


def _form(seen: Look) -> tuple[float, ...]:
    return (
        float(np.log1p(seen.table.num_words)),
        float(seen.table.has_list),
        float(seen.table.has_summary),
        float(seen.seen.bold),
        float(seen.seen.headers),
    )


def _controlled(
    shares: Mapping[str, float], model: str, teacher: str, forms: Forms
) -> tuple[tuple[Controlled, ...], str]:
    both = [p for p in shares if (p, model) in forms and (p, teacher) in forms]
    if len(both) < MIN_CONTROLLED:
        return (), f"judgments and both answers on {plural(len(both), 'prompt')}, at least {MIN_CONTROLLED} are needed"
    outcomes = np.asarray([shares[p] for p in both])
    differences = np.asarray([forms[p, model] for p in both]) - np.asarray([forms[p, teacher] for p in both])
    rows: list[Controlled] = []
    for name, features in (("equal length", LENGTH_ONLY), ("equal style", FEATURES)):
        columns = [FEATURES.index(feature) for feature in features]
        found = controlled(outcomes, differences[:, columns], features)
        rows.append(Controlled(name, tuple(found.coefficients), found.controlled, found.explained))
    return tuple(rows), ""


def _position(pair: Sequence[Judgment], model: str, teacher: str) -> str:
    firsts = Counter(j.a if j.first == "a" else j.b if j.first == "b" else "" for j in pair)
    if firsts[""] == len(pair):
        return "order not recorded: a bias for the first or second place cannot be told"
    for name in (model, teacher):
        if firsts[name] == len(pair):
            return f"{name} always shown first: position bias cannot be told from preference"
    unknown = f", order unknown in {firsts['']}" if firsts[""] else ""
    return f"{model} shown first in {firsts[model]} of {len(pair)} ratings{unknown}"


def _outcomes(found: Sequence[Judgment], model: str, teacher: str) -> dict[str, str]:
    pair = [j for j in found if {j.a, j.b} == {model, teacher}]
    return {prompt_id: c.outcome for prompt_id, c in comparisons(pair, model).items()}


def _fit(found: Sequence[Judgment], forms: Forms) -> tuple[Strengths, Strengths | None] | None:
    """Strengths, and at equal style over the judgments whose answers are at hand; None where nothing can be fitted."""
    if len({j.prompt_id for j in found}) < 2 or len({name for j in found for name in (j.a, j.b)}) < 2:
        return None
    both_orders = _share_in_both_orders(found) >= MIN_BOTH_ORDERS
    plain = strengths(votes_of(found), with_position=both_orders)
    known = [j for j in found if (j.prompt_id, j.a) in forms and (j.prompt_id, j.b) in forms]
    if len(known) < MIN_CONTROLLED or len({j.prompt_id for j in known}) < 2:
        return plain, None
    columns = _varying(known, forms)
    features = {key: [form[c] for c in columns] for key, form in forms.items()}
    votes = votes_of(known, features, [FEATURES[c] for c in columns])
    return plain, strengths(votes, with_position=both_orders)


def _share_in_both_orders(found: Sequence[Judgment]) -> float:
    """Share of judgments on pairs of models that were shown in both orders; without them no position effect is told."""
    orders: dict[frozenset[str], set[str]] = defaultdict(set)
    for j in found:
        if j.first != "unknown":
            orders[frozenset((j.a, j.b))].add(j.a if j.first == "a" else j.b)
    return sum(len(orders[frozenset((j.a, j.b))]) == 2 for j in found) / len(found)


def _varying(known: Sequence[Judgment], forms: Forms) -> list[int]:
    moved = [np.subtract(forms[j.prompt_id, j.a], forms[j.prompt_id, j.b]) for j in known]
    return [c for c in range(len(FEATURES)) if np.any(np.asarray(moved)[:, c] != 0)]


def _main(
    groups: Mapping[Group, Sequence[Judgment]],
    direct: Sequence[DirectPreference],
    fitted: Mapping[Group, tuple[Strengths, Strengths | None]],
    students: Sequence[str],
    teacher: str,
) -> Group:
    """Says something of most students; then compared most of them with the teacher directly; then people; then most."""

    def rank(group: Group) -> tuple[int, int, bool, int]:
        met = {d.model for d in direct if (d.panel, d.criterion) == group} & set(students)
        known = fitted[group][0].models if group in fitted else ()
        through = set(students) & set(known) if teacher in known else set[str]()
        people = any(j.is_person for j in groups[group])
        return len(met | through), len(met), people, len(groups[group])

    return max(groups, key=rank, default=("", ""))


def _rates(
    main: Group,
    direct: Sequence[DirectPreference],
    fitted: Mapping[Group, tuple[Strengths, Strengths | None]],
    rivals: Sequence[str],
    teacher: str,
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Direct rates where a model met the teacher often enough for an interval to mean something, else fitted ones."""
    rates: dict[str, Estimate] = {}
    sources: dict[str, str] = {}
    for model in rivals:
        own = [d for d in direct if (d.panel, d.criterion) == main and d.model == model]
        fit = fitted[main][0] if main in fitted else None
        if own and own[0].win_or_tie.n >= MIN_CONTROLLED:
            rates[model], sources[model] = own[0].win_or_tie, "direct"
        elif fit and model in fit.models and teacher in fit.models:
            rates[model], sources[model] = fit.rate(model, teacher), "fitted"
        elif own:
            rates[model], sources[model] = own[0].win_or_tie, "direct"
    return rates, sources


def _fit_row(group: Group, plain: Strengths, styled: Strengths | None) -> Fit:
    return Fit(
        panel=group[0],
        criterion=group[1],
        num_models=len(plain.models),
        num_judgments=plain.num_votes,
        num_prompts=plain.num_clusters,
        method=bradley_terry.method_text(plain.num_clusters),
        equal_rate=float(1 - 1 / (2 + np.exp(plain.tie))),
        position=plain.position,
        style=tuple(styled.betas.items()) if styled else (),
        unconnected=tuple(plain.not_comparable),
    )


def _strength_rows(
    group: Group, plain: Strengths, styled: Strengths | None, found: Sequence[Judgment], roles: Roles
) -> list[FittedStrength]:
    met = Counter(name for j in found for name in {j.a, j.b})
    teacher = roles.teacher
    rows: list[FittedStrength] = []
    for model in plain.models:
        own = model != teacher and teacher in plain.models
        at_style = styled if styled and model in styled.models and teacher in styled.models else None
        rows.append(
            FittedStrength(
                panel=group[0],
                criterion=group[1],
                model=model,
                num_comparisons=met[model],
                strength=plain.strength(model),
                rate=plain.rate(model, teacher) if own else None,
                controlled_rate=at_style.rate(model, teacher) if own and at_style else None,
            )
        )
    return sorted(rows, key=lambda row: -row.strength.value)


def _standing(fit: tuple[Strengths, Strengths | None] | None, models: Sequence[str]) -> Standing | None:
    """Strengths of the audit's models as Draws, so that gaps are read off them as off any metric."""
    if fit is None:
        return None
    plain = fit[0]
    samples = _theta_samples(plain)
    draws = {
        model: Draws(plain.theta[[k]], samples[:, [k]], plain.num_clusters)
        for k, model in enumerate(plain.models)
        if model in models
    }
    return Standing("preference", "strength", FITTED_PROTOCOL, draws)


def _theta_samples(plain: Strengths) -> Array:
    """Draws of all strengths from their joint distribution, Student's t by prompts."""
    num_models = len(plain.models)
    covariance = plain.covariance[:num_models, :num_models]
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    rng = np.random.default_rng([plain.num_votes, num_models])
    normal = rng.standard_normal((NUM_RESAMPLES, num_models)) @ root.T
    freedom = plain.num_clusters - 1
    stretch = np.sqrt(freedom / rng.chisquare(freedom, size=(NUM_RESAMPLES, 1)))
    return plain.theta + normal * stretch


def _rate_draws(
    fit: tuple[Strengths, Strengths | None] | None, rivals: Sequence[str], teacher: str
) -> dict[str, Draws]:
    """Fitted rates against the teacher as Draws, for the difference of two models' rates."""
    if fit is None or teacher not in fit[0].models:
        return {}
    plain = fit[0]
    samples, top = _theta_samples(plain), plain.models.index(teacher)

    def rate(d: Array) -> Array:
        """P(a) + P(tie) at a difference of strengths."""
        return 1 - np.exp(-d / 2 - np.logaddexp.reduce([d / 2, np.full_like(d, plain.tie), -d / 2]))

    found: dict[str, Draws] = {}
    for model in rivals:
        if model in plain.models:
            k = plain.models.index(model)
            point = rate(plain.theta[[k]] - plain.theta[[top]])
            found[model] = Draws(point, rate(samples[:, [k]] - samples[:, [top]]), plain.num_clusters, bounded=True)
    return found


def _missing(
    rivals: Sequence[str], rates: Mapping[str, Estimate], groups: Mapping[Group, object], roles: Roles
) -> dict[str, str]:
    if not groups:
        return {"preference": "no judgments were given; add them with --judgments"}
    return {
        f"preference of {name}": f"no judgment compares it with {roles.teacher}, nor through other models"
        for name in rivals
        if name not in rates and roles.of(name) == "student"
    }


def with_adjusted(preferred: Preferences, adjusted: Sequence[float]) -> Preferences:
    """The same with p-values adjusted over the family of tests, in the order of `direct`."""
    rows = tuple(replace(row, p_holm=p) for row, p in zip(preferred.direct, adjusted, strict=True))
    return replace(preferred, direct=rows)
