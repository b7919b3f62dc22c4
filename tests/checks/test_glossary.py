"""One word an idea: the words that GLOSSARY.md replaces occur nowhere, neither in prose nor inside identifiers."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from source import ROOT, modules

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOREIGN = ROOT / "src" / "epigone" / "recordings"  # spells the fields of others' files as those files do
SOURCES = [path for path in sorted(ROOT.glob("src/**/*.py")) if not path.is_relative_to(FOREIGN)]
TEXTS = [path for path in [*DOCUMENTS, *SOURCES] if path.name != "GLOSSARY.md"]

NAME_PART = {"process ": "^process .", "do ": "^do .", "common": "^common$"}


@cache
def replaced() -> tuple[dict[str, str], dict[str, str]]:
    """Replaced word -> the word to use, for all texts and for names alone (the section "In names")."""
    everywhere, in_names = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8").split("\n## In names\n")
    return _table(everywhere), _table(in_names)


def _table(text: str) -> dict[str, str]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {plain(word): row[0] for row in rows for word in re.findall(r"`([^`]+)`", row[2])}


def plain(text: str) -> str:
    """Identifiers and prose as one string of lower-case words: BaseLM, base_lm and base-LM are "base lm"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return re.sub(r"[\s_-]+", " ", apart).lower()


def names(tree: ast.Module) -> Iterator[str]:
    """Every name that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_the_glossary_is_read() -> None:
    everywhere, in_names = replaced()
    assert everywhere["base lm"] == "base model" and in_names["secs"] == "`x_seconds`"
    assert [plain(text) for text in ("BaseLM", "base_lm", "the base-LM")] == ["base lm", "base lm", "the base lm"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_are_the_glossarys(path: Path) -> None:
    text = plain(path.read_text(encoding="utf-8"))
    assert {old: new for old, new in replaced()[0].items() if re.search(rf"\b{re.escape(old)}s?\b", text)} == {}


def hollow(name: str) -> bool:
    """Whether a name carries a part that the section "In names" rules out."""
    return any(re.search(NAME_PART.get(old, rf"\b{old}\b"), plain(name)) for old in replaced()[1])


def test_hollow_names_are_known() -> None:
    assert all(map(hollow, ("do_work", "process_rows", "common", "RetryHandler", "n_layers", "wait_secs", "rng_key")))
    assert not any(map(hollow, ("process", "common_amount", "what_to_do", "num_layers", "wait_seconds", "key")))


@pytest.mark.parametrize("module", modules())
def test_names_say_something(module: str) -> None:
    assert [name for name in [*Path(module).with_suffix("").parts, *names(modules()[module])] if hollow(name)] == []
