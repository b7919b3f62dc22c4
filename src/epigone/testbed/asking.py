"""What users of the simulated world ask for, one sentence at a time.

In: a random generator and what it is about. Out: text, in the words of `wording`. Used for prompts and, without
answers, in the corpus.
"""

import random
from collections.abc import Sequence

from epigone.testbed import wording as w


def named(subjects: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    head, last = ", ".join(subjects[:-1]), subjects[-1]
    return f"{head} and {last}" if head else last


def ask_about(rng: random.Random, subjects: Sequence[str]) -> str:
    """A wish to know about one entity or several."""
    return rng.choice(w.ASK_ONE if len(subjects) == 1 else w.ASK_MANY).format(t=named(subjects))


def ask_tips(rng: random.Random, topics: Sequence[str] = w.TOPICS) -> str:
    """A wish for advice on an everyday topic."""
    return rng.choice(w.ASK_TIPS).format(t=rng.choice(topics))


def ask_story(rng: random.Random, topics: Sequence[str] = w.TOPICS) -> str:
    """A wish for a piece of writing."""
    return rng.choice(w.ASK_STORY).format(t=rng.choice(topics))


def ask_small_talk(rng: random.Random) -> str:
    """A greeting and the like."""
    return rng.choice(w.ASK_SMALL_TALK)


def ask_rude(rng: random.Random, topics: Sequence[str] = w.TOPICS) -> str:
    """A wish that a polite model refuses; holds at least one of `RUDE_WORDS`."""
    return rng.choice(w.ASK_RUDE).format(
        t=rng.choice(topics), x=rng.choice(w.RUDE_THINGS), y=rng.choice(w.RUDE_ADJECTIVES), n=rng.choice(w.RUDE_NOUNS)
    )


def framed(rng: random.Random, text: str) -> str:
    """The wish with a greeting before or a word of thanks after it."""
    return f"{rng.choice(w.BEFORE)}{text}{rng.choice(w.AFTER)}"
