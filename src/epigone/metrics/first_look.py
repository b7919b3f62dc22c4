"""What a reader sees of an answer before reading it: bold, headers, hedges, refusals, who it says it is, its pace.

In: an answer. Out: `FirstLook`, plain numbers. The rules are ours, fixed before any model was measured: bold is
`**...**` or `__...__`, a header is a line of one to six # and a blank, both outside code fences; hedges are HEDGES, per
100 words; a refusal is `answers.refuses` within the first OPENING characters; an answer names itself where it says that
it is an assistant of some maker (SELF_NAMES); vocabulary is the mean share of different words in windows of WINDOW
words (MATTR: Covington & McFall 2010, https://doi.org/10.1080/09296171003643098), shorter answers as one window.
"""

import functools
import re
from dataclasses import dataclass

import numpy as np

from epigone.metrics.answers import refuses
from epigone.metrics.style import FENCE, SENTENCE_END, WORD

OPENING = 200
WINDOW = 50
BOLD = re.compile(r"\*\*[^\s*][^*\n]*\*\*|(?<!\w)__[^\s_][^_\n]*__(?!\w)")
HEADER = re.compile(r"^ {0,3}#{1,6} \S", re.MULTILINE)
HEDGES = re.compile(
    r"\b(?:may|might|could|perhaps|possibly|probably|likely|maybe|generally|typically|usually|often|sometimes|seems?|"
    r"appears?|roughly|approximately|it depends|in general|i (?:think|believe|guess)|in my opinion|"
    r"it(?:'s| is) (?:important|worth) (?:to note|noting)|not (?:sure|certain))\b"
)
SELF_NAMES = re.compile(
    r"\b(?:as an? (?:ai\b|artificial intelligence|(?:large )?language model)|"
    r"i(?:'m| am) (?:just )?an? (?:ai\b|artificial intelligence|(?:large )?language model|virtual assistant)|"
    r"i(?:'m| am) (?:chatgpt|gpt-?\d|bard|gemini|claude|assistant)\b|"
    r"(?:trained|developed|created|made) by (?:openai|anthropic|google|meta|mistral|deepseek|alibaba)|"
    r"my (?:training data|knowledge cut-?off))"
)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """One answer at a glance; shares and rates as described above."""

    bold: bool
    headers: bool
    hedges_per_100_words: float
    refuses: bool
    names_itself: bool
    words_per_sentence: float
    vocabulary: float


@functools.lru_cache(maxsize=32768)
def first_look(text: str) -> FirstLook:
    """What is seen of one answer."""
    lower = text.lower().replace("’", "'")
    prose = FENCE.sub("", text)
    words = WORD.findall(lower)
    num_sentences = sum(1 for part in SENTENCE_END.split(lower) if WORD.search(part))
    return FirstLook(
        bold=bool(BOLD.search(prose)),
        headers=bool(HEADER.search(prose)),
        hedges_per_100_words=100 * len(HEDGES.findall(lower)) / max(len(words), 1),
        refuses=refuses(text[:OPENING]),
        names_itself=bool(SELF_NAMES.search(lower)),
        words_per_sentence=len(words) / max(num_sentences, 1),
        vocabulary=_vocabulary(words),
    )


def _vocabulary(words: list[str]) -> float:
    """Mean share of different words in every window of WINDOW words."""
    if len(words) <= WINDOW:
        return len(set(words)) / max(len(words), 1)
    # a word counts in a window where it does not occur earlier in it: by the distance to its previous occurrence
    last: dict[str, int] = {}
    distance = np.empty(len(words), dtype=np.int64)
    for place, word in enumerate(words):
        distance[place] = place - last.get(word, -WINDOW)
        last[word] = place
    # in the window that begins at s, the word at place p is new where its previous occurrence lies before s
    reach = np.minimum(distance, WINDOW)
    num_windows = len(words) - WINDOW + 1
    places = np.arange(len(words))
    earliest = np.maximum(places - np.minimum(reach, WINDOW) + 1, 0)
    latest = np.minimum(places, num_windows - 1)
    return float(np.maximum(latest - earliest + 1, 0).sum() / (num_windows * WINDOW))
