"""The testbed study with treatments: which arms there are, what they are made of, what stays as it was."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from epigone.commands.study_options import made
from epigone.errors import SpecError
from epigone.records import Arm
from epigone.spec import Resolver, in_order
from epigone.stages.report import ModelInputs
from epigone.stages.train import Train
from epigone.studies.testbed import testbed as study
from epigone.treatment_arms import ARMS, chosen

NAMES = ("replay", "replay_only", *ARMS)


@pytest.fixture(scope="module")
def models() -> tuple[ModelInputs, ...]:
    return made("testbed", ["--scale", "small", "--treatments", "all"]).report.models


def test_every_arm_stands_beside_the_plain_one_at_three_seeds(models):
    by_seed = [
        [m.arm.name for m in models if m.seed == seed and m.arm.role in ("base", "student")] for seed in range(3)
    ]
    assert by_seed[0] == by_seed[1] == by_seed[2] and len(by_seed[0]) == len(set(by_seed[0])) == 2 + len(NAMES)
    assert by_seed[0][:4] == ["w32 base", "w32 broad 6K", "w32 broad 6K + replay 3K", "w32 replay only 3K"]
    assert by_seed[0][4:] == [f"w32 broad 6K, {words}" for words, _ in ARMS.values()]


def trained(models, name: str) -> Train:
    return next(m.training[-1] for m in models if m.seed == 1 and m.arm.treatment == ARMS[name][0])


@pytest.mark.parametrize("name", ["kl_to_base", "l2_to_base", "lora", "average_with_base", "logit_distillation", "dpo"])
def test_an_arm_has_the_treatment_that_it_is_named_after(models, name):
    assert [t.name for t in trained(models, name).treatments] == [name]


def test_what_differs_is_the_treatment_alone(models):
    plain = next(m.training[-1] for m in models if m.arm == Arm("student", "w32", 0, 30_000, "broad", 6_000))
    for name in ("kl_to_base", "l2_to_base", "average_with_base", "logit_distillation"):
        own = trained(models, name)
        assert Resolver().id(own.blocks) == Resolver().id(plain.blocks) and own.recipe.num_epochs == 1
        assert own.recipe.learning_rate == plain.recipe.learning_rate and own.start.size.width == 32
    assert trained(models, "lower_rate").recipe.learning_rate == pytest.approx(plain.recipe.learning_rate / 3)
    for name in ("dpo", "best_of_n"):
        own = trained(models, name)
        assert own.start.blocks.slug == plain.blocks.slug and own.role_sources == ()
    steps = trained(models, "known_facts").recipe
    assert (steps.num_epochs, steps.num_steps) == (None, 7)  # 6,000 tokens in steps of 960


def test_names_choose_and_a_typo_is_told_what_there_is():
    assert chosen(("lora", "replay")) == ("replay", "lora") and chosen(("all",)) == NAMES and chosen(()) == ()
    with pytest.raises(
        SpecError, match=r"--treatments kl_to_bas: .* all, replay, .*, logit_distillation\. Did you mean 'kl_to_base'"
    ):
        made("testbed", ["--treatments", "kl_to_bas"])
    with pytest.raises(SpecError, match="--treatments wants one value or more"):
        made("testbed", ["--treatments"])


def test_bases_and_plain_students_are_those_of_the_grid():
    """Equal specs are one artifact: what the grid has trained is not trained again."""
    resolver = Resolver()
    grid = {resolver.id(s) for s in in_order([study(scale="small", seeds=3).report], resolver)}
    own = {resolver.id(s) for s in in_order([study(scale="small", treatments=("replay",)).report], resolver)}
    assert {i for i in own - grid if not i.startswith("studies/")} == set()


@dataclass(frozen=True)
class Before:
    """A spec's part as it was."""

    name: str = "x"


@dataclass(frozen=True)
class Since:
    """The same with a field that came later."""

    name: str = "x"
    treatment: str = field(default="", metadata={"left_out_at_default": True})


@dataclass(frozen=True)
class Stage:
    """A stage that holds such a part."""

    part: object
    kind: ClassVar[str] = "studies"
    version: ClassVar[int] = 1
    slug: ClassVar[str] = "stage"
    effort: ClassVar[float] = 0.0

    def run(self, inputs: object, out: object) -> dict[str, object]:
        """Never asked to."""
        return {}


def test_a_field_that_came_later_changes_no_older_id():
    ids = [Resolver().id(Stage(part)) for part in (Before(), Since(), Since(treatment="LoRA"))]
    assert ids[0] == ids[1] != ids[2]
