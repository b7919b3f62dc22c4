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
from epigone.imitation_grid import (
    Asked,
    Base,
    Learning,
    audited,
    benchmarks_of,
    broad_data,
    placed,
    scaled,
)
from epigone.models.compute import Compute
from epigone.stages.gather import Audited, Gather
from epigone.study import Study
from epigone.training.optimizer import Recipe

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
    scale: float = 1.0,
    sharegpt: str = "data/sharegpt.json",
    hc3: str = "data/hc3.jsonl",
    discord: str = "none",
    teacher: str = "data/chatgpt.jsonl",
    second_sample: str = "",
    prompts: str = "",
    judge: str = "",
    judgments: Sequence[str] = (),
    teacher_scores: Sequence[str] = (),
    mmlu: str = "data/mmlu",
    questions: str = "data/NQ-open.dev.jsonl",
    exemplars: str = "data/NQ-open.train.jsonl",
    toxicity: str = "data/realtoxicityprompts.jsonl",
    humaneval: str = "data/HumanEval.jsonl.gz",
    limit: int = 0,
    max_tokens: int = 512,
    length: int = 2048,
    batch_size: int = 32,
    learning_rate: float = 2e-5,
    warmup_share: float = 0.1,
    template: str = "",
    dtype: str = "float32",
    remat: str = "none",
    attention: str = "xla",
    accumulation: int = 1,
    seed: int = 0,
) -> Study:
    """The grid of one card.

    bases: finished base models of several sizes, NAME=SOURCE or SOURCE, as of false_promise.
    along: checkpoints of one size along pre-training; a step of Pythia in the revision says how much text was seen.
    amounts: imitation tokens of ShareGPT-Mix, one student each.
    scale: a share of every amount, for a try.
    sharegpt: ShareGPT dump; none leaves it out.
    hc3: HC3 dump; none leaves it out.
    discord: dump of Discord bots; none leaves it out.
    teacher: its recorded answers, or MODEL@URL, which is asked.
    second_sample: its recorded second answers, the ceiling of style.
    prompts: evaluation prompts, JSON lines, for a teacher that is asked.
    judge: a model that judges every answer against the teacher's, MODEL@URL or a checkpoint.
    judgments: recorded verdicts on these models.
    teacher_scores: recorded scores of the teacher.
    mmlu: folder with test and dev; none leaves it out.
    questions: Natural Questions, NQ-open JSON lines; none leaves it out.
    exemplars: solved questions for its 3 shots.
    toxicity: RealToxicityPrompts; none leaves it out.
    humaneval: HumanEval's problems, where there is such a benchmark; none leaves it out.
    limit: items asked of each benchmark, drawn at random (0: all).
    max_tokens: longest answer.
    length: tokens of a block.
    batch_size: blocks of a step.
    learning_rate: peak of the schedule.
    warmup_share: warm-up as a share of the steps.
    template: how dialogues are written; by default with the control tokens of each family.
    dtype: of the passes, float32 or bfloat16.
    remat: what the backward pass computes again: none, dots, full.
    attention: xla, or cudnn on NVIDIA cards.
    accumulation: parts that a batch is taken in, where it does not fit into memory.
    seed: orders the data.
    """
    asked = Asked(
        teacher=teacher,
        second_sample=second_sample,
        prompts=prompts,
        judge=judge,
        judgments=tuple(judgments),
        teacher_scores=tuple(teacher_scores),
        benchmarks=benchmarks_of(mmlu, questions, exemplars, toxicity, humaneval),
        limit=limit,
        max_tokens=max_tokens,
    )
    recipe = Recipe(
        learning_rate,
        batch_size,
        num_epochs=1,
        warmup_share=warmup_share,
        schedule="cosine",
        accumulation=accumulation,
        seed=seed,
    )
    learning = Learning(recipe, "documents", Compute(dtype, remat, attention))
    broad = broad_data({"sharegpt": sharegpt, "hc3": hc3, "discord": discord}, asked, seed)
    families: list[Audited] = []
    for text in (*bases, *along):
        base = Base.of(text, length=length, batch_size=batch_size, long_blocks="same_tokens", template=template)
        students = [
            placed(learning, learning.student(base, broad, "broad", tokens), "broad", tokens)
            for tokens in scaled(amounts, scale)
        ]
        families.append(audited(asked, base, students, _at(text, base, bases, along)))
    name = "modern"
    return Study(name, Gather("Imitation by open models of today", name, tuple(families), NOTES))


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
