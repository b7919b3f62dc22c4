"""The paper's questions on open models that fit one card: sizes of one family, and one size along pre-training.

    epigone study modern --plan --devices h200
    epigone study modern --sharegpt sharegpt.json --teacher gpt35.jsonl ...

Pythia's sizes saw the same text in the same order, so that a larger base differs in its size alone; its checkpoints
along pre-training are better bases of one size. That separates what the paper's GPT-2 and LLaMA leave together.
Source: arXiv 2305.15717, section 4.4 ("a better base"); Pythia, arXiv 2304.01373 (2,097,152 tokens a step).
"""

import re
from collections.abc import Sequence

from epigone.errors import SpecError
from epigone.imitation_data import NONE, Material
from epigone.imitation_grid import Asked, Base, Training, audited, placed, scaled
from epigone.stages.gather import Audited, Gather
from epigone.study import Study

MATERIAL = Material(discord=NONE)
TODAY = Training(optimizer="adamw", learning_rate=2e-5, packing="documents")
"""What `real_small` trains with; not tuned to any of these models."""
STEP_TOKENS = 2_097_152
"""Tokens of a step of Pythia's pre-training: 1,024 sequences of 2,048."""
PYTHIA_STEPS = 143_000
"""Of the finished models."""
_STEP = re.compile(r"pythia-[^/]*@step(\d+)")
NOTES = (
    "Sizes: parameters differ, pre-training text does not. Checkpoints: the text seen differs, parameters do not.",
    "Warm-up is a share of the steps, so that amounts of data are compared at one peak rate.",
    "One seed an arm: claims about size, data and base quality need three and are undecided here.",
)


def modern(
    *,
    bases: Sequence[str] = (
        "hf://EleutherAI/pythia-160m",
        "hf://EleutherAI/pythia-410m",
        "hf://EleutherAI/pythia-1b",
        "hf://EleutherAI/pythia-1.4b",
    ),
    along: Sequence[str] = (
        "hf://EleutherAI/pythia-1b@step1000",
        "hf://EleutherAI/pythia-1b@step16000",
        "hf://EleutherAI/pythia-1b@step64000",
    ),
    amounts: Sequence[str] = ("5M", "20M", "80M"),
    scale: float | int = 1.0,
    material: Material = MATERIAL,
    training: Training = TODAY,
) -> Study:
    """The grid of one card; warm-up is a share of the steps throughout.

    bases: finished base models of several sizes, NAME=SOURCE or SOURCE, as of false_promise.
    along: checkpoints of one size along pre-training; a step of Pythia in the revision says how much text was seen.
    amounts: imitation tokens of ShareGPT-Mix, one student each.
    scale: a share of every amount, for a try.
    """
    asked, learning, broad = Asked(material), training.by_share(), material.broad(training.seed)
    families: list[Audited] = []
    for text in (*bases, *along):
        base = Base.of(text, training)
        students = [
            placed(learning, learning.student(base, broad, "broad", tokens), "broad", tokens)
            for tokens in scaled(amounts, scale)
        ]
        families.append(audited(asked, base, students, _at(text, base, bases, along)))
    name = "modern"
    return Study(name, Gather("Imitation by open models of today", name, tuple(families), NOTES, broad))


def _at(text: str, base: Base, bases: Sequence[str], along: Sequence[str]) -> tuple[tuple[str, float | int], ...]:
    """A base of a size is lined up by it; a checkpoint, and the finished model of its size, by the text it has seen."""
    step = _STEP.search(text)
    if text in along and not step:
        raise SpecError(
            f"--along {text}: how much text it has seen is not known; write hf://EleutherAI/pythia-...@stepN"
        )
    found: list[tuple[str, float | int]] = [("parameters", base.num_params)] if text in bases else []
    sizes = {_size(each) for each in along}
    if step or ("pythia" in text and _size(text) in sizes):
        found.append(("tokens of pre-training", (int(step[1]) if step else PYTHIA_STEPS) * STEP_TOKENS))
    return tuple(found)


def _size(text: str) -> str:
    return text.partition("@")[0].rpartition("=")[2]
