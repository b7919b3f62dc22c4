"""Which answers belong to which prompt: the prompts of several recordings, matched by their text, else by their id.

In: each model's Generations. Out: an `Aligned` audit: prompts in the teacher's order, every model's answers to them.
Two recordings of one prompt set may spell ids differently or have none, so the text decides where both have it; white
space does not count. What is missing is missing: a prompt without an answer is None, an empty answer is "".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from epigone.errors import SpecError, WorkError
from epigone.records import ArmRole, Generation, Judgment
from epigone.rows import prompt_id_of


@dataclass(frozen=True)
class RecordedModel:
    """A model as it was given to the audit. `name` is what the audit calls it."""

    name: str
    role: ArmRole
    generations: Sequence[Generation]
    num_dropped: int = 0
    may_repeat: bool = False
    """Whether it may answer word for word like another: a model that was run, not read from a path given twice."""

    @property
    def recorded_as(self) -> str:
        """What its own recording calls it."""
        return self.generations[0].model if self.generations else self.name

    @property
    def known_as(self) -> frozenset[str]:
        """Every name by which judgments may refer to it: its names, and its answers' ids."""
        answers = {f"answer:{g.answer_id}" for g in self.generations if g.answer_id}
        return frozenset({self.name, *(g.model for g in self.generations), *answers})


@dataclass(frozen=True)
class Aligned:
    """The prompts of the teacher and, by model name, the answer to each (None: missing)."""

    prompt_ids: tuple[str, ...]
    prompts: tuple[str, ...]
    answers: Mapping[str, tuple[str | None, ...]]
    place_of: Mapping[str, int]
    """Place of a prompt by any id it is known under."""
    known_as: Mapping[str, str]
    """Model name of the audit by any name that judgments may use."""

    def texts(self, model: str) -> list[str]:
        """The answers of a model, "" where there is none."""
        return [answer or "" for answer in self.answers[model]]

    def named(self, judgment: Judgment) -> tuple[str, str]:
        """The two models of a judgment by the audit's names, others as the judgment calls them."""
        return self._named(judgment.a), self._named(judgment.b)

    def _named(self, side: str) -> str:
        """An answer is found by its id, else by the name behind it, else it stays an id."""
        answer, _, name = side.partition("=") if side.startswith("answer:") else (side, "", side)
        return self.known_as.get(answer) or self.known_as.get(name, name) or answer


def keys_of(generation: Generation) -> list[str]:
    """The ids of a generation's prompt, the most telling first: by its text, then as published."""
    text = asked(generation)
    return [*([prompt_id_of(text)] if text else []), generation.prompt_id]


def asked(generation: Generation) -> str:
    """The text of the last user message, "" where it is not known."""
    users = [m.content for m in generation.messages if m.role == "user"]
    return users[-1] if users else ""


def align(models: Sequence[RecordedModel], minimum_coverage: float) -> Aligned:
    """Line up all models with the teacher.

    Raises SpecError where a model is given twice or has two roles, WorkError where too few of the teacher's prompts
    are answered by some model.
    """
    _one_role_each(models)
    teacher = next(m for m in models if m.role == "teacher")
    place_of: dict[str, int] = {}
    kept: list[Generation] = []
    for generation in teacher.generations:
        keys = keys_of(generation)
        if keys[0] not in place_of:
            kept.append(generation)
            place_of |= {key: len(kept) - 1 for key in keys if key not in place_of}
    answers = {m.name: _placed(m, place_of, len(kept)) for m in models}
    short = {name: sum(a is not None for a in column) for name, column in answers.items()}
    for model in models:
        if not kept or short[model.name] < minimum_coverage * len(kept):
            raise WorkError(_too_few(model, teacher, short[model.name], len(kept), minimum_coverage))
    return Aligned(
        prompt_ids=tuple(keys_of(g)[0] for g in kept),
        prompts=tuple(asked(g) or f"prompt {g.prompt_id}" for g in kept),
        answers=answers,
        place_of=place_of,
        known_as=_known_as(models),
    )


def _placed(model: RecordedModel, place_of: Mapping[str, int], num_prompts: int) -> tuple[str | None, ...]:
    column: list[str | None] = [None] * num_prompts
    for generation in model.generations:
        place = next((place_of[key] for key in keys_of(generation) if key in place_of), None)
        if place is not None and column[place] is None:
            column[place] = generation.text
    return tuple(column)


def _too_few(model: RecordedModel, teacher: RecordedModel, matched: int, wanted: int, minimum: float) -> str:
    mine = next((asked(g) or g.prompt_id for g in model.generations), "none")
    theirs = next((asked(g) or g.prompt_id for g in teacher.generations), "none")
    return (
        f"{model.name}: {matched} of the {wanted} prompts that {teacher.name} answered have an answer "
        f"({matched / max(wanted, 1):.0%}), at least {minimum:.0%} are needed. Its first prompt is {mine[:60]!r}, the "
        f"teacher's {theirs[:60]!r}: give answers to the same prompts, or lower --minimum-coverage"
    )


def _one_role_each(models: Sequence[RecordedModel]) -> None:
    seen: dict[str, str] = {}
    contents: dict[int, tuple[str, str]] = {}
    for model in models:
        if model.name in seen:
            raise SpecError(
                f"{model.name!r} is given as {seen[model.name].replace('_', ' ')} and as "
                f"{model.role.replace('_', ' ')}: a model has one role; leave one out, or tell two by NAME=PATH"
            )
        seen[model.name] = model.role
        key = hash(tuple(sorted((g.prompt_id, g.text) for g in model.generations)))
        if key in contents and model.generations and not model.may_repeat:
            name, role = contents[key]
            raise SpecError(
                f"{name!r} ({role.replace('_', ' ')}) and {model.name!r} ({model.role.replace('_', ' ')}) hold the "
                "same answers: a model has one role; check the paths"
            )
        contents[key] = (model.name, model.role)


def _known_as(models: Sequence[RecordedModel]) -> dict[str, str]:
    """Audit names win over recorded ones; a recorded name that several models share says nothing."""
    found: dict[str, str] = {}
    doubtful: set[str] = set()
    for model in models:
        for alias in model.known_as:
            if found.setdefault(alias, model.name) != model.name:
                doubtful.add(alias)
    own = {model.name: model.name for model in models}
    return {alias: name for alias, name in found.items() if alias not in doubtful} | own


def matched_judgments(aligned: Aligned, judgments: Iterable[Judgment]) -> tuple[list[Judgment], int]:
    """Judgments under the audit's prompt ids and model names, and how many are on prompts that the teacher lacks.

    Those on other prompts are kept too, under their own ids: they still tell how strong models are.
    """
    kept: list[Judgment] = []
    num_elsewhere = 0
    for judgment in judgments:
        place = aligned.place_of.get(judgment.prompt_id)
        num_elsewhere += place is None
        prompt_id = aligned.prompt_ids[place] if place is not None else judgment.prompt_id
        a, b = aligned.named(judgment)
        kept.append(replace(judgment, prompt_id=prompt_id, a=a, b=b))
    return kept, num_elsewhere
