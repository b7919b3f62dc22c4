"""The parameters of a study's function as options of the command line.

In: a study's name and what stands behind it, `--amounts 30K 100K --limit 20`. Out: the Study, or a list of its options:
each keyword of the function is one, its type is the annotation's, its help the line `name: ...` of the docstring.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast, get_args, get_origin, get_type_hints

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
    recipe = _recipe(name)
    helps = _helps(recipe)
    lines = [f"Options of {name}:"]
    for parameter in inspect.signature(recipe).parameters.values():
        option = f"--{parameter.name.replace('_', '-')}"
        needed = parameter.default is inspect.Parameter.empty
        default = parameter.default
        shown = " ".join(map(str, cast(tuple[object, ...], default))) if isinstance(default, tuple) else default
        lines.append(f"  {option:<20} {helps.get(parameter.name, '')} {'[needed]' if needed else f'[{shown}]'}")
    return "\n".join(lines)


def _recipe(name: str) -> Callable[..., object]:
    if not name or name.startswith("-"):
        raise SpecError(f"name a study. {described('')}")
    if name in OWN_COMMAND:
        raise SpecError(f"the study {name!r} has a command of its own: epigone {name}")
    return discover.recipe(name)


def _helps(recipe: Callable[..., object]) -> dict[str, str]:
    found = _LINE.findall(inspect.getdoc(recipe) or "")
    return {option: " ".join(text.split()) for option, text in found}


def _read(name: str, recipe: Callable[..., object], given: Mapping[str, list[str]]) -> dict[str, object]:
    parameters = inspect.signature(recipe).parameters
    hints = get_type_hints(recipe)
    if unknown := next((option for option in given if option not in parameters), None):
        raise SpecError(f"{name} has no option --{unknown.replace('_', '-')}; it has: {_listed(parameters)}")
    needed = {key: p for key, p in parameters.items() if p.default is inspect.Parameter.empty and key not in given}
    if needed:
        raise SpecError(f"{name} needs {_listed(needed)}; epigone study {name} --help says what they are")
    return {option: _value(f"--{option.replace('_', '-')}", hints[option], values) for option, values in given.items()}


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _value(option: str, hint: object, values: Sequence[str]) -> object:
    if get_origin(hint) is not None and get_args(hint)[:1] == (str,):
        if not values:
            raise SpecError(f"{option} wants one value or more")
        return tuple(values)
    if hint is bool:
        return not values or _one(option, values, lambda text: {"true": True, "false": False}[text], "true or false")
    kinds = {int: "a whole number", float: "a number", str: "a text"}
    kind = next((each for each in kinds if each in (hint, *get_args(hint))), str)
    return _one(option, values, kind, kinds[kind])


def _one(option: str, values: Sequence[str], read: Callable[[str], object], wanted: str) -> object:
    if len(values) != 1:
        raise SpecError(f"{option} wants one value, {wanted}; got {len(values)}: {' '.join(values)}")
    try:
        return read(values[0])
    except (ValueError, KeyError) as error:
        raise SpecError(f"{option} is {wanted}, not {values[0]!r}") from error
