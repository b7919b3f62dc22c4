"""tokenize_pairs: rankings -> blocks of pairs, the best answer and the worst, from which preferences are learnt.

In: a `rankings/` artifact, a tokenizer. Out: `blocks/` in which every two segments are a pair (`tokens.pairs`); a
prompt whose best and worst answer are worth the same is left out and counted. Source: arXiv 2305.18290, section 4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from epigone.errors import DataError
from epigone.interfaces import ChatTemplate, StageSpec
from epigone.ranking import Ranking
from epigone.records import Message
from epigone.spec import Artifact, Component, Input
from epigone.store import read_records
from epigone.tokens.chat_template import SPECIAL_TOKENS, ChatTokens
from epigone.tokens.pairs import pack_pairs, save_pairs
from epigone.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenizePairs:
    """Options of a tokenisation of pairs."""

    rankings: StageSpec | Artifact
    """A rankings artifact."""
    tokenizer: Input
    """A tokenizer.json."""
    length: int = 384
    """Tokens of a block; an answer with its prompt takes half of it at most."""
    name: str = "pairs"
    """What the data is called."""
    template: Component = SPECIAL_TOKENS
    """How dialogues are written, a component of `tokens.templates`."""

    kind: ClassVar[str] = "blocks"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        """What the data is called."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Encode and pack. Raises DataError where no prompt has a better and a worse answer."""
        chat = ChatTokens(Tokenizer.load(inputs(self.tokenizer)), cast(ChatTemplate, self.template.make(inputs)))
        rankings = read_records(inputs(self.rankings) / "records.jsonl", Ranking)
        decided = [ranking for ranking in rankings if ranking.is_decided]
        if not decided:
            raise DataError(f"{self.name}: of {len(rankings)} prompts none has a better and a worse answer")
        pairs = [
            (
                chat.encode([*ranking.messages, Message("assistant", ranking.answers[0])]),
                chat.encode([*ranking.messages, Message("assistant", ranking.answers[-1])]),
            )
            for ranking in decided
        ]
        blocks, num_cut = pack_pairs(pairs, self.length)
        save_pairs(blocks, len(pairs), out)
        return {
            "num_pairs": len(pairs),
            "num_undecided": len(rankings) - len(pairs),
            "num_answers_cut": num_cut,
            "num_tokens": blocks.num_tokens,
            "num_blocks": len(blocks),
        }
