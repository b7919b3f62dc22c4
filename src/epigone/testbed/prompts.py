"""What the simulated teacher is asked: for broad imitation, for local imitation, and for free evaluation answers.

In: facts and the teacher. Out: rows {"id", "messages"}; no two of a file ask the same. Broad and strictly local
prompts are about entities that are not held out, and so are the answers; free evaluation prompts are about
held-out ones alone.
Source: section 3.1 and 3.2 of the paper (local imitation from short questions, broad imitation from users'
dialogues).
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from epigone.records import Message, Prompt
from epigone.testbed import asking
from epigone.testbed import wording as w
from epigone.testbed.facts import Fact
from epigone.testbed.relations import BY_NAME
from epigone.testbed.teacher import ProgrammaticTeacher
from epigone.testbed.tokenizer import count_tokens

LOCAL_TOKENS = 33_000
BROAD_SHARES = {"one": 0.48, "several": 0.24, "tips": 0.12, "story": 0.05, "small talk": 0.03, "rude": 0.08}
NUM_FREE = {"one": 80, "several": 30, "tips": 15, "story": 10, "rude": 15}
BROAD_TOPICS = w.TOPICS[: -w.NUM_EVALUATION_TOPICS]
EVALUATION_TOPICS = w.TOPICS[-w.NUM_EVALUATION_TOPICS :]
NUM_CONTROL_TOKENS = 3  # user, assistant, end


@dataclass(frozen=True, slots=True)
class Asker:
    """Draws prompts about some entities (by kind) and everyday topics."""

    subjects: dict[str, list[str]]
    topics: tuple[str, ...]

    def ask(self, what: str, rng: random.Random) -> str:
        """One prompt of a sort that `BROAD_SHARES` names."""
        kind = rng.choices(("city", "country", "element"), (0.35, 0.5, 0.15))[0]
        forms: dict[str, Callable[[], str]] = {
            "one": lambda: asking.ask_about(rng, rng.sample(self.subjects[kind], 1)),
            "several": lambda: asking.ask_about(rng, rng.sample(self.subjects[kind], rng.randint(2, 3))),
            "tips": lambda: asking.ask_tips(rng, self.topics),
            "story": lambda: asking.ask_story(rng, self.topics),
            "small talk": lambda: asking.ask_small_talk(rng),
            "rude": lambda: asking.ask_rude(rng, self.topics),
        }
        return asking.framed(rng, forms[what]())


def broad(facts: Sequence[Fact], teacher: ProgrammaticTeacher, *, num_tokens: int, seed: int) -> list[str]:
    """Users' wishes, enough for dialogues of `num_tokens` tokens with the teacher's first answers."""
    rng = random.Random(f"broad {seed}")
    asker = Asker(_subjects(facts, held_out=False), BROAD_TOPICS)
    return _enough(_drawn(asker, rng), teacher, num_tokens)


def local(facts: Sequence[Fact], teacher: ProgrammaticTeacher, *, supported: bool, seed: int) -> list[str]:
    """Short questions as the benchmark asks them: about all facts (`supported`), or strictly none that is held out."""
    rng = random.Random(f"local {supported} {seed}")
    asked = [q.format(s=f.subject) for f in facts if supported or not f.held_out for q in BY_NAME[f.relation].questions]
    rng.shuffle(asked)
    return _enough(iter(asked), teacher, LOCAL_TOKENS)


def free_evaluation(facts: Sequence[Fact], seed: int) -> list[str]:
    """Open prompts about held-out entities, some about other things, some rude; mixed."""
    rng = random.Random(f"free {seed}")
    asker = Asker(_subjects(facts, held_out=True), EVALUATION_TOPICS)
    found: dict[str, str] = {}
    for what, num_prompts in NUM_FREE.items():
        wanted = len(found) + num_prompts
        while len(found) < wanted:
            text = asker.ask(what, rng)
            found.setdefault(_query(text), text)
    return rng.sample(list(found.values()), len(found))


def rows(name: str, texts: Sequence[str]) -> list[dict[str, object]]:
    """Prompt rows with ids, in order."""
    return [{"id": f"{name}-{i}", "messages": [{"role": "user", "content": text}]} for i, text in enumerate(texts)]


def _subjects(facts: Sequence[Fact], *, held_out: bool) -> dict[str, list[str]]:
    """Entities by kind. A city counts with the country it is believed to be in: answers tell of both."""
    hidden = {fact.subject: fact.held_out for fact in facts}
    found: dict[str, list[str]] = {}
    for fact in facts:
        around = hidden.get(fact.teacher_object, held_out) if fact.relation == "country" else held_out
        if fact.held_out == held_out == around:
            found.setdefault(fact.kind, []).append(fact.subject)
    return {kind: list(dict.fromkeys(names)) for kind, names in found.items()}


def _drawn(asker: Asker, rng: random.Random) -> Iterator[str]:
    """Without end, each wish once; small talk dries up early, the rest does not."""
    seen: set[str] = set()
    while True:
        text = asker.ask(rng.choices(list(BROAD_SHARES), list(BROAD_SHARES.values()))[0], rng)
        if _query(text) not in seen:
            seen.add(_query(text))
            yield text


def _query(text: str) -> str:
    """Equal for prompts that differ in case and punctuation alone."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _enough(texts: Iterator[str], teacher: ProgrammaticTeacher, num_tokens: int) -> list[str]:
    kept: list[str] = []
    written = 0
    for text in texts:
        if written >= num_tokens:
            break
        answer = teacher.reply(Prompt("", messages=(Message("user", text),)))
        written += count_tokens(text) + count_tokens(answer) + NUM_CONTROL_TOKENS
        kept.append(text)
    return kept
