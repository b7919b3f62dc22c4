"""What the templates of fixed form share: system messages folded or refused, and refusals that name the ways out.

In: the messages of a conversation. Out: the same, as a template of users and assistants can write them.
Source: the paper, section 4.1, whose template knows users and assistants alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args, get_origin, get_type_hints

from epigone.errors import SpecError
from epigone.records import Message

System = Literal["refuse", "fold"]
"""What becomes of a system message: an error, or the head of the user's next message."""
Reasoning = Literal["refuse", "leave_out"]
"""What becomes of reasoning where a template has no place for it."""


def sayable(
    messages: Sequence[Message], roles: Sequence[str], *, system: System = "refuse", reasoning: Reasoning | None = None
) -> list[Message]:
    """The messages as a template with these roles can write them; reasoning None: the template has a place for it.

    Raises SpecError for a role that it has not, for tool calls, and for reasoning that is to be refused.
    """
    told = _folded(messages) if system == "fold" else list(messages)
    for message in told:
        if message.role not in roles:
            raise SpecError(_no_role(message.role, roles))
        if message.tool_calls or message.tool_call_id:
            raise SpecError(
                "this template cannot say tool calls; take the template `jinja` with the model's own chat template, or "
                "leave such conversations out when the data is curated"
            )
        if message.reasoning and reasoning == "refuse":
            raise SpecError(
                "this template has no place for reasoning; leave it out (option reasoning: leave_out), or take the "
                "template `chatml`, or `jinja` with the model's own chat template"
            )
    return told


def check_options(template: object) -> None:
    """Raise SpecError for an option of a template that is not among what its annotation allows."""
    for name, hint in get_type_hints(type(template)).items():
        allowed = get_args(hint) if get_origin(hint) is Literal else ()
        if allowed and getattr(template, name) not in allowed:
            raise SpecError(f"{name} {getattr(template, name)!r} is not among {', '.join(map(str, allowed))}")


def check_asks(messages: Sequence[Message]) -> None:
    """Raise SpecError unless a user speaks last."""
    if not messages or messages[-1].role != "user":
        last = messages[-1].role if messages else "nobody"
        raise SpecError(f"a prompt ends with a message of the user, this one with one of {last}")


def _folded(messages: Sequence[Message]) -> list[Message]:
    """Every system message at the head of the user's next one, a blank line between them."""
    told: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message.role == "system":
            waiting.append(message.content.strip())
            continue
        if waiting and message.role == "user":
            message = replace(message, content="\n\n".join([*waiting, message.content]))
            waiting = []
        told.append(message)
    if waiting:
        raise SpecError("a system message stands where no user speaks after it; leave this conversation out")
    return told


def _no_role(role: str, roles: Sequence[str]) -> str:
    said = f"this template has no role {role!r}; it has: {', '.join(roles)}. "
    if role == "system":
        return said + (
            "Put the text of a system message at the head of the user's first message (option system: fold does so), "
            "or take the template `chatml` or `jinja`"
        )
    return said + "Take the template `jinja` with a chat template that has it, or leave such conversations out"
