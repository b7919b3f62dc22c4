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
from epigone.component_text import HUB, backend_of
from epigone.errors import SpecError
from epigone.imitation_data import Material
from epigone.interfaces import StageSpec
from epigone.models import family as families
from epigone.models.compute import DEFAULT, Compute
from epigone.models.family import ModelConfig
from epigone.models.params import num_params
from epigone.models.weights import load_config
from epigone.spec import Component, Input
from epigone.stages.ask_judge import AskJudge
from epigone.stages.audit import Audit, Named, RecordedAnswers
from epigone.stages.evaluate import Evaluate
from epigone.stages.fetch import Fetch
from epigone.stages.gather import Audited, Place
from epigone.stages.generate import Generate
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_judgments import ReadJudgments
from epigone.stages.read_scores import ReadScores
from epigone.stages.support import ScoredModel, Support
from epigone.stages.tokenize import Tokenize
from epigone.stages.train import Train
from epigone.tokens.amounts import amount
from epigone.training.optimizer import Recipe

LONG_BLOCKS = ("same_tokens", "same_batch")
"""What a model with fewer positions than a block has tokens does: blocks of its positions, and as many of them as make
up the tokens of a step; or as many as the others have, which makes its steps smaller."""
PACKINGS = ("chop", "documents")
SUPPORTED = ("mmlu", "nq", "humaneval")
"""Benchmarks, in their own form, whose items are set against the training data."""
ANSWERED, SCORED = 32, 8
"""Rows that are computed at once: answers, and where likelihoods are asked for."""


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
    def of(cls, text: str, training: "Training") -> "Base":
        """From NAME=SOURCE or SOURCE. Raises SpecError for a size that is not known."""
        name, equals, rest = text.partition("=")
        source = rest if equals else text
        config = config_of(source)
        shorter, batch_size = min(training.length, config.max_positions), training.batch_size
        if shorter < training.length and training.long_blocks == "same_tokens":
            batch_size = -(-batch_size * training.length // shorter)
        family = families.of_config(config).__name__.rpartition(".")[2]  # pyright: ignore[reportAttributeAccessIssue]
        chosen = Component.of("tokens.templates", training.template) if training.template else template_of(family)
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
class Training:
    """How students are trained; each field is an option of a study. The defaults are the paper's.

    length: tokens of a block, cut where a model has fewer positions.
    batch_size: blocks of a step.
    long_blocks: where blocks are cut: same_tokens, more of them a step; same_batch, as many as the others have.
    packing: chop, as the authors' stack; documents, each apart.
    optimizer: by name; the paper's is the branch that its authors published.
    learning_rate: peak of the schedule.
    warmup_steps: of the paper's arm.
    warmup_share: of the steps of the other arm; 0 leaves that arm out.
    accumulation: parts that a batch is taken in, where it does not fit into memory.
    template: how dialogues are written; by default with the control tokens that each family has.
    dtype: of the passes, float32 or bfloat16.
    remat: what the backward pass computes again: none, dots, full.
    attention: xla, or cudnn on NVIDIA cards.
    mesh: devices by axis, data,fsdp,tensor; empty: the first device alone.
    seed: orders the data.
    """

    length: int = 2048
    batch_size: int = 32
    long_blocks: str = "same_tokens"
    packing: str = "chop"
    optimizer: str = "adafactor-scaled-update"
    learning_rate: float | int = 2e-3
    warmup_steps: int = 1000
    warmup_share: float | int = 0.1
    accumulation: int = 1
    template: str = ""
    dtype: str = "float32"
    remat: str = "none"
    attention: str = "xla"
    mesh: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for option, allowed in (("long_blocks", LONG_BLOCKS), ("packing", PACKINGS)):
            if (value := getattr(self, option)) not in allowed:
                raise SpecError(f"--{option.replace('_', '-')} {value}: there is {', '.join(allowed)}")

    def by_steps(self, scale: float | int) -> "Learning":
        """The arm that warms up for a number of steps."""
        return self._arm(warmup_steps=round(self.warmup_steps * scale))

    def by_share(self, arm: str = "") -> "Learning":
        """The arm that warms up for a share of its steps."""
        return self._arm(arm, warmup_share=self.warmup_share)

    def _arm(self, arm: str = "", *, warmup_steps: int = 0, warmup_share: float | int | None = None) -> "Learning":
        recipe = Recipe(
            self.learning_rate,
            self.batch_size,
            num_epochs=1,
            warmup_steps=warmup_steps,
            warmup_share=warmup_share,
            schedule="cosine",
            optimizer=self.optimizer,
            accumulation=self.accumulation,
            seed=self.seed,
        )
        return Learning(recipe, self.packing, Compute(self.dtype, self.remat, self.attention), self.mesh, arm)


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


@dataclass(frozen=True)
class Asked:
    """What every model is asked, beside the teacher."""

    material: Material

    def audit(self, title: str, base: Base, students: Sequence[Train]) -> Audit:
        """The audit of one base and its students, beside the teacher."""
        models = [RecordedAnswers("teacher", self.material.teacher_answers(), "teacher"), *self._second()]
        scores = [Named(ReadScores(Input(path), "teacher"), "teacher") for path in self.material.teacher_scores]
        scores += self._scores(self.material.served(), "teacher", in_chat=True) if self.material.is_served else []
        judgments = [Named(ReadJudgments(Input(path), Path(path).stem)) for path in self.material.judgments]
        for name, source in [(base.name, base.source), *((s.name, s) for s in students)]:
            backend, longest = self._backend(base, source), self.material.max_tokens
            answers = Generate(backend, self.material.asked(), name, max_tokens=longest)
            role = "base" if name == base.name else "student"
            models.append(RecordedAnswers(role, answers, name, may_repeat=True))
            scores += self._scores(self._backend(base, source, SCORED), name, in_chat=False)
            judgments += self._judged(answers, name)
        supports = tuple(self._supports(base, students))
        name = f"audit-{base.name}"
        return Audit(title, name, tuple(models), tuple(judgments), tuple(scores), supports=supports)

    def _supports(self, base: Base, students: Sequence[Train]) -> Iterator[Support]:
        """For each dataset and benchmark: where the students that learnt from it gained."""
        for dataset in dict.fromkeys(
            student.blocks.source for student in students if isinstance(student.blocks, Tokenize)
        ):
            if isinstance(dataset, Input):
                continue  # plain documents ask nothing
            taught = [s for s in students if isinstance(s.blocks, Tokenize) and s.blocks.source is dataset]
            for key, benchmark in self.material.benchmarks().items():
                if key in SUPPORTED:
                    yield Support(
                        dataset,
                        self._scored(base, base.source, base.name, key, benchmark),
                        tuple(self._scored(base, each, each.name, key, benchmark) for each in taught),
                        items=benchmark,
                        name=f"{base.name}-{getattr(dataset, 'name', 'data')}-{key}",
                        title=f"{base.name}: where did it help on {key}?",
                    )

    def _scored(self, base: Base, source: StageSpec | Input, name: str, key: str, benchmark: Component) -> ScoredModel:
        stage = Evaluate(self._backend(base, source, SCORED), benchmark, f"{name}-{key}", limit=self.material.limit)
        return ScoredModel(name, ReadScores(Input(".", stage), name))

    def _backend(self, base: Base, source: StageSpec | Input, batch_size: int = ANSWERED) -> Component:
        return Component.of("backends", "checkpoint", path=source, template=base.template, batch_size=batch_size)

    def _second(self) -> Iterator[RecordedAnswers]:
        if self.material.second_sample:
            recorded = ReadAnswers(Input(self.material.second_sample), "teacher-2")
            yield RecordedAnswers("second_sample", recorded, "teacher-2")
        elif self.material.is_served:
            again = self.material.teacher_answers(seed=1)
            yield RecordedAnswers("second_sample", again, "teacher-2", may_repeat=True)

    def _scores(self, backend: Component, name: str, *, in_chat: bool) -> list[Named]:
        """Score sheets: a server of chat is asked in chat alone; where there is one, the others are asked both ways."""
        own = self.material.benchmarks()
        chat = {f"{key}-in-chat": _in_chat(each) for key, each in own.items()}
        known = list(own.values())
        chat = {key: b for key, b in chat.items() if b is not None and (in_chat or b not in known)}
        chosen = chat.items() if in_chat else (own | (chat if self.material.is_served else {})).items()
        stages = [Evaluate(backend, each, f"{name}-{key}", limit=self.material.limit) for key, each in chosen]
        return [Named(ReadScores(Input(".", stage), name), name) for stage in stages]

    def _judged(self, answers: Generate, name: str) -> Iterator[Named]:
        if not self.material.judge:
            return
        model = backend_of(self.material.judge)
        if model is None:
            raise SpecError(f"--judge {self.material.judge}: write MODEL@URL, or a checkpoint's folder")
        who = self.material.judge.partition("@")[0].rstrip("/").rpartition("/")[2]
        teacher = self.material.teacher_answers()
        for how in ("pairwise", "tone"):
            judge = Component.of("judges", how)
            yield Named(AskJudge(teacher, answers, judge, model, who, ("teacher", name)), who)


def _in_chat(benchmark: Component) -> Component | None:
    """The same benchmark as a server of chat can be asked it; None where it cannot."""
    fields = {f.name for f in dataclasses.fields(discover.find("benchmarks", benchmark.name))}
    if "chat" not in fields:
        return None
    changes: dict[str, object] = {"chat": True}
    if "scoring" in fields:
        changes["scoring"] = "generated"
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
    arm = f", {learning.arm.replace('-up-', '-up ')}" if learning.arm else ""
    return Place(student.name, f"{data}{arm}", num_tokens), student
