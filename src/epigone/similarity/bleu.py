"""What is compared and what is found: the settings of sentence BLEU and the neighbours that a search returns.

In: choices of smoothing, tokeniser and case. Out: the same choices checked, and their one-line signature.
Source: Papineni et al. (2002), https://aclanthology.org/P02-1040; Post (2018), https://aclanthology.org/W18-6319,
whose sacrebleu.sentence_bleu (effective order on) is what every score here equals.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from epigone.errors import SpecError

Smoothing = Literal["none", "exp", "floor"]
Tokenizer = Literal["13a", "whitespace"]


@dataclass(frozen=True)
class Settings:
    """How two texts are compared. Raises SpecError for a choice that does not exist."""

    smoothing: Smoothing = "none"
    """What an order without matches counts: nothing at all, a halving precision (exp), or a small constant (floor)."""
    smooth_value: float | int = 0.1
    """The constant of `floor`, 0-1: above 1 no match would count more than one match."""
    tokenize: Tokenizer = "13a"
    """sacrebleu's mteval-v13a tokeniser, or whitespace alone (sacrebleu's `none`)."""
    lowercase: bool = False
    """Whether texts are lower-cased before they are compared."""

    def __post_init__(self) -> None:
        choices = {"smoothing": (self.smoothing, Smoothing), "tokenize": (self.tokenize, Tokenizer)}
        for field, (value, allowed) in choices.items():
            if value not in get_args(allowed):
                raise SpecError(f"BLEU {field}={value!r} is not known: choose one of {', '.join(get_args(allowed))}")
        if not 0 <= self.smooth_value <= 1:
            raise SpecError(f"BLEU smooth_value={self.smooth_value!r}: floor smoothing takes a value from 0 to 1")

    @property
    def signature(self) -> str:
        """What a reader must know to compare two scores, such as `BLEU-4 13a cased none`."""
        smoothing = f"floor[{self.smooth_value:g}]" if self.smoothing == "floor" else self.smoothing
        return f"BLEU-4 {self.tokenize} {'lowercased' if self.lowercase else 'cased'} {smoothing}"


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The most similar text of each query; queries in their order."""

    scores: NDArray[np.float64]
    """Sentence BLEU in percent, 0-100; 0 where there is no partner."""
    partners: NDArray[np.int64]
    """Number of the most similar text, the smallest among equals; -1 where no text scores above 0."""
