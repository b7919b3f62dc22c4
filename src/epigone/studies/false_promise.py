"""The paper as one study: GPT-2 1.5B, LLaMA 7B and 13B imitate ChatGPT, on ever more data, broad and local.

    epigone study false_promise --plan                        what it will take, before anything is there
    epigone study false_promise --teacher gpt35.jsonl ...     the whole grid, one audit a base, one report

Every base learns ShareGPT-Mix at each amount, and NQ-synthetic for local imitation, by the paper's recipe (EasyLM's
branch of parameter scale) and, since 1,000 steps of warm-up take 65.5M tokens, a second time with warm-up as a share.
Source: arXiv 2305.15717, sections 3 and 4; docs/decisions/0023 for what it leaves open.
"""

from collections.abc import Sequence

from epigone.errors import SpecError
from epigone.imitation_data import NONE, Material, format_of
from epigone.imitation_grid import Asked, Base, Training, audited, placed, scaled
from epigone.interfaces import Rounds, StageSpec
from epigone.spec import Component, Input
from epigone.stages.curate import Curate
from epigone.stages.gather import Audited, Gather
from epigone.stages.synthesise import Synthesise
from epigone.study import Study

MATERIAL = Material()
PAPER = Training()
NUM_EXAMPLES = 6000
"""Of NQ-synthetic, in the paper."""
NOTES = (
    "The data axis is partly one of learning rates: 5M tokens are 77 steps and 150M are 2,289, so with 1,000 steps of "
    "warm-up the small amounts never see the recipe's rate. The second arm warms up for a share of the steps instead.",
    "One seed an arm: claims about size and amount of data need three and are undecided here.",
)


def false_promise(
    *,
    bases: Sequence[str] = (
        "gpt2-xl=hf://openai-community/gpt2-xl",
        "llama-7b=hf://huggyllama/llama-7b",
        "llama-13b=hf://huggyllama/llama-13b",
    ),
    amounts: Sequence[str] = ("5M", "20M", "80M", "150M"),
    scale: float | int = 1.0,
    synthetic: str = "data/nq_synthetic.json",
    material: Material = MATERIAL,
    training: Training = PAPER,
) -> Study:
    """The paper's grid.

    bases: base models, NAME=SOURCE or SOURCE: a folder, a .gguf file, hf://OWNER/NAME[@REVISION].
    amounts: imitation tokens of ShareGPT-Mix, one student each.
    scale: a share of every amount and of the warm-up steps, for a try.
    synthetic: NQ-synthetic, for local imitation, as curate reads it; ask: the teacher is asked for 6,000; or none.
    """
    asked = Asked(material)
    arms = [training.by_steps(scale)]
    if training.warmup_share:  # 0 leaves the second arm out
        arms.append(training.by_share(f"warm-up-{training.warmup_share:g}"))
    broad, local = material.broad(training.seed), _local(synthetic, material, scale)
    grid = [(broad, "broad", tokens) for tokens in scaled(amounts, scale)] + ([(local, "local", 0)] if local else [])
    families: list[Audited] = []
    for text in bases:
        base = Base.of(text, training)
        students = [
            placed(learning, learning.student(base, dataset, data, tokens), data, tokens)
            for learning in arms
            for dataset, data, tokens in grid
        ]
        families.append(audited(asked, base, students, (("parameters", base.num_params),)))
    name = "false-promise"
    generator = local.generator if isinstance(local, Synthesise) else None
    return Study(name, Gather("The false promise of imitation", name, tuple(families), NOTES, broad, generator))


def _local(synthetic: str, material: Material, scale: float | int) -> StageSpec | None:
    """NQ-synthetic without what Natural Questions asks."""
    if synthetic == NONE:
        return None
    questions = material.questions
    leaks = Component.of("curation", "contamination", paths=Input(questions)) if questions != NONE else None
    if synthetic != "ask":
        form = format_of(synthetic, "messages")
        return Curate(Input(synthetic), form, (leaks,) if leaks else (), "nq-synthetic")
    if not material.is_served:
        raise SpecError("--synthetic ask: a teacher whose answers were recorded cannot be asked; write MODEL@URL")
    rounds = Rounds(num_examples=max(1, round(NUM_EXAMPLES * scale)))
    generator = Component.of("prompts", "nq_synthetic")
    return Synthesise(generator, material.served(), rounds, leaks, "nq-synthetic")
