"""A model of ours as lm-evaluation-harness asks one.

In: a LanguageModel, and requests of lm-evaluation-harness. Out: what it expects: (log-likelihood, is greedy), a text's
log-likelihood, a reply. Messages travel as JSON text and reach the model as messages, so that its own chat template
writes them. Nothing of lm-evaluation-harness is loaded here.
Source: lm_eval.api.model of https://github.com/EleutherAI/lm-evaluation-harness, version 0.4.13.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from epigone.errors import SpecError
from epigone.interfaces import LanguageModel, LikelihoodModel, TokenizedModel
from epigone.records import Likelihood, Message, Prompt, SamplingParams
from epigone.rows import role_of

CHAT_MARK = '[{"role": '
"""What messages begin with as lm-evaluation-harness hands them back; a text that begins so is taken for messages."""
DEFAULT_TOKENS = 256
"""Longest reply where a task names none, as in lm-evaluation-harness."""
KNOWN = ("until", "max_gen_toks", "temperature", "do_sample", "top_p", "top_k", "seed")


@runtime_checkable
class Instance(Protocol):
    """What is read of a request of lm-evaluation-harness (lm_eval.api.instance.Instance)."""

    args: tuple[Any, ...]
    task_name: Any
    doc_id: Any


class HarnessModel:
    """A LanguageModel with the methods of lm_eval.api.model.LM. Requests of one kind of sampling go together."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model
        self.tells_greedy = True
        """Whether every likelihood came with whether greedy decoding would give the continuation."""

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """(log-likelihood of the continuation, whether greedy decoding would give it) of each request, in order.

        Raises SpecError where the model tells no log-likelihoods, or a continuation stands behind nothing and the model
        has no tokenizer here.
        """
        given = [arguments_of(request) for request in requests]
        asked = [place for place, arguments in enumerate(given) if arguments[0]]
        alone = [place for place, arguments in enumerate(given) if not arguments[0]]
        found: dict[int, Likelihood] = {}
        if asked:
            pairs = [(prompt_of(given[place][0], name_of(requests[place])), given[place][1]) for place in asked]
            found |= dict(zip(asked, self._likelihoods.loglikelihood(pairs), strict=True))
        if alone:
            scored = self._tokenized.rolling_loglikelihood([given[place][1] for place in alone])
            found |= dict(zip(alone, scored, strict=True))
        self.tells_greedy &= all(each.is_greedy is not None for each in found.values())
        return [(found[place].logprob, bool(found[place].is_greedy)) for place in range(len(requests))]

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Log-likelihood of each whole text. Raises SpecError where the model's tokenizer is not at hand."""
        return [
            found.logprob for found in self._tokenized.rolling_loglikelihood([arguments_of(r)[0] for r in requests])
        ]

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The reply to each request, in order, without the string that ended it."""
        groups: dict[SamplingParams, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(sampling_of(arguments_of(request)[1]), []).append(place)
        replies = [""] * len(requests)
        for sampling, places in groups.items():
            prompts = [prompt_of(arguments_of(requests[place])[0], name_of(requests[place])) for place in places]
            for place, completion in zip(places, self.model.generate(prompts, sampling), strict=True):
                replies[place] = completion.text
        return replies

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """`as_messages`."""
        return as_messages(chat_history, add_generation_prompt)

    @property
    def tokenizer_name(self) -> str:
        """Part of the names of caches, which are not used here."""
        return "messages"

    @property
    def _likelihoods(self) -> LikelihoodModel:
        if isinstance(self.model, LikelihoodModel):
            return self.model
        raise SpecError(
            f"the task needs log-likelihoods, but {type(self.model).__name__} gives none; take a checkpoint, or a task "
            "that reads replies (for MMLU: mmlu_generative)"
        )

    @property
    def _tokenized(self) -> TokenizedModel:
        if isinstance(self.model, TokenizedModel):
            return self.model
        raise SpecError(
            f"the task scores whole texts, but {type(self.model).__name__} has no tokenizer here; take a checkpoint"
        )


def as_messages(chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    """Messages as JSON text. Raises SpecError for a reply that the model is to continue."""
    if not add_generation_prompt:
        raise SpecError("the task begins the model's reply (gen_prefix), which messages cannot say; take chat=False")
    return json.dumps(chat_history, ensure_ascii=False)


def arguments_of(request: Instance) -> tuple[Any, ...]:
    """A request's arguments: a text or its beginning; what follows it, or how a reply is drawn."""
    return request.args


def name_of(request: Instance) -> str:
    """`TASK-NUMBER`: the item that a request belongs to, its number from 0 as lm-evaluation-harness has it."""
    return f"{request.task_name}-{request.doc_id}"


def prompt_of(context: str, name: str) -> Prompt:
    """Plain text, or the messages that `apply_chat_template` wrote. Raises SpecError for a role that is not known."""
    if not context.startswith(CHAT_MARK):
        return Prompt(name, text=context)
    return Prompt(name, messages=tuple(_message(turn, name) for turn in json.loads(context)))


def _message(turn: Mapping[str, str], name: str) -> Message:
    role = role_of(turn["role"])
    if role is None:
        raise SpecError(f"{name}: a message has the role {turn['role']!r}; allowed: system, user, assistant")
    return Message(role, turn["content"])


def sampling_of(options: Mapping[str, object]) -> SamplingParams:
    """How a task says that replies are drawn, as ours. Raises SpecError for one that cannot be said."""
    if unknown := [name for name in options if name not in KNOWN]:
        raise SpecError(
            f"the task draws replies with {unknown[0]!r}, which is not known here; there is: {', '.join(KNOWN)}"
        )
    until = options.get("until") or ()
    stops = (until,) if isinstance(until, str) else tuple(cast(Sequence[str], until))
    draws = bool(options.get("do_sample", float(str(options.get("temperature", 0.0))) > 0))
    return SamplingParams(
        max_tokens=int(str(options.get("max_gen_toks", DEFAULT_TOKENS))),
        temperature=float(str(options.get("temperature", 1.0))) if draws else 0.0,
        seed=int(str(options.get("seed", 0))),
        stop=tuple(stop for stop in stops if stop),
        top_p=float(str(options.get("top_p", 1.0))) if draws else 1.0,
        top_k=int(str(options.get("top_k", 0))) if draws else 0,
    )
