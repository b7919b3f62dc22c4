"""From recordings to AuditFindings: what an audit finds, by one pure function.

In: recorded models, judgments, score sheets. Out: AuditFindings. Nothing here reads a file or draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from epigone.errors import SpecError
from epigone.metrics.bradley_terry import FEW_CLUSTERS
from epigone.metrics.intervals import estimate
from epigone.metrics.known_answers import Known
from epigone.records import Generation, Judgment, ScoreSheet
from epigone.reporting.audit.alignment import Aligned, RecordedModel, align, matched_judgments
from epigone.reporting.audit.contrasts import contrasts, rate_contrasts
from epigone.reporting.audit.examples import examples
from epigone.reporting.audit.expertise import expertise_rows, rights
from epigone.reporting.audit.families import judge_flag
from epigone.reporting.audit.findings import AuditedModel, AuditFindings, CeilingIs, Measured
from epigone.reporting.audit.methods import methods
from epigone.reporting.audit.panels import agreement_rows, rater_rows
from epigone.reporting.audit.preferences import (
    MIN_CONTROLLED,
    Preferences,
    by_group,
    forms_of,
    preferences,
    with_adjusted,
)
from epigone.reporting.audit.standings import Standing, Styled, capability, styled
from epigone.reporting.audit.verdicts import Roles, verdict
from epigone.reporting.audit.wording import TONE
from epigone.reporting.wording import plural

NO_SCORES = "no scores were given; import them with --scores"


@dataclass(frozen=True)
class Recorded:
    """Everything that was recorded elsewhere."""

    models: Sequence[RecordedModel]
    judgments: Sequence[Judgment] = ()
    sheets: Sequence[ScoreSheet] = ()
    others: Sequence[Generation] = ()
    """Answers of models outside the audit, for the style of their side of a judgment."""
    checks: Mapping[str, Known] = field(default_factory=dict[str, Known])
    """Attention checks by rater."""
    references: Mapping[str, str] = field(default_factory=dict[str, str])
    """Right answers by prompt id, where they are known."""
    not_measured: Mapping[str, str] = field(default_factory=dict[str, str])
    """What could not be had, and why, where only those who recorded it know."""
    artifacts: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """Ids of what was read, by model and benchmark, the free answers among them."""


def build_audit(recorded: Recorded, *, title: str, study_id: str, minimum_coverage: float) -> AuditFindings:
    """The findings. Raises SpecError where roles are wrong, WorkError where too few prompts match."""
    aligned = align(recorded.models, minimum_coverage)
    roles = roles_of(recorded.models)
    judgments, num_elsewhere = matched_judgments(aligned, recorded.judgments)
    unknown = [j for j in judgments if j.a.startswith("answer:") or j.b.startswith("answer:")]
    judgments = [j for j in judgments if j not in unknown] if unknown else judgments
    style = styled(aligned, roles.teacher)
    sheets, strangers = sheets_by_model(recorded.models, recorded.sheets)
    scored, not_compared = capability(sheets)
    forms = forms_of(aligned, style.looks, recorded.others)
    preferred = preferences(judgments, list(aligned.answers), forms, roles)
    groups = by_group(judgments)
    standings = [*scored, *style.standings, *([preferred.standing] if preferred.standing else [])]
    students = [m.name for m in recorded.models if m.role == "student"]
    tested, adjusted = contrasts(
        [*scored, *style.standings], {m.name: m.role for m in recorded.models}, [d.p for d in preferred.direct]
    )
    preferred = with_adjusted(preferred, adjusted)
    right = rights(aligned, recorded.others, recorded.references)
    found = AuditFindings(
        title=title,
        study_id=study_id,
        teacher=roles.teacher,
        base=roles.base,
        ceiling=roles.ceiling,
        ceiling_is=roles.ceiling_is,
        num_prompts=len(aligned.prompts),
        models=tuple(_audited(m, aligned) for m in recorded.models),
        measured=(*_measured(standings, style), *_tones(judgments)),
        floors={s.metric: s.floor.estimate() for s in style.standings if s.floor},
        contrasts=(*tested, *rate_contrasts(preferred.rate_draws, roles)),
        direct=preferred.direct,
        fits=preferred.fits,
        strengths=preferred.strengths,
        agreement=agreement_rows(groups, {key: form[0] for key, form in forms.items()}, students),
        raters=rater_rows(groups),
        expertise=tuple(expertise_rows(groups, students, roles.teacher, recorded.checks, right)),
        verdicts=tuple(verdict(name, standings, roles, preferred.rates) for name in students),
        examples=examples(aligned, style.distances, preferred.outcomes, students, roles),
        main_panel=preferred.main[0],
        main_criterion=preferred.main[1],
        rates=dict(preferred.rates),
        rate_sources=dict(preferred.rate_sources),
        style_parts={name: {part: d.estimate() for part, d in parts.items()} for name, parts in style.parts.items()},
        missing=_missing(roles, scored, not_compared, preferred, judgments) | dict(recorded.not_measured),
        flags=tuple(_flags(preferred, groups, roles)),
        notes=tuple(_notes(preferred, num_elsewhere, len(unknown), strangers, roles)),
    )
    return replace(found, methods=methods(found))


def roles_of(models: Sequence[RecordedModel]) -> Roles:
    """Who is what. Raises SpecError where a role that stands alone is given twice, or teacher or student is missing."""
    names = {role: [m for m in models if m.role == role] for role in ("teacher", "base", "second_sample", "student")}
    for role in ("teacher", "base", "second_sample"):
        if len(names[role]) > 1:
            given = ", ".join(m.name for m in names[role])
            raise SpecError(f"an audit has one {role.replace('_', ' ')}, got {given}")
    if not names["teacher"] or not names["student"]:
        raise SpecError("an audit needs a teacher and a student: --teacher PATH --student PATH")
    teacher = names["teacher"][0]
    base = names["base"][0].name if names["base"] else ""
    if not names["second_sample"]:
        return Roles(teacher.name, base)
    second = names["second_sample"][0]
    same: CeilingIs = "second sample" if second.recorded_as == teacher.recorded_as else "another version"
    return Roles(teacher.name, base, second.name, same)


def sheets_by_model(
    models: Sequence[RecordedModel], sheets: Sequence[ScoreSheet], *, strict: bool = True
) -> tuple[list[tuple[str, ScoreSheet]], list[str]]:
    """Score sheets by the audit's model names, and the names in them that no model has.

    Raises SpecError where it is `strict` and no name fits.
    """
    names: dict[str, str] = {}
    for model in models:
        for alias in (model.name, model.recorded_as):
            for spelt in (alias, alias.replace("/", "__"), alias.rpartition("/")[2], alias.rpartition("__")[2]):
                names.setdefault(spelt.lower(), model.name)
    found: list[tuple[str, ScoreSheet]] = []
    strangers: list[str] = []
    for sheet in sheets:
        spellings = (sheet.model, sheet.model.rpartition("/")[2], sheet.model.rpartition("__")[2])
        own = next((names[s.lower()] for s in spellings if s.lower() in names), None)
        if own is None:
            strangers.append(sheet.model)
        else:
            found.append((own, sheet))
    if strict and strangers and not found:
        raise SpecError(
            f"the scores are those of {strangers[0]!r}, the models are {', '.join(m.name for m in models)}; "
            "say whose they are with --scores NAME=PATH"
        )
    return found, sorted(set(strangers))


def _audited(model: RecordedModel, aligned: Aligned) -> AuditedModel:
    answers = aligned.answers[model.name]
    return AuditedModel(
        name=model.name,
        role=model.role,
        recorded_as=model.recorded_as,
        num_answers=len(model.generations),
        num_matched=sum(a is not None for a in answers),
        num_empty=sum(a is not None and not a.strip() for a in answers),
        num_dropped=model.num_dropped,
    )


def _measured(standings: Sequence[Standing], style: Styled) -> Iterator[Measured]:
    for standing in standings:
        if standing.axis != "preference":
            for model, draws in standing.draws.items():
                yield Measured(model, standing.axis, standing.metric, draws.estimate(), standing.protocol)
    for model, levels in style.levels.items():
        for name, draws in levels.items():
            yield Measured(model, "level", name, draws.estimate())


def _tones(judgments: Sequence[Judgment]) -> Iterator[Measured]:
    """The share of each model's answers that a judge of tone called authoritative, the mean of its looks by prompt."""
    marks: dict[str, dict[str, list[float]]] = {}
    for judgment in judgments:
        if judgment.criterion == TONE and judgment.scores is not None:
            for model, mark in zip((judgment.a, judgment.b), judgment.scores, strict=True):
                marks.setdefault(model, {}).setdefault(judgment.prompt_id, []).append(mark)
    for model, by_prompt in marks.items():
        yield Measured(model, "level", TONE, estimate([np.array([float(np.mean(m)) for m in by_prompt.values()])]))


def _missing(
    roles: Roles,
    scored: Sequence[Standing],
    not_compared: Mapping[str, str],
    preferred: Preferences,
    judgments: Sequence[Judgment],
) -> dict[str, str]:
    found = dict(not_compared) | dict(preferred.missing)
    if not scored:
        found["capability"] = NO_SCORES
    if not roles.base:
        found["base"] = "no base was given (--base): gap closed, and what imitation changed, cannot be told"
    if not roles.ceiling:
        found["ceiling"] = "no second sample of the teacher was given (--teacher-sample-2): style has no ceiling"
    elif roles.ceiling_is == "another version":
        found["ceiling"] = f"{roles.ceiling} is another version of the teacher, which differs more than a second sample"
    few = dict.fromkeys(d.model for d in preferred.direct if d.not_controlled and roles.of(d.model) == "student")
    if few:
        found["direct preference at equal style"] = (
            f"{', '.join(few)}: {MIN_CONTROLLED} judged prompts or more are needed"
        )
    if not any(_tones(judgments)):
        found[TONE] = "it needs a judge who reads tone (epigone judge --by tone)"
    return dict(sorted(found.items()))


def _flags(preferred: Preferences, groups: Mapping[tuple[str, str], Sequence[Judgment]], roles: Roles) -> Iterator[str]:
    judges = dict.fromkeys(panel for (panel, _), found in groups.items() if not any(j.is_person for j in found))
    for judge in judges:
        flag = judge_flag(judge, roles.teacher)
        if flag:
            yield flag
    if any(j.simulated for found in groups.values() for j in found):
        yield "Some raters are simulated: their preferences are not those of people."
    for fit in preferred.fits:
        if fit.num_prompts < FEW_CLUSTERS:
            yield (
                f"{fit.panel}: its judgments are on {fit.num_prompts} prompts. Intervals are approximate, and "
                "nothing can "
                "be concluded about prompts of another kind."
            )


def _notes(
    preferred: Preferences, num_elsewhere: int, num_unknown: int, strangers: Sequence[str], roles: Roles
) -> Iterator[str]:
    if not roles.base:
        yield (
            "Without a base there is no gap closed and no word for what imitation changed: the figures say where the "
            "students stand beside the teacher, not what they gained."
        )
    fitted = [name for name, source in preferred.rate_sources.items() if source == "fitted"]
    if fitted:
        few = {d.model: d.win_or_tie.n for d in preferred.direct if (d.panel, d.criterion) == preferred.main}
        told = ", ".join(f"{name} ({plural(few.get(name, 0), 'direct comparison')})" for name in fitted)
        fit = next(f for f in preferred.fits if (f.panel, f.criterion) == preferred.main)
        yield (
            f"The preference of {told} is fitted through other models (Bradley-Terry, {fit.num_judgments} judgments of "
            f"{fit.num_models} models on {plural(fit.num_prompts, 'prompt')}): it supposes that strengths add up, says "
            "little beyond those prompts, and is no Figure 1 of the paper, where every student met the teacher."
        )
    if num_elsewhere:
        yield f"{num_elsewhere} judgments are on prompts that the teacher's recording lacks; they count in fits alone."
    if num_unknown:
        yield f"{num_unknown} judgments are on answers that no recording here holds; they are left out."
    if strangers:
        yield f"Scores of {', '.join(strangers)} belong to no model of this audit; they are left out."
