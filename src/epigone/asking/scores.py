"""Log-probabilities of a text that a server was given, from its reply.

In: what was asked, the reply. Out: a Likelihood of the end of that text. The tokens of the continuation are counted
from the end; one that straddles its beginning counts as the continuation's.
Source: `echo` and `logprobs` of https://platform.openai.com/docs/api-reference/completions; vLLM's `prompt_logprobs`.
"""

from collections.abc import Sequence
from typing import cast

from epigone.asking.wire import CHAT, COMPLETIONS, Plain, request_body
from epigone.errors import SpecError
from epigone.records import Likelihood, Prompt, SamplingParams

_WAY_OUT = "score by generating, or take a server that gives them (vLLM, or epigone's own)"
CHOICES = ("echo", "prompt_logprobs")
"""The two ways in which servers tell log-probabilities of a prompt."""


def scoring_body(model: str, prompt: Prompt, continuation: str, way: str) -> tuple[str, Plain]:
    """The path and body that ask how likely a continuation is. Raises SpecError where there is no way."""
    extra: Plain = {"echo": True, "logprobs": 1} if way == "echo" else {"prompt_logprobs": 0}
    if prompt.messages and way == "echo":
        raise SpecError(
            f"prompt {prompt.id!r} is in chat form, which echo cannot score; take scoring=prompt_logprobs, or ask in "
            "plain text (of a judge: likelihood:form=text)"
        )
    one = SamplingParams(max_tokens=1)
    if not prompt.messages:
        whole = Prompt(prompt.id, text=prompt.text + continuation)
        return COMPLETIONS, request_body(model, whole, one, "completions")[1] | extra
    path, body = request_body(model, prompt, one, "chat")
    answer: Plain = {"role": "assistant", "content": continuation}
    messages = [*cast(Sequence[Plain], body["messages"]), answer]
    return path, body | extra | {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def likelihood_of(reply: Plain, path: str, continuation: str) -> Likelihood:
    """The summed log-probability of the continuation. Raises SpecError where the server gives none."""
    choice = cast(Sequence[Plain], reply["choices"])[0]
    is_echo = path == COMPLETIONS and choice.get("logprobs")
    pairs = _echoed(choice, reply) if is_echo else _of_prompt(choice, reply, path)
    total, num_tokens, text, best = 0.0, 0, "", list[bool | None]()
    for token, logprob, is_best in reversed(pairs):
        if len(text) >= len(continuation):
            break
        text = token + text
        if logprob is None:
            raise SpecError(f"the server gives no log-probability of {token!r}; {_WAY_OUT}")
        total, num_tokens = total + logprob, num_tokens + 1
        best.append(is_best)
    if not text.endswith(continuation):
        raise SpecError(f"the server's tokens end in {text!r}, not in {continuation!r}; {_WAY_OUT}")
    return Likelihood(total, num_tokens, None if None in best else all(best))


Told = tuple[str, float | None, bool | None]
"""A token, its log-probability, whether it is the likeliest in its place; None for what the server does not tell."""


def _echoed(choice: Plain, reply: Plain) -> list[Told]:
    """Tokens of the prompt; what the server added behind it is left out, where its usage says how many those are."""
    told = cast(Plain, choice["logprobs"])
    tokens, values = cast(Sequence[str], told.get("tokens") or ()), told.get("token_logprobs")
    if not tokens or not isinstance(values, list) or len(values) != len(tokens):
        raise SpecError(f"the server gives no log-probabilities of the prompt; {_WAY_OUT}")
    likeliest = cast(Sequence[dict[str, float] | None], told.get("top_logprobs") or [None] * len(tokens))
    usage = cast(Plain, reply.get("usage") or {})
    num_prompt = usage.get("prompt_tokens")
    found = [
        (token, value, value >= max(top.values()) if top and value is not None else None)
        for token, value, top in zip(tokens, cast(list[float | None], values), likeliest, strict=True)
    ]
    return found[:num_prompt] if isinstance(num_prompt, int) else found


def _of_prompt(choice: Plain, reply: Plain, path: str) -> list[Told]:
    found = (reply if path == CHAT else choice).get("prompt_logprobs")
    if not isinstance(found, list):
        raise SpecError(f"the server gives no log-probabilities of the prompt; {_WAY_OUT}")
    pairs: list[Told] = []
    for place in cast(list[dict[str, Plain] | None], found):
        for told in list((place or {}).values())[:1]:
            is_best = told["rank"] == 1 if "rank" in told else None
            pairs.append((str(told.get("decoded_token") or ""), cast(float, told["logprob"]), is_best))
    return pairs
