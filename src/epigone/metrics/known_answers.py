"""Answers that are known to be right, and what raters made of comparisons in which just one of two is.

In: answers, references by prompt, judgments. Out: right or not, and for each rater how many known ones were answered
and how many of them rightly.
Source: the last number of a reply as in GSM8K (Cobbe et al. 2021, arXiv 2110.14168); others as in metrics/answers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from epigone.metrics.answers import contains_answer
from epigone.records import Judgment, Verdict

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER = re.compile(rf"(?<![\w.])(?:\d[\d,]*(?:\.\d+)?|{'|'.join(_WORDS)})(?![\w])", re.IGNORECASE)


class Known(NamedTuple):
    """Comparisons with a known answer that a rater gave, and how many of them rightly."""

    num_known: int
    num_right: int


def is_right(answer: str, reference: str) -> bool:
    """A number: the answer's last number is the same. Any other reference stands in the answer as whole words."""
    wanted = _number(reference.strip())
    if wanted is None:
        return contains_answer(answer, [reference])
    found = _NUMBER.findall(answer)
    return bool(found) and _number(found[-1]) == wanted


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    return float(_WORDS.index(text.lower())) if text.lower() in _WORDS else float(text.replace(",", ""))


def known_verdicts(right: Mapping[tuple[str, str], bool], judgments: Iterable[Judgment]) -> dict[int, Verdict]:
    """Place of a judgment -> the verdict that is known to be right: the side that is right where the other is not.

    `right` by (prompt id, model); where both or neither is, nothing is known.
    """
    found: dict[int, Verdict] = {}
    for place, judgment in enumerate(judgments):
        one, two = (right.get((judgment.prompt_id, model)) for model in (judgment.a, judgment.b))
        if one is not None and two is not None and one != two:
            found[place] = "a" if one else "b"
    return found


def known_by_rater(judgments: Iterable[Judgment], known: Mapping[int, Verdict]) -> dict[str, Known]:
    """How many of the comparisons with a known answer every rater gave, and rightly."""
    given: defaultdict[str, list[bool]] = defaultdict(list)
    for place, judgment in enumerate(judgments):
        if place in known:
            given[judgment.rater].append(judgment.verdict == known[place])
    return {rater: Known(len(each), sum(each)) for rater, each in given.items()}
