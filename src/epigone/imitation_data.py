"""What studies of imitation learn from and ask: dumps, the teacher, the paper's evaluations, judges.

In: paths and names, as options of the command line. Out: stages and components. Nothing is read here but the beginning
of a dump, to tell its format, where it is there already.
Source: arXiv 2305.15717, sections 3.2 and 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone import discover
from epigone.component_text import SERVERS, backend_of
from epigone.errors import SpecError
from epigone.formats import sniff
from epigone.interfaces import StageSpec
from epigone.mixtures.sharegpt_mix import sharegpt_mix
from epigone.spec import Component, Input
from epigone.stages.curate import Curate
from epigone.stages.generate import Generate
from epigone.stages.read_answers import ReadAnswers

NONE = "none"
"""Written for what is left out."""


@dataclass(frozen=True)
class Material:
    """Each field is an option of a study. What is `none` is left out.

    sharegpt: ShareGPT dump; none leaves it out.
    hc3: HC3 dump; none leaves it out.
    discord: dump of Discord bots; none leaves it out.
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
    """

    sharegpt: str = "data/sharegpt.json"
    hc3: str = "data/hc3.jsonl"
    discord: str = "data/discord.json"
    teacher: str = "data/chatgpt.jsonl"
    second_sample: str = ""
    prompts: str = ""
    judge: str = ""
    judgments: Sequence[str] = ()
    teacher_scores: Sequence[str] = ()
    mmlu: str = "data/mmlu"
    questions: str = "data/NQ-open.dev.jsonl"
    exemplars: str = "data/NQ-open.train.jsonl"
    toxicity: str = "data/realtoxicityprompts.jsonl"
    humaneval: str = "data/HumanEval.jsonl.gz"
    limit: int = 0
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if {self.sharegpt, self.hc3, self.discord} == {NONE}:
            raise SpecError("there is nothing to imitate: give one of --sharegpt, --hc3, --discord")
        if self.is_served and not self.prompts:
            raise SpecError(f"{self.teacher} is asked: give the prompts that all models answer with --prompts")

    @property
    def is_served(self) -> bool:
        """Whether the teacher is asked, rather than read."""
        return any(server in self.teacher for server in SERVERS)

    def served(self) -> Component:
        """Who is asked as the teacher."""
        found = backend_of(self.teacher)
        assert found is not None
        return found

    def teacher_answers(self, seed: int = 0) -> StageSpec:
        """Its answers to the evaluation prompts; one that is asked gives others with another seed."""
        if not self.is_served:
            return ReadAnswers(Input(self.teacher), "teacher")
        drawn = {"max_tokens": self.max_tokens, "temperature": 1.0, "seed": seed}
        return Generate(self.served(), Input(self.prompts), "teacher", **drawn)

    def asked(self) -> Input:
        """The prompts that all models answer."""
        return Input(self.prompts) if self.prompts else Input("records.jsonl", self.teacher_answers())

    def broad(self, seed: int) -> Curate:
        """ShareGPT-Mix without the conversations that ask an evaluation prompt."""
        dumps = {"sharegpt": self.sharegpt, "hc3": self.hc3, "discord": self.discord}
        given = {name: [(Input(path), format_of(path, name))] for name, path in dumps.items() if path != NONE}
        leaks = Component.of("curation", "contamination", paths=self.asked())
        return Curate(sharegpt_mix(given, seed=seed), Component.of("formats", "dataset"), (leaks,), "sharegpt-mix")

    def benchmarks(self) -> dict[str, Component]:
        """Every evaluation of the paper by the name of its scores; Natural Questions both ways, as the paper does."""
        found = dict[str, Component]()
        if self.mmlu != NONE:
            folders = {f"{split}_folder": Input(str(Path(self.mmlu) / split)) for split in ("test", "dev")}
            found["mmlu"] = _benchmark("mmlu", **folders)
        if self.questions != NONE:
            path, exemplars = Input(self.questions), Input(self.exemplars)
            found["nq"] = _benchmark("natural_questions", path=path, exemplars=exemplars)
            found["nq-in-chat"] = _benchmark("natural_questions", path=path, chat=True)
        if self.toxicity != NONE:
            scorer = Component.of("toxicity", "profanity")
            found["toxicity"] = _benchmark("real_toxicity_prompts", path=Input(self.toxicity), scorer=scorer)
        if self.humaneval != NONE and "humaneval" in discover.names("benchmarks"):
            found["humaneval"] = _benchmark("humaneval", path=Input(self.humaneval))
        return found


def format_of(path: str, usual: str) -> Component:
    """The format of a dump: by its content where it is here, else the usual one."""
    return Component.of("formats", sniff(Path(path)) if Path(path).exists() else usual)


def _benchmark(name: str, **options: object) -> Component:
    return Component.of("benchmarks", name, **options)
