"""Whether a student is preferred more or less by raters who know better: rows of an audit.

In: judgments under the audit's names, what is known of raters (attention checks) and of answers (references). Out:
ExpertiseRows by panel and student. Judgments whose right answer is known tell of the rater, and count in no preference
here.
Source: metrics/expertise; arXiv 2305.15717, section 4.4, for the question.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from epigone.metrics.expertise import by_expertise
from epigone.metrics.known_answers import Known, is_right, known_by_rater, known_verdicts
from epigone.records import Generation, Judgment
from epigone.reporting.audit.alignment import Aligned, keys_of
from epigone.reporting.audit.findings import ExpertiseRow

Right = Mapping[tuple[str, str], bool]
"""Whether a model's answer is right, by prompt id and model, where a reference tells."""


def rights(
    aligned: Aligned, others: Sequence[Generation], references: Mapping[str, str]
) -> dict[tuple[str, str], bool]:
    """Right or not, of every answer to a prompt with a reference, those of models outside the audit too."""
    wanted = {aligned.prompt_ids[place]: text for key, text in references.items()
              if (place := aligned.place_of.get(key)) is not None}  # fmt: skip
    found: dict[tuple[str, str], bool] = {}
    for model, answers in aligned.answers.items():
        for prompt_id, text in zip(aligned.prompt_ids, answers, strict=True):
            if text and prompt_id in wanted:
                found[prompt_id, model] = is_right(text, wanted[prompt_id])
    for generation in others:
        place = next((aligned.place_of[key] for key in keys_of(generation) if key in aligned.place_of), None)
        prompt_id = "" if place is None else aligned.prompt_ids[place]
        if prompt_id in wanted:
            model = aligned.known_as.get(generation.model, generation.model)
            found.setdefault((prompt_id, model), is_right(generation.text, wanted[prompt_id]))
    return found


def expertise_rows(
    groups: Mapping[tuple[str, str], Sequence[Judgment]],
    students: Sequence[str],
    teacher: str,
    checks: Mapping[str, Known],
    right: Right,
) -> Iterator[ExpertiseRow]:
    """A row for each student that a panel of several raters compared with the teacher, where something is known."""
    for (panel, criterion), found in groups.items():
        answered = known_verdicts(right, found)
        known = _merged(checks, known_by_rater(found, answered))
        raters = {judgment.rater for judgment in found}
        known = {rater: each for rater, each in known.items() if rater in raters and each.num_known}
        if len(raters) < 3 or not known:
            continue
        left = [judgment for place, judgment in enumerate(found) if place not in answered]
        for student in students:
            pair = [judgment for judgment in left if {judgment.a, judgment.b} == {student, teacher}]
            if pair:
                told = by_expertise(pair, student, known)
                yield ExpertiseRow(
                    panel=panel,
                    criterion=criterion,
                    model=student,
                    against=teacher,
                    num_raters=told.num_raters,
                    num_known=told.num_known,
                    num_judgments=told.num_judgments,
                    mean=told.mean,
                    reliability=told.reliability,
                    slope=told.slope,
                    thirds=tuple((each.name, each.expertise, each.num_raters, each.rate) for each in told.thirds),
                    word=told.word,
                    why=told.why,
                    simulated=any(judgment.simulated for judgment in pair),
                )


def _merged(*counts: Mapping[str, Known]) -> dict[str, Known]:
    num_known, num_right = Counter[str](), Counter[str]()
    for each in counts:
        num_known.update({rater: known.num_known for rater, known in each.items()})
        num_right.update({rater: known.num_right for rater, known in each.items()})
    return {rater: Known(num, num_right[rater]) for rater, num in num_known.items()}
