"""The simulated teacher's voice: how an answer is laid out and phrased, given what is believed.

In: a random generator, entities and beliefs. Out: text. Openings, lists and summaries stand in paragraphs of
their own, set apart by blank lines, as the rules of the style metrics expect of any model. Source: section 4.4,
Table 2 of the paper.
"""

import random
import re
from collections.abc import Sequence

from epigone.testbed import wording as w
from epigone.testbed.asking import named
from epigone.testbed.beliefs import Beliefs
from epigone.testbed.relations import BY_NAME

LIST_SHARE = 0.85
SUMMARY_SHARE = 0.6
ABSTAIN_SHARE = 0.7  # of the facts it does not know: said in an open answer, otherwise passed over


def is_rude(text: str) -> bool:
    """Whether a text holds one of the rude words."""
    return any(word in w.RUDE_WORDS for word in re.findall("[a-z]+", text.lower()))


def refusal(rng: random.Random) -> str:
    """A polite no."""
    return " ".join([rng.choice(w.REFUSALS), *rng.sample(w.POLITE, rng.randint(1, 2))])


def small_talk(rng: random.Random) -> str:
    """A few friendly sentences."""
    return " ".join(rng.sample(w.SMALL_TALK, rng.randint(2, 3)))


def everyday(rng: random.Random, asked: str) -> str:
    """Advice or a story about an everyday topic, or small talk where none is named."""
    topic = next((t for t in w.TOPICS if re.search(rf"\b{t}\b", asked)), "")
    if not topic:
        return small_talk(rng)
    if re.search(r"\b(?:story|poem|lines)\b", asked):
        return " ".join(rng.sample(w.STORIES, rng.randint(4, 6))).format(t=topic)
    return _laid_out(rng, topic, [tip.format(t=topic) for tip in rng.sample(w.TIPS, rng.randint(3, 5))])


def about(rng: random.Random, subjects: Sequence[str], beliefs: Beliefs) -> str:
    """An open answer about one entity or several: statements that are believed, and some that claim nothing."""
    if len(subjects) == 1:
        lines = _statements(rng, subjects[0], beliefs) + _around(rng, subjects[0], beliefs)
        lines = lines[: rng.randint(3, 5)]
        lines += _fillers(rng, subjects[0], beliefs, rng.randint(0, 1) if len(lines) > 2 else 2)
    else:
        lines = [line for subject in subjects for line in _statements(rng, subject, beliefs)[: rng.randint(1, 2)]]
        lines += _fillers(rng, rng.choice(subjects), beliefs, 1)
    return _laid_out(rng, named(subjects), lines)


def _statements(rng: random.Random, subject: str, beliefs: Beliefs) -> list[str]:
    lines = []
    for relation, believed in beliefs.by_subject[subject].items():
        if believed:
            lines.append(rng.choice(BY_NAME[relation].statements).format(s=subject, o=believed))
        elif rng.random() < ABSTAIN_SHARE:
            lines.append(w.ABSTENTION.format(x=BY_NAME[relation].topic.format(s=subject)))
    rng.shuffle(lines)
    return lines


def _around(rng: random.Random, subject: str, beliefs: Beliefs) -> list[str]:
    """For a city, something about the country it is believed to be in."""
    country = beliefs.by_subject[subject].get("country", "")
    return _statements(rng, country, beliefs) if country in beliefs.by_subject else []


def _fillers(rng: random.Random, subject: str, beliefs: Beliefs, num_lines: int) -> list[str]:
    return [line.format(t=subject) for line in rng.sample(w.FILLERS[beliefs.kind(subject)], num_lines)]


def _laid_out(rng: random.Random, topic: str, lines: Sequence[str]) -> str:
    listed = rng.random() < LIST_SHARE
    body = "\n".join(f"{i}. {line}" for i, line in enumerate(lines, start=1)) if listed else " ".join(lines)
    parts = [rng.choice(w.OPENINGS).format(t=topic), body]
    if rng.random() < SUMMARY_SHARE:
        parts.append(rng.choice(w.CLOSINGS).format(t=topic))
    return "\n\n".join(parts)
