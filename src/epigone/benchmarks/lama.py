"""LAMA: stored knowledge as a cloze, the fact's last word left to the model.

In: JSON lines {"uuid", "predicate_id", "sub_label", "obj_label", "masked_sentences"}. Out: one Score a fact.
Source: Petroni et al. 2019 (arXiv 1909.01066), https://github.com/facebookresearch/LAMA. The original ranks one token
at the mask; here a left-to-right model continues the words before the mask, over its whole vocabulary.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.interfaces import LanguageModel
from epigone.metrics import answers
from epigone.records import Item, Prompt, SamplingParams, Score
from epigone.rows import read_rows, text_field

MASK = "[MASK]"
_MASK_LAST = re.compile(r"\s*\[MASK\][\s.!?]*")
SAMPLING = SamplingParams(max_tokens=5, stop=("\n",))


@dataclass(frozen=True)
class LAMA:
    """Exact match: the greedy completion starts with the object, as whole words, after SQuAD normalisation.

    The group of a score is its predicate.
    """

    path: str | Path
    """JSON lines of LAMA, such as one T-REx relation."""
    limit: int | None = None
    """Ask only the first `limit` facts."""
    skip_inner_masks: bool = False
    """Leave out facts whose mask never stands last, which cannot be asked left to right; otherwise an error."""

    @property
    def protocol(self) -> str:
        """`lama-cloze--hash`, over length, stop rule and normalisation."""
        return answers.protocol_id("lama-cloze", sampling=SAMPLING, normalisation="squad", match="starts with")

    def items(self) -> list[Item]:
        """The facts in file order, `question` being the words before the mask. Raises DataError."""
        found = [_item(row, f"{self.path}: row {number}", number) for number, row in read_rows(Path(self.path))]
        inner = [item for item in found if not item.question]
        if inner and not self.skip_inner_masks:
            raise DataError(
                f"{self.path}: fact {inner[0].id} and {len(inner) - 1} more have no sentence that ends in {MASK}; "
                f"leave them out with skip_inner_masks=True"
            )
        return [item for item in found if item.question][: self.limit]

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score a fact, in order."""
        items = self.items() if items is None else items
        completions = model.generate([Prompt(item.id, text=item.question) for item in items], SAMPLING)
        return [_score(item, completion.text) for item, completion in zip(items, completions)]


def _item(row: dict[str, object], where: str, number: int) -> Item:
    sentences = row.get("masked_sentences")
    if not isinstance(sentences, list) or not all(isinstance(s, str) and MASK in s for s in sentences) or not sentences:
        raise DataError(f"{where}: masked_sentences is {sentences!r}; a list of sentences with {MASK} is needed")
    usable = (m for m in (re.fullmatch(f"(.+?){_MASK_LAST.pattern}", s, re.DOTALL) for s in sentences) if m)
    prefix = next(usable, None)
    answer = text_field(row, "obj_label", where)
    item_id = str(row.get("uuid") or f"row-{number}")
    return Item(item_id, prefix[1] if prefix else "", (answer,), group=str(row.get("predicate_id", "")))


def _score(item: Item, reply: str) -> Score:
    metrics = {"exact_match": float(answers.starts_with_answer(reply, item.answers))}
    return Score(item.id, metrics, item.question, reply, answers.normalise_answer(reply), item.group)
