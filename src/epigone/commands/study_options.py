"""The parameters of a study's function as options of the command line.

In: a study's name and what stands behind it, `--amounts 30K 100K --limit 20`. Out: the Study, or a list of its options:
each keyword of the function is one, its type is the annotation's, its help the line `name: ...` of the docstring. A
keyword whose default is a dataclass stands for the dataclass's fields, whose defaults are those of that value.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, get_args, get_origin, get_type_hints

from epigone import discover
from epigone.errors import SpecError
from epigone.study import Study

OWN_COMMAND = ("audit",)
"""Studies that have a command of their own."""
_LINE = re.compile(r"^\s*(\w+): (.*(?:\n\s+(?!\w+: ).+)*)", re.MULTILINE)


def made(name: str, arguments: Sequence[str]) -> Study:
    """The study with these options. Raises SpecError naming the option, its value, and what there is."""
    recipe = _recipe(name)
    given: dict[str, list[str]] = {}
    option = ""
    for argument in arguments:
        if argument.startswith("--"):
            option, equals, value = argument[2:].partition("=")
            option = option.replace("-", "_")
            given.setdefault(option, []).extend([value] if equals else [])
        elif option:
            given[option].append(argument)
        else:
            raise SpecError(f"{name}: what is {argument!r}? Options are written --NAME VALUE")
    study = recipe(**_read(name, recipe, given))
    assert isinstance(study, Study)
    return study


def described(name: str) -> str:
    """The studies there are; with a name, its options with default and help. Raises SpecError."""
    if not name or name.startswith("-"):
        known = [each for each in discover.names("studies") if each not in OWN_COMMAND]
        return f"Studies: {', '.join(known)}. epigone study NAME --help tells the options of one."
    lines = [f"Options of {name}:"]
    for key, option in _options(_recipe(name)).items():
        shown = " ".join(map(str, option.default)) if isinstance(option.default, tuple) else option.default
        told = "[needed]" if option.default is inspect.Parameter.empty else f"[{shown}]"
        lines.append(f"  {_dashed(key):<20} {option.help} {told}")
    return "\n".join(lines)


class _Option(NamedTuple):
    """One option; `group` is the keyword of whose value it is a field, empty for a keyword of the function."""

    hint: object
    default: object
    help: str
    group: str = ""


def _options(recipe: Callable[..., object]) -> dict[str, _Option]:
    found: dict[str, _Option] = {}
    helps, hints = _helps(recipe), get_type_hints(recipe)
    for key, parameter in inspect.signature(recipe).parameters.items():
        if (default := parameter.default) is not inspect.Parameter.empty and dataclasses.is_dataclass(default):
            kind = type(default)
            own, fields = _helps(kind), get_type_hints(kind)
            for field in dataclasses.fields(default):
                value = getattr(default, field.name)
                found[field.name] = _Option(fields[field.name], value, own.get(field.name, ""), key)
        else:
            found[key] = _Option(hints[key], default, helps.get(key, ""))
    return found


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _recipe(name: str) -> Callable[..., object]:
    if not name or name.startswith("-"):
        raise SpecError(f"name a study. {described('')}")
    if name in OWN_COMMAND:
        raise SpecError(f"the study {name!r} has a command of its own: epigone {name}")
    return discover.recipe(name)


def _helps(documented: object) -> dict[str, str]:
    found = _LINE.findall(inspect.getdoc(documented) or "")
    return {option: " ".join(text.split()) for option, text in found}


def _read(name: str, recipe: Callable[..., object], given: Mapping[str, list[str]]) -> dict[str, object]:
    options = _options(recipe)
    if unknown := next((option for option in given if option not in options), None):
        raise SpecError(f"{name} has no option {_dashed(unknown)}; it has: {_listed(options)}")
    needed = [key for key, o in options.items() if o.default is inspect.Parameter.empty and key not in given]
    if needed:
        raise SpecError(f"{name} needs {_listed(needed)}; epigone study {name} --help says what they are")
    values = {key: _value(_dashed(key), options[key].hint, texts) for key, texts in given.items()}
    found: dict[str, object] = {key: value for key, value in values.items() if not options[key].group}
    for group in {options[key].group for key in values} - {""}:
        default = inspect.signature(recipe).parameters[group].default
        own = {key: value for key, value in values.items() if options[key].group == group}
        found[group] = dataclasses.replace(default, **own)
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_dashed, names))


def _value(option: str, hint: object, values: Sequence[str]) -> object:
    if get_origin(hint) is not None and get_args(hint)[:1] == (str,):
        if not values:
            raise SpecError(f"{option} wants one value or more")
        return tuple(values)
    if hint is bool:
        return not values or _one(option, values, lambda text: {"true": True, "false": False}[text], "true or false")
    kinds = {float: "a number", int: "a whole number", str: "a text"}
    kind = next((each for each in kinds if each in (hint, *get_args(hint))), str)
    return _one(option, values, kind, kinds[kind])


def _one(option: str, values: Sequence[str], read: Callable[[str], object], wanted: str) -> object:
    if len(values) != 1:
        raise SpecError(f"{option} wants one value, {wanted}; got {len(values)}: {' '.join(values)}")
    try:
        return read(values[0])
    except (ValueError, KeyError) as error:
        raise SpecError(f"{option} is {wanted}, not {values[0]!r}") from error
