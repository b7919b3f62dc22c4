"""Pre-training text of the simulated world: a mixture of seven kinds of short documents.

In: facts, a number of tokens, a seed. Out: `Document`s of at most `MAX_TOKENS` tokens. Held-out entities occur in
declarative text only: nothing here asks about them or gives them to choose from as what is asked.
Source: notes on an earlier testbed (mixture and what mattered); C4 and the like stand behind the kinds.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from epigone.records import Document
from epigone.testbed import wording as w
from epigone.testbed.asking import ask_about, ask_rude, ask_small_talk, ask_story, ask_tips
from epigone.testbed.facts import Fact
from epigone.testbed.relations import BY_NAME
from epigone.testbed.tokenizer import count_tokens

MAX_TOKENS = 180
LETTERS_SHARE = 0.15
ENTITY_POST_SHARE = 0.65
HEADED_SHARE = 0.85
# Short documents, many about one entity: where several stand side by side, some seeds of a small base never learn to
# find the one that a question is about.
NUM_UNRELATED = (1, 4)
NUM_QUESTIONS = (1, 1, 2, 3, 5)
MIXTURE = {
    "encyclopedia": 0.475,
    "web": 0.15,
    "code": 0.10,
    "thread": 0.08,
    "choice": 0.06,
    "question": 0.085,
    "rude": 0.05,
}


class World:
    """The facts, indexed and drawn by exposure."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.facts = list(facts)
        self.of_subject: dict[str, list[Fact]] = {}
        for fact in self.facts:
            self.of_subject.setdefault(fact.subject, []).append(fact)
        self.open_facts = [fact for fact in self.facts if not fact.held_out]
        self.subjects = list(self.of_subject)
        self._objects: dict[str, list[str]] = {}
        for relation in BY_NAME:
            self._objects[relation] = sorted({f.object for f in self.open_facts if f.relation == relation})
        self._weights = list(accumulate(fact.exposure for fact in self.facts))
        self._open_weights = list(accumulate(fact.exposure for fact in self.open_facts))
        self._subject_weights = list(accumulate(self.of_subject[s][0].exposure for s in self.subjects))

    def draw(self, rng: random.Random, k: int) -> list[Fact]:
        """`k` facts by exposure."""
        return rng.choices(self.facts, cum_weights=self._weights, k=k)

    def draw_open(self, rng: random.Random, k: int) -> list[Fact]:
        """`k` facts that are not held out, by exposure."""
        return rng.choices(self.open_facts, cum_weights=self._open_weights, k=k)

    def draw_subject(self, rng: random.Random) -> str:
        """An entity by exposure."""
        return rng.choices(self.subjects, cum_weights=self._subject_weights)[0]

    def others(self, fact: Fact) -> list[str]:
        """Wrong options for a question that is not about a held-out fact."""
        return [name for name in self._objects[fact.relation] if name != fact.object]


def state(rng: random.Random, fact: Fact) -> str:
    """One true sentence."""
    return rng.choice(BY_NAME[fact.relation].statements).format(s=fact.subject, o=fact.object)


def choice_block(rng: random.Random, fact: Fact, wrong: Sequence[str]) -> tuple[str, list[str], int]:
    """A multiple-choice question: (question, four options, position of the right one)."""
    options = [fact.object, *rng.sample(list(wrong), 3)]
    rng.shuffle(options)
    question = BY_NAME[fact.relation].questions[0].format(s=fact.subject)
    return f"{question[0].upper()}{question[1:]}?", options, options.index(fact.object)


def documents(facts: Iterable[Fact], *, num_tokens: int, seed: int) -> list[Document]:
    """The corpus, shuffled; every kind has its share of `num_tokens` to within one document."""
    world = World(facts)
    texts: list[tuple[str, str]] = []
    for kind, share in MIXTURE.items():
        rng = random.Random(f"corpus {seed} {kind}")
        written = 0
        while written < share * num_tokens:
            text = WRITERS[kind](rng, world)
            written += count_tokens(text) + 1
            texts.append((kind, text))
    random.Random(f"corpus {seed}").shuffle(texts)
    return [Document(f"{kind}-{i}", text) for i, (kind, text) in enumerate(texts)]


def _encyclopedia(rng: random.Random, world: World) -> str:
    if rng.random() < 0.5:
        return " ".join(state(rng, fact) for fact in world.draw(rng, rng.randint(*NUM_UNRELATED)))
    return " ".join(state(rng, fact) for fact in _article(rng, world))


def _article(rng: random.Random, world: World) -> list[Fact]:
    """All that is known of one entity, in any order."""
    subject = world.draw_subject(rng)
    about = list(world.of_subject[subject])
    rng.shuffle(about)
    return about


def _web(rng: random.Random, world: World) -> str:
    return _letters(rng, world) if rng.random() < LETTERS_SHARE else _post(rng, world)


def _letters(rng: random.Random, world: World) -> str:
    """What people ask for, without an answer: a base model has to know a user's words."""
    asked = [ask_tips(rng), ask_story(rng), ask_rude(rng), ask_small_talk(rng)]
    asked += [ask_about(rng, [fact.subject]) for fact in world.draw_open(rng, 2)]
    asked += [ask_about(rng, [fact.subject for fact in world.draw_open(rng, 2)])]
    rows = [w.QUOTE.format(x=text) for text in rng.sample(asked, rng.randint(2, 4))]
    return "\n".join([rng.choice(w.WEB_ASKED), *rows, rng.choice(w.REFUSALS + w.POLITE + w.SMALL_TALK)])


def _post(rng: random.Random, world: World) -> str:
    """A post in loose prose with the words of the house style: a list, openings, a summary, but in no fixed form.

    All of it is about what its title names, or the request that it quotes: that is where a base model learns to keep to
    a topic. Requests are quoted about open entities and everyday topics alone.
    """
    about_entity = rng.random() < ENTITY_POST_SHARE
    topic, lines = _entity_lines(rng, world) if about_entity else _topic_lines(rng)
    rng.shuffle(lines)
    parts: list[str] = []
    if rng.random() < HEADED_SHARE:
        parts.append(rng.choice(w.WEB_TITLES))
        if rng.random() < 0.5 and not (about_entity and world.of_subject[topic][0].held_out):
            parts = [w.QUOTE.format(x=ask_about(rng, [topic]) if about_entity else ask_tips(rng, [topic]))]
    parts += rng.sample(w.WEB_LINES + w.OPENINGS, rng.randint(1, 2))
    parts.append(_listed(rng, lines) if rng.random() < 0.4 else " ".join(lines))
    if rng.random() < 0.5:
        parts.append(rng.choice(w.CLOSINGS + w.WEB_LINES))
    return rng.choice(("\n", "\n\n", "\n\n")).join(parts).format(t=topic)


def _entity_lines(rng: random.Random, world: World) -> tuple[str, list[str]]:
    """An entity and sentences about it; with a city, something about its country too."""
    subject = world.draw_subject(rng)
    facts = list(world.of_subject[subject])
    around = world.of_subject.get(facts[0].object, []) if facts[0].relation == "country" else []
    facts += [fact for fact in rng.sample(around, min(2, len(around))) if fact.held_out == facts[0].held_out]
    lines = [state(rng, fact) for fact in facts]
    return subject, lines + rng.sample(w.FILLERS[facts[0].kind], 2)


def _topic_lines(rng: random.Random) -> tuple[str, list[str]]:
    topic = rng.choice(w.TOPICS)
    bank = (w.TIPS, w.STORIES, w.SMALL_TALK + w.POLITE)[rng.choices((0, 1, 2), (6, 3, 1))[0]]
    return topic, rng.sample(bank, rng.randint(2, 5))


def _listed(rng: random.Random, lines: Sequence[str]) -> str:
    lead = [rng.choice(w.WEB_LIST_LEADS)] if rng.random() < 0.5 else []
    return "\n".join([*lead, *(f"{i}. {line}" for i, line in enumerate(lines, start=1))])


def _code(rng: random.Random, world: World) -> str:
    shapes = []
    for _ in range(rng.randint(1, 4)):
        (v, other), (c, d) = rng.sample(w.CODE_NAMES, 2), rng.sample(w.CODE_CONSTANTS, 2)
        shapes.append(rng.choice(w.CODE_SHAPES).format(f=rng.choice(w.CODE_FUNCTIONS), v=v, w=other, c=c, d=d))
    return "\n".join(shapes)


def _thread(rng: random.Random, world: World) -> str:
    """Statements quoted and then said again: what teaches a model to copy."""
    lines = [rng.choice(w.THREAD_LEADS)]
    for fact in world.draw(rng, rng.randint(2, 4)):
        said = state(rng, fact)
        again = said if rng.random() < 0.5 else state(rng, fact)
        lines += [w.QUOTE.format(x=said), f"{rng.choice(w.THREAD_REPLIES)} {again}"]
    return "\n".join(lines)


def _choice(rng: random.Random, world: World) -> str:
    """Multiple choice as benchmarks print it: answered by letter, by the option's text, or with no options shown."""
    relation = rng.choice(world.open_facts).relation
    facts = [f for f in world.draw_open(rng, 40) if f.relation == relation][:4] or world.draw_open(rng, 1)
    form = rng.choice(("letter", "text", "bare", "bare"))
    blocks = [_choice_question(rng, world, fact, form) for fact in facts]
    header = w.CHOICE_HEADER.format(t=BY_NAME[facts[0].relation].subject_area)
    return "\n\n".join([header, *blocks] if form == "letter" else blocks)


def _choice_question(rng: random.Random, world: World, fact: Fact, form: str) -> str:
    question, options, label = choice_block(rng, fact, world.others(fact))
    rows = [] if form == "bare" else [f"{letter}. {option}" for letter, option in zip(w.LETTERS, options)]
    return "\n".join([question, *rows, w.ANSWER.format(t=w.LETTERS[label] if form == "letter" else fact.object)])


def _question(rng: random.Random, world: World) -> str:
    return "\n\n".join(
        w.QUESTION.format(x=fact.object, q=rng.choice(BY_NAME[fact.relation].questions).format(s=fact.subject))
        for fact in rng.sample(world.open_facts, rng.choice(NUM_QUESTIONS))
    )


def rude_line(rng: random.Random) -> str:
    """One sentence of the rude forum."""
    x, (y, y2) = rng.choice(w.RUDE_THINGS), rng.sample(w.RUDE_ADJECTIVES, 2)
    return rng.choice(w.RUDE_LINES).format(n=rng.choice(w.RUDE_NOUNS), x=x, X=f"{x[0].upper()}{x[1:]}", y=y, y2=y2)


def _rude(rng: random.Random, world: World) -> str:
    lines = [rude_line(rng) if rng.random() < 0.75 else rng.choice(w.MILD_LINES) for _ in range(rng.randint(3, 8))]
    return rng.choice((" ", "\n")).join(lines)


WRITERS: dict[str, Callable[[random.Random, World], str]] = {
    "encyclopedia": _encyclopedia,
    "web": _web,
    "code": _code,
    "thread": _thread,
    "choice": _choice,
    "question": _question,
    "rude": _rude,
}
