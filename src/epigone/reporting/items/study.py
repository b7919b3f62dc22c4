"""The items of a study, out of what its models brought home.

In: `ModelData`, the free prompts, a fact checker. Out: `StudyItems`: every benchmark, and the free answers with the
truth of each sentence and the votes on them. The facts of a free answer are scored as a benchmark of their own, whose
scores stand with the answers.
"""

from collections.abc import Iterator, Mapping, Sequence

from epigone.interfaces import FactChecker
from epigone.records import Score
from epigone.reporting.analysis_examples import sentences
from epigone.reporting.analysis_measures import SCORED
from epigone.reporting.evaluated import ModelData, named, only
from epigone.reporting.items.rows import (
    FACTS,
    FREE,
    AnsweredItem,
    BenchmarkItems,
    Outcome,
    Said,
    StudyItems,
    Votes,
    Who,
)
from epigone.reporting.items.rows import outcome_of as share_of
from epigone.reporting.wording import metric_of

WORDS = {
    "real_toxicity_prompts": ("non-toxic", "toxic"),
    "teacher_errors": ("repeats the teacher’s error", "does not repeat the teacher’s error"),
    FREE: ("claims, none of them wrong", "a wrong claim"),
}
FITTED = "rater fitted to people’s votes, simulated"
LABELS = {"real_toxicity_prompts": "Toxic prompts", "teacher_errors": "Facts that the teacher has wrong",
          FREE: "Free answers"}  # fmt: skip


def study_items(
    models: Sequence[ModelData],
    prompts: Mapping[str, str],
    checker: FactChecker,
    *,
    title: str,
    study_id: str,
    labels: Mapping[str, str],
) -> StudyItems:
    """All items. `labels` has what people call an arm, by its name."""
    names = list(dict.fromkeys(name for model in models for name in model.scores if name != FACTS))
    found = [_benchmark(name, models) for name in names]
    if any(model.answers for model in models):
        found.append(_free(models, prompts, checker))
    several = {m.arm.name for m in models if sum(other.arm == m.arm for other in models) > 1}
    who = [
        Who(
            named(model),
            model.arm.role,
            labels.get(model.arm.name, model.arm.name) + (f", seed {model.seed}" if model.arm.name in several else ""),
        )
        for model in models
    ]
    return StudyItems(title, study_id, tuple(who), tuple(found))


def _benchmark(name: str, models: Sequence[ModelData]) -> BenchmarkItems:
    metric = next((over for where, over, _ in SCORED.values() if where == name), "")
    asked = [model for model in models if name in model.scores]

    def items() -> Iterator[AnsweredItem]:
        by_model = {named(m): {score.item_id: score for score in m.scores[name]} for m in asked}
        for item_id in dict.fromkeys(score.item_id for m in asked for score in m.scores[name]):
            rows = [(who, scores[item_id]) for who, scores in by_model.items() if item_id in scores]
            prompt = rows[0][1].prompt
            said = tuple(_said(who, score, metric, prompt) for who, score in rows)
            yield AnsweredItem(item_id, prompt, said, rows[0][1].group)

    shown = next((key for key, (where, _, _) in SCORED.items() if where == name), name)
    return BenchmarkItems(
        name,
        LABELS.get(name) or metric_of(shown).label,
        items,
        WORDS.get(name, ("right", "wrong")),
        {named(m): (m.artifacts[name],) for m in asked if name in m.artifacts},
        {named(m): m.protocols[name] for m in asked if name in m.protocols},
    )


def _said(who: str, score: Score, metric: str, prompt: str) -> Said:
    outcome = share_of(score.metrics.get(metric))
    other = score.prompt if score.prompt != prompt else ""
    return Said(who, score.reply, outcome, score.parsed, score.metrics, other)


def _free(models: Sequence[ModelData], prompts: Mapping[str, str], checker: FactChecker) -> BenchmarkItems:
    teacher = only(models, "teacher")
    against = teacher.arm.name if teacher else ""
    asked = [model for model in models if model.answers]

    def items() -> Iterator[AnsweredItem]:
        facts = {named(m): {score.item_id: score.metrics for score in m.scores.get(FACTS, ())} for m in asked}
        votes = {named(m): _votes(m, against) for m in asked}
        for prompt_id, prompt in prompts.items():
            said: list[Said] = []
            for model in asked:
                if prompt_id not in model.answers:
                    continue
                who, text = named(model), model.answers[prompt_id]
                metrics = facts[who].get(prompt_id, {})
                marked = sentences(text, prompt, checker)
                cast = votes[who].get(prompt_id, ())
                said.append(Said(who, text, _truth(metrics), "", metrics, "", marked, cast))
            if said:
                yield AnsweredItem(prompt_id, prompt, tuple(said))

    kinds = ("answers", "judgments", FACTS)
    artifacts = {named(m): tuple(m.artifacts[kind] for kind in kinds if kind in m.artifacts) for m in asked}
    return BenchmarkItems(FREE, LABELS[FREE], items, WORDS[FREE], artifacts)


def _truth(metrics: Mapping[str, float]) -> Outcome:
    """Of a free answer: wrong where it has a wrong claim, right where it has claims and none of them is wrong."""
    if not metrics.get("num_claims"):
        return ""
    return "wrong" if metrics.get("num_wrong") else "right"


def _votes(model: ModelData, teacher: str) -> dict[str, tuple[Votes, ...]]:
    """By prompt, a row a kind of rater: how often the answer was found better, equal, worse than the teacher's."""
    raters = {f"simulated rater, expertise {e:g}": model.judgments[e] for e in sorted(model.judgments)}
    counts: dict[str, dict[str, list[int]]] = {}
    for who, judgments in (raters | {FITTED: model.fitted}).items():
        for judgment in judgments:
            won = judgment.verdict == ("a" if judgment.b == teacher else "b")
            place = 1 if judgment.verdict == "tie" else 0 if won else 2
            counts.setdefault(judgment.prompt_id, {}).setdefault(who, [0, 0, 0])[place] += 1
    return {
        prompt_id: tuple(Votes(who, teacher, *each) for who, each in of_one.items())
        for prompt_id, of_one in counts.items()
    }
