"""Every component of every folder, found by its file: one documented frozen dataclass that fits its Protocol."""

import ast
import importlib
import inspect
import re

import pytest

from epigone import discover, interfaces
from epigone.records import Document, Drop

PROTOCOLS = {
    "backends": interfaces.LanguageModel,
    "benchmarks": interfaces.Benchmark,
    "curation": interfaces.Filter,
    "formats": interfaces.Format,
    "judges": interfaces.Judge,
    "recordings.answers": interfaces.AnswerFormat,
    "recordings.judgments": interfaces.JudgmentFormat,
    "recordings.scores": interfaces.ScoreFormat,
    "toxicity": interfaces.ToxicityScorer,
    "stages": interfaces.StageSpec,
    "tokens.templates": interfaces.ChatTemplate,
}
COMPONENTS = [(folder, name) for folder in PROTOCOLS for name in discover.names(folder)]


@pytest.fixture(params=COMPONENTS, ids=lambda pair: "/".join(pair))
def component(request: pytest.FixtureRequest) -> tuple[str, type]:
    folder, name = request.param
    return folder, discover.find(folder, name)


def members(protocol: type) -> dict[str, object]:
    """The public methods and properties of a Protocol, and its annotated fields."""
    found: dict[str, object] = {}
    for cls in reversed(protocol.__mro__):
        if getattr(cls, "_is_protocol", False):
            found |= {k: v for k, v in vars(cls).items() if not k.startswith("_")}
            found |= {k: None for k in vars(cls).get("__annotations__", {})}
    return found


def undocumented(cls: type) -> list[str]:
    """Fields with neither a string below, nor a comment beside or above, nor their name in the class's docstring."""
    return bare_fields(inspect.getsource(cls), cls.__doc__ or "")


def bare_fields(source: str, docstring: str) -> list[str]:
    lines = source.splitlines()
    body = ast.parse(source).body[0].body  # pyright: ignore[reportAttributeAccessIssue]
    bare = []
    for here, after in zip(body, [*body[1:], None]):
        if not isinstance(here, ast.AnnAssign) or "ClassVar" in ast.unparse(here.annotation):
            continue
        below = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        comment = "#" in lines[here.end_lineno - 1] or lines[here.lineno - 2].strip().startswith("#")
        if not below and not comment and not re.search(rf"\b{here.target.id}\b", docstring):
            bare.append(here.target.id)
    return bare


def test_folders_have_components() -> None:
    assert {folder for folder, _ in COMPONENTS} >= {"benchmarks", "curation", "formats", "toxicity"}


def test_one_frozen_dataclass(component: tuple[str, type]) -> None:
    _, cls = component
    assert cls.__dataclass_params__.frozen, f"{cls.__name__} must be frozen: its fields are its options"
    assert discover.component_of(importlib.import_module(cls.__module__)) is cls


def test_fits_the_protocol(component: tuple[str, type]) -> None:
    """Same members, same parameter names in the same order: isinstance alone would only look for the names."""
    folder, cls = component
    for name, wanted in members(PROTOCOLS[folder]).items():
        assert hasattr(cls, name), f"{cls.__name__} lacks {name}"
        if inspect.isfunction(wanted):
            assert list(inspect.signature(getattr(cls, name)).parameters) == list(inspect.signature(wanted).parameters)
        elif isinstance(wanted, property):
            assert isinstance(inspect.getattr_static(cls, name), property)


def test_every_field_is_documented(component: tuple[str, type]) -> None:
    _, cls = component
    assert undocumented(cls) == []


def test_names_its_source(component: tuple[str, type]) -> None:
    folder, cls = component
    module = inspect.getmodule(cls)
    assert module and module.__doc__ and cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(")
    if folder in ("benchmarks", "curation", "formats", "toxicity", "judges") or folder.startswith(
        ("recordings.", "tokens.")
    ):
        assert re.search(r"Sources?:|https?://|arXiv", module.__doc__), "say where the component comes from"


@pytest.mark.parametrize("name", discover.names("formats"))
def test_every_format_reads_a_file_and_keeps_a_ledger(name: str, tmp_path) -> None:
    """A row of a strange shape comes back as a Drop, one a row; nothing vanishes."""
    path = tmp_path / "strange.jsonl"
    path.write_text('{"id": "a", "strange": 1}\n\n{"id": "b"}\n')
    found = list(discover.make("formats", name, {}).read(path))
    assert [(type(row), row.id) for row in found] == [(Drop, "a"), (Drop, "b")]


def test_documents_are_the_one_format_without_conversations(tmp_path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "a", "text": "Paris ."}\n')
    assert list(discover.make("formats", "documents", {}).read(path)) == [Document("a", "Paris .")]


def test_the_checks_can_fail() -> None:
    assert bare_fields('class A:\n    told: int = 0\n    """Yes."""\n    bare: int = 0\n', "") == ["bare"]
    assert set(members(interfaces.LikelihoodModel)) == {"generate", "loglikelihood"}
    assert set(members(interfaces.Benchmark)) == {"protocol", "items", "run"}
