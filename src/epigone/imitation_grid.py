"""What studies of imitation share: bases, the students made of them, what all are asked, and one audit a base.

In: what a recipe of `studies` was given. Out: stages, each made once and shared. A base is a folder, a .gguf file or
hf://OWNER/NAME[@REVISION]; what of it must be known before anything is fetched (positions, parameters) comes from its
config where it is here, else from the published size of its name (`VARIANTS` of its family).
Source: arXiv 2305.15717, section 4; block length and warm-up as in docs/decisions/0023.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone import discover
from epigone.component_text import HUB, SERVERS, backend_of
from epigone.errors import SpecError
from epigone.formats import sniff
from epigone.interfaces import StageSpec
from epigone.mixtures.sharegpt_mix import sharegpt_mix
from epigone.models import family as families
from epigone.models.compute import DEFAULT, Compute
from epigone.models.family import ModelConfig
from epigone.models.params import num_params
from epigone.models.weights import load_config
from epigone.spec import Component, Input
from epigone.stages.ask_judge import AskJudge
from epigone.stages.audit import Audit, Named, RecordedAnswers
from epigone.stages.curate import Curate
from epigone.stages.evaluate import Evaluate
from epigone.stages.fetch import Fetch
from epigone.stages.gather import Audited, Place
from epigone.stages.generate import Generate
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.read_scores import ReadScores
from epigone.stages.tokenize import Tokenize
from epigone.stages.train import Train
from epigone.tokens.amounts import amount
from epigone.training.optimizer import Recipe

LONG_BLOCKS = ("same_tokens", "same_batch")
"""What a model with fewer positions than a block has tokens does: blocks of its positions, and as many of them as make
up the tokens of a step; or as many as the others have, which makes its steps smaller."""
SCORED = 8
"""Rows that are computed at once where likelihoods are asked for."""


def published_name(text: str) -> str:
    """What of a base's name may be that of a published size: `hf://EleutherAI/pythia-1b@step1000` -> `pythia-1b`."""
    return text.rstrip("/").rpartition("/")[2].partition("@")[0].removesuffix(".gguf").lower()


def template_of(family: str) -> Component:
    """How dialogues are written with the control tokens that the published tokenizers of a family have."""
    if family in ("qwen2", "qwen3"):
        return Component.of("tokens.templates", "chatml")
    tokens = {"begin": "", "end": "<|endoftext|>"} if family in ("gpt2", "gpt_neox") else {}
    return Component.of("tokens.templates", "koala", system="fold", reasoning="leave_out", **tokens)


def config_of(text: str) -> ModelConfig:
    """The config of a base that is here, else of the published size that it is named after. Raises SpecError."""
    if Path(text).exists():
        return load_config(Path(text))[1]
    name, known = published_name(text), families.variants()
    if name not in known:
        raise SpecError(
            f"{text} is not here, and {name!r} is no published size, so that its positions are not known: give the "
            f"checkpoint's folder, or a name that ends in one of {', '.join(sorted(known))}"
        )
    return known[name]


@dataclass(frozen=True)
class Base:
    """One base model of a grid."""

    name: str
    source: StageSpec | Input
    """Its checkpoint: to be fetched, or here."""
    config: ModelConfig
    template: Component
    length: int
    """Tokens of its blocks."""
    batch_size: int
    """Blocks of its steps."""

    @classmethod
    def of(cls, text: str, *, length: int, batch_size: int, long_blocks: str, template: str = "") -> "Base":
        """From NAME=SOURCE or SOURCE. Raises SpecError for a size that is not known, or a choice that there is not."""
        if long_blocks not in LONG_BLOCKS:
            raise SpecError(f"--long-blocks {long_blocks}: there is {', '.join(LONG_BLOCKS)}")
        name, equals, rest = text.partition("=")
        source = rest if equals else text
        config = config_of(source)
        shorter = min(length, config.max_positions)
        if shorter < length and long_blocks == "same_tokens":
            batch_size = -(-batch_size * length // shorter)
        family = families.of_config(config).__name__.rpartition(".")[2]  # pyright: ignore[reportAttributeAccessIssue]
        chosen = Component.of("tokens.templates", template) if template else template_of(family)
        made = Fetch(source) if source.startswith(HUB) else Input(source)
        shown = name if equals else re.sub(r"[^A-Za-z0-9.]+", "-", source.rstrip("/").rpartition("/")[2])
        return cls(shown, made, config, chosen, shorter, batch_size)

    @property
    def tokenizer(self) -> Input:
        """Where its tokenizer lies."""
        return self.source if isinstance(self.source, Input) else Input(".", self.source)

    @property
    def num_params(self) -> int:
        """Scalars."""
        return num_params(families.of_config(self.config).param_tree(self.config))


@dataclass(frozen=True)
class Learning:
    """How students learn; every arm of a grid has one."""

    recipe: Recipe
    """Its batch is the base's own."""
    packing: str = "chop"
    compute: Compute = DEFAULT
    mesh: str = ""
    arm: str = ""
    """What tells the arm from the first one, for people; empty: the first."""

    def student(self, base: Base, dataset: StageSpec, data: str, num_tokens: int) -> Train:
        """The base fine-tuned on an amount of a dataset (0: all of it); amounts are nested."""
        blocks = Tokenize(
            dataset,
            base.tokenizer,
            length=base.length,
            max_tokens=num_tokens,
            seed=self.recipe.seed,
            name=f"{data}-{base.name}",
            template=base.template,
            packing="chop" if self.packing == "chop" else "documents",
            order="as_is" if data == "broad" else "permuted",  # a mixture is in order already
            max_positions=base.config.max_positions,
        )
        parts = [base.name, data, told(num_tokens) if num_tokens else "", self.arm]
        return Train(
            blocks,
            base.tokenizer,
            dataclasses.replace(self.recipe, batch_size=base.batch_size),
            "-".join(filter(None, parts)),
            start=base.source,
            template=base.template,
            compute=self.compute,
            mesh=self.mesh,
            seed=self.recipe.seed,
        )


def told(num_tokens: int) -> str:
    """An amount as people write it, whole: 150M, 30K, 1234."""
    for unit, letter in ((1_000_000, "M"), (1000, "K")):
        if num_tokens >= unit and num_tokens % unit == 0:
            return f"{num_tokens // unit}{letter}"
    return str(num_tokens)


def scaled(amounts: Sequence[str], scale: float) -> list[int]:
    """Amounts times a share, each once, in order. Raises SpecError."""
    if not scale > 0:
        raise SpecError(f"--scale is a share above 0 of every amount, not {scale}")
    return sorted({max(1, round(amount(text) * scale)) for text in amounts})


def format_of(path: str, usual: str) -> Component:
    """The format of a dump: by its content where it is here, else the usual one."""
    return Component.of("formats", sniff(Path(path)) if Path(path).exists() else usual)


@dataclass(frozen=True)
class Asked:
    """What every model is asked, and who answers for the teacher."""

    teacher: str
    """A recording, or MODEL@URL."""
    second_sample: str
    prompts: str
    """What a served teacher and all models are asked; empty: the prompts of the recording."""
    judge: str
    """A model that judges every model's answers against the teacher's; empty: none."""
    judgments: tuple[str, ...]
    """Recorded verdicts."""
    teacher_scores: tuple[str, ...]
    benchmarks: tuple[tuple[str, Component], ...]
    """By name."""
    limit: int
    """Items a benchmark (0: all)."""
    max_tokens: int
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.is_served and not self.prompts:
            raise SpecError(f"{self.teacher} is asked: give the prompts that all models answer with --prompts")

    @property
    def is_served(self) -> bool:
        """Whether the teacher is asked, rather than read."""
        return any(server in self.teacher for server in SERVERS)

    @property
    def answers_of_teacher(self) -> StageSpec:
        """Its first answers."""
        if not self.is_served:
            return ReadAnswers(Input(self.teacher), "teacher")
        return Generate(self.served(), Input(self.prompts), "teacher", max_tokens=self.max_tokens, temperature=1.0)

    def audit(self, title: str, base: Base, students: Sequence[Train]) -> Audit:
        """The audit of one base and its students, beside the teacher."""
        models = [RecordedAnswers("teacher", self.answers_of_teacher, "teacher"), *self._second()]
        scores = [Named(ReadScores(Input(path), "teacher"), "teacher") for path in self.teacher_scores]
        scores += self._scores(self.served(), "teacher", in_chat=True) if self.is_served else []
        judgments = [Named(ReadJudgments(Input(path), Path(path).stem)) for path in self.judgments]
        for name, source in [(base.name, base.source), *((s.name, s) for s in students)]:
            answers = Generate(self._backend(base, source), self._prompts(), name, max_tokens=self.max_tokens)
            role = "base" if name == base.name else "student"
            models.append(RecordedAnswers(role, answers, name, may_repeat=True))
            scores += self._scores(self._backend(base, source, SCORED), name, in_chat=False)
            judgments += self._judged(answers, name)
        return Audit(title, f"audit-{base.name}", tuple(models), tuple(judgments), tuple(scores))

    def _backend(self, base: Base, source: StageSpec | Input, batch_size: int = 0) -> Component:
        size = batch_size or self.batch_size
        return Component.of("backends", "checkpoint", path=source, template=base.template, batch_size=size)

    def served(self) -> Component:
        """Who is asked as the teacher."""
        found = backend_of(self.teacher)
        assert found is not None
        return found

    def _prompts(self) -> Input:
        return Input(self.prompts) if self.prompts else Input("records.jsonl", self.answers_of_teacher)

    def _second(self) -> Iterator[RecordedAnswers]:
        if self.second_sample:
            yield RecordedAnswers("second_sample", ReadAnswers(Input(self.second_sample), "teacher-2"), "teacher-2")
        elif self.is_served:
            again = dataclasses.replace(self.answers_of_teacher, seed=1)  # pyright: ignore[reportArgumentType]
            yield RecordedAnswers("second_sample", again, "teacher-2", may_repeat=True)

    def _scores(self, backend: Component, name: str, *, in_chat: bool) -> list[Named]:
        """Score sheets: a server of chat is asked in chat alone; where there is one, the others are asked both ways."""
        own, chat = dict(self.benchmarks), {f"{key}-in-chat": _in_chat(b) for key, b in self.benchmarks}
        known = list(own.values())
        chat = {key: b for key, b in chat.items() if b is not None and (in_chat or b not in known)}
        chosen = chat.items() if in_chat else (own | (chat if self.is_served else {})).items()
        stages = [Evaluate(backend, each, f"{name}-{key}", limit=self.limit) for key, each in chosen]
        return [Named(ReadScores(Input(".", stage), name), name) for stage in stages]

    def _judged(self, answers: Generate, name: str) -> Iterator[Named]:
        if not self.judge:
            return
        model = backend_of(self.judge)
        if model is None:
            raise SpecError(f"--judge {self.judge}: write MODEL@URL, or a checkpoint's folder")
        for how in ("pairwise", "tone"):
            judge = Component.of("judges", how)
            names = ("teacher", name)
            yield Named(AskJudge(self.answers_of_teacher, answers, judge, model, f"judge-{name}", names), "judge")


def _in_chat(benchmark: Component) -> Component | None:
    """The same benchmark as a server of chat can be asked it; None where it cannot."""
    fields = {f.name for f in dataclasses.fields(discover.find("benchmarks", benchmark.name))}
    if "chat" not in fields:
        return None
    changes: dict[str, object] = {"chat": True} | ({"scoring": "generated"} if "scoring" in fields else {})
    if dict(benchmark.options).get("exemplars"):
        changes["num_shots"] = 3  # in chat each shot is two turns
    return Component.of("benchmarks", benchmark.name, **(dict(benchmark.options) | changes))


def audited(asked: Asked, base: Base, students: Sequence[tuple[Place, Train]], at: tuple[tuple[str, float | int], ...]
            ) -> Audited:  # fmt: skip
    """One base with its audit, and the place of each model in the figures."""
    title = f"{base.name}: capability or only style?"
    audit = asked.audit(title, base, [student for _, student in students])
    places = (Place(base.name, "base"), *(place for place, _ in students))
    return Audited(base.name, audit, places, at)


def placed(learning: Learning, student: Train, data: str, num_tokens: int) -> tuple[Place, Train]:
    """A student with its place: one line a kind of data and arm."""
    arm = f", {learning.arm.replace('-', ' ')}" if learning.arm else ""
    return Place(student.name, f"{data}{arm}", num_tokens), student


def broad_data(dumps: dict[str, str], asked: Asked, seed: int) -> StageSpec:
    """ShareGPT-Mix without the conversations that ask an evaluation prompt."""
    if set(dumps.values()) == {"none"}:
        raise SpecError(f"there is nothing to imitate: give one of {', '.join(f'--{name}' for name in dumps)}")
    given = {name: [(Input(path), format_of(path, name))] for name, path in dumps.items() if path != "none"}
    answers = Input("records.jsonl", asked.answers_of_teacher)
    leaks = Component.of("curation", "contamination", paths=Input(asked.prompts) if asked.prompts else answers)
    return Curate(sharegpt_mix(given, seed=seed), Component.of("formats", "dataset"), (leaks,), "sharegpt-mix")


def benchmarks_of(
    mmlu: str, questions: str, exemplars: str, toxicity: str, humaneval: str
) -> tuple[tuple[str, Component], ...]:
    """Every evaluation of the paper by the name of its scores; Natural Questions both ways, as the paper shows both."""
    found = dict[str, Component]()
    if mmlu != "none":
        folders = {"test_folder": Input(str(Path(mmlu) / "test")), "dev_folder": Input(str(Path(mmlu) / "dev"))}
        found["mmlu"] = _benchmark("mmlu", **folders)
    if questions != "none":
        found["nq"] = _benchmark("natural_questions", path=Input(questions), exemplars=Input(exemplars))
        found["nq-in-chat"] = _benchmark("natural_questions", path=Input(questions), chat=True)
    if toxicity != "none":
        scorer = Component.of("toxicity", "profanity")
        found["toxicity"] = _benchmark("real_toxicity_prompts", path=Input(toxicity), scorer=scorer)
    if humaneval != "none" and "humaneval" in discover.names("benchmarks"):
        found["humaneval"] = _benchmark("humaneval", path=Input(humaneval))
    return tuple(found.items())


def _benchmark(name: str, **options: object) -> Component:
    return Component.of("benchmarks", name, **options)
