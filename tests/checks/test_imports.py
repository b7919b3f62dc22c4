"""Importing is free: no module works at import, needs an environment variable, opens a socket or starts a device."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from source import modules

IMPORT_EACH_FIRST = """
import importlib, socket, sys

def closed(*args, **kwargs):
    raise OSError("a module opened a socket while it was imported")

socket.socket.connect = socket.socket.bind = socket.create_connection = socket.getaddrinfo = closed
for name in sys.argv[1:]:
    for loaded in [module for module in sys.modules if module.split(".")[0] == "epigone"]:
        del sys.modules[loaded]
    importlib.import_module(name)
bridge = sys.modules.get("jax._src.xla_bridge")
assert not (bridge and bridge.backends_are_initialized()), "a module started a JAX device while it was imported"
"""

HELP = """
import sys
from epigone.cli.app import main
sys.argv = ["epigone", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({"jax", "jaxlib", "optax", "scipy", "polars", "altair"} & set(sys.modules))
assert "epigone.cli.app" in sys.modules and not heavy, f"--help loaded {heavy}"
"""


ONE_BY_ONE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    found = sorted({"epigone.imitation_grid", "epigone.study_plan"} & set(sys.modules))
    assert not found, f"{name} loads {found}, and with it every stage there is"
"""


def dotted(name: str) -> str:
    return ".".join(["epigone", *Path(name).with_suffix("").parts]).removesuffix(".__init__")


def run(program: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter with an empty environment and an empty working folder."""
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, env={}, cwd=folder, capture_output=True, text=True, timeout=300)


def test_every_module_imports_first(tmp_path: Path) -> None:
    done = run(IMPORT_EACH_FIRST, *map(dotted, modules()), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    done = run(HELP, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "study" in done.stdout


def test_only_study_loads_every_stage(tmp_path: Path) -> None:
    commands = [dotted(name) for name in modules() if name.startswith("commands/") and "/study" not in name]
    done = run(ONE_BY_ONE, *commands, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(commands) > 20


@pytest.mark.parametrize("module", modules())
def test_no_work_at_import(module: str) -> None:
    """The top level of a module defines; it neither loops nor calls for effect."""
    working = (ast.For, ast.While, ast.With, ast.AsyncFor, ast.AsyncWith, ast.Delete, ast.AugAssign)
    for statement in modules()[module].body:
        called = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
        if called and ast.unparse(statement).partition("(")[0].endswith(".defvjp"):
            continue  # the second half of a definition, by JAX's way of writing it
        assert not called and not isinstance(statement, working), f"line {statement.lineno} works at import"
