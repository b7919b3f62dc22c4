"""jinja: a tokenizer's own chat template, as its model was published with.

In: any messages; the template sees them as it would in transformers, with reasoning under the names in use and tool
calls as parsed JSON. It runs in a sandbox (`epigone.tokens.sandbox`). Out: what it writes, cut at its control tokens.
What is learnt is what the template marks by `{% generation %}`; a template without marks is written once up to each
answer and once with it, and what came behind is learnt, but for blanks behind the last control token. Text that spells
out a control token stays text. Source: https://huggingface.co/docs/transformers/chat_templating,
https://huggingface.co/docs/transformers/chat_templating_writing.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from epigone.errors import DataError, SpecError
from epigone.gguf_file import open_gguf
from epigone.interfaces import Piece
from epigone.records import Message
from epigone.tokens.gguf_tokenizer import control_names, tokenizer_config
from epigone.tokens.sandbox import GUARD, LEARNT, LEARNT_END, MARKS, THOUGHT, THOUGHT_END, Render, compiled
from epigone.tokens.turns import check_options

_MARKED = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
_ANY_MARK = re.compile(f"[{''.join(sorted(MARKS))}]")
Span = tuple[int, int]


@dataclass(frozen=True)
class Jinja:
    """A published chat template; the conversation's own order of roles is the template's business."""

    source: str
    """Where the template is: tokenizer_config.json, a .gguf file, or the template alone (chat_template.jinja)."""
    tokenizer: str
    """The tokenizer.json or .gguf file, or a folder that holds it: says which of the words are control tokens."""
    config: str = ""
    """The tokenizer_config.json that names bos_token, eos_token ..., where `source` is not that file."""
    reasoning: Literal["learn", "read", "leave_out"] = "learn"
    """Reasoning is learnt like the answer, only read, or not given to the template."""
    date: str = ""
    """What a template that writes today's date is told, e.g. 2024-07-26."""
    variables: tuple[tuple[str, object], ...] = ()
    """Further variables of the template by name, e.g. enable_thinking."""

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def jinja(self) -> str:
        """The template itself."""
        return self._source

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """The whole conversation. Raises SpecError for what the template, or its place without marks, cannot say."""
        whole = self._render(messages)
        self._check_told(messages, whole)
        learnt = self._learnt(messages, whole)
        if self.reasoning == "read":
            learnt = _without(learnt, _between(whole, THOUGHT, THOUGHT_END))
        return self._cut(whole, learnt)

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """What the template writes where an answer is to follow. Raises SpecError."""
        whole = self._render(messages, add_generation_prompt=True)
        try:
            return self._cut(whole, self._learnt(messages, whole))
        except SpecError:
            return self._cut(whole, [])  # its answers cannot be told apart, nor need they be

    @cached_property
    def _config(self) -> dict[str, object]:
        config = self.source if self.source.endswith((".json", ".gguf")) else self.config
        if config.endswith(".gguf"):
            return tokenizer_config(open_gguf(Path(config)))
        return _json(Path(config)) if config else {}

    @cached_property
    def _source(self) -> str:
        if not self.source.endswith((".json", ".gguf")):
            return Path(self.source).read_text(encoding="utf-8")
        found = self._config.get("chat_template")
        if isinstance(found, list):  # several by name
            named = {str(entry["name"]): entry["template"] for entry in cast(list[dict[str, object]], found)}
            found = named.get("default")
        if not isinstance(found, str):
            raise DataError(
                f"{self.source} holds no chat_template; give the file that does (chat_template.jinja), or take another "
                "template, e.g. special_tokens or chatml"
            )
        return found

    @cached_property
    def _is_marked(self) -> bool:
        return bool(_MARKED.search(self._source))

    @cached_property
    def _template(self) -> Render:
        return compiled(self._source, self.source, self.date)

    @cached_property
    def _control(self) -> re.Pattern[str]:
        """Any control token, the longest first; in text that a message brought, a guard stands after its head."""
        names = _control_names(Path(self.tokenizer))
        return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"(?!)")

    @cached_property
    def _named_tokens(self) -> dict[str, str]:
        """bos_token, eos_token ... as the template knows them."""
        found = {key: value for key, value in self._config.items() if key.endswith("_token")}
        texts = {key: value["content"] if isinstance(value, dict) else value for key, value in found.items()}
        return {key: value for key, value in texts.items() if isinstance(value, str)}

    def _render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        variables = {**self._named_tokens, **dict(self.variables)}
        return self._template(
            messages=[self._seen(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **variables,
        )

    def _seen(self, message: Message) -> dict[str, object]:
        """A message as a template sees it."""
        seen: dict[str, object] = {"role": message.role, "content": self._guarded(message.content)}
        if message.reasoning and self.reasoning != "leave_out":
            thought = _framed(cast(str, self._guarded(message.reasoning)))
            seen |= {"reasoning_content": thought, "reasoning": thought, "thinking": thought}
        if message.tool_calls:
            seen["tool_calls"] = self._guarded(_calls(message.tool_calls))
        if message.tool_call_id:
            seen["tool_call_id"] = self._guarded(message.tool_call_id)
        return seen

    def _guarded(self, value: object) -> object:
        """The value with a guard inside every control token that its texts spell out."""
        if isinstance(value, str):
            if _ANY_MARK.search(value):
                raise SpecError("a message holds a character of U+FDD0 to U+FDD4, which no text may; leave it out")
            return self._control.sub(lambda match: f"{match[0][0]}{GUARD}{match[0][1:]}", value)
        if isinstance(value, list):
            return [self._guarded(part) for part in cast(list[object], value)]
        if isinstance(value, dict):
            return {key: self._guarded(part) for key, part in cast(dict[str, object], value).items()}
        return value

    def _check_told(self, messages: Sequence[Message], whole: str) -> None:
        """Raise SpecError where the template leaves out what a message says."""
        plain = _ANY_MARK.sub("", whole)
        for number, message in enumerate(messages, start=1):
            if message.role != "tool" and message.content.strip() not in plain:
                raise SpecError(f"{self.source}: the chat template leaves out what message {number} says; take another")
        if self.reasoning != "leave_out" and any(m.reasoning for m in messages) and THOUGHT not in whole:
            raise SpecError(
                f"{self.source}: the chat template has no place for reasoning; leave it out (option reasoning: "
                "leave_out), or take another template"
            )
        if any(m.tool_calls for m in messages) and "tool_calls" not in self._source:
            raise SpecError(f"{self.source}: the chat template has no place for tool calls; take another")

    def _learnt(self, messages: Sequence[Message], whole: str) -> list[Span]:
        return _between(whole, LEARNT, LEARNT_END) if self._is_marked else self._answers(messages, whole)

    def _answers(self, messages: Sequence[Message], whole: str) -> list[Span]:
        """Where the answers stand in what an unmarked template wrote: behind what it writes before each of them."""
        spans: list[Span] = []
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            head = self._render(messages[:number], add_generation_prompt=True)
            told = self._render(messages[: number + 1])
            if not told.startswith(head) or not whole.startswith(told):
                raise SpecError(
                    f"{self.source}: the chat template writes message {number + 1} and those before it differently "
                    "once more follows (perhaps it leaves out earlier reasoning), so that its answers cannot be told "
                    "apart; mark them by {% generation %} in a copy of the template, or set the option reasoning to "
                    "leave_out, or cut such conversations after the first answer"
                )
            spans.append((len(head), self._end(told, len(head))))
        return spans

    def _end(self, told: str, start: int) -> int:
        """The end of an answer: blanks behind its last control token are not the model's to write."""
        last = max((match.end() for match in self._control.finditer(told, start)), default=start)
        return last if last > start and not told[last:].strip() else len(told)

    def _cut(self, whole: str, learnt: Sequence[Span]) -> list[Piece]:
        pieces: list[Piece] = []
        at = 0
        for match in self._control.finditer(whole):
            pieces += _texts(whole, at, match.start(), learnt)
            pieces.append(Piece(match[0], True, any(a <= match.start() < b for a, b in learnt)))
            at = match.end()
        return pieces + list(_texts(whole, at, len(whole), learnt))


def _texts(whole: str, start: int, stop: int, learnt: Sequence[Span]) -> Iterator[Piece]:
    """The text of a stretch without control tokens, cut where learning begins or ends; marks are taken out."""
    borders = sorted({start, stop, *(edge for span in learnt for edge in span if start < edge < stop)})
    for a, b in itertools.pairwise(borders):
        text = _ANY_MARK.sub("", whole[a:b])
        if text:
            yield Piece(text, is_learnt=any(low <= a < high for low, high in learnt))


def _between(whole: str, opening: str, closing: str) -> list[Span]:
    return [match.span() for match in re.finditer(f"{opening}.*?{closing}", whole, re.DOTALL)]


def _without(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    for low, high in holes:
        spans = [
            part
            for a, b in spans
            for part in ((a, min(b, low)), (max(a, high), b))
            if part[0] < part[1] and (part[1] <= low or part[0] >= high)
        ]
    return list(spans)


def _framed(text: str) -> str:
    """The text between marks that stand inside its outer blanks, which templates strip."""
    core = text.strip()
    head = text[: len(text) - len(text.lstrip())]
    return f"{head}{THOUGHT}{core}{THOUGHT_END}{text[len(head) + len(core) :]}" if core else text


def _calls(text: str) -> object:
    """Tool calls as templates expect them: parsed, and so are arguments that are JSON in a string."""
    try:
        calls: object = json.loads(text)
    except ValueError as error:
        raise SpecError(f"tool calls that are not JSON: {text[:60]!r} ({error})") from error
    for call in cast(list[dict[str, object]], calls if isinstance(calls, list) else []):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            try:
                function["arguments"] = json.loads(function["arguments"])
            except ValueError:
                continue  # not JSON: the template sees the text
    return calls


def _control_names(path: Path) -> list[str]:
    if not path.is_dir() and path.suffix == ".gguf":
        return control_names(open_gguf(path))
    plain = _json(path / "tokenizer.json" if path.is_dir() else path)
    unknown = cast(Mapping[str, object], plain.get("model") or {}).get("unk_token")
    added = cast(list[dict[str, object]], plain.get("added_tokens") or [])
    return [str(token["content"]) for token in added if token.get("special") and token["content"] != unknown]


def _json(path: Path) -> dict[str, object]:
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds no JSON object")
    return cast(dict[str, object], found)
