"""No document goes stale: every code block runs, or is at least a command that exists; every link leads somewhere.

make lines are run dry (`make -n`). epigone lines are run with --help in place of what follows the verb, and the options
that the line uses must stand in that help. python blocks are run. json blocks are parsed. text blocks are not code.
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from source import PACKAGE, ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = [
    pytest.param(language, block, id=f"{path.relative_to(ROOT)}:{number}")
    for path in DOCUMENTS
    for number, (language, block) in enumerate(
        re.findall(r"```(\w*)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    )
]


def make_line(words: list[str]) -> None:
    done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def epigone_line(words: list[str]) -> None:
    command = [
        sys.executable,
        "-c",
        "from epigone.cli.app import main; main()",
        *words[1 : 3 if words[1] == "study" else 2],
        "--help",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    missing = [word for word in words if word.startswith("--") and word.split("=")[0] not in done.stdout]
    assert missing == [], done.stdout


COMMANDS = {"make": make_line, "epigone": epigone_line}


@pytest.mark.parametrize(("language", "block"), BLOCKS)
def test_block(language: str, block: str, tmp_path: Path) -> None:
    if language == "bash":
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                COMMANDS[words[0].removeprefix(".venv/bin/")](words)
    elif language == "json":
        json.loads(block)
    elif language == "python":
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        assert language == "text", "name the block's language: bash, python, json, or text for what is no code"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    assert [t for t in targets if "://" not in t and not (path.parent / t).exists()] == []


def test_the_tree_in_the_architecture_is_the_tree() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = re.search(r"```text\nsrc/epigone/\n(.*?)```", text, re.DOTALL)
    assert tree, "ARCHITECTURE.md has no tree"
    listed = {line.split()[0].rstrip("/") for line in tree[1].splitlines() if re.match(r"  \S", line)}
    assert listed == {path.name for path in PACKAGE.iterdir() if not path.name.startswith("_")}
