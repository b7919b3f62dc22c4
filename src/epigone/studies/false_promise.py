"""The paper as one study: GPT-2 1.5B, LLaMA 7B and 13B imitate ChatGPT, on ever more data, broad and local.

    epigone study false_promise --plan                        what it will take, before anything is there
    epigone study false_promise --teacher gpt35.jsonl ...     the whole grid, one audit a base, one report

Every base learns ShareGPT-Mix at each amount, and NQ-synthetic for local imitation, by the paper's recipe (EasyLM's
branch of parameter scale) and, since 1,000 steps of warm-up take 65.5M tokens, a second time with warm-up as a share.
Source: arXiv 2305.15717, sections 3 and 4; docs/decisions/0023 for what it leaves open.
"""

import dataclasses
from collections.abc import Sequence

from epigone.errors import SpecError
from epigone.imitation_grid import (
    Asked,
    Base,
    Learning,
    audited,
    benchmarks_of,
    broad_data,
    format_of,
    placed,
    scaled,
)
from epigone.interfaces import Rounds, StageSpec
from epigone.models.compute import Compute
from epigone.spec import Component, Input
from epigone.stages.curate import Curate
from epigone.stages.gather import Audited, Gather
from epigone.stages.synthesise import Synthesise
from epigone.study import Study
from epigone.training.optimizer import Recipe

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
    scale: float = 1.0,
    sharegpt: str = "data/sharegpt.json",
    hc3: str = "data/hc3.jsonl",
    discord: str = "data/discord.json",
    synthetic: str = "data/nq_synthetic.json",
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
    long_blocks: str = "same_tokens",
    packing: str = "chop",
    optimizer: str = "adafactor-scaled-update",
    learning_rate: float = 2e-3,
    warmup_steps: int = 1000,
    warmup_share: float = 0.1,
    template: str = "",
    dtype: str = "float32",
    remat: str = "none",
    attention: str = "xla",
    mesh: str = "",
    seed: int = 0,
) -> Study:
    """The paper's grid.

    bases: base models, NAME=SOURCE or SOURCE: a folder, a .gguf file, hf://OWNER/NAME[@REVISION].
    amounts: imitation tokens of ShareGPT-Mix, one student each.
    scale: a share of every amount and of the warm-up steps, for a try.
    sharegpt: ShareGPT dump; none leaves it out.
    hc3: HC3 dump; none leaves it out.
    discord: dump of Discord bots; none leaves it out.
    synthetic: NQ-synthetic, for local imitation, as curate reads it; ask: the teacher is asked for 6,000; or none.
    teacher: its recorded answers, or MODEL@URL, which is asked.
    second_sample: its recorded second answers, the ceiling of style; a teacher that is asked gives one itself.
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
    length: tokens of a block, cut where a model has fewer positions.
    batch_size: blocks of a step.
    long_blocks: where blocks are cut: same_tokens, more of them a step; same_batch, as many as the others have.
    packing: chop, as the authors' stack; documents, each apart.
    optimizer: by name; the default is the branch that the authors published.
    learning_rate: peak of the schedule.
    warmup_steps: of the first arm, as in the paper.
    warmup_share: of the second arm's steps; 0 leaves it out.
    template: how dialogues are written; by default with the control tokens that each family has.
    dtype: of the passes, float32 or bfloat16.
    remat: what the backward pass computes again: none, dots, full.
    attention: xla, or cudnn on NVIDIA cards.
    mesh: devices by axis, data,fsdp,tensor; empty: the first device alone.
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
    first = Recipe(
        learning_rate,
        batch_size,
        num_epochs=1,
        warmup_steps=round(warmup_steps * scale),
        schedule="cosine",
        optimizer=optimizer,
        seed=seed,
    )
    arms = [Learning(first, packing, Compute(dtype, remat, attention), mesh)]
    if warmup_share:
        second = dataclasses.replace(first, warmup_steps=0, warmup_share=warmup_share)
        arms.append(dataclasses.replace(arms[0], recipe=second, arm=f"warm-up-{warmup_share:g}"))
    broad = broad_data({"sharegpt": sharegpt, "hc3": hc3, "discord": discord}, asked, seed)
    local = _local(synthetic, asked, questions, scale)
    grid = [(broad, "broad", tokens) for tokens in scaled(amounts, scale)] + ([(local, "local", 0)] if local else [])
    families: list[Audited] = []
    for text in bases:
        base = Base.of(text, length=length, batch_size=batch_size, long_blocks=long_blocks, template=template)
        students = [
            placed(learning, learning.student(base, dataset, data, tokens), data, tokens)
            for learning in arms
            for dataset, data, tokens in grid
        ]
        families.append(audited(asked, base, students, (("parameters", base.num_params),)))
    name = "false-promise"
    return Study(name, Gather("The false promise of imitation", name, tuple(families), NOTES))


def _local(synthetic: str, asked: Asked, questions: str, scale: float) -> StageSpec | None:
    """NQ-synthetic without what Natural Questions asks."""
    if synthetic == "none":
        return None
    leaks = Component.of("curation", "contamination", paths=Input(questions)) if questions != "none" else None
    if synthetic != "ask":
        form = format_of(synthetic, "messages")
        return Curate(Input(synthetic), form, (leaks,) if leaks else (), "nq-synthetic")
    if not asked.is_served:
        raise SpecError("--synthetic ask: a teacher whose answers were recorded cannot be asked; write MODEL@URL")
    rounds = Rounds(num_examples=max(1, round(NUM_EXAMPLES * scale)))
    generator = Component.of("prompts", "nq_synthetic")
    return Synthesise(generator, asked.served(), rounds, leaks, "nq-synthetic")
