"""Every format on published files: the right one is found by content, and the ledger is what plain `json` counts."""

import csv
import hashlib
import json
import re
import zlib
from collections import Counter
from pathlib import Path

import pytest

from epigone import discover
from epigone.errors import DataError
from epigone.formats import fitting, sniff
from epigone.records import Conversation, Document, Drop

FITS = {
    "sharegpt": ["sharegpt/*.json", "sharegpt/*.json.gz"],
    "hc3": ["hc3/*.jsonl", "hc3/*.csv"],
    "discord": ["discord/*.json"],
    "alpaca": ["alpaca_eval/example_outputs.json", "alpaca_eval/results/*/model_outputs.json", "alpaca_farm/*.json"],
    "self_instruct": ["self_instruct/*.jsonl", "self_instruct/predictions/*.jsonl"],
    "fastchat": ["fastchat_llm_judge/dummy_conversation.json"],
    "plain_text": ["*.md", "*/*.md", "*/LICENSE", "pretrain_text/*.txt", "pretrain_text/*/*"],
}


def read(path: Path, name: str, **options: object) -> tuple[list[Conversation | Document], list[Drop], Counter[str]]:
    notes: Counter[str] = Counter()
    rows = list(discover.make("formats", name, options).read(path, notes))
    return [r for r in rows if not isinstance(r, Drop)], [r for r in rows if isinstance(r, Drop)], notes


def reasons(drops: list[Drop]) -> dict[str, int]:
    return dict(Counter(drop.reason for drop in drops))


def objects(path: Path) -> list[dict]:
    text = path.read_text()
    return json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]


def test_exactly_the_right_format_fits_every_file(data_root: Path) -> None:
    """Also that nothing fits what is no dump: questions, reviews, ratings, tests."""
    expected: dict[Path, list[str]] = {path: [] for path in data_root.rglob("*") if path.is_file()}
    for name, patterns in FITS.items():
        for pattern in patterns:
            for path in data_root.glob(pattern):
                if path.is_file():
                    expected[path].append(name)
    assert sum(map(len, expected.values())) > 40
    assert {path: fitting(path) for path in expected} == expected


def test_what_nothing_fits_is_named(data_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in no format that is known \(alpaca, .*begins with .*koala_0.*--format NAME"):
        sniff(data_root / "koala" / "koala_test_set.jsonl")
    with pytest.raises(DataError, match=r"git-lfs pointer.*55448695 bytes.*git lfs pull"):
        sniff(data_root / "hc3" / "reddit_eli5.jsonl.lfs_pointer")
    with pytest.raises(DataError, match="check the path"):
        sniff(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"a folder without records\.parquet"):
        sniff(tmp_path)
    (tmp_path / "empty.json").write_text("")
    with pytest.raises(DataError, match="it is empty"):
        sniff(tmp_path / "empty.json")
    (tmp_path / "both.jsonl").write_text('{"messages": [], "conversation": []}')
    with pytest.raises(DataError, match="looks like fastchat and messages; say which with --format NAME"):
        sniff(tmp_path / "both.jsonl")


# -- ShareGPT ----------------------------------------------------------------------------------------------------------
def test_salvage_of_a_truncated_download(data_root: Path) -> None:
    path = data_root / "sharegpt" / "sharegpt_truncated_1mb.json"
    kept, drops, _ = read(path, "sharegpt", salvage=True)
    entries = json.loads(path.read_bytes()[:988482] + b"]")
    *others, last = drops
    assert (last.reason, len(entries)) == ("truncated file", 170)
    assert "170 whole entries end at byte 988482 of 991473, 2991 bytes are lost" in last.detail
    rows = [*kept, *(drop for drop in others if "part" not in drop.reason)]
    assert sorted(row.id for row in rows) == sorted({entry["id"].rsplit("_", 1)[0] for entry in entries})


def test_salvage_of_a_download_that_stopped_inside_its_gzip_stream(data_root: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.json.gz"
    path.write_bytes((data_root / "sharegpt" / "sharegpt_sample.json.gz").read_bytes()[:500_000])
    unpacked = zlib.decompressobj(31).decompress(path.read_bytes()).decode(errors="ignore")
    ids = re.findall(r'^    "id": "(.*)_\d+"', unpacked, re.MULTILINE)
    with pytest.raises(DataError, match=f"{len(ids) - 1} whole entries end at byte .* gzip stream is damaged"):
        read(path, "sharegpt")
    kept, drops, _ = read(path, "sharegpt", salvage=True)
    assert (drops[-1].reason, str(tmp_path) in drops[-1].detail) == ("truncated file", False)
    rows = [*kept, *(drop for drop in drops[:-1] if "part" not in drop.reason)]
    assert {row.id for row in rows} == set(ids[:-1]) and len(ids) > 200


def test_error_replies_leave_with_their_questions(data_root: Path) -> None:
    path = data_root / "sharegpt" / "sharegpt_sample.json.gz"
    kept, drops, notes = read(path, "sharegpt")
    assert notes["error replies taken out with their questions"] == 3
    assert not [m for row in kept for m in row.messages if m.content.startswith("Too many requests")]  # pyright: ignore
    assert len({row.id for row in kept}) == len(kept) == 1266
    assert len(drops) == 32


# -- HC3: the README's counts of empty answers and error texts ---------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "num_empty", "num_errors"), [("open_qa", 9, 4), ("medicine", 1, 16), ("wiki_csai", 0, 1)]
)
def test_hc3(data_root: Path, name: str, num_empty: int, num_errors: int) -> None:
    path = data_root / "hc3" / f"{name}.jsonl"
    kept, drops, notes = read(path, "hc3")
    rows = objects(path)
    answers = {
        f"{name}-{number}-{place}": (row["question"], answer)
        for number, row in enumerate(rows, start=1)
        for place, answer in enumerate(row["chatgpt_answers"])
    }
    expected = Counter({"empty answer": num_empty, "error reply": num_errors})
    assert reasons(drops) == +expected
    assert {drop.id for drop in drops if drop.reason == "empty answer"} == {k for k, v in answers.items() if not v[1]}
    assert {row.id for row in kept} | {drop.id for drop in drops} == set(answers)
    for row in kept:
        assert isinstance(row, Conversation)
        assert [m.content for m in row.messages] == [text.strip() for text in answers[row.id]]
    assert notes["human answers left out"] == sum(len(row["human_answers"]) for row in rows)


def test_hc3_as_a_table(data_root: Path) -> None:
    path = data_root / "hc3" / "hc3_sample_500.csv"
    kept, drops, _ = read(path, "hc3")
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    labels = Counter(row["label"] for row in rows)
    assert reasons(drops) == {"human answer": labels["human"]}
    assert len(kept) == labels["ai"] and len(rows) == 500
    texts = [row["text"].strip() for row in rows if row["label"] == "ai"]
    assert [row.messages[1].content for row in kept] == texts  # pyright: ignore[reportAttributeAccessIssue]
    assert {re.sub(r"-\d+$", "", row.id) for row in kept} == {row["source"] for row in rows if row["label"] == "ai"}


# -- Discord: the pairs were read off the file by hand, as places of messages in it ------------------------------------
ASKED_AND_ANSWERED = {
    "": "1:2 13:15 27:28 38:39 51:52 63:65 76+77:78 90:91 102:103 116:118+119 129:130 141:142",
    "@ChatGPT ": "3:5 17:18 29:30 40:41 53:55 67:68 79:80 94:95 105:107 120:121 131:132 143:144",
    "!chat ": "6:7 19:20+21 32:33 43:45 56:57 70:71 82:83+84 96:98 109:110 122:123 133:134 145:147",
}
ECHOED = "8+9 23 34 48 59 72 85+86 99 111 125 136 148"
ERRORS = "11 26 37 50 62 74 88 101 114 127 140 151"
TO_NOBODY = "24 47 69 93 115 138"
NOTICES = "0 16 31 46 60 75 92 108 124 137 152"


def digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()


def test_every_pair_of_the_discord_channel_and_nothing_else(data_root: Path) -> None:
    path = data_root / "discord" / "constructed_chatgpt_bot_channel.json"
    messages = json.loads(path.read_text())["messages"]

    def said(places: str) -> str:
        return "".join(messages[int(place)]["content"] for place in places.split("+"))

    expected: dict[str, tuple[str, str]] = {}
    for mark, pairs in ASKED_AND_ANSWERED.items():
        for asked, answered in (pair.split(":") for pair in pairs.split()):
            assert said(asked).startswith(mark)
            row_id = messages[int(answered.split("+")[0])]["id"]
            expected[row_id] = digest(said(asked)[len(mark) :]), digest(said(answered))
    for places in ECHOED.split():
        prompt, _, rest = said(places)[len("> **") :].partition("** - <@")
        expected[messages[int(places.split("+")[0])]["id"]] = digest(prompt), digest(rest.partition(">")[2])
    kept, drops, notes = read(path, "discord")
    found = {row.id: tuple(digest(m.content) for m in row.messages) for row in kept}  # pyright: ignore
    assert found == expected and len(kept) == 48
    ids = {place: messages[int(place)]["id"] for place in f"{ERRORS} {TO_NOBODY}".split()}
    assert {drop.id for drop in drops if drop.reason == "error reply"} == {ids[place] for place in ERRORS.split()}
    outside = {drop.id for drop in drops if drop.reason == "its prompt is not in the export"}
    assert outside == {ids[place] for place in TO_NOBODY.split()} and len(drops) == 18
    others = Counter(message["author"]["name"] == "MEE6" for message in messages)
    assert notes["other bots' messages passed over"] == others[True]
    assert notes["notices passed over"] == len(NOTICES.split())
    people = [m for m in messages if not m["author"]["isBot"] and m["type"] in ("Default", "Reply")]
    assert notes["people's messages"] == len(people)
    assert read(path, "discord", bot="MEE6")[0] == []


def test_a_channel_of_people_says_that_nobody_answers(data_root: Path) -> None:
    for name in ("real_example_chill_talk.json", "real_example_general.json"):
        kept, drops, notes = read(data_root / "discord" / name, "discord")
        messages = json.loads((data_root / "discord" / name).read_text())["messages"]
        assert kept == [] and reasons(drops) == {"no bot in the channel": 1}
        assert sum(notes.values()) == len(messages)


# -- one row, one prompt and answer ------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["alpaca_farm/eval_gpt-3.5-turbo-0301.json", "alpaca_eval/example_outputs.json"])
def test_alpaca(data_root: Path, path: str) -> None:
    kept, drops, _ = read(data_root / path, "alpaca")
    rows = objects(data_root / path)
    assert len(kept) + len(drops) == len(rows) == 805 and reasons(drops) == {}
    for row, raw in zip(kept, rows, strict=True):
        assert isinstance(row, Conversation)
        asked = raw["instruction"] + ("\n\n" + raw["input"] if raw.get("input", "").strip() else "")
        assert [m.content for m in row.messages] == [asked.strip(), raw["output"].strip()]


def test_two_empty_outputs_of_davinci(data_root: Path) -> None:
    path = data_root / "alpaca_eval" / "results" / "text_davinci_003" / "model_outputs.json"
    kept, drops, _ = read(path, "alpaca")
    assert (len(kept), reasons(drops)) == (803, {"empty answer": 2})


@pytest.mark.parametrize("name", ["seed_tasks", "user_oriented_instructions"])
def test_self_instruct(data_root: Path, name: str) -> None:
    path = data_root / "self_instruct" / f"{name}.jsonl"
    kept, drops, _ = read(path, "self_instruct")
    rows = objects(path)
    answers = {f"{r['id']}-{n}": i["output"].strip() for r in rows for n, i in enumerate(r["instances"])}
    assert {row.id: row.messages[1].content for row in kept} == answers and drops == []  # pyright: ignore
    for row, raw in zip(kept, rows, strict=True):  # each task of these files has one instance
        asked = row.messages[0].content  # pyright: ignore[reportAttributeAccessIssue]
        assert asked.startswith(raw["instruction"].strip()) and asked.endswith(raw["instances"][0]["input"].strip())


def test_self_instruct_predictions(data_root: Path) -> None:
    for path in sorted((data_root / "self_instruct" / "predictions").iterdir()):
        kept, drops, _ = read(path, "self_instruct")
        assert [r.messages[1].content for r in kept] == [r["response"].strip() for r in objects(path)]  # pyright: ignore
        assert (len(kept), len(drops)) == (252, 0)


def test_fastchat(data_root: Path) -> None:
    path = data_root / "fastchat_llm_judge" / "dummy_conversation.json"
    kept, drops, _ = read(path, "fastchat")
    rows = objects(path)
    assert [row.id for row in kept] == [row["id"] for row in rows] and (len(kept), drops) == (500, [])
    turns = [[turn["value"].strip() for turn in row["conversations"]] for row in rows]
    assert [[m.content for m in row.messages] for row in kept] == turns  # pyright: ignore[reportAttributeAccessIssue]


def test_plain_text(data_root: Path) -> None:
    path = data_root / "pretrain_text" / "tinyshakespeare.txt"
    kept, drops, _ = read(path, "plain_text")
    paragraphs = [text.strip() for text in path.read_text().split("\n\n") if text.strip()]
    assert [row.text for row in kept] == paragraphs and drops == []  # pyright: ignore[reportAttributeAccessIssue]
    (whole,), _, _ = read(path, "plain_text", unit="file")
    assert whole == Document("tinyshakespeare-1", path.read_text().strip())
