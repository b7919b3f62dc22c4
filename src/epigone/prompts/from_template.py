"""Examples of any kind by a template of one's own: what NQ-synthetic is made by, with other seeds.

In: a file of seed examples, a text file with places such as `{question 1}`, a teacher. Out: conversations of what is
asked and its answer, neither malformed nor duplicates.
Source: Appendix A of the paper (arXiv 2305.15717); what is general about it is section 3: "prompting LMs to iteratively
generate examples that are from the same distribution as an initial smaller seed set of inputs".
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.interfaces import Filter, Grown, LanguageModel, Rounds
from epigone.synthesis.pairs import Pairs
from epigone.synthesis.template import Template, read_examples


@dataclass(frozen=True)
class FromTemplate:
    """As many seeds in random order as the template has places for, several new examples a reply."""

    seeds: str | Path
    """JSON lines with the template's fields."""
    template: str | Path
    """A text; each place stands on its own line behind a label, such as `Q: {question 1}`."""
    user: str = ""
    """The question that a student is asked, with fields in braces (`{question}`); empty: the first field."""
    assistant: str = ""
    """The answer that it learns; empty: the last field."""
    temperature: float | int = 1.0
    """Of the replies."""
    max_tokens: int = 512
    """Longest reply; the last example of one that is cut off is malformed."""
    duplicates: str = "pair"
    """What may not come twice: pair, or question, whatever its answer."""

    def grow(self, model: LanguageModel, rounds: Rounds, leaks: Filter | None) -> Grown:
        """Ask for examples, round after round."""
        return self.pairs.grow(model, rounds, leaks)

    @cached_property
    def pairs(self) -> Pairs:
        """The seeds, the template and what is made of them. Raises SpecError, DataError."""
        template = Template.load(Path(self.template))
        user = self.user or f"{{{template.fields[0]}}}"
        assistant = self.assistant or f"{{{template.fields[-1]}}}"
        seeds = read_examples(Path(self.seeds), template)
        sampling = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return Pairs("example", seeds, template, user, assistant, duplicates=self.duplicates, **sampling)
