"""A component as people write it on the command line: `NAME`, `NAME:option=value,option=value` or `NAME:VALUE`.

In: a folder of components and such a text. Out: the Component, its options checked against the fields it has. A model
may also be named by where it is: a checkpoint's folder or .gguf file, `hf://OWNER/NAME` on the model hub, `MODEL@URL`
behind a server.
"""

import dataclasses
import json
from pathlib import Path

from epigone import discover
from epigone.errors import SpecError
from epigone.gguf_file import find_gguf
from epigone.spec import Artifact, Component, Input

SERVERS = ("http://", "https://")
HUB = "hf://"
NESTED = {"toxicity": "", "backends": "path"}
"""Folders whose components may be an option's value, FOLDER/NAME or FOLDER/NAME:VALUE, and what VALUE is then."""


def component(folder: str, text: str, *, first: str = "") -> Component:
    """The component with its options. Raises SpecError with what there is.

    A value is JSON or plain text; several values of one option are joined by +; FOLDER/NAME and FOLDER/NAME:VALUE are
    components. With `first`, a value without an option's name is that of this option, and a value that is a file or
    folder is read by content: it becomes an Input. One outside the package is `my_pkg.my_module:MyBench`, and its
    options stand behind one more colon.
    """
    name, _, rest = text.partition(":")
    if "." in name and rest:
        cls, _, rest = rest.partition(":")
        name = f"{name}:{cls}"
    fields = {f.name: str(f.type) for f in dataclasses.fields(discover.find(folder, name)) if f.init}
    options: dict[str, object] = {}
    for pair in filter(None, [rest] if first and "=" not in rest else rest.split(",")):
        option, _, value = pair.partition("=") if "=" in pair or not first else (first, "=", pair)
        several = fields.get(option, "").startswith("tuple")
        options[option] = tuple(map(_value, value.split("+"))) if several else _value(value, files=bool(first))
    return Component.of(folder, name, **options)


def backend_of(text: str, model: str = "") -> Component | None:
    """Who answers: a checkpoint by its place, a model behind a server, or a backend as people write it; None: neither.

    `model` names the model where the text is a server's address alone. Raises SpecError for what cannot be asked.
    """
    before, at, after = text.partition("@")
    url = after if at and after.startswith(SERVERS) and "/" not in before else text if text.startswith(SERVERS) else ""
    if url:
        if not (named := before if url == after else model):
            raise SpecError(f"which model of {url}? Write MODEL@{url}; its address followed by /models lists them")
        made = Component.of("backends", "openai", url=url, model=named)
        discover.make("backends", "openai", dict(made.options))  # an address that is none is told before anything runs
        return made
    if text.startswith(HUB):
        return Component.of("backends", "checkpoint", path=text)
    path = Path(text)
    if path.suffix == ".gguf" or (path / "config.json").is_file() or (path.is_dir() and find_gguf(path)):
        return Component.of("backends", "checkpoint", path=Input(text)) if path.exists() else None
    if path.exists() or text.partition(":")[0] not in discover.names("backends"):
        return None
    return component("backends", text, first="path")


def artifact_under(path: Path, root: Path) -> Artifact | None:
    """The artifact that a folder is, if it is a finished one of this root: RUNS/KIND/NAME--HASH."""
    folder = path.resolve()
    if not (folder / "DONE").is_file() or folder.parent.parent != root.resolve():
        return None
    return Artifact(f"{folder.parent.name}/{folder.name}")


def artifact_of(path: Path, root: Path) -> Artifact:
    """The same, or SpecError where it lies under another root."""
    if (found := artifact_under(path, root)) is None:
        raise SpecError(f"{path} does not lie under the root {root}; give --root {path.resolve().parent.parent}")
    return found


def _value(text: str, *, files: bool = False) -> object:
    folder, slash, name = text.partition("/")
    if slash and folder in NESTED and name:
        return component(folder, name, first=NESTED[folder])
    if files and Path(text).exists():
        return Input(text)
    try:
        return json.loads(text)
    except ValueError:
        return text
