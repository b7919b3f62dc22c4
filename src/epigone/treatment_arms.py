"""The treatments that the testbed study tries, each as one student beside the one of plain imitation.

In: a base with its plain student, and the stages that both were made of. Out: the treated students by name. All learn
from the same amount of broad imitation data (or from what is said) in one pass. Strengths were written down before the
first run and are tuned to nothing.
Source: section 4.3 of arXiv 2305.15717 (regularisation, pre-training data), section 5 (a teacher's judgments; no new
knowledge); each treatment's own source stands in its file.
"""

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.spec import Component, Input
from epigone.stages.curate import Curate
from epigone.stages.evaluate import Evaluate
from epigone.stages.generate import Generate
from epigone.stages.rank import Rank
from epigone.stages.select import Select
from epigone.stages.tokenize import Tokenize
from epigone.stages.tokenize_pairs import TokenizePairs
from epigone.stages.train import Train

NUM_SAMPLES = 4
"""Answers a prompt that the teacher judges."""
TOKENS_A_PROMPT = 300
"""A prompt is sampled for every so many tokens of imitation data."""
JUDGE_EXPERTISE = 0.5
"""The teacher as a judge: half form, half whether the claims are what it believes."""
LORA_RATE = 3e-3
"""Adapters start from nothing and take a higher rate: here ten times (arXiv 2106.09685, appendix D, takes more)."""
DPO_RATE = 1e-4


@dataclass(frozen=True)
class Setting:
    """What the treated students of one base and seed are made of."""

    base: Train
    plain: Train
    """The student of plain imitation."""
    amount: int
    """Its imitation tokens."""
    broad: Curate
    """Where they come from."""
    world: StageSpec
    """The simulated world."""
    checkpoint_teacher: Train
    """A larger student of the same teacher, whose logits can be read."""

    def file(self, path: str) -> Input:
        """A file of the world."""
        return Input(path, self.world)

    @property
    def seed(self) -> int:
        """Of base and students."""
        return self.base.seed

    @property
    def num_prompts(self) -> int:
        """Prompts that are sampled."""
        return max(16, self.amount // TOKENS_A_PROMPT)

    def checker(self, *, believed: bool = False) -> Component:
        """Who knows the facts; `believed`, as the teacher has them."""
        own = {"believed": True} if believed else {}
        return Component.of("testbed", "epigone.testbed.claims:ClaimChecker", path=self.file("."), **own)

    def treated(self, name: str, treatment: str = "", *, rate: float | None = None, **options: object) -> Train:
        """The plain student once more, with one treatment or another learning rate."""
        recipe = self.plain.recipe if rate is None else replace(self.plain.recipe, learning_rate=rate)
        chosen = (Component.of("training.treatments", treatment, **options),) if treatment else ()
        return replace(self.plain, recipe=recipe, name=f"{self.plain.name}-{name}", treatments=chosen)

    def known_facts(self) -> Train:
        """Dialogues that state only what the base answers right, as often as it takes for as many steps."""
        questions = self.file("nq/NQ-open.train.jsonl")
        benchmark = Component.of("benchmarks", "natural_questions", path=questions, exemplars=questions, num_shots=3)
        model = Component.of("backends", "checkpoint", path=self.base)
        scores = Evaluate(model, benchmark, f"{self.base.name}-questions-of-training")
        known = Component.of("curation", "known_facts", scores=scores, facts=self.checker())
        name = f"broad-known-to-{self.base.name}"
        dataset = Curate(self.broad, Component.of("formats", "dataset", with_drops=False), (known,), name=name)
        blocks = Tokenize(dataset, self.plain.tokenizer, name=name)
        num_steps = math.ceil(self.amount / (blocks.length * self.plain.recipe.batch_size))
        recipe = replace(self.plain.recipe, num_epochs=None, num_steps=num_steps)
        return replace(self.plain, blocks=blocks, recipe=recipe, name=f"{self.plain.name}-known-facts")

    @cached_property
    def rankings(self) -> Rank:
        """The plain student's answers to some of the teacher's prompts, as the teacher judges them."""
        prompts = Select(self.file("prompts/broad.jsonl"), self.num_prompts, seed=self.seed, name="broad")
        model = Component.of("backends", "checkpoint", path=self.plain)
        asked = Input("records.jsonl", prompts)
        samples = tuple(
            Generate(model, asked, f"{self.plain.name}-sample{n}", temperature=1.0, seed=n) for n in range(NUM_SAMPLES)
        )
        judge = Component.of(
            "judges", "simulated_rater",
            expertise=JUDGE_EXPERTISE, checker=self.checker(believed=True), num_raters=1, seed=self.seed,
        )  # fmt: skip
        return Rank(samples, judge, self.plain.name)

    def best_of_n(self) -> Train:
        """The plain student goes on with the best of its own answers."""
        name = f"{self.plain.name}-best"
        best = Curate(Input("best.jsonl", self.rankings), Component.of("formats", "messages"), name=name)
        return self._on(Tokenize(best, self.plain.tokenizer, name=name), f"{self.plain.name}-best-of-n")

    def dpo(self) -> Train:
        """The plain student goes on with the best and the worst of its own answers."""
        pairs = TokenizePairs(self.rankings, self.plain.tokenizer, name=f"{self.plain.name}-pairs")
        found = self._on(pairs, f"{self.plain.name}-dpo")
        recipe = replace(found.recipe, learning_rate=DPO_RATE, num_epochs=2)
        return replace(found, recipe=recipe, treatments=(Component.of("training.treatments", "dpo", beta=0.1),))

    def _on(self, blocks: StageSpec, name: str) -> Train:
        """The plain student, trained on; its role tokens stay as it has learnt them."""
        return replace(self.plain, blocks=blocks, start=self.plain, name=name, role_sources=())


ARMS: dict[str, tuple[str, Callable[[Setting], Train]]] = {
    "kl_to_base": ("KL to base", lambda s: s.treated("kl-to-base", "kl_to_base", weight=1.0)),
    "l2_to_base": ("L2 to base", lambda s: s.treated("l2-to-base", "l2_to_base", weight=0.1)),
    "lora": ("LoRA", lambda s: s.treated("lora", "lora", rate=LORA_RATE, rank=8, alpha=16)),
    "lower_rate": ("lower rate", lambda s: s.treated("lower-rate", rate=s.plain.recipe.learning_rate / 3)),
    "average_with_base": ("average with base", lambda s: s.treated("averaged", "average_with_base", share=0.5)),
    "known_facts": ("known facts only", Setting.known_facts),
    "dpo": ("DPO", Setting.dpo),
    "best_of_n": ("best of 4", Setting.best_of_n),
    "logit_distillation": (
        "logits of a larger student",
        lambda s: s.treated("logits", "logit_distillation", path=s.checkpoint_teacher, weight=1.0),
    ),
}
"""By name: what the arm is called, and its student."""
REPLAYED = ("replay", "replay_only")
"""Arms that the study's own grid has."""


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The arms of these names, or of `all`, in one order. Raises SpecError with what there is."""
    known = (*REPLAYED, *ARMS)
    for name in names:
        if name not in (*known, "all"):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise SpecError(f"--treatments {name}: there is no such; there is: all, {', '.join(known)}.{hint}")
    return known if "all" in names else tuple(name for name in known if name in names)
