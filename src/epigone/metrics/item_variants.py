"""The same multiple-choice question otherwise: its options in another order, or its words.

In: Items; replies of a model that was asked for other words. Out: Items with the same ids, or why there is none. Where
a model has read a published test, it may know a question by its bytes, or an answer by its letter; neither helps it
here. Pure functions.
Source: section 5 of arXiv 2305.15717: the benchmarks "could have been been contaminated into ChatGPT's training data";
the variants are ours.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from epigone.metrics.answers import normalise_answer
from epigone.records import Item, Message, Prompt

ASK = """Say the question below in other words. It must ask exactly the same and have the same right answer. Keep every
number, formula, name, quotation and technical term as it is. Do not answer it, and do not list answers.

<question>
{question}
</question>

Write QUESTION: and behind it the question in other words, and nothing else."""
_REPLY = re.compile(r"\A.*?\bquestion\W*:[\s*_\"]*(.+)\Z", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_REFERS = re.compile(
    r"""(?i:\b(?:all|none|both|any|neither|either)\s(?:of\s)?(?:the\s|these\s)?(?:above|below|following|these|others
    |choices|answers|options|statements)\b)|\b(?:Both|both|Neither|neither|Either|either)\s\(?[A-D]\b
    |^\W*[A-D]\b\)?(?:,\s\(?[A-D]\)?)*,?\s(?:and|or|&)\s\(?[A-D]\b|(?i:\boptions?)\s[A-D]\b""",
    re.VERBOSE,
)
"""Of an option: it points at others by their place."""


def shuffled(item: Item, seed: int) -> Item | str:
    """The options in another order, drawn by seed and id, the right one in another place; or why they must stay."""
    if pointing := next((match[0] for match in map(_REFERS.search, item.options) if match), ""):
        return f"an option points at others: {pointing!r}"
    rng = np.random.default_rng([seed, *item.id.encode()])
    while True:
        order: list[int] = rng.permutation(len(item.options)).tolist()
        if order[item.label] != item.label:
            options = tuple(item.options[place] for place in order)
            return replace(item, options=options, label=order.index(item.label))


def paraphrase_prompt(item: Item) -> Prompt:
    """What a model is asked."""
    return Prompt(item.id, messages=(Message("user", ASK.format(question=item.question)),))


def paraphrased(item: Item, reply: str) -> Item | str:
    """The question in the reply's words, options and answer as they were; or why the reply is of no use."""
    found = _REPLY.match(reply)
    question = found[1].strip() if found else ""
    if not question:
        return "no question in the reply"
    if normalise_answer(question) == normalise_answer(item.question):
        return "the same words"
    if sorted(_NUMBER.findall(question)) != sorted(_NUMBER.findall(item.question)):
        return "other numbers"
    if not len(item.question) / 3 <= len(question) <= 3 * len(item.question) + 40:
        return "far shorter or longer"
    return replace(item, question=question)


def split(items: Sequence[Item], varied: Sequence[Item | str]) -> tuple[list[Item], list[tuple[Item, str]]]:
    """Variants, and the items that have none with the reason."""
    pairs = list(zip(items, varied, strict=True))
    return [v for _, v in pairs if isinstance(v, Item)], [(item, v) for item, v in pairs if isinstance(v, str)]
