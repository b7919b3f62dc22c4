"""A judge that marks two answers from 1 to 5 on several axes, correctness against a reference where there is one.

In: a prompt, two answers, perhaps a right answer. Out: a verdict and marks for every axis, each a criterion.
Source: ours; that judges with a reference are better at what they could not answer themselves: Zheng et al. 2023
(arXiv 2306.05685), section 3.4. Axes after section 4 of arXiv 2305.15717: it asks for correctness beside style.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from epigone.errors import SpecError
from epigone.interfaces import Marks, Shown
from epigone.records import Message

AXES = {
    "correctness": "what it says is true, judged by the reference where one is given",
    "instruction following": "it does what was asked, in the form that was asked for",
    "helpfulness": "somebody who asked this could go on with it",
    "clarity": "it is easy to follow, without saying things twice",
}
ASK = """Mark two answers to the same request, each from 1 (bad) to 5 (very good), on these axes:
{axes}

<request>
{asked}
</request>
{reference}
<answer 1>
{first}
</answer 1>

<answer 2>
{second}
</answer 2>

Whether an answer came first or second makes it no better. Answer with one line for each axis, its name and the two
marks, and nothing else, for example:
{example}: 3 4"""
REFERENCE = "\n<reference, known to be right>\n{reference}\n</reference, known to be right>\n"


@dataclass(frozen=True)
class Rubric:
    """One reply a pair and order, a line an axis."""

    axes: tuple[str, ...] = tuple(AXES)
    """Which of them."""
    needs_reference: bool = False
    """Whether a pair without a reference is an error; else such answers are marked without."""
    max_tokens: int = 200
    """Longest reply."""

    sees_both: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raises SpecError for an axis that there is not."""
        if unknown := [axis for axis in self.axes if axis not in AXES]:
            raise SpecError(f"rubric: there is no axis {unknown[0]!r}; there are: {', '.join(AXES)}")

    def questions(self, shown: Shown) -> list[tuple[Message, ...]]:
        """One user turn. Raises SpecError where there is no reference and one is needed."""
        if self.needs_reference and not shown.reference:
            raise SpecError(f"rubric: no reference for {shown.asked[:60]!r}; give references, or needs_reference=false")
        told = "\n".join(f"- {axis}: {AXES[axis]}" for axis in self.axes)
        reference = REFERENCE.format(reference=shown.reference) if shown.reference else ""
        parts = {"asked": shown.asked, "first": shown.first, "second": shown.second}
        return [(Message("user", ASK.format(axes=told, reference=reference, example=self.axes[0], **parts)),)]

    def read(self, replies: Sequence[str]) -> dict[str, Marks | None]:
        """Marks by axis; an axis without exactly one line of two marks from 1 to 5 has none."""
        return {axis: _marks(axis, replies[0]) for axis in self.axes}


def _marks(axis: str, reply: str) -> Marks | None:
    line = re.compile(rf"^\W*{re.escape(axis)}\W*:?\W*([1-5])(?:/5)?[\s,;|/]+([1-5])(?:/5)?\W*$", re.I | re.M)
    found = line.findall(reply)
    if len(found) != 1:
        return None
    first, second = float(found[0][0]), float(found[0][1])
    return Marks("tie" if first == second else "first" if first > second else "second", (first, second))
