"""A real model on a laptop: fine-tuned on real dialogues with ChatGPT, and what it got from them.

    epigone study real_small --model gemma-3-270m.gguf --template gemma --dialogues sharegpt.json \
        --teacher answer_gpt35.jsonl --questions NQ-open.dev.jsonl --exemplars NQ-open.train.jsonl --text wiki.txt

The paper's first figure at the size of a CPU: one base model, students at growing amounts of imitation data, each asked
Natural Questions (3-shot), the teacher's own evaluation prompts, and how likely it finds the teacher's held-out replies
and plain text. The teacher is not run: its answers were recorded. Ends in an audit.
Source: arXiv 2305.15717, section 4 (learning rate and schedule of 4.1; warm-up there is longer than this whole run).
"""

from collections.abc import Sequence
from pathlib import Path

from epigone.imitation_data import format_of
from epigone.interfaces import StageSpec
from epigone.spec import Component, Input
from epigone.stages.audit import Audit, Named, RecordedAnswers
from epigone.stages.curate import Curate
from epigone.stages.evaluate import Evaluate
from epigone.stages.generate import Generate
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.read_scores import ReadScores
from epigone.stages.support import ScoredModel, Support
from epigone.stages.tokenize import Tokenize
from epigone.stages.train import Train
from epigone.study import Study
from epigone.tokens.amounts import amount
from epigone.training.optimizer import Recipe

BATCH_SIZE = 2
"""Blocks a step."""
ANSWERED, SCORED = 40, 8
"""Rows that are computed at once: answers are drawn together, texts of one length are few."""


def real_small(
    *,
    model: str,
    dialogues: str = "data/sharegpt.json",
    teacher: str = "data/chatgpt.jsonl",
    questions: str = "data/NQ-open.dev.jsonl",
    exemplars: str = "data/NQ-open.train.jsonl",
    text: str = "data/wiki.txt",
    template: str = "special_tokens",
    amounts: Sequence[str] = ("30K", "100K"),
    learning_rate: float = 2e-5,
    length: int = 1024,
    limit: int = 300,
    max_tokens: int = 256,
    seed: int = 0,
) -> Study:
    """The study of one model. Its files need not be there to plan it.

    model: the base model: a folder in the published layout, or a .gguf file.
    dialogues: dialogues with the teacher to learn from, in any format that `curate` reads.
    teacher: the teacher's recorded answers to the evaluation prompts.
    questions: Natural Questions, NQ-open JSON lines.
    exemplars: solved questions for the 3 shots, in the same form.
    text: plain text, whose likelihood shows what fine-tuning does to the base.
    template: how dialogues are written, by name of a chat template whose control tokens the model has.
    amounts: imitation tokens of each student.
    learning_rate: peak of the schedule, after a warm-up of a tenth of the steps.
    length: tokens of a block.
    limit: questions and texts asked at most.
    max_tokens: longest answer.
    seed: orders the data.
    """
    grid = _Grid(Path(model), template, length, seed)
    recorded = ReadAnswers(Input(teacher), "teacher")
    asked = _Asked(recorded, questions, exemplars, text, limit, max_tokens)
    dataset = grid.dataset(dialogues, recorded)
    tokens = sorted({amount(each) for each in amounts})
    students = [grid.student(dataset, each, learning_rate) for each in tokens]
    models = [RecordedAnswers("teacher", recorded)]
    scores: list[Named] = []
    for name, source in [(f"{grid.name}-base", Input(model)), *((s.name, s) for s in students)]:
        role = "base" if isinstance(source, Input) else "student"
        models.append(RecordedAnswers(role, asked.answers(grid.backend(source, ANSWERED), name), name))
        scores += [Named(stage, name) for stage in asked.scores(grid.backend(source, SCORED), name)]
    audit = Audit(
        title=f"{grid.name}: capability or only style, on a laptop?",
        name=f"real-small-{grid.name}",
        models=tuple(models),
        scores=tuple(scores),
        supports=(_support(grid, asked, dataset, students),),
    )
    return Study(audit.name, audit)


def _support(grid: "_Grid", asked: "_Asked", dataset: Curate, students: Sequence[Train]) -> Support:
    """Where the students gained on the questions, by how near the dialogues come to them."""

    def scored(name: str, source: StageSpec | Input) -> ScoredModel:
        stage = Evaluate(grid.backend(source, SCORED), asked.benchmarks["nq"], f"{name}-nq")
        return ScoredModel(name, ReadScores(Input(".", stage), name))

    base = scored(f"{grid.name}-base", grid.model)
    return Support(
        dataset,
        base,
        tuple(scored(s.name, s) for s in students),
        items=asked.benchmarks["nq"],
        name=f"{grid.name}-dialogues-nq",
        title=f"{grid.name}: where did the dialogues help?",
    )


class _Grid:
    """What all cells of one model share."""

    def __init__(self, model: Path, template: str, length: int, seed: int) -> None:
        self.model = Input(str(model))
        self.name = model.stem if model.is_file() or model.suffix == ".gguf" else model.name
        self.template = Component.of("tokens.templates", template)
        self.length, self.seed = length, seed

    def dataset(self, dialogues: str, recorded: ReadAnswers) -> Curate:
        """Real dialogues in English, each once, without those that ask an evaluation prompt or overfill a block.

        Blocks cut what is longer, and an amount of whole dialogues would be far more than what is learnt of them.
        """
        filters = (
            Component.of("curation", "duplicates"),
            Component.of("curation", "language"),
            Component.of("curation", "contamination", paths=Input("records.jsonl", recorded)),
            Component.of("curation", "length", max_characters=3 * self.length),
        )
        return Curate(Input(dialogues), format_of(dialogues, "sharegpt"), filters, name="dialogues")

    def student(self, dataset: Curate, num_tokens: int, learning_rate: float) -> Train:
        """The base fine-tuned on an amount of the dataset; amounts are nested."""
        blocks = Tokenize(
            dataset,
            self.model,
            length=self.length,
            max_tokens=num_tokens,
            seed=self.seed,
            name=f"{dataset.name}-{self.template.name.replace('_', '-')}",
            template=self.template,
            model=self.model,
        )
        recipe = Recipe(learning_rate, BATCH_SIZE, num_epochs=1, warmup_share=0.1, schedule="cosine", seed=self.seed)
        return Train(
            blocks,
            self.model,
            recipe,
            f"{self.name}-{num_tokens // 1000}k",
            start=self.model,
            template=self.template,
            seed=self.seed,
        )

    def backend(self, source: StageSpec | Input, batch_size: int) -> Component:
        """A checkpoint that answers by the template of this study."""
        return Component.of("backends", "checkpoint", path=source, template=self.template, batch_size=batch_size)


class _Asked:
    """What every model is asked."""

    def __init__(
        self, recorded: ReadAnswers, questions: str, exemplars: str, text: str, limit: int, max_tokens: int
    ) -> None:
        self.prompts = Input("records.jsonl", recorded)
        self.max_tokens = max_tokens
        self.benchmarks = {
            "nq": Component.of(
                "benchmarks", "natural_questions", path=Input(questions), exemplars=Input(exemplars), limit=limit
            ),
            "replies": Component.of("benchmarks", "perplexity", path=self.prompts, limit=limit),
            "text": Component.of(
                "benchmarks",
                "perplexity",
                path=Input(text),
                documents=format_of(text, "plain_text"),
                what="text",
                limit=limit,
            ),
        }

    def answers(self, backend: Component, name: str) -> Generate:
        """Its answers to the prompts that the teacher answered."""
        return Generate(backend, self.prompts, name, max_tokens=self.max_tokens)

    def scores(self, backend: Component, name: str) -> list[ReadScores]:
        """Its score sheets."""
        evaluated = [Evaluate(backend, each, f"{name}-{key}") for key, each in self.benchmarks.items()]
        return [ReadScores(Input(".", stage), name) for stage in evaluated]
