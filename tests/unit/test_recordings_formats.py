"""The formats of answers and judgments, oddity by oddity, on made-up rows; and the rows that they share."""

import json
from pathlib import Path

import pytest
from recordings_cases import OURS, TURK, array, jsonl, messages, table

from epigone import discover
from epigone.errors import DataError
from epigone.recordings.answers.alpaca_eval import AlpacaEval as Outputs
from epigone.recordings.answers.fastchat import FastChat
from epigone.recordings.answers.generations import Generations
from epigone.recordings.answers.messages import Messages
from epigone.recordings.answers.sharegpt import ShareGPT
from epigone.recordings.judgments.alpaca_eval import AlpacaEval as Preferences
from epigone.recordings.judgments.fastchat_pairs import FastChatPairs
from epigone.recordings.judgments.fastchat_reviews import FastChatReviews
from epigone.recordings.judgments.llmfao import LLMFAO
from epigone.recordings.judgments.mechanical_turk import MechanicalTurk
from epigone.recordings.judgments.ours import Ours
from epigone.recordings.judgments.verdict_list import VerdictList
from epigone.records import Drop, Generation, Judgment, Message
from epigone.rows import (
    beginning,
    columns,
    finite,
    head,
    identity,
    prompt_id_of,
    read_array_or_rows,
    read_document,
    read_table,
)


def reasons(found: list) -> list[str]:
    return [row.reason if isinstance(row, Drop) else getattr(row, "verdict", "kept") for row in found]


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


# -- answers -----------------------------------------------------------------------------------------------------------
def test_alpaca_eval_answers(tmp_path: Path) -> None:
    row = {"instruction": "Say", "input": "loud", "output": "a", "generator": "m"}
    rows = [row, row, row | {"instruction": "x", "output": ""}, row | {"output": None}, row | {"instruction": None}]
    rows += [{"instruction": "n", "output": "o"}, row | {"instruction": "y", "generator": []}, row | {"input": 3}]
    found = list(Outputs().read(put(tmp_path / "tiny-7b" / "model_outputs.json", array(rows))))
    assert reasons(found) == [
        "kept", "prompt answered twice", "kept", "no answer text", "no prompt", "kept", "no model name", "no prompt",
    ]  # fmt: skip
    asked = (Message("user", "Say\n\nloud"),)
    assert found[0] == Generation(prompt_id_of("Say loud"), asked, "a", "unknown", "m")
    assert found[2].text == "" and found[5].model == "tiny-7b"
    (named,) = Outputs().read(put(tmp_path / "tiny-13b.v1.jsonl", jsonl([{"instruction": "n", "output": "o"}])))
    assert named.model == "tiny-13b.v1"


def test_fastchat_answers(tmp_path: Path) -> None:
    """Both forms; the file's name is the model's in the first, model_id in the later; questions from above."""
    put(
        tmp_path / "question.jsonl",
        jsonl([{"question_id": 1, "text": "old?"}, {"question_id": 2, "turns": ["new?", "2"]}]),
    )
    first = {"question_id": 1, "text": "t", "answer_id": "A", "model_id": "gpt-3.5:v1"}
    path = put(
        tmp_path / "answer" / "answer_gpt35.jsonl", jsonl([first, first | {"question_id": None}, first | {"text": 1}])
    )
    kept, *dropped = FastChat().read(path)
    assert kept == Generation("1", (Message("user", "old?"),), "t", "unknown", "gpt35", "A")
    assert reasons(dropped) == ["no question_id", "no answer text"]
    later = {"question_id": 2, "answer_id": "B", "model_id": "gpt-4", "choices": [{"index": 0, "turns": ["x", "y"]}]}
    rows = [later, later | {"question_id": 7}, later | {"choices": []}, later | {"choices": [{"turns": []}]}]
    found = list(FastChat().read(put(tmp_path / "a" / "b" / "run.jsonl", jsonl(rows))))
    assert found[0] == Generation("2", (Message("user", "new?"),), "x", "unknown", "gpt-4", "B")
    assert found[1].messages == () and reasons(found) == ["kept", "kept", "no answer text", "no answer text"]
    assert not FastChat().fits(tmp_path / "question.jsonl")


def test_sharegpt_answers(tmp_path: Path) -> None:
    def entry(*turns: tuple[str, object], **more: object) -> dict:
        return {"id": "e", "conversations": [{"from": s, "value": v} for s, v in turns]} | more

    rows = [
        entry(("gpt", "before"), ("human", " "), ("human", "q"), ("bing", "b"), ("chatgpt", ""), ("gpt", "late")),
        entry(("human", "r"), ("gpt", "a"), model="named"),
        entry(("gpt", "a")),
        entry(("human", "q")),
        entry(("human", None)),
        entry(),
        entry(("human", "s"), ("gpt", "a"), model=1.5),
    ]
    found = list(ShareGPT().read(put(tmp_path / "dump.json", array(rows))))
    assert found[0] == Generation(prompt_id_of("q"), (Message("user", "q"),), "", "unknown", "dump")
    assert found[1].model == "named"
    assert reasons(found)[2:] == [
        "no question", "no answer to a question", "not a ShareGPT entry", "no question", "no model name",
    ]  # fmt: skip


def test_message_answers(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "messages": messages("q", "yes", "sure?", "")},
        {"messages": messages("q", "yes"), "model": "m"},
        {"messages": messages("q")},
        {"messages": messages("q", "yes")[1:]},
        {"messages": None},
        {"messages": [*messages("q"), {"role": "assistant", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "tool", "content": "x"}, *messages("q", "r")]},
    ]
    found = list(Messages().read(put(tmp_path / "chat.jsonl", jsonl(rows))))
    assert found[0] == Generation(
        "a", tuple(Message(**m) for m in messages("q", "yes", "sure?")), "", "unknown", "chat"
    )
    assert (found[1].prompt_id, found[1].model) == (prompt_id_of("q"), "m")
    assert reasons(found)[2:] == ["not in message form"] * 5


def test_our_answers(tmp_path: Path) -> None:
    row = {"prompt_id": "p", "messages": messages("q"), "text": "t", "finish_reason": "length", "model": "m"}
    rows = [row | {"sample": 0, "answer_id": "A"}, row | {"sample": 1}, row | {"text": None}, row | {"messages": [1]}]
    path = put(tmp_path / "records.jsonl", jsonl([*rows, row, row | {"prompt_id": "", "messages": []}]))
    found = list(Generations().read(path))
    assert found[0] == Generation("p", (Message("user", "q"),), "t", "length", "m", "A")
    assert reasons(found)[1:] == [
        "another sample",
        "not an answer",
        "not an answer",
        "prompt answered twice",
        "not an answer",
    ]
    assert reasons(list(Generations(sample=1).read(path))) == ["another sample", "kept"] + ["another sample"] * 4


# -- judgments ---------------------------------------------------------------------------------------------------------
def test_fastchat_reviews(tmp_path: Path) -> None:
    put(tmp_path / "reviewer.jsonl", jsonl([{"reviewer_id": "gpt-4-0328-default"}, {"reviewer_id": "gpt-4-0328-math"}]))
    row = {"question_id": 3, "answer1_id": "A", "answer2_id": "B", "text": "9, 8.5\nwell", "reviewer_id": 2}
    rows = [
        row | {"score": [9, 8.5]},
        row,
        row | {"text": "First, I solve it.\n8 10", "score": [8.0, 10.0], "reviewer_id": 9},
        row | {"text": "7 7", "reviewer_id": "claude-coding"},
        row | {"score": [8.5, 9]},
        row | {"score": [-1, -1]},
        row | {"text": "well"},
        row | {"text": "nan 3"},
        row | {"text": "1 2 3", "score": "x"},
        row | {"answer2_id": None},
    ]
    found = list(FastChatReviews().read(put(tmp_path / "a" / "b" / "c" / "review.jsonl", jsonl(rows))))
    kept = Judgment("3", "answer:A", "answer:B", "a", "gpt-4-0328-math", "a", panel="gpt-4-0328", scores=(9.0, 8.5))
    assert found[:2] == [kept, kept]
    assert [(j.rater, j.panel, j.verdict) for j in found[2:4]] == [
        ("reviewer 9", "reviewer", "b"), ("claude-coding", "claude", "tie"),
    ]  # fmt: skip
    assert reasons(found)[4:] == ["marks disagree", *["no verdict"] * 4, "no ids"]
    alone = list(FastChatReviews().read(put(tmp_path / "1/2/3/4/r.jsonl", jsonl(rows[:1]))))
    assert alone[0].panel == "reviewer"


def test_fastchat_pairs(tmp_path: Path) -> None:
    row = {"question_id": 1, "model_1": "x", "model_2": "y", "g1_winner": "model_2", "g2_winner": "tie"}
    rows = [row | {"judge": ["gpt-4", "pair-v2"], "turn": 1}, row | {"judge": "j", "turn": 2}]
    rows += [row | {"g1_winner": "error", "g2_winner": None}, row | {"model_2": None}]
    found = list(FastChatPairs().read(put(tmp_path / "gpt-4_pair.jsonl", jsonl(rows))))
    assert found[:2] == [
        Judgment("1", "x", "y", "b", "gpt-4 order 1", "a", panel="gpt-4"),
        Judgment("1", "x", "y", "tie", "gpt-4 order 2", "b", panel="gpt-4"),
    ]
    assert reasons(found)[2:] == ["second turn"] * 2 + ["no verdict"] * 2 + ["no ids"] * 2


def test_alpaca_eval_preferences(tmp_path: Path) -> None:
    row = {
        "instruction": "Say",
        "input": "loud",
        "output_1": "",
        "output_2": "",
        "generator_1": "x",
        "generator_2": "y",
    }
    given = [1, 2.0, 1.5, 0, 1.25, 1.9, None, float("nan"), 3, -1, 0.5, "1", True]
    path = put(tmp_path / "gpt-4-judge" / "annotations.json", array([row | {"preference": p} for p in given]))
    found = list(Preferences().read(path))
    assert reasons(found) == ["a", "b", "tie", "tie", "a", "b"] + ["no verdict"] * 7
    assert [j.share_a for j in found[:6]] == [None] * 4 + [0.75, pytest.approx(0.1)]
    assert (found[0].prompt_id, found[0].panel, found[0].rater) == (prompt_id_of("Say\n\nloud"), *["gpt-4-judge"] * 2)
    odd = [row | {"preference": 1, "generator_2": None}, row | {"preference": 1, "instruction": " ", "input": None}]
    assert reasons(list(Preferences().read(put(path, array(odd))))) == ["no model name", "no prompt"]


def test_llmfao_comparisons(tmp_path: Path) -> None:
    row = {"id": "0", "prompt": "8", "worker": "58", "winner": "left", "left": "A, B", "right": 'C "2"'}
    rows = [row, row | {"winner": "right"}, row | {"winner": "Tie"}, row | {"left": ""}]
    found = list(LLMFAO().read(put(tmp_path / "crowd.csv", table(rows))))
    assert reasons(found) == ["a", "b", "no verdict", "no ids"]
    assert (found[0].a, found[0].b, found[0].panel, found[0].is_person) == ("A, B", 'C "2"', "crowd", True)
    assert "58" not in found[0].rater.removeprefix("w-6208ef0f") and found[0].rater.startswith("w-")
    judged = [{name: v for name, v in row.items() if name != "worker"}]
    (one,) = LLMFAO().read(put(tmp_path / "gpt4-crowd-comparisons.csv", table(judged)))
    assert (one.rater, one.panel, one.is_person) == ("gpt4", "gpt4", False)
    with pytest.raises(DataError, match="no column 'right'"):
        list(LLMFAO().read(put(tmp_path / "bad.csv", "prompt,winner,left\n1,left,x\n")))


def test_mechanical_turk(tmp_path: Path) -> None:
    rows = [
        TURK,
        TURK | {"Answer.qFluent": "B", "Answer.qTopic": "no idea"},
        TURK | {"Answer.qTopic": "", "WorkerId": ""},
    ]
    rows += [TURK | {"AssignmentStatus": "Rejected"}, TURK | {"Input.sourcea": ""}, TURK | {"WorkTimeInSeconds": "-"}]
    found = list(MechanicalTurk().read(put(tmp_path / "batch.csv", table(rows))))
    assert reasons(found) == [
        "a", "tie", "b", "no verdict", "a", "no verdict", *["rejected assignment"] * 2, *["no ids"] * 2, "a", "tie",
    ]  # fmt: skip
    first = found[0]
    assert (first.prompt_id, first.a, first.b, first.first) == (prompt_id_of("Once upon"), "GPT-2", "D", "a")
    assert (first.criterion, first.seconds, first.panel, first.is_person) == ("Fluent", 83.0, "crowd", True)
    assert first.rater.startswith("w-") and found[4].rater.startswith("assignment-") and found[10].seconds is None
    with pytest.raises(DataError, match=r"option input_a: there is no column Input.x; there are: , HITId"):
        list(MechanicalTurk(input_a="Input.x").read(tmp_path / "batch.csv"))
    swapped = MechanicalTurk(input_a="Input.sourceb", input_b="Input.sourcea", prompt="HITId")
    assert (next(swapped.read(tmp_path / "batch.csv")).a, next(swapped.read(tmp_path / "batch.csv")).prompt_id) == (
        "D",
        "h",
    )
    with pytest.raises(DataError, match="no Answer column"):
        list(
            MechanicalTurk().read(
                put(tmp_path / "free.csv", table([TURK | {"Answer.qFluent": "x", "Answer.qTopic": "y"}]))
            )
        )


def test_verdict_list(tmp_path: Path) -> None:
    """FairEval's: CHATGPT is gpt35, since VICUNA13B is the other one."""
    path = put(tmp_path / "review_gpt35_vicuna-13b_human.txt", "CHATGPT\nVICUNA13B\n\nTIE\nboth\nCHATGPT\n\n")
    assert VerdictList().fits(path)
    found = list(VerdictList().read(path))
    assert reasons(found) == ["a", "b", "no verdict", "tie", "no verdict", "a"]
    assert found[1] == Judgment("2", "gpt35", "vicuna-13b", "b", "human", "unknown", panel="human", is_person=True)
    assert found[4] == Drop("5", "no verdict", "'both'")
    generic = put(tmp_path / "verdicts.txt", "1\n2\ntie\n")
    assert VerdictList().fits(generic)
    with pytest.raises(DataError, match="set the options model_a and model_b"):
        list(VerdictList().read(generic))
    found = list(VerdictList("x", "y").read(generic))
    assert [(j.a, j.b, j.verdict, j.is_person) for j in found] == [
        ("x", "y", v, False) for v in ("a", "b", "tie")
    ]  # fmt: skip
    named = put(tmp_path / "review_my_big_model_other_gpt4.txt", "MY_BIG_MODEL\nother\nmodel_a\n")
    assert [(j.a, j.b) for j in VerdictList().read(named) if isinstance(j, Judgment)] == [("my_big_model", "other")] * 2
    assert not VerdictList().fits(put(tmp_path / "poem.txt", "roses\nviolets\n"))
    assert not VerdictList().fits(put(tmp_path / "text.txt", "A tie is worn around the neck. It is: silk!\n"))


def test_our_judgments(tmp_path: Path) -> None:
    more = {"share_a": 0.25, "scores": [1, 2], "seconds": 4, "is_person": True, "panel": "p", "criterion": "c"}
    bad = [{"verdict": "c"}, {"first": None}, {"rater": ""}, {"share_a": 2}, {"scores": [1]}, {"seconds": "4"}]
    bad += [{"is_person": 1}, {"panel": None}, {"scores": [1, float("nan")]}]
    rows = [OURS, OURS | more, *(OURS | b for b in bad)]
    found = list(Ours().read(put(tmp_path / "records.jsonl", jsonl(rows))))
    assert found[0] == Judgment("p", "x", "y", "a", "r", "b")
    assert found[1] == Judgment("p", "x", "y", "a", "r", "b", False, "p", True, "c", 0.25, (1.0, 2.0), 4.0)
    assert [row.detail.split()[2] for row in found[2:]] == [next(iter(b)) for b in bad]


# -- rows --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "row 3 has 1 fields, the first row names 2 columns"),
        ("a,a\n1,2\n", "two columns are named 'a'"),
        ('a,b\n1,"2\n3,4\n', "the row after row 1 is not CSV"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_table(put(tmp_path / "t.csv", text)))


def test_tables(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", '\ufeffa,b\r\n"x\ny","1,2"\r\n\r\n3,"""4"""\r\n')
    assert list(read_table(path)) == [(2, {"a": "x\ny", "b": "1,2"}), (3, {"a": "3", "b": '"4"'})]
    assert columns(path) == ["a", "b"] and columns(tmp_path / "none") == []


def test_arrays_and_documents(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", '[{"a": "\\ud83d"}, {"\\ud83d": [{"b": "\\ude00"}]}]')
    assert [row for _, row in read_array_or_rows(path)] == [{"a": "\ufffd"}, {"\ufffd": [{"b": "\ufffd"}]}]
    for text, message in [
        ('[{"a": 1}, {"a"', "1 whole entries end at byte 9"),
        ("[1]", "entry 1 is 1"),
        ("[] x", "follows"),
    ]:
        with pytest.raises(DataError, match=message):
            list(read_array_or_rows(put(path, text)))
    for text, message in [("[1]", "holds a JSON list"), ('{"a": ', "not JSON")]:
        with pytest.raises(DataError, match=message):
            read_document(put(path, text))


def test_beginnings(tmp_path: Path) -> None:
    """The first row's fields as far as the head goes; what is cut off there is None."""
    whole = {"id": 1, "text": "x" * 70_000, "after": 2}
    for data in (jsonl([whole]), array([whole]), json.dumps(whole, indent=2).encode()):
        path = put(tmp_path / "a.jsonl", data)
        assert beginning(path) == {"id": 1, "text": None} and len(head(path)) == 65_536
    for text in ("", "[", "[1]", "x", '"a"', "{", "\x1f\x8b\x08"):
        assert beginning(put(path, text)) == {}
    assert beginning(put(path, '{"a": 1, "b": [1, {')) == {"a": 1, "b": None}


def test_values() -> None:
    assert [finite(v) for v in (1, 2.5, True, None, "1", float("nan"), float("-inf"), 10**400)] == [1, 2.5] + [None] * 6
    assert [identity(v) for v in (7, 7.0, " x ", 7.5, True, None, [])] == ["7", "7", "x", "", "", "", ""]
    assert prompt_id_of(" a\n b ") == prompt_id_of("a b") != prompt_id_of("a c") and len(prompt_id_of("")) == 13


@pytest.mark.parametrize("kind", ["answers", "judgments", "scores"])
def test_no_reader_fits_or_breaks_on_what_is_no_recording(kind: str, tmp_path: Path) -> None:
    strange = ["", "hello\n", '{"id": "a", "strange": 1}\n', "[]", "{}", "null", "a,b\n1,2\n", "\x00\x01", "PK\x03\x04"]
    for name in discover.names(f"recordings.{kind}"):
        reader = discover.make(f"recordings.{kind}", name, {})
        assert not reader.fits(tmp_path) and not reader.fits(tmp_path / "none")
        assert not any(reader.fits(put(tmp_path / "strange", text)) for text in strange)
        with pytest.raises(DataError, match="check the path"):
            list(reader.read(tmp_path / "none"))
