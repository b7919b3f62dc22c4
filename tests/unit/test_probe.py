"""The probe of contamination: variants keep what is right, and tell who knows letters from who knows answers."""

import json
from collections import Counter
from pathlib import Path

import pytest

from epigone.commands.probe import Wanted, run_probe, stage_of
from epigone.errors import SpecError, WorkError
from epigone.metrics.item_variants import paraphrased, shuffled
from epigone.records import Item
from epigone.rows.choices import read_split, write_items
from epigone.spec import Component, Input
from epigone.stages.compare_items import CompareItems, Variant
from epigone.stages.evaluate import Evaluate
from epigone.stages.vary_items import VaryItems
from epigone.store import Store


def mmlu(data_root: Path) -> list[Item]:
    return [item for items in read_split(data_root / "mmlu" / "data" / "test", "test").values() for item in items]


def test_shuffled_items_have_the_same_options_and_the_right_one_elsewhere(data_root: Path) -> None:
    items, moved, places, pointing = mmlu(data_root), 0, Counter(), set()
    for item in items:
        other = shuffled(item, 3)
        assert other == shuffled(item, 3)
        if isinstance(other, str):
            pointing.add(item.id)
            continue
        moved += 1
        assert sorted(other.options) == sorted(item.options) and other.id == item.id and other.question == item.question
        assert other.options[other.label] == item.options[item.label] and other.label != item.label
        places[other.label] += 1
    phrases = ("all of the above", "none of the above", "both a and b", "neither a nor b")
    plain = {item.id for item in items if any(o.lower().strip(" .") in phrases for o in item.options)}
    assert plain <= pointing and len(pointing) < 1.3 * len(plain)
    assert min(places.values()) > 0.2 * moved  # no letter is favoured
    assert [shuffled(i, 3) for i in items[:50]] != [shuffled(i, 4) for i in items[:50]]


@pytest.mark.parametrize(
    "option",
    ["All of the above", "None of these", "Both A and B", "A and C only", "(B) or (C)", "neither of the above"],
)
def test_options_that_point_at_others_are_not_moved(option: str) -> None:
    assert isinstance(shuffled(Item("i", "?", options=("one", "two", "three", option), label=0), 0), str)


def test_an_option_that_merely_has_such_words_is_moved() -> None:
    options = ("vitamin A and iron", "Above All Else", "the law of all gases", "all other colours")
    assert isinstance(shuffled(Item("i", "?", options=options, label=0), 0), Item)


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        ("QUESTION: Of 12 eggs, 3.5 are gone; how many stay?", None),
        ("Sure.\n**Question:** Of 12 eggs, 3.5 are gone; how many stay?", None),
        ("Of 12 eggs, 3.5 are gone.", "no question in the reply"),
        ("QUESTION:   ", "no question in the reply"),
        ("QUESTION: how many of the 12 eggs are left without 3.5?!", "the same words"),
        ("QUESTION: Of a dozen eggs, 3.5 are gone; how many stay?", "other numbers"),
        ("QUESTION: 12 3.5", "far shorter or longer"),
    ],
)
def test_other_words_are_read(reply: str, wanted: str | None) -> None:
    item = Item("i", "How many of the 12 eggs are left without 3.5?", options=("1", "2", "3", "4"), label=1)
    found = paraphrased(item, reply)
    if wanted:
        assert found == wanted
    else:
        assert found.question == "Of 12 eggs, 3.5 are gone; how many stay?" and found.options == item.options


def test_written_items_keep_their_ids(tmp_path: Path, data_root: Path) -> None:
    items = mmlu(data_root)[5:900:7]
    write_items(tmp_path / "test.parquet", items)
    found = [item for group in read_split(tmp_path, "test").values() for item in group]
    assert (
        found == items == [item for group in read_split(tmp_path / "test.parquet", "test").values() for item in group]
    )


def probed(data_root: Path, root: Path, way: str, **options: object) -> dict:
    """The command's own stages with a model out of this folder."""
    folder = data_root / "mmlu" / "data"
    benchmark = (
        f"mmlu:test_folder={folder / 'test'},dev_folder={folder / 'dev'},scoring=generated,chat=true,num_shots=0"
    )
    stage = stage_of(Wanted(benchmark, "replay:x", limit=300, **options))
    model = Component.of("backends", "probe_models:Answering", path=Input(str(folder / "test")), way=way)

    def again(scores: Evaluate) -> Evaluate:
        return Evaluate(model, scores.benchmark, scores.name)

    words = VaryItems(
        Input(str(folder / "test")), "paraphrased", Component.of("backends", "probe_models:Rewording"), 300
    )
    asked = dict(stage.published.benchmark.options) | {"test_folder": Input("test.parquet", words)}
    said = Evaluate(model, Component.of("benchmarks", "mmlu", **asked), "said")
    variants = [Variant(v.name, again(v.scores), v.is_paired) for v in stage.variants]
    compared = CompareItems(again(stage.published), (*variants, Variant("paraphrased", said)))
    store = Store(root)
    for each in (words, *(s for v in (compared.published, *(v.scores for v in variants)) for s in made_from(v)), said):
        store.build(each)
    store.build(compared)
    return json.loads((store.path(compared) / "probe.json").read_text())


def made_from(scores: Evaluate) -> list:
    items = dict(scores.benchmark.options)["test_folder"]
    return [*([items.of] if items.of else []), scores]


def test_who_knows_letters_falls_and_who_knows_answers_does_not(data_root: Path, tmp_path: Path) -> None:
    letters = probed(data_root, tmp_path / "letters", "letter")
    assert letters["published"]["value"] == 1.0 and letters["published"]["n"] == 300
    moved, said = letters["variants"]
    assert moved["accuracy"]["value"] == 0.0 and moved["difference"]["value"] == -1.0 and moved["p"] < 1e-9
    assert moved["accuracy"]["n"] + moved["num_unpaired"] == 300 and moved["num_won"] == 0
    assert said["accuracy"]["value"] == 0.0 and 0 < said["num_unpaired"] < 300  # who said nothing is missing, not wrong
    newer = str(data_root / "mmlu" / "data" / "dev" / "anatomy_dev.csv")
    answers = probed(data_root, tmp_path / "answers", "option", after_cutoff=newer)
    assert [
        (v["accuracy"]["value"], v["difference"]["value"], v["p"]) for v in answers["variants"] if v["is_paired"]
    ] == [
        (1.0, 0.0, 1.0),
        (1.0, 0.0, 1.0),
    ]
    (other,) = [v for v in answers["variants"] if not v["is_paired"]]
    assert other["p"] is None and other["accuracy"]["n"] == 5 and other["accuracy"]["value"] < 1


def test_scores_that_differ_in_more_than_items_are_refused(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "mmlu" / "data"
    items, store = VaryItems(Input(str(folder / "test")), "as_published", limit=20), Store(tmp_path)
    store.build(items)
    model = Component.of("backends", "probe_models:Answering", path=Input(str(folder / "test")))

    def scores(**options: object) -> Evaluate:
        asked = {
            "scoring": "generated",
            "chat": True,
            "num_shots": 0,
            "dev_folder": Input(str(folder / "dev")),
        } | options
        made = Component.of("benchmarks", "mmlu", test_folder=Input("test.parquet", items), **asked)
        return Evaluate(model, made, f"s{len(options)}")

    one, other = scores(), scores(form="lm_eval", max_tokens=9)
    store.build(one)
    store.build(other)
    with pytest.raises(SpecError, match="differ from those of the published items in option form, option max_tokens"):
        store.build(CompareItems(one, (Variant("other", other),)))


def test_the_command_and_what_it_refuses(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "mmlu" / "data"
    benchmark = (
        f"mmlu:test_folder={folder / 'test'},dev_folder={folder / 'dev'},scoring=generated,chat=true,num_shots=0"
    )
    replies = tmp_path / "replies.jsonl"
    rows = [{"prompt_id": item.id, "text": "B", "finish_reason": "stop"} for item in mmlu(data_root)]
    replies.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = run_probe(Wanted(benchmark, f"replay:{replies}", limit=200), tmp_path / "runs", quiet=True)
    (moved,) = found["variants"]  # whoever always says B is right where B is
    assert 0 < found["published"]["value"] < 0.5 and found["published"]["n"] == 200
    assert moved["num_lost"] == round(moved["accuracy_as_published"]["value"] * moved["accuracy"]["n"])
    assert moved["num_won"] == round(moved["accuracy"]["value"] * moved["accuracy"]["n"])
    with pytest.raises(SpecError, match="multiple choice with its files"):
        run_probe(Wanted("natural_questions:path=x", "replay:x"), tmp_path / "runs", quiet=True)
    with pytest.raises(SpecError, match="--after-cutoff: there is no nowhere"):
        run_probe(Wanted(benchmark, f"replay:{replies}", after_cutoff="nowhere"), tmp_path / "runs", quiet=True)
    with pytest.raises(SpecError, match="give one for paraphrased"):
        VaryItems(Input("x"), "paraphrased")


def test_a_paraphraser_that_says_nothing_stops_the_stage(tmp_path: Path) -> None:
    write_items(tmp_path / "test.parquet", [Item("i", "Which?", options=("1", "2", "3", "4"), label=0, group="g")])
    stage = VaryItems(Input(str(tmp_path)), "paraphrased", Component.of("backends", "probe_models:Rewording"))
    with pytest.raises(WorkError, match="not one of 1 items has a variant, the first since: no question"):
        stage.run(lambda source: Path(source.path), tmp_path / "out")
