"""Finds components by name: the file name is the registration.

`find("benchmarks", "mmlu")` imports `epigone.benchmarks.mmlu` and returns its one frozen dataclass; a name with a colon
(`my_pkg.my_module:MyBench`) is a component outside the package.
"""

import dataclasses
import difflib
import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

import epigone
from epigone.errors import SpecError


def names(folder: str) -> list[str]:
    """The components of a folder, by file name, sorted."""
    package = importlib.import_module(f"epigone.{folder}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and not m.ispkg)


def find(folder: str, name: str) -> type:
    """The component class `name` of `folder`. Raises SpecError with what there is."""
    return _outside(name) if ":" in name else component_of(_module(folder, name))


def recipe(name: str, folder: str = "studies") -> Callable[..., object]:
    """The function of `FOLDER/NAME.py` that bears its name. Raises SpecError with what there is."""
    return getattr(_module(folder, name), name)


def load(module: str) -> ModuleType:
    """A module on first use, so that whoever names it starts without what it needs."""
    return importlib.import_module(module)


def _module(folder: str, name: str) -> ModuleType:
    known = names(folder)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise SpecError(f"there is no {name!r} among {folder}: {', '.join(known)}.{hint}")
    return importlib.import_module(f"{epigone.__name__}.{folder}.{name}")


def component_of(module: ModuleType) -> type:
    """The public dataclass that a component file defines: the one that bears its name, where there are several."""
    found = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    ]
    name = module.__name__.rpartition(".")[2].replace("_", "")
    named = [value for value in found if value.__name__.lower() == name] or found
    if len(named) != 1:
        raise SpecError(f"{module.__name__} must define one public dataclass, or one that bears its name")
    return named[0]


def make(folder: str, name: str, options: dict[str, object]) -> object:
    """An instance of a component with its options. Raises SpecError for an unknown option."""
    cls = find(folder, name)
    allowed = [f.name for f in dataclasses.fields(cls) if f.init]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise SpecError(f"{folder}/{name} has no option {unknown[0]!r}; it has: {', '.join(allowed) or 'none'}")
    try:
        return cls(**options)
    except TypeError as error:
        raise SpecError(f"{folder}/{name}: {error}") from error


def _outside(name: str) -> type:
    module_name, _, class_name = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise SpecError(f"cannot load component {name!r}: {error}; write it as my_pkg.my_module:MyClass") from error
