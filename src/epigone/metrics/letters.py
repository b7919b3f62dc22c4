"""Which option a reply names: the letter of a multiple-choice answer, out of free text.

In: a reply and the options. Out: a letter, empty where none is named. The rule is ours, fixed before any result was
seen; the stricter one beside it is that of lm-evaluation-harness (task mmlu_generative): the first line is the letter.
"""

import re
import string
from collections.abc import Sequence

from epigone.metrics.answers import normalise_answer

LETTERS = "ABCD"
RULES = (
    r"(?i:answer|option|choice)\b(?i:\s+is)?(?i:\s+option)?[\s:=*(\[\"'`]*([A-D])\b(?!')",
    r"^[\s*_(\[\"'`]*([A-D])(?=[\s*_)\]\"'`.,:;!]*(?:\n|$)|[).:\]*])",
    r"[(\[*]+([A-D])[)\]*]+",
)
"""Looked for in this order: "the answer is C", the last one; a reply that begins with "C." ; "(C)" or "**C**"."""
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def named_letter(reply: str, options: Sequence[str]) -> str:
    """The letter that a reply names; else that of the one option that the reply is, word for word; else empty.

    A rule that finds two different letters decides only where it looks for the last one.
    """
    stated, opening, marked = (re.findall(rule, reply) for rule in RULES)
    for found in (stated[-1:], opening[:1], marked if len(set(marked)) == 1 else []):
        if found:
            return found[0]
    if (bare := reply.strip().strip(".)").upper()) in tuple(LETTERS):
        return bare
    said = normalise_answer(reply)
    same = [letter for letter, option in zip(LETTERS, options) if said and normalise_answer(option) == said]
    return same[0] if len(same) == 1 else ""


def first_line_is(reply: str, letter: str) -> bool:
    """Whether the first line is the letter and nothing else, whatever its case, blanks and punctuation."""
    line = reply.split("\n", 1)[0].strip()
    return line.lower().translate(_PUNCTUATION) == letter.lower()
