"""From evaluated models to Findings: everything a report shows, built by one pure function.

In: ModelData of all models, the predictions written before, the prompts and a fact checker. Out: records.Findings.
Source: the figures and tables of arXiv 2305.15717; what this study does not measure is named with its reason.
"""

from collections.abc import Iterator, Mapping, Sequence

from epigone.errors import DataError
from epigone.interfaces import FactChecker
from epigone.records import ArmVerdict, Findings, Prediction, Result
from epigone.reporting.analysis_examples import examples
from epigone.reporting.analysis_measures import counted, measure
from epigone.reporting.analysis_outcomes import outcomes
from epigone.reporting.analysis_trade_offs import trade_offs, unplaced
from epigone.reporting.analysis_trends import trends
from epigone.reporting.analysis_verdicts import verdicts
from epigone.reporting.evaluated import ModelData, by_arm

__all__ = ["ModelData", "build_findings"]

NEVER_MEASURED = {
    "Figure 1 (crowd workers)": "no people were asked; simulated raters stand in, and are called so",
    "Figure 3 (GPT-4 as judge)": "no outside model was asked; the simulated raters stand in",
    "Figure 4 (HumanEval)": "the world's models write no programs; code is not measured",
    "Figure 6": "it shows dialogues of ShareGPT, which this study does not use",
    "Figure 7": "it shows the interface for crowd workers, and no people were asked",
    "Table 2 (authoritative tone)": "it needs a judge who reads tone; no rule fixed beforehand measures it",
    "Table 3": "it lists seed questions for synthetic data, which here come from the world's own facts",
    "Table 4": "it shows a prompt for a proprietary model; the teacher here is a program",
    "Table 5": "it counts categories of ShareGPT by hand, which this study does not use",
}
# What must have been measured for some student, or the figure is not measured.
NEEDED = {
    "Figure 1": ("natural_questions_3shot", "preference_e0"),
    "Figure 2": ("facts_right",),
    "Figure 3": ("preference_e0",),
    "Figure 4": ("natural_questions_3shot", "mmlu_option_text"),
    "Figure 5": ("non_toxic",),
    "Table 1": ("natural_questions_chat",),
    "Table 2": ("style_list", "style_summary", "style_unigram", "style_length"),
}
MIN_SEEDS_FOR_CLAIMS = 3


def build_findings(
    models: Sequence[ModelData],
    predictions: Sequence[Prediction],
    *,
    title: str,
    study_id: str,
    checker: FactChecker,
    prompts: Mapping[str, str],
) -> Findings:
    """Findings of a study. `prompts` maps the ids of the free prompts to their text.

    Raises DataError where there is no model, a seed is given twice, a protocol changes within an arm, or a judgment is
    not against the teacher.
    """
    if not models:
        raise DataError("there are no evaluated models to build findings from; run the evaluations first")
    table = measure(models, list(prompts))
    results = (*(found.result() for found in table.values()), *trade_offs(table), *counted(models))
    decided = tuple(verdicts(table))
    num_seeds = max(len(members) for members in by_arm(models).values())
    return Findings(
        title=title,
        study_id=study_id,
        num_seeds=num_seeds,
        results=results,
        trends=tuple(trends(table)),
        verdicts=decided,
        outcomes=tuple(outcomes(table, predictions)),
        examples=examples(models, prompts, checker),
        not_measured=_not_measured(results, unplaced(table)),
        notes=tuple(_notes(results, decided, num_seeds)),
    )


def _not_measured(results: Sequence[Result], nowhere: str) -> dict[str, str]:
    measured = {result.metric for result in results if result.arm.role == "student"}
    missing = {
        place: f"no student has {' or '.join(m for m in metrics if m not in measured)}"
        for place, metrics in NEEDED.items()
        if not measured.issuperset(metrics)
    }
    if nowhere:
        missing["What style costs (treatments)"] = nowhere
    return dict(sorted({**NEVER_MEASURED, **missing}.items()))


def _notes(results: Sequence[Result], decided: Sequence[ArmVerdict], num_seeds: int) -> Iterator[str]:
    """What these results must be read with; what holds of a study whatever comes out is the study's own to say."""
    if num_seeds < MIN_SEEDS_FOR_CLAIMS:
        yield (
            f"With fewer than {MIN_SEEDS_FOR_CLAIMS} seeds (the most here is {num_seeds}) every claim about size, "
            "amount of data or base quality is undecided."
        )
    forgot = sum(verdict.word.endswith("forgot") for verdict in decided)
    if forgot:
        yield (
            f"Stored knowledge fell in {forgot} of {len(decided)} student arms. Where a benchmark falls with it, the "
            "student forgot; that is not the paper's flat curve."
        )
    empty = [result for result in results if result.metric == "empty_answers" and result.estimate.value > 0]
    for result in empty:
        yield (
            f"{result.arm.name}: {100 * result.estimate.value:.1f} % of the prompts have an empty answer and are left "
            "out of the style figures."
        )
