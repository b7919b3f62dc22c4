"""MMLU as published: prompt bytes as in the original program, every layout, the letter of a reply, shots that fit."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pyarrow import Table, parquet

from epigone.backends.checkpoint import Checkpoint
from epigone.benchmarks.mmlu import MMLU
from epigone.errors import DataError, SpecError
from epigone.metrics.letters import first_line_is, named_letter
from epigone.records import Completion, Item, Message, Prompt, SamplingParams
from epigone.rows.choices import read_split, read_subject
from small_checkpoint import small_base

DEV = [[f"Solved {n}?", f"a{n}", f"b{n}", " c", "", "ABCD"[n % 4]] for n in range(6)]
TEST = [["Which?\nSay it ", "one", "two, too", "None", "0", "B"], [" Why", "x", "y", "z", "z", "D"]]
GOLDEN = (
    "The following are multiple choice questions (with answers) about  sleep and dreams.\n\n"
    "Solved 0?\nA. a0\nB. b0\nC.  c\nD. \nAnswer: A\n\n"
    "Solved 1?\nA. a1\nB. b1\nC.  c\nD. \nAnswer: B\n\n"
    "Solved 2?\nA. a2\nB. b2\nC.  c\nD. \nAnswer: C\n\n"
    "Solved 3?\nA. a3\nB. b3\nC.  c\nD. \nAnswer: D\n\n"
    "Solved 4?\nA. a4\nB. b4\nC.  c\nD. \nAnswer: A\n\n"
    "Which?\nSay it \nA. one\nB. two, too\nC. None\nD. 0\nAnswer:"
)
REAL_SHA256 = "67e658bc652155b1d63aaf9593dc1ae38ac15b4d5dd41209e16a5c2f32064ca9"
"""Of all five-shot prompts of the twelve test subjects at hand, in order, a zero byte between them."""


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)


@pytest.fixture
def mmlu(tmp_path: Path) -> MMLU:
    for split, rows in (("dev", DEV), ("test", TEST)):
        write_csv(tmp_path / split / f"sleep_and_dreams_{split}.csv", rows)
    return MMLU(tmp_path / "test", tmp_path / "dev")


@dataclass
class Chat:
    """A model behind a server of chat: it has no log-likelihoods and no tokenizer."""

    replies: Sequence[str]
    asked: list[tuple[Prompt, SamplingParams]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        self.asked += [(prompt, sampling) for prompt in prompts]
        return [Completion(reply, 1, "stop") for reply in self.replies]


# -- the prompt ------------------------------------------------------------------------------------------------------
def test_golden_bytes(mmlu: MMLU) -> None:
    first, second = map(mmlu.prompt, mmlu.items())
    assert first.text == GOLDEN
    assert second.text == GOLDEN.rpartition("Which?")[0] + " Why\nA. x\nB. y\nC. z\nD. z\nAnswer:"


def test_golden_bytes_of_lm_eval(mmlu: MMLU) -> None:
    """One blank less in the header, and no blanks around questions; options are as they are."""
    first, second = map(replace(mmlu, form="lm_eval").prompt, mmlu.items())
    assert first.text == GOLDEN.replace("about  sleep", "about sleep").replace("Say it \n", "Say it\n")
    assert second.text.endswith("\n\nWhy\nA. x\nB. y\nC. z\nD. z\nAnswer:")


def original_prompt(dev: list[list[str]], test: list[str], subject: str, num_shots: int) -> str:
    """evaluate.py of the original, line by line, over rows of the CSV files."""

    def format_subject(subject):
        s = ""
        for entry in subject.split("_"):
            s += " " + entry
        return s

    def format_example(row, include_answer=True):
        prompt = row[0]
        for j in range(4):
            prompt += "\n{}. {}".format("ABCD"[j], row[j + 1])
        prompt += "\nAnswer:"
        if include_answer:
            prompt += f" {row[5]}\n\n"
        return prompt

    prompt = f"The following are multiple choice questions (with answers) about {format_subject(subject)}.\n\n"
    for i in range(num_shots):
        prompt += format_example(dev[i])
    return prompt + format_example(test, include_answer=False)


def test_prompts_of_the_real_files_are_the_originals(data_root: Path) -> None:
    folder = data_root / "mmlu" / "data"
    mmlu = MMLU(folder / "test", folder / "dev")
    rows = {
        (split, path.name.removesuffix(f"_{split}.csv")): list(
            csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
        )
        for split in ("test", "dev")
        for path in sorted((folder / split).glob("*.csv"))
    }
    expected = [
        original_prompt(rows["dev", subject], row, subject, 5)
        for (split, subject), of_subject in rows.items()
        if split == "test"
        for row in of_subject
    ]
    found = [mmlu.prompt(item).text for item in mmlu.items()]
    assert found == expected and len(found) == 1800
    assert hashlib.sha256("\0".join(found).encode()).hexdigest() == REAL_SHA256


# -- layouts ---------------------------------------------------------------------------------------------------------
def columns(rows: Sequence[Sequence[str]], **more: object) -> dict[str, list[object]]:
    return {
        "question": [row[0] for row in rows],
        "choices": [list(row[1:5]) for row in rows],
        "answer": ["ABCD".index(row[5]) for row in rows],
        **{name: [value] * len(rows) for name, value in more.items()},
    }


def original(folder: Path) -> tuple[Path, Path]:
    for split, rows in (("dev", DEV), ("test", TEST)):
        write_csv(folder / split / f"sleep_and_dreams_{split}.csv", rows)
    return folder / "test", folder / "dev"


def with_header(folder: Path) -> tuple[Path, Path]:
    for split, rows in (("dev", DEV), ("test", TEST)):
        numbered = [[*row[:5], "ABCD".index(row[5])] for row in rows]
        header = ["question", "choice0", "choice1", "choice2", "choice3", "answer"]
        write_csv(folder / split / f"sleep_and_dreams_{split}.csv", [header, *numbered])
    return folder / "test", folder / "dev"


def data_folder(folder: Path) -> tuple[Path, str]:
    original(folder)
    return folder, ""


def hub_all(folder: Path) -> tuple[Path, str]:
    (folder / "all").mkdir(parents=True)
    for split, rows in (("dev", DEV), ("test", TEST)):
        table = Table.from_pydict(columns(rows, subject="sleep_and_dreams"))
        parquet.write_table(table, folder / "all" / f"{split}-00000-of-00001.parquet")
    return folder, ""


def hub_by_subject(folder: Path) -> tuple[Path, str]:
    (folder / "sleep_and_dreams").mkdir(parents=True)
    for split, rows in (("dev", DEV), ("test", TEST)):
        table = Table.from_pydict(columns(rows))
        parquet.write_table(table, folder / "sleep_and_dreams" / f"{split}-00000-of-00001.parquet")
    return folder, ""


def hub_csv(folder: Path) -> tuple[Path, Path]:
    for split, rows in (("dev", DEV), ("test", TEST)):
        lines = [[row[0], "sleep_and_dreams", json.dumps(row[1:5]), "ABCD".index(row[5])] for row in rows]
        write_csv(folder / f"{split}.csv", [["question", "subject", "choices", "answer"], *lines])
    return folder / "test.csv", folder / "dev.csv"


@pytest.mark.parametrize("layout", [original, with_header, data_folder, hub_all, hub_by_subject, hub_csv])
def test_every_layout_gives_the_same_items_and_prompts(layout, tmp_path: Path, mmlu: MMLU) -> None:
    other = MMLU(*layout(tmp_path / "other"))
    assert other.items() == mmlu.items()
    assert list(map(other.prompt, other.items())) == list(map(mmlu.prompt, mmlu.items()))
    assert other.protocol == mmlu.protocol


def test_real_layouts(data_root: Path) -> None:
    """As found: a header with choice0-3, a header with A-D, integer answers, newlines and CRLF inside fields."""
    folder = data_root / "mmlu"
    found = read_split(folder / "as_found_with_header" / "test", "test")
    assert found == {"abstract_algebra": read_split(folder / "data" / "test", "test")["abstract_algebra"]}
    other = read_split(folder / "as_found_hypertensor" / "test", "test")
    assert [item.id for item in other["anatomy"]][::134] == ["anatomy-1", "anatomy-135"]
    assert len(read_split(folder / "data", "test")) == 12 and len(read_split(folder / "data", "dev")) == 57


def test_bad_rows_say_where(tmp_path: Path) -> None:
    path = tmp_path / "all" / "test-00000.parquet"
    path.parent.mkdir()
    parquet.write_table(
        Table.from_pydict(columns([*TEST, ["Q", "1", "2", "3", "4", "A"]]) | {"answer": [1, 3, 7]}), path
    )
    with pytest.raises(DataError, match=r"test-00000.parquet: row 3: answer 7; allowed: A B C D or 0 1 2 3"):
        MMLU(tmp_path).items()
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a Parquet file"):
        MMLU(tmp_path).items()
    write_csv(tmp_path / "test.csv", [["question", "subject", "choices", "answer"], ["q", "s", "['a' 'b']", 0]])
    with pytest.raises(DataError, match=r"test.csv: row 2: choices are .*; a list of four texts is needed"):
        read_subject(tmp_path / "test.csv", "s")
    with pytest.raises(DataError, match=r"holds no SUBJECT_test.csv and no test\*.parquet"):
        MMLU(tmp_path / "all" / "none").items()


# -- shots -----------------------------------------------------------------------------------------------------------
def test_shots_are_dropped_one_at_a_time_by_the_models_own_tokens(mmlu: MMLU, tmp_path: Path) -> None:
    """The tiny checkpoint has about one token a byte, `<s>` in front and 256 positions: two shots fit, not three."""
    model = Checkpoint(str(small_base(tmp_path / "small")))
    item = mmlu.items()[0]
    lengths = [len(model.token_ids(replace(mmlu, num_shots=n).prompt(item))[0]) for n in range(6)]
    assert lengths == sorted(set(lengths))
    most = max(
        n for n, length in enumerate(lengths) if length + len(model.token_ids(Prompt("", text="r:"), " A")[1]) <= 256
    )
    assert 0 < most < 5
    scores = mmlu.run(model)
    assert scores[0].metrics["num_shots"] == most
    assert scores[0].prompt == replace(mmlu, num_shots=most).prompt(item).text
    fewer = replace(mmlu, max_prompt_tokens=lengths[1])
    assert fewer.run(model)[0].metrics["num_shots"] == 1 and fewer.protocol != mmlu.protocol
    assert replace(mmlu, max_prompt_tokens=1).run(model)[0].metrics["num_shots"] == 0


def test_one_at_a_time_gives_what_many_at_once_give(mmlu: MMLU, tmp_path: Path) -> None:
    model = Checkpoint(str(small_base(tmp_path / "small", max_positions=1024)))
    together = mmlu.run(model)
    alone = [mmlu.run(model, [item])[0] for item in mmlu.items()]
    assert [score.item_id for score in together] == [score.item_id for score in alone]
    for one, other in zip(together, alone):
        assert one.metrics == pytest.approx(other.metrics, abs=1e-5)


# -- the letter of a reply -------------------------------------------------------------------------------------------
OPTIONS = ("one", "two, too", "None", "0")


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        (" B", "B"),
        ("b.", "B"),
        ("B. two, too", "B"),
        ("B) two", "B"),
        ("(C)", "C"),
        ("**D**", "D"),
        ("The answer is C.", "C"),
        ("The correct answer is (B) two, too.", "B"),
        ("Answer: D", "D"),
        ("Maybe the answer is A. No: the answer is B.", "B"),
        ("Let us see. Two is more than one, so it must be **B**.", "B"),
        ("option C is right", "C"),
        ("Two, too.", "B"),
        ("none", "C"),
        ("A man walks into a bar", ""),
        ("Vitamin C and vitamin D", ""),
        ("either (A) or (B)", ""),
        ("I do not know", ""),
        ("", ""),
    ],
)
def test_named_letter(reply: str, letter: str) -> None:
    assert named_letter(reply, OPTIONS) == letter


@pytest.mark.parametrize(
    ("reply", "is_it"),
    [("B", True), (" b. ", True), ("(B)\nbecause", True), ("B. two", False), ("", False), ("\nB", False), ("A", False)],
)
def test_first_line_is(reply: str, is_it: bool) -> None:
    assert first_line_is(reply, "B") is is_it


def test_generated_is_a_protocol_of_its_own(mmlu: MMLU) -> None:
    model = Chat(["The answer is B.", "I cannot tell."])
    said = replace(mmlu, scoring="generated", chat=True)
    right, nothing = said.run(model)
    assert right.metrics == {"accuracy": 1, "parsed": 1, "exact_match": 0, "num_shots": 5}
    assert nothing.metrics == {"accuracy": 0, "parsed": 0, "exact_match": 0, "num_shots": 5}
    assert (right.parsed, nothing.parsed, right.reply) == ("B", "", "The answer is B.")
    assert model.asked[0] == (Prompt("sleep_and_dreams-1", messages=(Message("user", GOLDEN),)), SamplingParams(256))
    in_text = replace(said, chat=False)
    in_text.run(Chat(["B", "D"]))
    assert in_text.prompt(in_text.items()[0]).text == GOLDEN
    ids = {each.protocol for each in (mmlu, said, in_text, replace(mmlu, form="lm_eval"))}
    assert len(ids) == 4 and {each.partition("--")[0] for each in ids} == {
        "mmlu-letter-5shot",
        "mmlu-generated-chat-5shot",
        "mmlu-generated-5shot",
    }


def test_wrong_options_are_told(mmlu: MMLU) -> None:
    with pytest.raises(SpecError, match="scoring='letters' is not among letter, generated, option_text"):
        replace(mmlu, scoring="letters")
    with pytest.raises(SpecError, match="form='hf' is not among original, lm_eval"):
        replace(mmlu, form="hf")
    with pytest.raises(SpecError, match="servers of chat need scoring='generated'"):
        replace(mmlu, chat=True)
    with pytest.raises(SpecError, match="take a checkpoint, or scoring='generated'"):
        mmlu.run(Chat(["A"]))
    with pytest.raises(DataError, match="has 6 dev rows of sleep_and_dreams, num_shots=7"):
        replace(mmlu, num_shots=7).prompt(Item("i", "q", options=OPTIONS, group="sleep_and_dreams"))
