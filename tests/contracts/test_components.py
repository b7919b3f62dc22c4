"""Every component of every folder, found by its file: one documented frozen dataclass that fits its Protocol."""

import ast
import dataclasses
import gzip
import importlib
import inspect
import re

import pytest

from epigone import discover, interfaces
from epigone.backends.canned import Canned
from epigone.errors import DataError
from epigone.records import Document, Drop
from epigone.training.treatment import Treatment

PROTOCOLS = {
    "backends": interfaces.LanguageModel,
    "benchmarks": interfaces.Benchmark,
    "curation": interfaces.Filter,
    "formats": interfaces.Format,
    "judges": interfaces.Judge,
    "prompts": interfaces.PromptGenerator,
    "recordings.answers": interfaces.AnswerFormat,
    "recordings.judgments": interfaces.JudgmentFormat,
    "recordings.scores": interfaces.ScoreFormat,
    "toxicity": interfaces.ToxicityScorer,
    "stages": interfaces.StageSpec,
    "tokens.templates": interfaces.ChatTemplate,
    "training.treatments": Treatment,
}
ASKED = interfaces.AskedJudge
"""Of a judge that is a language model, which says what to ask and reads the replies."""
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
    protocol = ASKED if folder == "judges" and hasattr(cls, "questions") else PROTOCOLS[folder]
    for name, wanted in members(protocol).items():
        assert hasattr(cls, name), f"{cls.__name__} lacks {name}"
        if inspect.isfunction(wanted):
            assert list(inspect.signature(getattr(cls, name)).parameters) == list(inspect.signature(wanted).parameters)
        elif isinstance(wanted, property):
            is_field = name in {field.name for field in dataclasses.fields(cls)}
            assert is_field or isinstance(inspect.getattr_static(cls, name), property)


def test_every_field_is_documented(component: tuple[str, type]) -> None:
    _, cls = component
    assert undocumented(cls) == []


def test_names_its_source(component: tuple[str, type]) -> None:
    folder, cls = component
    module = inspect.getmodule(cls)
    assert module and module.__doc__ and cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(")
    if folder in ("benchmarks", "curation", "formats", "toxicity", "judges", "prompts") or folder.startswith(
        ("recordings.", "tokens.", "training.")
    ):
        assert re.search(r"Sources?:|https?://|arXiv", module.__doc__), "say where the component comes from"


@pytest.mark.parametrize("name", discover.names("formats"))
def test_every_format_reads_a_file_and_keeps_a_ledger(name: str, tmp_path) -> None:
    """A row of a strange shape comes back as a Drop, one a row; nothing vanishes. What holds no rows is refused."""
    path = tmp_path / "strange.jsonl"
    path.write_text('{"id": "a", "strange": 1}\n\n{"id": "b"}\n')
    component = discover.make("formats", name, {})
    assert not component.fits(path)
    if name in ("dataset", "discord", "parquet", "super_natural_instructions"):  # one object, one table, one folder
        with pytest.raises(DataError, match=re.escape(str(path))):
            list(component.read(path))
    elif name == "plain_text":
        assert [row.text for row in component.read(path)] == path.read_text().strip().split("\n\n")
    else:
        found = list(component.read(path))
        assert [type(row) for row in found] == [Drop, Drop]
        assert [row.id for row in found] in (["a", "b"], ["strange-1", "strange-2"])


@pytest.mark.parametrize("name", discover.names("formats"))
def test_fits_never_raises(name: str, tmp_path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"[" * 9_999)[:-9])
    component = discover.make("formats", name, {})
    assert [component.fits(tmp_path / file) for file in ("empty", "noise", "cut.gz", "none", ".")] == [False] * 5


@pytest.mark.parametrize("name", [name for name in discover.names("prompts") if name != "from_template"])
def test_every_generator_stops_where_nothing_new_comes(name: str) -> None:
    """A model that writes nothing of use: all of it is told as malformed, the stop rule ends it, twice the same."""
    model, rounds = Canned(default="No."), interfaces.Rounds(50, 2, patience=2)
    grown = discover.make("prompts", name, {}).grow(model, rounds, None)
    assert grown.kept == () and grown.ended == "the yield fell"
    assert grown.rounds == ((2, 0), (2, 0)) and [drop.filter for drop in grown.dropped] == ["parser"] * 4
    assert discover.make("prompts", name, {}).grow(model, rounds, None) == grown


def test_two_formats_give_documents(tmp_path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "a", "text": "Paris ."}\n')
    assert list(discover.make("formats", "documents", {}).read(path)) == [Document("a", "Paris .")]
    path = tmp_path / "corpus.txt"
    path.write_text("Paris .")
    assert list(discover.make("formats", "plain_text", {}).read(path)) == [Document("corpus-1", "Paris .")]


def test_the_checks_can_fail() -> None:
    assert bare_fields('class A:\n    told: int = 0\n    """Yes."""\n    bare: int = 0\n', "") == ["bare"]
    assert set(members(interfaces.LikelihoodModel)) == {"generate", "loglikelihood"}
    assert set(members(interfaces.Benchmark)) == {"protocol", "items", "run"}
