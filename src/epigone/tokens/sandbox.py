"""Chat templates of others, compiled in a sandbox: code from outside that writes text and does nothing else.

In: a Jinja template. Out: a function of its variables. Settings, filters and globals are those that chat templates are
written for; the generation tag puts marks around what it encloses. Nothing of a message is more than plain JSON.
Source: https://huggingface.co/docs/transformers/chat_templating_writing,
https://jinja.palletsprojects.com/en/stable/sandbox.
"""

import datetime
import json
from collections.abc import Callable
from typing import NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.utils
from jinja2.sandbox import ImmutableSandboxedEnvironment

from epigone.errors import SpecError

GUARD, LEARNT, LEARNT_END, THOUGHT, THOUGHT_END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"
MARKS = frozenset((GUARD, LEARNT, LEARNT_END, THOUGHT, THOUGHT_END))
"""Characters that Unicode keeps for uses inside a program: no text may hold one."""

Render = Callable[..., str]


class _Generation(jinja2.ext.Extension):
    """`{% generation %} ... {% endgeneration %}`: what the assistant writes, put between two marks."""

    tags = {"generation"}  # noqa: RUF012 (as jinja2 declares it)

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller: jinja2.runtime.Macro) -> str:
        return f"{LEARNT}{caller()}{LEARNT_END}"


class _Namespace(jinja2.utils.Namespace):
    """Refuses names with an underscore in front, through which Python's inside could be reached."""

    def __setitem__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a chat template may not set {name!r}")
        super().__setitem__(name, value)


def compiled(source: str, where: str, date: str) -> Render:
    """The template as a function of its variables.

    `date` (2024-07-26, or 2024-07-26T12:00) is what `strftime_now` says. Raises SpecError where the template is
    broken, and, when it renders, for what it forbids, what the sandbox forbids, and a date that is not given.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: _moment(date, where).strftime(form),
        "dict": lambda *pairs, **entries: dict(*pairs, **entries),
        "namespace": _namespace,
    }
    try:
        template = environment.from_string(source)
    except jinja2.TemplateError as error:
        raise SpecError(f"{where}: not a chat template: {error}") from error

    def render(**variables: object) -> str:
        try:
            return template.render(**variables)
        except (jinja2.TemplateError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SpecError(f"{where}: the chat template refuses: {error}") from error

    return render


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _namespace(*pairs: object, **entries: object) -> _Namespace:
    for name in entries:
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a chat template may not set {name!r}")
    return _Namespace(*pairs, **entries)


def _moment(date: str, where: str) -> datetime.datetime:
    if not date:
        raise SpecError(
            f"{where}: the chat template writes today's date, and blocks must not hang on the day they are made: give "
            "the template's option date, e.g. 2024-07-26"
        )
    try:
        return datetime.datetime.fromisoformat(date)
    except ValueError as error:
        raise SpecError(f"date {date!r} is no date; write it as 2024-07-26") from error
