"""What a client asked, checked: the JSON body of a request -> `Asked`, or an error in OpenAI's form.

Source: https://platform.openai.com/docs/api-reference (completions, chat completions), as of 2026-11.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from epigone.records import Message, Role

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
MOST_STOPS, MOST_CHOICES, MOST_TOP = 16, 128, 5
NOT_HERE: dict[str, tuple[object, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "suffix": (None, ""),
    "response_format": (None, {"type": "text"}),
    "top_logprobs": (None, 0),
}
"""What would change the reply and is not computed, with the values that ask for nothing."""


class RefusedError(Exception):
    """A request that is not served: its HTTP status, the parameter at fault and OpenAI's code for it."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, object]:
        """As OpenAI writes it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class Asked:
    """One request; `prompts` are texts or token ids, `messages` a conversation: one of the two."""

    model: str
    prompts: tuple[str | tuple[int, ...], ...] = ()
    messages: tuple[Message, ...] = ()
    max_tokens: int | None = None
    temperature: float | int = 1.0
    top_p: float | int = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    num_choices: int = 1
    stream: bool = False
    with_usage: bool = False
    echo: bool = False
    logprobs: int | None = None


def read_json(body: bytes) -> Mapping[str, object]:
    """A request's body. Raises RefusedError unless it is a JSON object."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise RefusedError(f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RefusedError(f"the body must be a JSON object, not {type(found).__name__}")
    return cast(Mapping[str, object], found)


def completion(body: Mapping[str, object]) -> Asked:
    """Of /v1/completions. Raises RefusedError naming the parameter, its value and what is allowed."""
    logprobs = _number(body, "logprobs", None, 0, MOST_TOP, whole=True)
    echo = _flag(body, "echo")
    stream = _flag(body, "stream")
    if stream and (echo or logprobs is not None):
        raise RefusedError("echo and logprobs are not told while streaming; ask with stream=false", param="stream")
    least = 0 if echo else 1
    max_tokens = _number(body, "max_tokens", 16, least, None, whole=True)
    return Asked(
        prompts=_prompts(body.get("prompt")), echo=echo, logprobs=logprobs, **_shared(body), max_tokens=max_tokens
    )


def chat(body: Mapping[str, object]) -> Asked:
    """Of /v1/chat/completions. Raises RefusedError likewise."""
    if body.get("logprobs"):
        raise RefusedError("logprobs are told by /v1/completions alone", param="logprobs")
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    return Asked(
        messages=_messages(body.get("messages")),
        max_tokens=_number(body, name, None, 1, None, whole=True),
        **_shared(body),
    )


def _shared(body: Mapping[str, object]) -> dict[str, Any]:
    for name, nothing in NOT_HERE.items():
        if body.get(name) not in nothing:
            raise RefusedError(f"{name}={body[name]!r} is not computed here; leave it out", param=name)
    model = body.get("model")
    if not isinstance(model, str):
        raise RefusedError(f"model must be a string, not {model!r}", param="model")
    options = body.get("stream_options") or {}
    if not isinstance(options, Mapping):
        raise RefusedError(f"stream_options must be an object, not {options!r}", param="stream_options")
    return {
        "model": model,
        "temperature": _number(body, "temperature", 1.0, 0, 100),
        "top_p": _number(body, "top_p", 1.0, 0, 1),
        "top_k": _number(body, "top_k", 0, 0, None, whole=True),
        "seed": _number(body, "seed", None, -(2**62), 2**62, whole=True),
        "stop": _stops(body.get("stop")),
        "num_choices": _number(body, "n", 1, 1, MOST_CHOICES, whole=True),
        "stream": _flag(body, "stream"),
        "with_usage": options.get("include_usage") is True,
    }


def _number(
    body: Mapping[str, object],
    name: str,
    default: float | int | None,
    least: int,
    most: int | None,
    *,
    whole: bool = False,
) -> Any:
    """A number of a parameter, or the default. Any: an int where `whole`, the caller's default where it is absent."""
    value = body.get(name)
    if value is None:
        return default
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or value < least or (most is not None and value > most):
        kind = "a whole number" if whole else "a number"
        limit = f"from {least} to {most}" if most is not None else f"of {least} or more"
        raise RefusedError(f"{name} must be {kind} {limit}, not {value!r}", param=name)
    return value


def _flag(body: Mapping[str, object], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise RefusedError(f"{name} must be true or false, not {value!r}", param=name)
    return bool(value)


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise RefusedError(f"stop must be a string or up to {MOST_STOPS} of them, none empty", param="stop")
    return tuple(stops)


def _prompts(value: object) -> tuple[str | tuple[int, ...], ...]:
    given = value if isinstance(value, list) else [value]
    if _is_ids(given):
        given = [given]
    found = [tuple(one) if _is_ids(one) else one for one in given]
    if not found or not all(isinstance(one, str | tuple) and one for one in found):
        allowed = "a string, a list of strings, a list of token ids, or a list of such lists, none empty"
        raise RefusedError(f"prompt must be {allowed}", param="prompt")
    return tuple(cast(list[str | tuple[int, ...]], found))


def _is_ids(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and bool(value) and all(type(one) is int for one in value)


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise RefusedError("messages must be a list of one message or more", param="messages")
    return tuple(_message(one, f"messages[{i}]") for i, one in enumerate(value))


def _message(value: object, name: str) -> Message:
    if not isinstance(value, Mapping) or value.get("role") not in ROLES:
        raise RefusedError(f"{name} must be an object with a role of {', '.join(ROLES)}", param=name)
    content = value.get("content")
    if isinstance(content, list) and all(isinstance(p, Mapping) and p.get("type") == "text" for p in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise RefusedError(f"{name}.content must be a string or a list of parts of type text", param=f"{name}.content")
    return Message(cast(Role, ROLES[str(value["role"])]), content)
