"""The package's own source, parsed once: what the checks of this folder read."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "epigone"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its path below the package, parsed."""
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"), str(path))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def num_lines(name: str) -> int:
    """Lines of a module."""
    return len((PACKAGE / name).read_text(encoding="utf-8").splitlines())


def functions(tree: ast.AST) -> list[Function]:
    """Every function and method of a tree, nested ones too."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]
