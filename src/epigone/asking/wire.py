"""What is sent to an OpenAI-compatible server, and what comes back, with the ways in which servers differ.

In: Prompt and SamplingParams; the text of a reply, streamed or not. Out: the body of a request; Completion, usage, or
the reason for which there is no answer. Pure functions: what is asked and what was said, no network.
Source: https://platform.openai.com/docs/api-reference; https://docs.vllm.ai/en/latest/serving/openai_compatible_server;
the servers of llama.cpp and Ollama (`reasoning_content`, `reasoning`, `{"error": "text"}`).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from epigone.errors import SpecError
from epigone.records import Completion, Message, Prompt, SamplingParams
from epigone.replies import Reply
from epigone.rows.replies import UNENDED, answer_message
from epigone.transport import MalformedError

Plain = dict[str, object]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "unknown"]
CHAT, COMPLETIONS = "/chat/completions", "/completions"
APIS = ("auto", "chat", "completions")
_FINISHED = {
    None: "unknown",
    "": "unknown",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "safety": "content_filter",
}
_NOT_SENT = ("stream", "stream_options")
"""Fields of a body that do not shape the answer."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counts them."""

    tokens_in: int
    tokens_out: int
    """Reasoning included."""
    reasoning_tokens: int | None = None


def request_body(model: str, prompt: Prompt, sampling: SamplingParams, api: str) -> tuple[str, Plain]:
    """The path and the body that asks one prompt. Raises SpecError where the api cannot say it."""
    if api not in APIS:
        raise SpecError(f"api={api!r} is not among {', '.join(APIS)}")
    body: Plain = {"model": model, "max_tokens": sampling.max_tokens, "temperature": sampling.temperature}
    body |= {"seed": sampling.seed} | ({"stop": list(sampling.stop)} if sampling.stop else {})
    body |= {"top_p": sampling.top_p} if sampling.top_p < 1 else {}
    body |= {"top_k": sampling.top_k} if sampling.top_k else {}
    if api == "completions" or (api == "auto" and not prompt.messages):
        if prompt.messages:
            raise SpecError(f"prompt {prompt.id!r} is in chat form, which api=completions cannot ask; take api=chat")
        return COMPLETIONS, body | {"prompt": prompt.text}
    return CHAT, body | {"messages": [_said(m) for m in prompt.messages or (Message("user", prompt.text),)]}


def _said(message: Message) -> Plain:
    """A message as it is sent: earlier reasoning is not told to the model again."""
    said: Plain = {"role": message.role, "content": message.content}
    said |= {"tool_calls": json.loads(message.tool_calls)} if message.tool_calls else {}
    return said | ({"tool_call_id": message.tool_call_id} if message.tool_call_id else {})


def streamed(body: Plain) -> Plain:
    """The body that asks for the same reply in pieces, with its usage at the end."""
    return body | {"stream": True, "stream_options": {"include_usage": True}}


def parsed(text: str) -> Plain:
    """A reply as one object, put together where it was streamed. Raises MalformedError."""
    stripped = text.lstrip()
    reply = _assembled(stripped) if stripped.startswith(("data:", "event:", ":")) else _object(stripped)
    if reply.get("error"):
        raise MalformedError(f"an error in the place of an answer: {error_text(reply)}")
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not ("text" in choice or isinstance(choice.get("message"), dict)):
        raise MalformedError(f"no choice with a message or a text: {stripped[:120]!r}")
    return reply


def _object(text: str) -> Plain:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON ({error}): {text[:120]!r}") from error
    if not isinstance(value, dict):
        raise MalformedError(f"not a JSON object: {text[:120]!r}")
    return cast(Plain, value)


def _assembled(text: str) -> Plain:
    """The pieces of a stream as the one reply that they make up. Raises MalformedError where the end is missing."""
    whole: Plain = {}
    parts: dict[str, list[str]] = {}
    reason: object = None
    is_whole = False
    for line in text.splitlines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            is_whole = True
        elif data:
            piece = _object(data)
            if piece.get("error"):
                return piece
            whole |= {k: v for k, v in piece.items() if k != "choices" and v is not None}
            for choice in cast(Sequence[Plain], piece.get("choices") or ()):
                reason = choice.get("finish_reason") or reason
                found = {"text": choice["text"]} if "text" in choice else choice.get("delta")
                for name, value in cast(Plain, found or {}).items():
                    if isinstance(value, str) and name != "role":
                        parts.setdefault(name, []).append(value)
    if not is_whole and reason is None:
        raise MalformedError(f"a stream that breaks off: {text[-120:]!r}")
    said = {name: "".join(pieces) for name, pieces in parts.items()}
    content: Plain = {"text": said["text"]} if "text" in said else {"message": {"role": "assistant", **said}}
    return whole | {"choices": [{"index": 0, "finish_reason": reason, **content}]}


def error_text(reply: Plain) -> str:
    """What an error says, in the forms of OpenAI, vLLM, llama.cpp, Ollama and FastAPI."""
    error = reply.get("error") or reply.get("detail") or reply
    if isinstance(error, dict):
        return " ".join(str(error[k]) for k in ("code", "type", "message") if error.get(k)) or json.dumps(error)
    return error if isinstance(error, str) else json.dumps(error)


def usage_of(reply: Plain) -> Usage | None:
    """The server's count; None where it gave none that can be read."""
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    details = usage.get("completion_tokens_details")
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    return None if tokens_in is None or tokens_out is None else Usage(tokens_in, tokens_out, reasoning)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def text_of(reply: Plain, name: str) -> str:
    """A field of the reply that is a text, empty where it is not."""
    value = reply.get(name)
    return value if isinstance(value, str) else ""


def reply_of(reply: Plain) -> Reply:
    """The answer in a reply, reasoning kept apart; or why it is none."""
    choice = cast(Sequence[Plain], reply["choices"])[0]
    message = cast(Mapping[str, object], choice.get("message") or {})
    text, aside = _texts(choice["text"] if "text" in choice else message.get("content"))
    for name in ("reasoning_content", "reasoning", "thinking"):
        if not aside and isinstance(message.get(name), str):
            aside = str(message[name])
    said = choice.get("finish_reason")
    reason = _FINISHED.get(said, said) if said is None or isinstance(said, str) else str(said)
    if reason not in get_args(FinishReason):
        return Reply(None, f"finish reason {reason}", text[:120])
    if not text.strip() and isinstance(message.get("refusal"), str):
        return Reply(None, "refusal", str(message["refusal"])[:120])
    if not text.strip() and message.get("tool_calls"):
        return Reply(None, "tool_calls", json.dumps(message["tool_calls"])[:120])
    usage = usage_of(reply)
    num_tokens = usage.tokens_out if usage else -(-len(text + aside) // 4)
    return _without_thoughts(text, aside, num_tokens, cast(FinishReason, reason))


def _without_thoughts(text: str, aside: str, num_tokens: int, reason: FinishReason) -> Reply:
    if (not aside and "</think>" in text) or text.lstrip().startswith("<think>"):
        found = answer_message(text, Counter[str]())
        if found == UNENDED:
            return Reply(Completion("", num_tokens, reason, reasoning=text.partition("<think>")[2].strip()))
        if isinstance(found, Message) and found.reasoning:
            text, aside = found.content, found.reasoning
        elif isinstance(found, str):
            text, aside = "", text.partition("<think>")[2].partition("</think>")[0].strip()
    return Reply(Completion(text, num_tokens, reason, reasoning=aside))


def _texts(content: object) -> tuple[str, str]:
    """The answer and the thoughts of a content that may be a list of parts."""
    if isinstance(content, str):
        return content, ""
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    text = "".join(str(p["text"]) for p in parts if isinstance(p.get("text"), str))
    thoughts = [p["thinking"] for p in parts if p.get("type") == "thinking"]
    return text, "".join(t if isinstance(t, str) else _texts(t)[0] for t in thoughts)


def shaping(body: Plain) -> Plain:
    """The part of a body that shapes the answer."""
    return {name: value for name, value in body.items() if name not in _NOT_SENT}
