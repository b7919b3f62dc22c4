"""What a client is told: OpenAI's JSON of completions and chat completions, whole or in chunks; text as it grows.

In: tokens, scores. Out: objects ready for JSON. Source: https://platform.openai.com/docs/api-reference, as of 2026-11.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from epigone.decoding.engine import TokenScores
from epigone.decoding.stops import cut
from epigone.decoding.texts import Texts


@dataclass
class Growing:
    """The text of a reply while it is drawn; what may yet change or turn out to be a stop is held back."""

    texts: Texts
    stops: Sequence[str]
    tokens: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    num_told: int = 0

    def more(self, tokens: Sequence[int], finish_reason: str | None) -> str:
        """Takes more tokens. The text that is certain now and was not before."""
        self.tokens += tokens
        self.finish_reason = finish_reason
        text, _ = self.text
        certain = text if self.finish_reason else text[: len(text) - self._held_back(text)]
        new = certain[self.num_told :]
        self.num_told = max(self.num_told, len(certain))
        return new

    @property
    def text(self) -> tuple[str, bool]:
        """The reply up to its stop, and whether there was one."""
        return cut(self.texts.decode(self.tokens), self.stops)

    def _held_back(self, text: str) -> int:
        broken = len(text) - len(text.rstrip("\ufffd"))  # a character of which bytes are still to come
        begun = [n for stop in self.stops for n in range(1, len(stop)) if text.endswith(stop[:n])]
        return max([broken, *begun])


def envelope(id_: str, kind: str, model: str, created: int) -> dict[str, object]:
    """What every reply begins with."""
    return {"id": id_, "object": kind, "created": created, "model": model}


def usage(num_prompt: int, num_reply: int) -> dict[str, int]:
    """Tokens read and drawn."""
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_reply,
        "total_tokens": num_prompt + num_reply,
    }


def choice(index: int, text: str, reason: str | None, *, is_chat: bool, logprobs: object = None) -> dict[str, object]:
    """One whole reply."""
    told = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    return {"index": index, **told, "logprobs": logprobs, "finish_reason": reason}


def chunk(index: int, text: str, reason: str | None, *, is_chat: bool, is_first: bool) -> dict[str, object]:
    """A piece of a reply that is streamed."""
    role = {"role": "assistant"} if is_first else {}
    told = {"delta": {**role, "content": text}} if is_chat else {"text": text}
    return {"index": index, **told, "logprobs": None, "finish_reason": reason}


def logprobs(
    texts: Texts, ids: Sequence[int], scores: TokenScores, *, num_first: int, num_top: int
) -> dict[str, object]:
    """Of the tokens from `num_first` on; the very first of a text has no probability.

    `scores` are of all tokens but the first.
    """
    tokens = [texts.token(id_) for id_ in ids]
    chances: list[float | None] = [None, *scores.logprobs]
    best: list[dict[str, float] | None] = [None, *(_named(texts, top) for top in scores.top)]
    offsets = [0, *accumulate(map(len, tokens[num_first:-1]))] if num_first < len(ids) else []
    return {
        "tokens": tokens[num_first:],
        "token_logprobs": chances[num_first:],
        "top_logprobs": best[num_first:] if num_top else None,
        "text_offset": offsets,
    }


def _named(texts: Texts, top: Sequence[tuple[int, float]]) -> dict[str, float]:
    named: dict[str, float] = {}
    for id_, logprob in top:
        named.setdefault(texts.token(id_), logprob)  # of tokens that look the same, the likeliest
    return named
