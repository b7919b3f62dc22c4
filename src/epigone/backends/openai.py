"""openai: a model behind any server that speaks OpenAI's protocol: hosted, vLLM, llama.cpp, Ollama, epigone's own.

In: the server's address, the model's name there; the key is read from the environment. Out: Completions, Replies with
what a server said and what it cost, Likelihoods where the server gives log-probabilities of a prompt. What was answered
once is in the answers store of the artifacts' root and is not asked again.
Source: https://platform.openai.com/docs/api-reference.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from epigone.answers import Answer, Answers, Failed
from epigone.asking.batches import Batches
from epigone.asking.budget import Budget
from epigone.asking.prices import Price, price_of
from epigone.asking.questions import Asker, Question, question
from epigone.asking.scores import CHOICES, likelihood_of, scoring_body
from epigone.asking.wire import Plain, reply_of, request_body, streamed
from epigone.errors import SpecError, WorkError
from epigone.records import Completion, Likelihood, Prompt, SamplingParams
from epigone.replies import Bill, RawReply, Reply
from epigone.tokens.tokenizer import Tokenizer
from epigone.transport import Patience, Transport

OPENAI_HOST, OPENAI_KEY = "api.openai.com", "OPENAI_API_KEY"
WAYS = ("requests", "batch")


@dataclass(frozen=True)
class OpenAI:
    """A ServedModel, and a LikelihoodModel where the server gives log-probabilities of a prompt."""

    url: str
    """The base URL, as OpenAI's clients take it: it mostly ends in /v1."""
    model: str
    """The model's name there."""
    api: str = "auto"
    """auto: chat where a prompt has messages, else completions; or chat or completions for both."""
    omit: tuple[str, ...] = ()
    """Fields that the server does not take, e.g. seed or temperature."""
    extra: Mapping[str, object] = field(default_factory=dict[str, object])
    """More fields for every request, e.g. top_p or reasoning_effort."""
    max_tokens_field: str = "max_tokens"
    """What the server calls it: OpenAI's reasoning models say max_completion_tokens."""
    scoring: str = "echo"
    """How log-probabilities are asked for: echo, or prompt_logprobs (vLLM)."""
    round: int = 0
    """Failures of earlier rounds are asked again."""
    key_env: str = field(default="", compare=False)
    """The environment variable with the key. Empty: OPENAI_API_KEY for api.openai.com, for others no key."""
    stream: bool = field(default=False, compare=False)
    """Ask for replies in pieces, so that a stalled one is noticed sooner."""
    via: str = field(default="requests", compare=False)
    """requests, or batch: files to the provider's batch endpoint and back, cheaper and slower."""
    look_seconds: float | int = field(default=30, compare=False)
    """How often a batch is looked at."""
    budget_usd: float | int | None = field(default=None, compare=False)
    """The most that a collection may cost, its interrupted runs included."""
    budget_tokens: int | None = field(default=None, compare=False)
    """The same in tokens, in and out."""
    price_in: float | int | None = field(default=None, compare=False)
    """Dollars a million tokens of prompts; without both prices, those of a small table, else unknown."""
    price_out: float | int | None = field(default=None, compare=False)
    """Dollars a million tokens of answers."""
    tokenizer: str = field(default="", compare=False)
    """A tokenizer.json for the bill beforehand; without it, four characters count as a token."""
    patience: Mapping[str, float | int] = field(default_factory=dict[str, float | int], compare=False)
    """Options of transport.Patience by name, e.g. concurrency."""

    def __post_init__(self) -> None:
        """Raises SpecError for an address that holds more than an address: it is written into artifacts."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SpecError(f"url={self.url!r} is no address; write it as http://HOST:PORT/v1")
        if "@" in parts.netloc or parts.query:
            raise SpecError(
                f"the url of {parts.hostname} holds a password or a query, which would be written down; "
                "put the key into an environment variable and name it by key_env"
            )

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        """One Completion a prompt, in order. Raises WorkError where one got no answer, once all others have theirs."""
        replies = list(self.replies(prompts, sampling))
        failed = [(p.id, r) for p, r in zip(prompts, replies, strict=True) if r.completion is None]
        if failed:
            prompt_id, reply = failed[0]
            raise WorkError(
                f"{len(failed)} of {len(prompts)} prompts got no answer from {self.model} at {self.url}; the first, "
                f"{prompt_id!r}: {reply.reason}: {reply.detail}. With round={self.round + 1} they are asked again"
            )
        return [reply.completion for reply in replies if reply.completion is not None]

    def replies(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[Reply]:
        """One Reply a prompt, in order, once all were asked. Raises WorkError where server or budget give out."""
        with Answers() as answers:
            self._ask(answers, (self._question(p, sampling) for p in prompts), len(prompts))
            for prompt in prompts:
                yield _reply(answers, self._question(prompt, sampling), prompt.id)

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        """Likelihood of each continuation after its prompt, in order. Raises SpecError where the server tells none."""
        if self.scoring not in CHOICES:
            raise SpecError(f"scoring={self.scoring!r} is not among {', '.join(CHOICES)}")
        found: list[Likelihood] = []
        with Answers() as answers:
            self._ask(answers, (self._scored(*each) for each in requests), len(requests))
            for prompt, continuation in requests:
                asked = self._scored(prompt, continuation)
                outcome = answers.find(asked.key)
                if not isinstance(outcome, Answer):
                    raise WorkError(f"prompt {prompt.id!r} got no log-probabilities from {self.url}: {outcome}")
                found.append(likelihood_of(json.loads(outcome.body), asked.path, continuation))
        return found

    def bill(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Bill:
        """What `replies` would send and what it would cost; sends nothing."""
        counts = {Answer: 0, Failed: 0}
        new: dict[str, int] = {}
        with Answers() as answers:
            for prompt in prompts:
                key = self._question(prompt, sampling).key
                outcome = answers.find(key)
                if isinstance(outcome, Answer) or (isinstance(outcome, Failed) and outcome.round >= self.round):
                    counts[type(outcome)] += 1
                elif key not in new:
                    new[key] = self._num_tokens(prompt)
        tokens_in, tokens_out = sum(new.values()), len(new) * sampling.max_tokens
        usd = self._price.usd(tokens_in, tokens_out) if self._price else None
        by = "the tokenizer" if self.tokenizer else "characters/4"
        return Bill(len(new), counts[Answer], counts[Failed], tokens_in, tokens_out, usd, by)

    def _ask(self, answers: Answers, questions: Iterator[Question], total: int) -> None:
        if self.via not in WAYS:
            raise SpecError(f"via={self.via!r} is not among {', '.join(WAYS)}")
        budget = Budget(answers, self._price, usd=self.budget_usd, tokens=self.budget_tokens)
        asyncio.run(self._asked(answers, budget, questions, total))

    async def _asked(self, answers: Answers, budget: Budget, questions: Iterator[Question], total: int) -> None:
        async with Transport(self.url, self._key, self._patience) as transport:
            if self.via == "batch":
                batches = Batches(transport, answers, budget, self.round, look_seconds=self.look_seconds)
                await batches.ask(questions, total)
            else:
                await Asker(transport, answers, budget, self.round).ask(questions, total)

    def _question(self, prompt: Prompt, sampling: SamplingParams) -> Question:
        path, body = request_body(self.model, prompt, sampling, self.api)
        return self._finished(path, body, sampling)

    def _scored(self, prompt: Prompt, continuation: str) -> Question:
        path, body = scoring_body(self.model, prompt, continuation, self.scoring)
        return self._finished(path, body, SamplingParams(max_tokens=1))

    def _finished(self, path: str, body: Plain, sampling: SamplingParams) -> Question:
        body = {self.max_tokens_field if k == "max_tokens" else k: v for k, v in body.items() if k not in self.omit}
        body |= self.extra
        body = streamed(body) if self.stream and self.via == "requests" else body
        return question(self.url, path, body, sampling.seed, sampling.max_tokens)

    @property
    def _key(self) -> str:
        """Raises SpecError where a variable was named that is not set, or where the key could be overheard."""
        parts = urlsplit(self.url)
        name = self.key_env or (OPENAI_KEY if parts.hostname == OPENAI_HOST else "")
        key = os.environ.get(name, "").strip() if name else ""
        if name and not key:
            raise SpecError(f"the environment variable {name} is not set: it holds the key for {self.url}")
        return key

    @cached_property
    def _price(self) -> Price | None:
        if self.price_in is not None and self.price_out is not None:
            return Price(self.price_in, self.price_out)
        if self.price_in is not None or self.price_out is not None:
            raise SpecError("give both prices, price_in and price_out (dollars a million tokens), or neither")
        return price_of(self.url, self.model)

    @cached_property
    def _patience(self) -> Patience:
        try:
            return Patience(**self.patience)  # pyright: ignore[reportArgumentType]
        except TypeError as error:
            known = ", ".join(Patience.__dataclass_fields__)
            raise SpecError(f"patience: {error}; it has: {known}") from error

    def _num_tokens(self, prompt: Prompt) -> int:
        texts = [m.content for m in prompt.messages] or [prompt.text]
        if self._tokenizer:
            return sum(len(self._tokenizer.encode(text)) for text in texts)
        return -(-sum(map(len, texts)) // 4)

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        return Tokenizer.load(Path(self.tokenizer)) if self.tokenizer else None


def _reply(answers: Answers, asked: Question, prompt_id: str) -> Reply:
    outcome = answers.find(asked.key)
    if not isinstance(outcome, Answer):
        assert outcome is not None
        return Reply(None, outcome.reason, outcome.detail)
    said: Plain = json.loads(outcome.body)
    raw = RawReply(
        prompt_id,
        said,
        model=outcome.model,
        fingerprint=outcome.fingerprint,
        tokens_in=outcome.tokens_in,
        tokens_out=outcome.tokens_out,
        usd=outcome.usd,
        seconds=round(outcome.seconds, 4),
        asked_unix=outcome.asked_unix,
        request_id=outcome.request_id,
        num_attempts=outcome.num_attempts,
    )
    return replace(reply_of(said), raw=raw)
