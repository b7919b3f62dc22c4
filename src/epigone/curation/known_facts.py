"""Leave out dialogues that state a fact which the base model does not answer right: nothing new is to be learnt.

In: conversations; scores of the base model on questions about such facts; who tells which facts a text states and which
one a question asks for. Out: kept where every fact of the assistant's answers is one that the base was asked for and
answered right; an answer that states no fact is kept. (`known` asks a model short questions; this reads facts out of
long answers.) Source: section 5 of arXiv 2305.15717 ("avoid introducing new
knowledge"); the effect of unknown facts in fine-tuning: arXiv 2405.05904.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from epigone.errors import DataError
from epigone.interfaces import FactReader
from epigone.records import Conversation, Drop, Score
from epigone.store import read_records


@dataclass(frozen=True)
class KnownFacts:
    """Whose knowledge, and by which metric it is told."""

    scores: str
    """Folder of the base model's scores on questions (a `scores` artifact)."""
    facts: FactReader
    """Names the facts of texts and questions."""
    metric: str = "exact_match"
    """The metric that is 1 where the base answered right."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """In order, one at a time. Raises DataError where the scores lack the metric or ask for no fact."""
        for conversation in conversations:
            stated = [
                fact
                for message in conversation.messages
                if message.role == "assistant"
                for fact in self.facts.stated(message.content)
            ]
            unknown = [fact for fact in stated if fact not in self._known]
            if unknown:
                yield Drop(conversation.id, "states a fact that the base does not know", unknown[0])
            else:
                yield conversation

    @cached_property
    def _known(self) -> frozenset[str]:
        scores = read_records(Path(self.scores) / "records.jsonl", Score)
        lacking = next((score.item_id for score in scores if self.metric not in score.metrics), None)
        if lacking is not None:
            raise DataError(
                f"{self.scores}: item {lacking} has no metric {self.metric!r}; name one that all items have"
            )
        asked = {score.item_id: self.facts.asked(score.prompt) for score in scores}
        if not any(asked.values()):
            raise DataError(f"{self.scores}: none of {len(scores)} questions asks for a fact that is known of here")
        return frozenset(asked[score.item_id] for score in scores if score.metrics[self.metric] == 1)
