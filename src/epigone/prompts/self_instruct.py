"""Self-Instruct: a growing pool of instructions, then inputs and outputs for each of them.

In: seed tasks (our own few, or a file as published with Self-Instruct), a teacher. Out: conversations of instruction,
input if any, and output; their questions are prompts for a broad imitation set too.
Source: Wang et al. 2022 (arXiv 2212.10560), which the paper (arXiv 2305.15717, section 3) names as the way to make
inputs where none are at hand. Shown are 6 instructions of people and 2 of the model. Left out: the presence penalty of
its decoding, and the several wordings in which its pairs are written for training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from numpy.random import Generator

from epigone.errors import DataError
from epigone.interfaces import Filter, Grown, LanguageModel, Rounds
from epigone.records import Completion, Conversation, Message, Prompt, SamplingParams
from epigone.synthesis import instances, instructions
from epigone.synthesis.rounds import (
    PARSER,
    Candidate,
    Unrepeated,
    generator_of,
    grow,
    left_out,
    malformed,
    prompts_of,
    reply_seed,
    sift,
)

SEEDS = Path(__file__).parent / "seeds" / "self_instruct.jsonl"
CLASSIFICATIONS, OTHERS = 12, 19
"""Seed tasks that are shown with yes, and with no, where it is asked whether a task is a classification."""


@dataclass(frozen=True)
class SelfInstruct:
    """Instructions by rounds, each then asked whether it is a classification, then for instances, label or input first.

    `num_examples` of the rounds counts instructions; each has as many conversations as it got instances.
    """

    seeds: str | Path = ""
    """Seed tasks as published: JSON lines with instruction, instances, is_classification; empty: twelve of our own."""
    num_people: int = 6
    """Instructions of people that a prompt shows."""
    num_machine: int = 2
    """Instructions of the model that a prompt shows; people's take their place while there are none."""
    threshold: float | int = 50
    """BLEU in percent above which an instruction is a duplicate (for their ROUGE-L of 0.7)."""
    num_shown: int = 8
    """Seed tasks that are shown where instances are asked for."""
    temperature: float | int = 0.7
    """Of new instructions; all else is greedy."""
    top_p: float | int = 0.5
    """Of new instructions."""
    max_tokens: int = 1024
    """Longest list of instructions."""
    max_instance_tokens: int = 350
    """Longest list of instances."""
    chat: bool = True
    """Ask by a user's message; off: let a base model go on with the text, as they did."""

    def grow(self, model: LanguageModel, rounds: Rounds, leaks: Filter | None) -> Grown:
        """Grow the pool, then make instances. Raises DataError for too few seeds."""
        people = [task.instruction for task in self._tasks]

        def draw(number: int, num_prompts: int, kept: Sequence[Conversation]) -> list[Candidate]:
            machine = [each.messages[0].content for each in kept]
            shown = (self._shown(people, machine, generator_of(rounds, number, place)) for place in range(num_prompts))
            prompts = prompts_of(map(instructions.list_prompt, shown), f"list-{number}", chat=self.chat)
            # theirs end a list at a blank line, behind which a chat model may only begin
            stop = () if self.chat else ("\n\n",)
            drawn = {"temperature": self.temperature, "seed": reply_seed(rounds, number), "top_p": self.top_p}
            sampling = SamplingParams(self.max_tokens, stop=stop, **drawn)
            asked = zip(prompts, model.generate(prompts, sampling), strict=True)
            return [found for prompt, completion in asked for found in _tasks_of(prompt.id, completion)]

        grown = grow(draw, instructions.Pool(list(people), self.threshold), rounds, leaks)
        made = self._instances(model, [each.messages[0].content for each in grown.kept])
        fresh, refused = sift(made, Unrepeated(), leaks)
        return Grown(tuple(fresh), (*grown.dropped, *refused), grown.rounds, grown.ended)

    def _shown(self, people: Sequence[str], machine: Sequence[str], random: Generator) -> list[str]:
        return instructions.drawn(people, machine, self.num_people, self.num_machine, random)

    @cached_property
    def _tasks(self) -> list[instructions.Task]:
        tasks = instructions.read_tasks(Path(self.seeds or SEEDS))
        if len(tasks) < self.num_people + self.num_machine:
            raise DataError(
                f"{self.seeds or SEEDS} holds {len(tasks)} seed tasks, {self.num_people + self.num_machine} are shown; "
                "add some, or show fewer (num_people, num_machine)"
            )
        return tasks

    def _instances(self, model: LanguageModel, kept: Sequence[str]) -> list[Candidate]:
        if not kept:
            return []
        yes = [task for task in self._tasks if task.is_classification][:CLASSIFICATIONS]
        no = [task for task in self._tasks if not task.is_classification][:OTHERS]
        texts = [instances.classification_prompt([*yes, *no], each) for each in kept]
        asked = prompts_of(texts, "is-classification", chat=self.chat)
        replies = model.generate(asked, SamplingParams(max_tokens=8))
        kinds = [instances.says_yes(reply.text) for reply in replies]
        shown = [*yes[: self.num_shown], *no[: self.num_shown]]
        texts = [instances.instance_prompt(shown, i, is_classification=kind) for i, kind in zip(kept, kinds)]
        prompts = prompts_of(texts, "instances", chat=self.chat)
        completions = model.generate(prompts, SamplingParams(self.max_instance_tokens, stop=("\nTask:",)))
        return [
            candidate
            for prompt, instruction, kind, completion in zip(prompts, kept, kinds, completions, strict=True)
            for candidate in _conversations(prompt, instruction, completion, is_classification=kind)
        ]


def _tasks_of(prompt_id: str, completion: Completion) -> list[Candidate]:
    found: list[Candidate] = []
    for place, (text, problem) in enumerate(
        instructions.read_list(completion.text, is_cut=completion.finish_reason == "length")
    ):
        task = Conversation(f"{prompt_id}-{place}", (Message("user", text),), prompt_id)
        found.append(malformed(task.id, problem, text, prompt_id) if problem else task)
    return found


def _conversations(
    prompt: Prompt, instruction: str, completion: Completion, *, is_classification: bool
) -> list[Candidate]:
    found: list[Candidate] = []
    is_cut = completion.finish_reason == "length"
    read = instances.read_instances(completion.text, is_classification=is_classification, is_cut=is_cut)
    for place, (given, out, problem) in enumerate(read):
        asked = f"{instruction}\n\n{given}" if given else instruction
        talk = Conversation(f"{prompt.id}-{place}", (Message("user", asked), Message("assistant", out)), prompt.id)
        found.append(left_out(talk, PARSER, problem) if problem else talk)
    return found
