"""The audit: what recorded answers of real models say about a student, without running any of them.

    epigone audit --teacher gpt35.jsonl --base llama.jsonl --student vicuna.jsonl --judgments review.jsonl

In: sources as people write them on the command line, PATH or NAME=PATH. Out: a Study whose last stage is the audit.
Source: arXiv 2305.15717, sections 4.1 to 4.4, asked of models that others trained, answered and judged.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from epigone.errors import SpecError
from epigone.recordings.load import kind_of
from epigone.records import ArmRole
from epigone.spec import Input
from epigone.stages.audit import Audit, Named, RecordedAnswers
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.read_scores import ReadScores
from epigone.study import Study


def audit(
    *,
    teacher: str,
    students: Sequence[str],
    base: str = "",
    second_sample: str = "",
    judgments: Sequence[str] = (),
    scores: Sequence[str] = (),
    title: str = "",
    minimum_coverage: float = 0.8,
) -> Study:
    """The study of one audit. Raises SpecError for a path that does not exist, or one that is given two roles."""
    given: list[tuple[ArmRole, str]] = [("teacher", teacher), ("second_sample", second_sample), ("base", base)]
    given = [pair for pair in given if pair[1]] + [("student", source) for source in students]
    if not students:
        raise SpecError("an audit needs a student: give one or more with --student")
    if not 0 < minimum_coverage <= 1:
        raise SpecError(f"--minimum-coverage is a share between 0 and 1, got {minimum_coverage}")
    _one_role_each(given)
    verdicts = [source for source in scores if kind_of(_path(source)) == "judgments"]
    models = tuple(_answers(role, source) for role, source in given)
    names = [named_path(source)[0] or _stem(source) for source in (teacher, *students)]
    stage = Audit(
        title=title or f"{_listed(names[1:])} beside {names[0]}",
        name=_slug(
            f"audit-{names[0]}-{len(students)}-students" if len(students) > 1 else f"audit-{names[0]}-{names[1]}"
        ),
        models=models,
        judgments=tuple(_judgments(source) for source in (*judgments, *verdicts)),
        scores=tuple(_scores(source) for source in scores if source not in verdicts),
        minimum_coverage=minimum_coverage,
    )
    return Study(stage.name, stage)


def named_path(source: str) -> tuple[str, Path]:
    """NAME=PATH or PATH -> (name or "", path). Raises SpecError where there is no such file."""
    if Path(source).exists():
        return "", Path(source)
    name, equals, path = source.partition("=")
    if equals and Path(path).exists():
        return name.strip(), Path(path)
    raise SpecError(f"there is no file or folder {path or source!r}; write PATH, or NAME=PATH to name what it holds")


def _path(source: str) -> Path:
    return named_path(source)[1]


def _one_role_each(given: Sequence[tuple[ArmRole, str]]) -> None:
    seen: dict[tuple[str, Path], ArmRole] = {}
    for role, source in given:
        name, path = named_path(source)
        key = (name, path.resolve())
        if key in seen:
            raise SpecError(
                f"{source!r} is given as {seen[key].replace('_', ' ')} and as {role.replace('_', ' ')}: a model "
                "has one "
                "role; check the paths"
            )
        seen[key] = role


def _answers(role: ArmRole, source: str) -> RecordedAnswers:
    name, path = named_path(source)
    return RecordedAnswers(role, ReadAnswers(Input(str(path)), name or _stem(source)), name)


def _judgments(source: str) -> Named:
    name, path = named_path(source)
    return Named(ReadJudgments(Input(str(path)), name or _stem(source)), name)


def _scores(source: str) -> Named:
    name, path = named_path(source)
    return Named(ReadScores(Input(str(path)), name or _stem(source)), name)


def _stem(source: str) -> str:
    """What a file is called, or its folder where the file's name says nothing."""
    path = _path(source)
    stem = path.name.removesuffix(".gz").partition(".json")[0].removesuffix(".csv").removeprefix("answer_")
    return path.parent.name if stem in ("model_outputs", "annotations", "records", "results") else stem or path.name


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-")[:80]


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
