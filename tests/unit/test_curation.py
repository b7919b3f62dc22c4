"""Filters: everything goes out once, in order; equal queries are found whatever their case and punctuation."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.curation import evaluation_prompts, normalise_query
from epigone.curation.contamination import Contamination
from epigone.curation.duplicates import Duplicates
from epigone.errors import DataError
from epigone.formats.sharegpt import ShareGPT
from epigone.records import Conversation, Drop, Message


def talk(name: str, *queries: str) -> Conversation:
    turns = [Message(role, text) for query in queries for role, text in (("user", query), ("assistant", "yes"))]
    return Conversation(name, tuple(turns))


def test_duplicates_by_first_query() -> None:
    talks = [talk("a", "Who is it?", "More"), talk("b", "who IS it"), talk("c", "Who was it?"), talk("d")]
    assert list(Duplicates().apply(talks)) == [
        talks[0],
        Drop("b", "duplicate query", "same as a"),
        talks[2],
        Drop("d", "no query"),
    ]
    assert [type(row) for row in Duplicates(query="all").apply(talks)] == [
        Conversation,
        Conversation,
        Conversation,
        Drop,
    ]


def test_all_queries_are_told_apart_by_where_each_ends() -> None:
    talks = [talk("a", "one two", "three"), talk("b", "one", "two three"), talk("c", "one two three")]
    assert list(Duplicates(query="all").apply(talks)) == talks


def test_texts_without_words_are_told_apart() -> None:
    assert [normalise_query(text) for text in (" ? ", "!", "")] == ["?", "!", ""]


def test_a_letter_is_the_same_however_it_is_encoded() -> None:
    assert normalise_query("Caf\u00e9!") == normalise_query("cafe\u0301") == normalise_query("ＣＡＦ\u00c9")


@given(st.lists(st.lists(st.text(max_size=3), max_size=2), max_size=8), st.sampled_from(["first", "all"]))
def test_everything_goes_out_once_and_a_second_pass_drops_nothing(queries, mode) -> None:
    talks = [talk(str(n), *asked) for n, asked in enumerate(queries)]
    rule = Duplicates(query=mode)
    out = list(rule.apply(talks))
    assert [row.id for row in out] == [row.id for row in talks]
    kept = [row for row in out if isinstance(row, Conversation)]
    assert list(rule.apply(kept)) == kept


def test_sharegpt_sample_has_duplicates_and_keeps_one_of_each(data_root: Path) -> None:
    rows = ShareGPT().read(data_root / "sharegpt" / "sharegpt_sample.json.gz")
    talks = [row for row in rows if isinstance(row, Conversation)]
    out = list(Duplicates().apply(talks))
    first = [next(m.content for m in row.messages if m.role == "user") for row in out if isinstance(row, Conversation)]
    assert len(out) == len(talks) and 0 < len(talks) - len(first) < 95
    assert len({text.lower().strip(" ?.!") for text in first}) > 0.99 * len(first)


@pytest.mark.parametrize("threshold", [None, 0])
def test_equal_words_alone_name_file_and_row(tmp_path: Path, threshold) -> None:
    path = tmp_path / "nq.jsonl"
    rows = [{"question": "who wrote hamlet"}, {"id": "x", "messages": [{"role": "user", "content": "Say hi!"}]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    talks = [talk("a", "Hello", "Who wrote Hamlet?"), talk("b", "say hi"), talk("c", "Who wrote Hamlet and why?")]
    assert list(Contamination((path,), threshold=threshold).apply(talks)) == [
        Drop("a", "contaminated", "asks nq.jsonl row 1"),
        Drop("b", "contaminated", "asks nq.jsonl row 2"),
        talks[2],
    ]
    path.write_text('{"answer": "Paris"}')
    with pytest.raises(DataError, match="row 1: holds no prompt"):
        list(Contamination((path,)).apply(talks))


def test_evaluation_files_as_they_are_published(data_root: Path) -> None:
    """Counts as the data's README has them; MT-bench asks twice, an Alpaca row asks its input too."""
    rows = {
        "koala/koala_test_set.jsonl": 180,
        "vicuna80/question.jsonl": 80,
        "fastchat_llm_judge/mt_bench/question.jsonl": 80,
        "humaneval/HumanEval.jsonl.gz": 164,
        "nq_open/NQ-open.dev.first1800.jsonl": 1800,
        "alpaca_farm/eval_gpt-3.5-turbo-0301.json": 805,
        "self_instruct/user_oriented_instructions.jsonl": 252,
    }
    found = {path: list(evaluation_prompts(data_root / path)) for path in rows}
    assert {path: len(asked) for path, asked in found.items()} == rows
    assert {len(messages) for _, messages, _ in found["fastchat_llm_judge/mt_bench/question.jsonl"]} == {2}
    for _, messages, row in found["alpaca_farm/eval_gpt-3.5-turbo-0301.json"]:
        assert messages[0].content.startswith(row["instruction"]) and messages[0].content.endswith(row["input"])


def test_a_row_that_asks_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "strange.jsonl"
    for row in ('{"turns": []}', '{"turns": "hi"}', '{"turns": ["a", 1]}', '{"prompt": " "}', '{"instruction": 3}'):
        path.write_text(row)
        with pytest.raises(DataError, match="row 1"):
            list(evaluation_prompts(path))
