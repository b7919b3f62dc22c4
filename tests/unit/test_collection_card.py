"""The card of a collection: what it tells, what it keeps to itself, and that it reaches the student's card."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from epigone.errors import ArtifactError
from epigone.reporting.collection_card import card_of, cards_of, carry_cards, own_card, write_card
from epigone.reporting.model_card import CardFacts, model_card
from epigone.reporting.provenance import lineage, warnings
from epigone.spec import Artifact, Component, Input
from epigone.stages.collect import Collect
from epigone.stages.curate import Curate
from epigone.stages.mix import Mix, Part
from epigone.store import Store
from epigone.studies.testbed import TEACHER

NOWHERE = Store(Path("runs"))
FORBIDDING = "Replies may be read by anyone. They must not be used to train or develop other models."


def card(**changes):
    teacher = Component(
        "backends", "replay", (("api_key_env", "SECRET"), ("model", "m-1"), ("path", Input("/home/me/a.jsonl")))
    )
    told = {"parameters": {"temperature": 1.0}, "prompts": "p.jsonl", "num_prompts": 1200, "num_answers": 1190}
    return replace(card_of(teacher, "m-1", NOWHERE.path, days=("2026-01-02", "2026-01-03"), **told), **changes)


def test_a_card_tells_and_keeps_to_itself(tmp_path):
    write_card(tmp_path, card(terms=FORBIDDING))
    assert cards_of(tmp_path) == [], "whatever lies in a folder that is no artifact"
    (tmp_path / "DONE").touch()
    text = (tmp_path / "README.md").read_text()
    for said in (
        "# Answers of m-1",
        "- asked through: backend=backends/replay, model=m-1, path=a.jsonl",
        "- asked on: 2026-01-02 to 2026-01-03",
        "- replies drawn by: temperature=1.0",
        "- counts: 1,200 prompts, 1,190 answers",
        "- **warning: these terms forbid training**",
    ):
        assert said in text, said
    assert "/home" not in text + (tmp_path / "card.json").read_text() and "SECRET" not in text
    assert own_card(tmp_path) == card(terms=FORBIDDING, id=f"{tmp_path.parent.name}/{tmp_path.name}")
    assert own_card(tmp_path / "nowhere") is None
    (tmp_path / "card.json").write_text('{"teacher": 1, "strange": 2}')
    with pytest.raises(ArtifactError, match="is not a CollectionCard"):
        own_card(tmp_path)
    (tmp_path / "cards.json").write_text('{"a": 1}')
    (tmp_path / "card.json").unlink()
    with pytest.raises(ArtifactError, match="holds no cards"):
        cards_of(tmp_path)


def test_addresses_lose_their_user_and_their_query(tmp_path):
    server = Component("backends", "canned", (("url", "https://me:pw@api.example.org/v1?key=abc"),))
    found = card_of(server, "t", NOWHERE.path, parameters={}, prompts="p", num_prompts=1, num_answers=1)
    assert found.options == {"url": "https://api.example.org/v1"} and found.first_day
    teacher = Component("backends", TEACHER)
    simulated = card_of(teacher, "t", NOWHERE.path, parameters={}, prompts="p", num_prompts=1, num_answers=1)
    assert (simulated.first_day, simulated.last_day) == ("", "")


@pytest.mark.parametrize(
    ("terms", "forbids"),
    [
        ("", False),
        (FORBIDDING, True),
        ("You may not use output to develop models that compete with us", True),
        ("Training other models on outputs is prohibited.", True),
        ("You agree that output isn't used for fine-tuning.", True),
        ("Output cannot be used for distillation", True),
        ("Apache-2.0", False),
        ("The terms do not forbid training", False),
        ("Train whatever you like. You may not sue us.", False),
        ("Outputs may be used to train models, with no restriction", False),
    ],
)
def test_terms_that_forbid_training(terms, forbids):
    assert card(terms=terms).forbids_training == forbids


@pytest.fixture
def collected(tmp_path):
    """A root, and the stage of a collection in it."""
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"Name river {n}."}]} for n in range(4)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    teacher = Component.of("backends", "canned", default="The Rhine.")
    return tmp_path, Collect(teacher, Input(str(tmp_path / "prompts.jsonl")), name="t-1", terms=FORBIDDING)


def facts(folder):
    return CardFacts("s", "b", "apache-2.0", lineage([folder]), {}, [], {}, "{{ messages }}")


def test_options_of_any_kind_are_told_in_short(collected):
    tmp_path, collect = collected
    path, store = tmp_path / "prompts.jsonl", Store(tmp_path / "runs")
    built = store.build(collect)
    of = f"{built.parent.name}/{built.name}"
    options = {"a": collect, "b": Input("r.jsonl", collect), "c": Artifact("x/y--1"), "d": (1, Input(str(path)))}
    options |= {"e": str(path), "f": Input(".", Artifact("x/y--1"))}
    teacher = Component("backends", "canned", tuple(options.items()))
    found = card_of(teacher, "t", store.path, parameters={"seeds": path}, prompts="p", num_prompts=1, num_answers=1)
    told = {"a": of, "b": f"{of}/r.jsonl", "c": "x/y--1", "d": "1+prompts.jsonl", "e": "prompts.jsonl", "f": "x/y--1"}
    assert (found.options, found.parameters) == (told, {"seeds": "prompts.jsonl"})
    named = replace(teacher, options=(("a", Artifact(of)),))  # as a stage's file holds what another stage makes
    again = card_of(named, "t", store.path, parameters={}, prompts="p", num_prompts=1, num_answers=1)
    assert again.options["a"] == found.options["a"]


def test_it_comes_along_to_the_students_card(collected):
    tmp_path, collect = collected
    store = Store(tmp_path / "runs")
    responses = store.build(collect)
    curated = Curate(Input("sharegpt.json", collect), Component.of("formats", "messages"))
    curated = replace(curated, format=Component.of("formats", "sharegpt"))
    mixed = Mix((Part("a", curated), Part("b", replace(curated, name="again"))), name="mixed")
    for stage in (curated, mixed.parts[1].dataset):
        store.build(stage)
    folder = store.build(mixed)
    name = store.resolver.id(collect)
    assert [each.id for each in cards_of(folder)] == [name], "one card, however many ways it came"
    text = model_card(facts(folder))
    assert f"## Collections\n\n### `{name}`" in text and "asked on: 20" in text and FORBIDDING in text
    terms = text.partition("\n## Terms\n")[2]
    assert f"- {name}: the terms as given forbid training; terms as given: {FORBIDDING}" in terms
    with_folder = warnings(lineage([folder]), "apache-2.0")
    shutil.rmtree(responses)
    assert f"### `{name}`" in model_card(facts(folder))
    assert set(warnings(lineage([folder]), "apache-2.0")) == set(with_folder), "without the collection's folder, too"


def test_a_file_of_a_collection_that_is_read_by_its_path_tells_too(collected):
    tmp_path, collect = collected
    store = Store(tmp_path / "runs")
    path = store.build(collect) / "sharegpt.json"
    elsewhere = Store(tmp_path / "elsewhere")
    folder = elsewhere.build(Curate(Input(str(path)), Component.of("formats", "sharegpt")))
    assert [each.teacher for each in cards_of(folder)] == ["t-1"]
    assert any(each.teacher == "t-1" for each in lineage([folder]))


def test_what_is_free_by_its_terms_is_no_warning(collected):
    tmp_path, collect = collected
    store = Store(tmp_path / "runs")
    free = replace(collect, terms="Apache-2.0", name="smol")
    assert warnings(lineage([store.build(free)]), "apache-2.0") == []
    unknown = store.build(replace(collect, terms="", name="smol"))
    assert [text.partition(": ")[2] for text in warnings(lineage([unknown]), "mit")] == [
        "terms of the data are not known"
    ]
    known = store.build(replace(free, name="gpt-4"))
    assert ["OpenAI's terms forbid" in text for text in warnings(lineage([known]), "mit")] == [True]
    address = store.build(replace(free, terms="https://openai.com/policies"))
    assert ["OpenAI's terms forbid" in text for text in warnings(lineage([address]), "mit")] == [True]


def test_nothing_is_written_where_nobody_was_asked(tmp_path):
    carry_cards([tmp_path], tmp_path)
    assert list(tmp_path.iterdir()) == []
