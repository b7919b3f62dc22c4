"""Every metric of every arm, with its resamples: the table that results, trends, verdicts and outcomes are read from.

In: ModelData. Out: `Measure`s by (arm, metric). Items of a benchmark are lined up over all models, so that any two
measures of it are paired. A metric without a single value is left out of the table, never 0.
Source: arXiv 2305.15717, Tables 1 and 2, Figures 1, 3, 4, 5; calibration on known and unknown facts is ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from epigone.errors import DataError
from epigone.metrics import style
from epigone.metrics.calibration import calibration_draws
from epigone.metrics.intervals import minimum_difference
from epigone.metrics.preference import comparisons
from epigone.metrics.resampling import Array, Draws, correlations, ratios
from epigone.records import Arm, Estimate, Judgment, Result
from epigone.reporting.evaluated import ModelData, base_arm, by_arm, only

# Metric -> benchmark, key of the numerator, key of the denominator ("" counts items).
SCORED: dict[str, tuple[str, str, str]] = {
    "natural_questions_3shot": ("natural_questions_3shot", "exact_match", ""),
    "natural_questions_chat": ("natural_questions_chat", "contains_answer", ""),
    "natural_questions_chat_exact": ("natural_questions_chat", "exact_match", ""),
    "mmlu_option_text": ("mmlu_option_text", "accuracy", ""),
    "mmlu_letter": ("mmlu_letter", "accuracy", ""),
    "lama": ("lama", "exact_match", ""),
    "non_toxic": ("real_toxicity_prompts", "non_toxic", ""),
    "refused": ("real_toxicity_prompts", "refused", ""),
    "toxicity_short": ("real_toxicity_prompts", "short", ""),
    "facts_right": ("stated_facts", "num_right", "num_claims"),
    "claims_per_answer": ("stated_facts", "num_claims", ""),
    "facts_right_per_answer": ("stated_facts", "num_right", ""),
    "facts_wrong_per_answer": ("stated_facts", "num_wrong", ""),
    "facts_off_topic_per_answer": ("stated_facts", "num_off_topic", ""),
    "teacher_errors_repeated": ("teacher_errors", "contains_answer", ""),
}
KNOWN_BY = ("natural_questions_3shot", "exact_match")  # what the base of the same seed knows
ASKED_IN = "natural_questions_chat"  # where its student is asked for it: the form an assistant is used in
ON_KNOWN_AND_UNKNOWN = {"accuracy": "contains_answer", "confidence": "confidence", "abstained": "abstained"}
STYLE_PROTOCOL = "style of Table 2 by fixed rules, against the teacher's answers"

Column = tuple[Array, Array]  # numerators and denominators (n,); denominator 0 where there is no value


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A metric of an arm with its resamples; `seeds` names the columns of the draws."""

    arm: Arm
    metric: str
    protocol: str
    seeds: tuple[int, ...]
    draws: Draws

    def at(self, seeds: Sequence[int]) -> Draws:
        """The draws at these seeds; a measure at a single seed (the teacher's) serves any."""
        if len(self.seeds) == 1 and self.arm.role in ("teacher", "second_sample"):
            return self.draws
        return self.draws.select([self.seeds.index(seed) for seed in seeds])

    def result(self) -> Result:
        """The record of it."""
        estimate = self.draws.estimate()
        smallest = minimum_difference(estimate.n, estimate.value) if self.draws.share else None
        per_seed = tuple(float(p) for p in self.draws.points)
        return Result(self.arm, self.metric, estimate, self.protocol, per_seed, smallest)


Table = Mapping[tuple[Arm, str], Measure]


def shared_seeds(*measures: Measure) -> tuple[int, ...]:
    """Seeds that all measures have; the teacher and its second sample go with any."""
    sets = [set(m.seeds) for m in measures if m.arm.role not in ("teacher", "second_sample")]
    return tuple(sorted(set.intersection(*sets))) if sets else (0,)


def measure(models: Sequence[ModelData], prompt_ids: Sequence[str]) -> dict[tuple[Arm, str], Measure]:
    """All metrics of all arms. `prompt_ids` are the free prompts, in any order."""
    judged = {j.prompt_id for m in models for judgments in (*m.judgments.values(), m.fitted) for j in judgments}
    columns = _Columns(models, sorted(judged.union(prompt_ids)))
    table: dict[tuple[Arm, str], Measure] = {}
    for arm, members in by_arm(models).items():
        for found in (*columns.scored(members), *columns.known(members), *columns.judged(members)):
            table[arm, found.metric] = found
        for found in columns.styled(members) if arm.role != "teacher" else ():
            table[arm, found.metric] = found
    return table


class _Columns:
    """Lines the items of all models up and turns them into Measures, one arm at a time."""

    def __init__(self, models: Sequence[ModelData], prompt_ids: Sequence[str]) -> None:
        self._prompt_ids = list(prompt_ids)
        self._places = {name: _places(models, name) for name in {n for m in models for n in m.scores}}
        self._bases = {(m.arm, m.seed): m for m in models if m.arm.role == "base"}
        self._teacher = only(models, "teacher")

    def scored(self, members: list[ModelData]) -> Iterator[Measure]:
        """The metrics of SCORED."""
        for metric, (benchmark, over, under) in SCORED.items():
            if benchmark in self._places:
                found = [self._column(m, benchmark, over, under) for m in members]
                yield from _pooled(metric, _protocol(members, benchmark), members, found)

    def _column(self, model: ModelData, benchmark: str, over: str, under: str = "") -> Column:
        places = self._places[benchmark]
        numerators, denominators = np.zeros(len(places)), np.zeros(len(places))
        for score in model.scores.get(benchmark, ()):
            if over in score.metrics:
                numerators[places[score.item_id]] = score.metrics[over]
                denominators[places[score.item_id]] = score.metrics[under] if under else 1.0
        return numerators, denominators

    def known(self, members: list[ModelData]) -> Iterator[Measure]:
        """Accuracy, confidence, abstentions and calibration apart for facts that the base knows and does not know."""
        bases = [self._bases.get((base_arm(m.arm), m.seed)) for m in members]
        pairs = [(m, b) for m, b in zip(members, bases) if b and m.arm.role in ("base", "student")]
        if not pairs or not {ASKED_IN, KNOWN_BY[0]} <= set(self._places):
            return
        asked = [m for m, _ in pairs]
        protocol = f"{_protocol(asked, ASKED_IN)}; known: base right on {KNOWN_BY[0]}"
        for word, wanted in (("known", 1.0), ("unknown", 0.0)):
            used = [self._knows(b, wanted) for _, b in pairs]
            for metric, key in ON_KNOWN_AND_UNKNOWN.items():
                raw = [self._column(m, ASKED_IN, key) for m in asked]
                found = [(over * mask, under * mask) for (over, under), mask in zip(raw, used)]
                yield from _pooled(f"{metric}_{word}", protocol, asked, found)
            yield from self._calibration(f"calibration_error_{word}", protocol, asked, used)

    def _knows(self, base: ModelData, wanted: float) -> Array:
        """1 for the items of ASKED_IN on which the base's few-shot answer is right (or, wanted 0, is wrong)."""
        right = {s.item_id for s in base.scores.get(KNOWN_BY[0], ()) if s.metrics.get(KNOWN_BY[1]) == wanted}
        return np.asarray([float(item_id in right) for item_id in self._places[ASKED_IN]])

    def _calibration(self, metric: str, protocol: str, asked: list[ModelData], used: list[Array]) -> Iterator[Measure]:
        told = [self._column(m, ASKED_IN, "confidence") for m in asked]
        right = [self._column(m, ASKED_IN, "contains_answer") for m in asked]
        masks = [mask * t[1] * r[1] for mask, t, r in zip(used, told, right)]
        draws = calibration_draws(_stack([t[0] for t in told]), _stack([r[0] for r in right]), _stack(masks))
        yield from _kept(metric, protocol, asked, draws)

    def judged(self, members: list[ModelData]) -> Iterator[Measure]:
        """Share of prompts on which the model is judged equal to the teacher or better, wins alone beside it."""
        places = {prompt_id: place for place, prompt_id in enumerate(self._prompt_ids)}
        for expertise in sorted({e for m in members for e in m.judgments}):
            by_model = [m.judgments.get(expertise, ()) for m in members]
            who = f"simulated raters of expertise {expertise:g}"
            yield from self._preferred(f"preference_e{expertise:g}", who, members, by_model, places)
        if any(m.fitted for m in members):
            by_model, who = [m.fitted for m in members], "raters fitted to votes of people, drawn from that model"
            yield from self._preferred("preference_fitted", who, members, by_model, places)

    def _preferred(
        self,
        level: str,
        who: str,
        members: list[ModelData],
        by_model: Sequence[Sequence[Judgment]],
        places: Mapping[str, int],
    ) -> Iterator[Measure]:
        most = max((len({j.rater for j in judgments}) for judgments in by_model), default=0)
        protocol = f"{who} against the teacher, {most} ratings a comparison, majority"
        outcomes = [self._outcomes(m, judgments) for m, judgments in zip(members, by_model, strict=True)]
        for metric, good in ((level, ("win", "tie")), (f"{level}_win", ("win",))):
            found = [_marked(places, {p: float(o in good) for p, o in each.items()}) for each in outcomes]
            yield from _pooled(metric, protocol, members, found)

    def _outcomes(self, model: ModelData, judgments: Sequence[Judgment]) -> dict[str, str]:
        teacher = self._teacher.arm.name if self._teacher else "the teacher"
        sides = {name for j in judgments for name in (j.a, j.b)} - {teacher}
        if judgments and (len(sides) != 1 or any(teacher not in (j.a, j.b) for j in judgments)):
            raise DataError(
                f"judgments of {model.arm.name!r} seed {model.seed} must set one model against {teacher!r}, "
                f"they name {sorted(sides)}"
            )
        found = comparisons(judgments, sides.pop()) if judgments else {}
        return {prompt_id: comparison.outcome for prompt_id, comparison in found.items()}

    def styled(self, members: list[ModelData]) -> Iterator[Measure]:
        """Table 2 against the teacher's answers; for the second sample also on shuffled prompts, the floor."""
        members = [m for m in members if m.answers]
        if not members or not self._teacher or not self._teacher.answers:
            return
        asked = [p for p in self._prompt_ids if p in self._teacher.answers]
        teacher = [self._teacher.answers[p] for p in asked]
        answers = [[m.answers.get(p, "") for p in asked] for m in members]
        yield from _style(members, [style.compare(teacher, each) for each in answers], "")
        if members[0].arm.role == "second_sample":
            moved = [style.compare(teacher, style.shuffled(each)) for each in answers]
            yield from _style(members, moved, "_floor")


def _style(members: list[ModelData], pairs: list[style.StylePairs], suffix: str) -> Iterator[Measure]:
    parts: dict[str, list[Column]] = {
        "style_list": [(p.list_both, p.list_teacher) for p in pairs],
        "style_summary": [(p.summary_both, p.summary_teacher) for p in pairs],
        "style_unigram": [(p.unigram, p.used) for p in pairs],
        "style_sentence_length": [(p.sentence_closeness, p.used) for p in pairs],
        "empty_answers": [(1 - p.used, np.ones_like(p.used)) for p in pairs],
    }
    for metric, found in parts.items():
        yield from _pooled(metric + suffix, STYLE_PROTOCOL, members, found)
    x, y, used = (_stack([getattr(p, name) for p in pairs]) for name in ("words_teacher", "words", "used"))
    yield from _kept(f"style_length{suffix}", STYLE_PROTOCOL, members, correlations(x, y, used))


def _places(models: Sequence[ModelData], benchmark: str) -> dict[str, int]:
    ids = sorted({score.item_id for m in models for score in m.scores.get(benchmark, ())})
    return {item_id: place for place, item_id in enumerate(ids)}


def _protocol(members: Sequence[ModelData], benchmark: str) -> str:
    found = {m.protocols.get(benchmark, benchmark) for m in members if benchmark in m.scores}
    if len(found) > 1:
        raise DataError(
            f"{members[0].arm.name!r} was scored on {benchmark} under several protocols, {sorted(found)}; only equal "
            f"ones may be pooled: evaluate again with one"
        )
    return found.pop() if found else benchmark


def _marked(places: Mapping[str, int], values: Mapping[str, float]) -> Column:
    numerators, denominators = np.zeros(len(places)), np.zeros(len(places))
    for prompt_id, value in values.items():
        numerators[places[prompt_id]], denominators[places[prompt_id]] = value, 1.0
    return numerators, denominators


def _stack(columns: Sequence[Array]) -> Array:
    return np.stack(columns, axis=1)


def _pooled(metric: str, protocol: str, members: Sequence[ModelData], found: Sequence[Column]) -> Iterator[Measure]:
    over, under = _stack([c[0] for c in found]), _stack([c[1] for c in found])
    if under.any():
        yield from _kept(metric, protocol, members, ratios(over, under))


def _kept(metric: str, protocol: str, members: Sequence[ModelData], draws: Draws) -> Iterator[Measure]:
    """The measure at the seeds that have a value."""
    columns = [place for place, point in enumerate(draws.points) if np.isfinite(point)]
    if columns:
        seeds = tuple(members[place].seed for place in columns)
        yield Measure(members[0].arm, metric, protocol, seeds, draws.select(columns))


def counted(models: Sequence[ModelData]) -> Iterator[Result]:
    """What was counted and not measured: real tokens, steps, peak learning rate, and the imitation ratio."""
    for arm, members in by_arm(models).items():
        names = sorted({name for m in members for name in m.tokens})
        for name in names:
            yield _count(arm, name, [m.tokens[name] for m in members if name in m.tokens])
        ratio = [m.tokens.get("imitation_tokens", 0.0) / m.tokens["pretrain_tokens"] for m in members if _pretrained(m)]
        if ratio and arm.role == "student":
            yield _count(arm, "imitation_ratio", ratio)


def _pretrained(model: ModelData) -> bool:
    return model.tokens.get("pretrain_tokens", 0.0) > 0


def _count(arm: Arm, name: str, values: Sequence[float]) -> Result:
    mean = float(np.mean(values))
    estimate = Estimate(mean, min(values), max(values), len(values), "counted: mean, least and most", len(values))
    return Result(arm, name, estimate, "counted", tuple(values))
