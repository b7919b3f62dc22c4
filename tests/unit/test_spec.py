"""Specs: ids follow from what shapes an artifact, and a wrong spec is answered with what was allowed."""

import json
from pathlib import Path

import pytest

from epigone.errors import SpecError
from epigone.interfaces import StageSpec
from epigone.spec import Component, Input, Resolver, in_order, read_stage
from epigone.stages.curate import Curate
from epigone.stages.simulate import Simulate
from epigone.stages.tokenize import Tokenize
from epigone.studies import testbed as recipe

_ALL = in_order([recipe.testbed(scale="small", seeds=1).report], Resolver())
STAGES = list(
    {(type(s), getattr(s, "start", None) is None, getattr(s, "replay", None) is None): s for s in _ALL}.values()
)
WORLD = Simulate(num_tokens=1000, broad_tokens=500)
CORPUS = Tokenize(Input("corpus.jsonl", WORLD), Input("tokenizer.json", WORLD), name="corpus")


def test_equal_specs_have_equal_ids_and_any_change_changes_them() -> None:
    resolver = Resolver()
    again = Tokenize(
        Input("corpus.jsonl", Simulate(num_tokens=1000, broad_tokens=500)),
        Input("tokenizer.json", WORLD),
        name="corpus",
    )
    other_input = Tokenize(
        Input("corpus.jsonl", Simulate(num_tokens=1001)), Input("tokenizer.json", WORLD), name="corpus"
    )
    other_option = Tokenize(Input("corpus.jsonl", WORLD), Input("tokenizer.json", WORLD), name="corpus", seed=1)
    assert resolver.id(CORPUS) == Resolver().id(again)
    assert len({resolver.id(s) for s in (CORPUS, other_input, other_option)}) == 3


def test_the_version_of_a_stage_is_part_of_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Resolver().id(WORLD)
    monkeypatch.setattr(Simulate, "version", 2)
    assert Resolver().id(WORLD) != before


def test_a_file_outside_is_known_by_its_bytes(tmp_path: Path) -> None:
    dump = tmp_path / "dump.json"
    spec = Curate(Input(str(dump)), Component.of("formats", "sharegpt"))
    dump.write_text("[]")
    before = Resolver().id(spec)
    dump.write_text("[ ]")
    assert Resolver().id(spec) != before
    dump.unlink()
    with pytest.raises(SpecError, match="cannot read input"):
        Resolver().id(spec)


def test_inputs_come_before_their_readers_and_each_once() -> None:
    stages = in_order([CORPUS, Tokenize(Input("corpus.jsonl", WORLD), Input("tokenizer.json", WORLD))], Resolver())
    assert stages[0] == WORLD
    assert len(stages) == 3


def write(tmp_path: Path, plain: object) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(plain))
    return path


def test_a_resolved_spec_reads_back_to_the_same_id(tmp_path: Path) -> None:
    resolved = Resolver().resolve(CORPUS)
    spec = read_stage(write(tmp_path, resolved), "tokenize")
    assert Resolver().id(spec) == Resolver().id(CORPUS)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.slug)
def test_every_stage_of_a_study_reads_back_from_its_artifacts_spec(tmp_path: Path, stage: StageSpec) -> None:
    resolver = Resolver()
    resolved = resolver.resolve(stage)
    again = read_stage(write(tmp_path, resolved), str(resolved["stage"]))
    assert Resolver().resolve(again) == resolved
    assert again.effort == stage.effort and again.slug == stage.slug


@pytest.mark.parametrize(
    ("verb", "plain", "message"),
    [
        ("simulate", {"num_token": 5}, "no field 'num_token'; it has: num_tokens"),
        ("simulate", {"num_tokens": "many"}, "'many' is a str; allowed: int"),
        ("simulat", {}, "Did you mean 'simulate'"),
        ("tokenize", {"source": {"file": "x"}}, "missing"),
        (
            "curate",
            {"source": {"file": "x"}, "format": {"folder": "formats", "name": "sharegtp"}},
            "Did you mean 'sharegpt'",
        ),
        (
            "curate",
            {"source": {"file": "x"}, "format": {"folder": "formats", "name": "sharegpt", "options": [["a", 1]]}},
            "no option 'a'",
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_the_way_out(tmp_path: Path, verb: str, plain: object, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        read_stage(write(tmp_path, plain), verb)
    assert caught.value.exit_code == 2


def test_a_spec_file_that_is_no_json_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"num_tokens": 1,\n oops}')
    with pytest.raises(SpecError, match="line 2"):
        read_stage(path, "simulate")
