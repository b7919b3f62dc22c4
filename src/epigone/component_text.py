"""A component as people write it on the command line: `NAME`, `NAME:option=value,option=value` or `NAME:VALUE`.

In: a folder of components and such a text. Out: the Component, its options checked against the fields it has.
"""

import dataclasses
import json
from pathlib import Path

from epigone import discover
from epigone.spec import Component, Input


def component(folder: str, text: str, *, first: str = "") -> Component:
    """The component with its options. Raises SpecError with what there is.

    A value is JSON or plain text; several values of one option are joined by +; FOLDER/NAME is a component. With
    `first`, a value without an option's name is that of this option, and a value that is a file or folder is read by
    content: it becomes an Input.
    """
    name, _, rest = text.partition(":")
    fields = {f.name: str(f.type) for f in dataclasses.fields(discover.find(folder, name)) if f.init}
    options: dict[str, object] = {}
    for pair in filter(None, [rest] if first and "=" not in rest else rest.split(",")):
        option, _, value = pair.partition("=") if "=" in pair or not first else (first, "=", pair)
        several = fields.get(option, "").startswith("tuple")
        options[option] = tuple(map(_value, value.split("+"))) if several else _value(value, files=bool(first))
    return Component.of(folder, name, **options)


def _value(text: str, *, files: bool = False) -> object:
    folder, slash, name = text.partition("/")
    if slash and folder in ("toxicity", "backends") and name:
        return Component.of(folder, name)
    if files and Path(text).exists():
        return Input(text)
    try:
        return json.loads(text)
    except ValueError:
        return text
