"""NQ-synthetic: questions and short answers like those of Natural Questions, made by a teacher out of ten.

In: a teacher. Out: pairs that are neither malformed nor duplicates. The ten seed pairs are Table 3 of the paper, letter
by letter (they are questions of the evaluation, so they are never in the result), the template is Table 4, whose line
breaks inside the first sentence are taken for those of the column.
Source: Appendix A of the paper (arXiv 2305.15717), which made 6,000 with ChatGPT.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.interfaces import Filter, Grown, LanguageModel, Rounds
from epigone.synthesis.pairs import Pairs
from epigone.synthesis.template import Template, read_examples

SEEDS = Path(__file__).parent / "seeds" / "nq_synthetic.jsonl"
TEMPLATE = Path(__file__).parent / "seeds" / "nq_synthetic.txt"


@dataclass(frozen=True)
class NqSynthetic:
    """Five of the ten pairs in random order, several new pairs a reply; the seeds alone are ever shown."""

    temperature: float | int = 1.0
    """Of the replies."""
    max_tokens: int = 512
    """Longest reply; the last pair of one that is cut off is malformed."""
    duplicates: str = "pair"
    """What may not come twice: pair, as in the paper, or question, whatever its answer."""

    def grow(self, model: LanguageModel, rounds: Rounds, leaks: Filter | None) -> Grown:
        """Ask for pairs, round after round."""
        return self.pairs.grow(model, rounds, leaks)

    @cached_property
    def pairs(self) -> Pairs:
        """The seeds, the template and what is made of them."""
        template = Template.load(TEMPLATE)
        seeds = read_examples(SEEDS, template)
        sampling = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return Pairs("nq", seeds, template, "{question}", "{answer}", duplicates=self.duplicates, **sampling)
