"""The audit: what a student got from its teacher, out of recorded answers, and of models that can be asked.

    epigone audit --teacher gpt35.jsonl --base llama.jsonl --student vicuna.jsonl --judgments review.jsonl
    epigone audit --teacher gpt-4o@https://api.openai.com/v1 --base models/base --student models/student

In: sources as people write them on the command line, SOURCE or NAME=SOURCE: a recording's path, or a model that is
asked (`component_text.backend_of`). Out: a Study whose last stage is the audit. Models that can be asked answer the
prompts of the teacher's recording, or a file of prompts, and the benchmarks, all of them in one protocol; where one of
them is behind a server of chat that is the chat form, and those that give log-likelihoods are scored both ways.
Source: arXiv 2305.15717, sections 4.1 to 4.4, asked of models that others trained, answered and judged.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from epigone import discover
from epigone.component_text import backend_of, component
from epigone.errors import SpecError
from epigone.recordings.load import kind_of
from epigone.records import ArmRole
from epigone.spec import Component, Input
from epigone.stages.audit import Audit, Named, RecordedAnswers
from epigone.stages.evaluate import Evaluate
from epigone.stages.generate import Generate
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.read_scores import ReadScores
from epigone.study import Study

EVERYDAY = Path(__file__).parent / "prompts" / "everyday.jsonl"
"""Prompts of our own, for an audit that brings none."""
IN_CHAT = {"chat": True, "scoring": "generated"}
"""Options by which a benchmark can be asked of a server of chat, where it has them."""


def audit(
    *,
    teacher: str,
    students: Sequence[str],
    base: str = "",
    second_sample: str = "",
    judgments: Sequence[str] = (),
    scores: Sequence[str] = (),
    references: str = "",
    title: str = "",
    minimum_coverage: float = 0.8,
    prompts: str = "",
    benchmarks: Sequence[str] = (),
    limit: int = 0,
    max_tokens: int = 512,
    temperature: float | int = 0.0,
) -> Study:
    """The study of one audit. Raises SpecError for a path that does not exist, or one that is given two roles.

    `references` is a file of right answers, by which raters' expertise is told.
    `prompts`, `benchmarks`, `limit`, `max_tokens` and `temperature` are for models that are asked: the prompts that
    they answer and the components of `benchmarks` that they take, `limit` items each (0: all). At a temperature above 0
    a teacher that is asked gives a second sample too, the ceiling of style.
    """
    given: list[tuple[ArmRole, str]] = [("teacher", teacher), ("second_sample", second_sample), ("base", base)]
    given = [pair for pair in given if pair[1]] + [("student", source) for source in students]
    if not students:
        raise SpecError("an audit needs a student: give one or more with --student")
    if not 0 < minimum_coverage <= 1:
        raise SpecError(f"--minimum-coverage is a share between 0 and 1, got {minimum_coverage}")
    _one_role_each(given)
    sources = [_Source.of(role, text) for role, text in given]
    asked = _asked_prompts(prompts, sources)
    models = [_answers(source, asked, max_tokens, temperature) for source in sources]
    if sources[0].backend and temperature > 0 and not second_sample:
        again = Generate(
            sources[0].backend, asked, sources[0].name, max_tokens=max_tokens, temperature=temperature, seed=1
        )
        models.append(RecordedAnswers("second_sample", again, sources[0].name, may_repeat=True))
    verdicts = [source for source in scores if kind_of(_path(source)) == "judgments"]
    names = [source.name for source in sources if source.role in ("teacher", "student")]
    stage = Audit(
        title=title or f"{_listed(names[1:])} beside {names[0]}",
        name=_slug(
            f"audit-{names[0]}-{len(students)}-students" if len(students) > 1 else f"audit-{names[0]}-{names[1]}"
        ),
        models=tuple(models),
        judgments=tuple(_judgments(source) for source in (*judgments, *verdicts)),
        scores=(
            *(_scores(source) for source in scores if source not in verdicts),
            *(named for text in benchmarks for named in _measured(text, sources, limit)),
        ),
        references=Input(str(_path(references))) if references else None,
        minimum_coverage=minimum_coverage,
    )
    return Study(stage.name, stage)


@dataclasses.dataclass(frozen=True)
class _Source:
    """One model: a recording, or who can be asked."""

    role: ArmRole
    name: str
    text: str
    backend: Component | None
    is_named: bool

    @classmethod
    def of(cls, role: ArmRole, text: str) -> "_Source":
        name, rest = _named(text)
        backend = backend_of(rest)
        shown = name or (_short(rest) if backend else _stem(text))
        return cls(role, shown, text, backend, bool(name))

    @property
    def is_chat_only(self) -> bool:
        """Whether it is behind a server of chat, which gives no log-likelihoods and continues no text."""
        if self.backend is None or self.backend.name != "openai":
            return False
        options = dict(self.backend.options)
        return options.get("api", "chat") == "chat" and not options.get("scoring")


def _named(text: str) -> tuple[str, str]:
    """NAME=SOURCE -> (name, source); a component's own options are no name."""
    name, equals, rest = text.partition("=")
    is_name = equals and not Path(text).exists() and not {":", "@", "/"} & set(name)
    return (name.strip(), rest) if is_name else ("", text)


def _short(source: str) -> str:
    """What a model that can be asked is called where nobody named it."""
    before, at, url = source.partition("@")
    if at and url.startswith("http"):
        return before
    return source.rstrip("/").rpartition("/")[2].partition("@")[0].removesuffix(".gguf")


def _asked_prompts(prompts: str, sources: Sequence[_Source]) -> Input:
    """What models are asked: the file that was given, else the prompts that the teacher's recording answers."""
    if prompts:
        if not Path(prompts).is_file():
            raise SpecError(f"--prompts: there is no file {prompts}")
        return Input(prompts)
    if sources[0].backend is None:
        return Input("records.jsonl", _recorded(sources[0]))
    if recorded := [source.text for source in sources if source.backend is None]:
        raise SpecError(
            f"{recorded[0]} is a recording: give the prompts that it answers with --prompts, for the others"
        )
    return Input(str(EVERYDAY))


def _recorded(source: _Source) -> ReadAnswers:
    return ReadAnswers(Input(str(_path(source.text))), source.name)


def _answers(source: _Source, prompts: Input, max_tokens: int, temperature: float | int) -> RecordedAnswers:
    if source.backend is None:
        return RecordedAnswers(source.role, _recorded(source), source.name if source.is_named else "")
    answered = Generate(source.backend, prompts, source.name, max_tokens=max_tokens, temperature=temperature)
    return RecordedAnswers(source.role, answered, source.name)


def _measured(text: str, sources: Sequence[_Source], limit: int) -> list[Named]:
    """Every model that can be asked on one benchmark: in one protocol, and where it is the chat's, in its own too."""
    kind = discover.find("benchmarks", text.partition(":")[0])
    own = component("benchmarks", text, first=dataclasses.fields(kind)[0].name)
    asked = [source for source in sources if source.backend]
    if not asked:
        raise SpecError(f"--benchmark {text}: every model is a recording; give its scores with --scores")
    chat = _in_chat(own) if any(source.is_chat_only for source in asked) else own
    pairs = [(source, chat) for source in asked]
    pairs += [(source, own) for source in asked if chat != own and not source.is_chat_only]
    found = []
    for source, benchmark in pairs:
        suffix = "-in-chat" if benchmark is chat and chat != own else ""
        assert source.backend is not None
        stage = Evaluate(source.backend, benchmark, f"{source.name}-{own.name}{suffix}", limit=limit)
        found.append(Named(ReadScores(Input(".", stage), source.name), source.name))
    return found


def _in_chat(benchmark: Component) -> Component:
    """The same benchmark as it can be asked in chat. Raises SpecError where it cannot."""
    fields = {f.name for f in dataclasses.fields(discover.find("benchmarks", benchmark.name))}
    changes = {option: value for option, value in IN_CHAT.items() if option in fields}
    if not changes:
        raise SpecError(f"benchmarks/{benchmark.name} cannot be asked of a server of chat; leave it out, or the server")
    return Component.of("benchmarks", benchmark.name, **(dict(benchmark.options) | changes))


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
        name, path = _named(source)
        key = (name, Path(path).resolve() if Path(path).exists() else Path(path))
        if key in seen:
            raise SpecError(
                f"{source!r} is given as {seen[key].replace('_', ' ')} and as {role.replace('_', ' ')}: a model "
                "has one "
                "role; check the paths"
            )
        seen[key] = role


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
