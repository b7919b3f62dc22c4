"""`describe` and `categorise` on made-up datasets: whole, tiny, hostile, sorted by persons and models."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from epigone.commands.describe import Wanted, dataset_of, run_describe, stage_of
from epigone.datasets import write_dataset
from epigone.errors import DataError, SpecError, WorkError
from epigone.metrics.categories import CATEGORIES, LONGEST, prompt_of
from epigone.records import Conversation, Drop, Message
from epigone.rows import prompt_id_of
from epigone.spec import Artifact, Component, Input
from epigone.stages.categorise import Categorise
from epigone.stages.describe import Describe
from epigone.store import Store, write_json, write_records

HOSTILE = "<script>document.title='broken'</script>\"'&amp; {{ 7 * 7 }} </pre>"


def talks(num: int, *, first: int = 0) -> list[Conversation]:
    subjects = ("ship", "sea", "house", "tree", "river", "bridge", "tower")
    return [
        Conversation(
            f"c{n}",
            (
                Message("user", f"Write a poem about the {subjects[n % 7]} number {n} and the {subjects[n % 5]}."),
                Message("assistant", f"The {subjects[n % 7]} stands. " * (n % 9 + 1)),
            ),
            f"file-{n % 2}.json",
        )
        for n in range(first, first + num)
    ]


def dataset(
    root: Path, name: str, conversations: Sequence[Conversation], drops: Sequence[Drop] = (), **summary: object
) -> Artifact:
    """A datasets artifact as a curation leaves it."""
    folder = root / "datasets" / f"{name}--0000000{len(name) % 10}"
    write_dataset(folder / "records.parquet", conversations)
    write_records(folder / "dropped.jsonl", drops)
    counts = {"num_read": len(conversations) + len(drops), "num_kept": len(conversations)}
    write_json(folder / "summary.json", counts | summary)
    write_json(folder / "DONE", {"files": {}})
    return Artifact(f"datasets/{folder.name}")


def described(root: Path, source: Artifact, other: Artifact | None = None, **options) -> dict:
    folder = Store(root).build(Describe(source, other, **options))
    return json.loads((folder / "description.json").read_text())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pair(root: Path) -> tuple[Artifact, Artifact]:
    drops = [Drop("x", "duplicate query", "same as c1", "duplicates"), Drop("y", "not a row")]
    return dataset(root, "before", talks(300), drops), dataset(root, "after", talks(260))


def test_two_datasets_side_by_side(root: Path, pair: tuple[Artifact, Artifact]) -> None:
    found = described(root, *pair)
    before, after = found["datasets"]
    assert (before["name"], before["num_conversations"], after["num_conversations"]) == ("before", 300, 260)
    assert before["num_words"] == sum(len(m.content.split()) for c in talks(300) for m in c.messages)
    assert before["sources"] == {"file-0.json": 150, "file-1.json": 150} and before["languages"] == {"en": 300}
    assert next(iter(before["openings"]["2"].items())) == ("write a", 300)
    assert found["equal_num_queries"] == 260
    for one in (before, after):
        assert [(c["smoothing"], c["tokenize"], c["queries"]) for c in one["diversity"]] == [
            ("exp", "13a", "first queries"), ("none", "13a", "first queries"),
        ]  # fmt: skip
    numbers = [[p["num_queries"] for p in one["diversity"][0]["points"]] for one in (before, after)]
    assert numbers == [[250, 260, 300], [250, 260]]
    assert before["ledger"] == {
        "num_read": 302, "num_kept": 300, "num_dropped": 2, "adds_up": True,
        "dropped": [{"rule": "", "reason": "not a row", "num": 1},
                    {"rule": "duplicates", "reason": "duplicate query", "num": 1}],
    }  # fmt: skip
    assert set(found["missing"]) == {"categories"} and "tokens" not in found["datasets"][0]["roles"]["user"]
    assert len(set(before["sample"]) & set(after["sample"])) > 30  # the part of the sample that was kept


def test_the_same_again_is_equal_to_the_byte(tmp_path: Path, root: Path) -> None:
    stage = Describe(dataset(root, "again", talks(30)), seed=3, smoothings=("exp",))
    for name in ("one", "two"):
        stage.run(lambda source: root / source.id, tmp_path / name)
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in tmp_path.iterdir()]
    assert files[0] == files[1]
    names = {str(p) for p in files[0]}
    assert {"report.html", "description.json", "categorise.html", "figures/lengths.svg", "figures/lengths.csv",
            "figures/diversity.svg", "tables/ledger.csv"} <= names  # fmt: skip


def test_every_name_of_the_json_stands_in_the_documents(root: Path, pair: tuple[Artifact, Artifact]) -> None:
    found = described(root, *pair)
    text = (Path(__file__).parents[2] / "docs/how-to/describe.md").read_text().replace("```", "")
    explained = {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", code)}
    one = found["datasets"][0]
    point = one["diversity"][0]["points"][0]
    names = {*found, *one, *one["lengths"]["turns"], *one["traits"], *one["roles"]["user"], *one["ledger"]}
    assert len(names) > 50
    assert sorted((names | {*one["diversity"][0], *point, *point["mean"]}) - explained) == []


TINY = {
    "one conversation": [Conversation("a", (Message("user", "Hi"), Message("assistant", "Hello")))],
    "no answers": [Conversation("a", (Message("user", "Hi"),)), Conversation("b", (Message("user", "Ho"),))],
    "no queries": [Conversation("a", (Message("assistant", "Hello"),))],
    "empty": [Conversation("a", ())],
    "nothing": [],
    "long": [Conversation("a", (Message("user", "long word " * 20_000), Message("assistant", "x" * 200_000)))],
    "other scripts": [
        Conversation("a", (Message("user", "اكتب قصيدة عن البحر والسفينة القديمة"), Message("assistant", "نعم"))),
        Conversation("b", (Message("user", "请写一首关于大海的诗，要有一艘旧船。" * 9), Message("assistant", "好"))),
    ],
    "hostile": [Conversation(HOSTILE, (Message("user", HOSTILE), Message("assistant", HOSTILE)), HOSTILE)] * 2,
}


@pytest.mark.parametrize("name", TINY)
def test_tiny_and_strange_datasets_have_a_page(tmp_path: Path, name: str) -> None:
    source = dataset(tmp_path, "strange", TINY[name])
    folder = Store(tmp_path).build(Describe(source, num_sampled=5))
    found = json.loads((folder / "description.json").read_text())["datasets"][0]
    assert found["num_conversations"] == len(TINY[name])
    page = (folder / "report.html").read_text()
    assert "<script>document" not in page and "{{ 7" not in page.replace("{{ 7 * 7 }}", "")
    if name == "hostile":
        assert "&lt;script&gt;document.title" in page and "{{ 7 * 7 }}" in page
        sorting = (folder / "categorise.html").read_text()
        data = re.search(r'<script type="application/json" id="data">(.*?)</script>', sorting, re.DOTALL)
        assert data and json.loads(data[1])["queries"][0]["text"] == HOSTILE
        assert found["diversity"][1]["points"][0]["identical"] == 1.0
    if name == "other scripts":
        assert found["languages"] == {"ar": 1, "zh": 1}
    assert (folder / "categorise.html").exists() == any(m.role == "user" for c in TINY[name] for m in c.messages)


def test_samples_are_cut_as_in_figure_6(tmp_path: Path) -> None:
    turns = tuple(Message(role, "word " * 300) for _ in range(3) for role in ("user", "assistant"))
    folder = Store(tmp_path).build(Describe(dataset(tmp_path, "long", [Conversation("a", turns)])))
    page = (folder / "report.html").read_text()
    assert page.count("<b>User:</b>") == page.count("<b>GPT:</b>") == 2
    assert page.count("word ....") == 4 and ".... and 2 more messages" in page


def labels_file(path: Path, rows: Sequence[dict[str, str]]) -> Input:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Input(str(path))


def test_labels_of_a_person_and_a_model_meet(tmp_path: Path) -> None:
    source = dataset(tmp_path, "sorted", talks(8))
    texts = [c.messages[0].content for c in talks(8)]
    replies = {prompt_of(prompt_id_of(t), t).messages[0].content: "Generation" for t in texts[:6]}
    replies[prompt_of("", texts[6]).messages[0].content] = "It might be Chat or Coding."
    model = Component.of("backends", "canned", replies=replies, default="Chat")
    ours = Categorise(source, model, "canned")
    store = Store(tmp_path)
    folder = store.build(ours)
    [missing] = [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]
    assert missing["id"] == prompt_id_of(texts[6]) and missing["detail"] == "It might be Chat or Coding."
    person = [{"query_id": prompt_id_of(t), "category": "Generation", "rater": "Ann"} for t in texts]
    person += [{"query_id": "p000", "category": "Chat", "rater": "Ann"}]
    found = described(
        tmp_path,
        source,
        labels=(labels_file(tmp_path / "l.jsonl", person),),
        categorised=(Artifact(store.resolver.id(ours)),),
    )
    categories = found["datasets"][0]["categories"]
    assert (categories["canned"]["num_sampled"], categories["canned"]["num_labelled"]) == (8, 7)
    assert categories["canned"]["counts"] == dict.fromkeys(CATEGORIES, 0) | {"Generation": 6, "Chat": 1}
    assert categories["Ann"]["shares"]["Generation"]["value"] == 1.0
    [agreement] = found["agreement"]
    assert agreement["raters"] == ["canned", "Ann"] and agreement["num_queries"] == 7
    assert agreement["same"]["value"] == pytest.approx(6 / 7, abs=1e-6) and agreement["kappa"]["value"] == 0.0
    assert found["num_unmatched_labels"] == 1 and "categories" not in found["missing"]


def test_a_model_that_names_no_category_is_refused(tmp_path: Path) -> None:
    stage = Categorise(
        dataset(tmp_path, "d", talks(3)), Component.of("backends", "canned", default="Certainly!"), "fake"
    )
    with pytest.raises(WorkError, match=r"fake: none of 3 replies names one of Generation.*'Certainly!'"):
        Store(tmp_path).build(stage)


def test_a_long_query_is_cut_for_the_model() -> None:
    text = prompt_of("q", "x" * 9000).messages[0].content
    assert text.count("x" * LONGEST) == 1 and "x ....\n</query>" in text and all(name in text for name in CATEGORIES)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query_id": "p1", "category": "Poetry"}, r"row 1: 'Poetry' is no category; allowed: Generation, General QA"),
        ({"category": "Chat"}, r"row 1 needs the strings query_id and rater; it has: category"),
        ({"query_id": "p1", "category": "Chat", "rater": " "}, r"row 1 needs the strings query_id and rater"),
    ],
)
def test_a_label_that_is_none_is_named(tmp_path: Path, row: dict[str, str], message: str) -> None:
    stage = Describe(dataset(tmp_path, "d", talks(3)), labels=(labels_file(tmp_path / "l.jsonl", [row]),))
    with pytest.raises(DataError, match=message):
        Store(tmp_path).build(stage)


def test_datasets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = dataset(tmp_path, "d", talks(4)), dataset(tmp_path, "d", talks(3))
    (tmp_path / one.id).rename(tmp_path / "datasets/d--ffffffff")
    two = dataset(tmp_path, "d", talks(3))
    found = described(tmp_path, Artifact("datasets/d--ffffffff"), two)
    assert [d["name"] for d in found["datasets"]] == ["d (ffffffff)", "d (00000001)"]


def test_a_ledger_that_does_not_add_up_is_told(tmp_path: Path) -> None:
    source = dataset(tmp_path, "d", talks(4), num_read=9)
    folder = Store(tmp_path).build(Describe(source))
    assert json.loads((folder / "description.json").read_text())["datasets"][0]["ledger"]["adds_up"] is False
    assert "The ledger of d does not add up." in (folder / "report.html").read_text()
    bare = dataset(tmp_path, "bare", talks(4), num_read=None)
    assert "ledger" in described(tmp_path, bare)["missing"]


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    source = dataset(tmp_path / "runs", "d", talks(3))
    folder, root = tmp_path / "runs" / source.id, tmp_path / "runs"
    assert dataset_of(folder, root) == dataset_of(Path(source.id), root) == source
    with pytest.raises(SpecError, match=rf"does not lie under the root .*give --root {root}"):
        dataset_of(folder, tmp_path / "elsewhere")
    with pytest.raises(SpecError, match=r"is no dataset .*records.parquet"):
        dataset_of(tmp_path, root)
    wanted = Wanted(folder)
    for change, message in (
        ({"other": folder}, "given twice"),
        ({"queries": "last"}, "--queries is first or all, not 'last'"),
        ({"smoothing": ["add-k"]}, "none, exp or floor, not 'add-k'"),
        ({"sample": 0}, "--sample is at least 1"),
        ({"tokenizer": tmp_path / "no.json"}, "there is no file"),
        ({"ask": "nothing-here"}, "--ask nothing-here: give a checkpoint, MODEL@URL"),
    ):
        with pytest.raises(SpecError, match=message):
            stage_of(replace(wanted, **change), root)


def test_what_a_model_that_sorts_is_called(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text("")
    root = tmp_path / "runs"
    wanted = Wanted(root / dataset(root, "d", talks(3)).id)
    for ask, name in (
        (f"replay:path={file},sample=1", "answers.jsonl"),
        ("canned:default=Chat", "canned"),
        ("gpt-4o@https://api.openai.com/v1", "gpt-4o"),
    ):
        (categorised,) = stage_of(replace(wanted, ask=ask), root).categorised
        assert categorised.rater == name


def test_the_command_asks_a_model_and_shows_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "runs"
    one, two = dataset(root, "one", talks(12)), dataset(root, "three", talks(9))
    wanted = Wanted(root / one.id, root / two.id, ask="canned:default=Chat", sample=6, smoothing=["none"])
    found = run_describe(wanted, root, num_workers=1, quiet=False)
    assert Path(str(found["report"])).exists() and Path(str(found["sorting_page"])).exists()
    datasets = found["datasets"]
    assert isinstance(datasets, list)
    assert [d["categories"]["canned"]["num_labelled"] for d in datasets] == [6, 6]
    told = capsys.readouterr().err
    assert "mean top-1 BLEU, 13a, none, N = 9" in told and "conversations" in told


def test_a_tokenizer_counts_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    made = tokenizers.Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()  # cuts off punctuation, which words between blanks do not
    made.save(str(file))
    texts = [m.content for c in talks(300) for m in c.messages]
    found = described(tmp_path, dataset(tmp_path, "d", talks(300)), tokenizer=Input(str(file)))
    assert found["tokenizer"] == "tokenizer.json"
    assert found["datasets"][0]["num_tokens"] == sum(len(re.findall(r"\w+|[^\w\s]+", text)) for text in texts)
    assert found["datasets"][0]["num_words"] < found["datasets"][0]["num_tokens"]


def test_the_command_line_prints_one_object(tmp_path: Path) -> None:
    source = dataset(tmp_path / "runs", "d", talks(3))
    command = [sys.executable, "-m", "epigone", "describe", source.id, "--root", str(tmp_path / "runs"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["datasets"][0]["num_conversations"] == 3 and done.stderr == ""
    done = subprocess.run([*command[:4], "nowhere", *command[5:]], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stdout == "" and "nowhere is no dataset" in done.stderr
