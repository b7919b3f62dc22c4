"""What each format makes of its oddities, one by one, on made-up files."""

import json
from collections import Counter
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from epigone import discover
from epigone.datasets import write_dataset
from epigone.errors import DataError
from epigone.formats import sniff
from epigone.records import Conversation, Document, Drop, Message
from epigone.rows.replies import HTML, answer_message, is_error_reply, plain_answer
from epigone.store import write_records


def rows(path: Path, name: str = "", notes: Counter[str] | None = None, **options: object) -> list:
    return list(discover.make("formats", name or sniff(path), options).read(path, notes))


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def shape(row: object) -> list[tuple[str, str]]:
    assert isinstance(row, Conversation), row
    return [(message.role, message.content) for message in row.messages]


# -- what an answer's text is ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "network error",
        "!\\nnetwork error",
        "!\nToo many requests in 1 hour. Try again later.\n\n\n\nThere was an error generating a response",
        "Half an answer, then\n!\n\nnetwork error\n\n\nThere was an error generating a response",
        "> **ERROR: Something went wrong, please try again later!**",
        "!Error in body stream",
        "Conversation not found",
        "An error occurred. If this issue persists please contact us through our help center at help.openai.com.",
        "Only one message at a time. Please allow any other responses to complete before sending another message, "
        "or wait one minute.",
        "Something went wrong",
    ],
)
def test_error_replies(text: str) -> None:
    assert is_error_reply(text)
    assert answer_message(text, Counter()) == "error reply"


@pytest.mark.parametrize(
    "text",
    [
        "A network error means that the request was lost. Check the cable.",
        "If you see this:\n\nnetwork error",
        "Possible causes:\n- too many requests\n- network error",
        "What an achievement!\n\nSomething went wrong only once.",
        "```\nraise ValueError('an error occurred')\n```",
        "Something went wrong with your loop: it never ends.",
        "Conversation not found in the log means that the id is stale.",
        "",
    ],
)
def test_answers_about_errors_are_answers(text: str) -> None:
    assert not is_error_reply(text)


SITE = (
    '<div class="markdown prose w-full break-words dark:prose-invert light"><p>Use <code>a &lt; b</code> and'
    " <strong>two_words * 3</strong>:</p><ol><li><p>First</p></li><li><p>Second</p></li></ol>"
    '<pre><div class="bg-black mb-4 rounded-md"><div class="flex"><span>python</span><button class="flex">'
    'Copy code</button></div><div class="p-4"><code class="!whitespace-pre hljs language-python"><span>if</span> a'
    ' &lt; b:\n    print(<span class="hljs-string">"x"</span>)\n</code></div></div></pre>'
    '<p>So <span class="math"><span class="katex"><span class="katex-mathml"><math><annotation '
    'encoding="application/x-tex">x^2</annotation></math></span><span>x2</span></span></span>.</p></div>'
)


def test_html_of_the_site_is_markdown() -> None:
    notes: Counter[str] = Counter()
    assert plain_answer(SITE, notes) == (
        "Use `a < b` and **two_words * 3**:\n\n1. First\n2. Second\n\n"
        '```python\nif a < b:\n    print("x")\n```\n\nSo $x^2$.'
    )
    assert notes == {HTML: 1}


@pytest.mark.parametrize(
    "text",
    [
        '<div class="modal fade" id="m"><p>Hi</p></div>The above code is a modal.',
        "<p>Hello</p>",
        "Put it into <div id='a'></div> and if a < b && b > c use &lt; there.",
        '```html\n<div class="markdown prose"><p>code</p></div>\n```',
        'Here it is: <div class="markdown prose"><p>code</p></div>',
        "<3 you are welcome",
        "<!DOCTYPE html>\n<html></html>",
    ],
)
def test_code_and_text_stay_as_they_are(text: str) -> None:
    notes: Counter[str] = Counter()
    assert plain_answer(text, notes) == text and notes == {}


def test_reasoning_is_kept_apart() -> None:
    said = {
        "<think>\nhm\n</think>\n\nYes.": Message("assistant", "Yes.", "hm"),
        "hm\n</think>\n\nYes.": Message("assistant", "Yes.", "hm"),
        "<think></think>Yes.": Message("assistant", "Yes."),
        "The tag `</think>` ends it.": Message("assistant", "The tag `</think>` ends it."),
        "Write <think>so</think>.": Message("assistant", "Write <think>so</think>."),
        "<think>and on and on": "reasoning without an end",
        "<think>hm</think>\n": "empty answer",
        "<think>hm</think>network error": "error reply",
    }
    assert {text: answer_message(text, Counter()) for text in said} == said


# -- messages ----------------------------------------------------------------------------------------------------------
CALL = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": "ü"}'}}]


def test_tool_calls_are_kept_and_not_flattened(tmp_path: Path) -> None:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Add "}, {"type": "text", "text": "one."}]},
        {"role": "assistant", "content": None, "tool_calls": CALL},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": "Two.", "reasoning_content": "1 + 1"},
    ]
    old = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": ""},
    ]
    notes: Counter[str] = Counter()
    new, earlier = rows(lines(tmp_path / "x.jsonl", {"messages": turns, "tools": [1]}, {"messages": old}), "", notes)
    assert new.id == "x-1" and notes["tool definitions left out"] == 1
    assert new.messages == (
        Message("system", "Be brief."),
        Message("user", "Add one."),
        Message("assistant", "", tool_calls=json.dumps(CALL, ensure_ascii=False)),
        Message("tool", "2", tool_call_id="c1"),
        Message("assistant", "Two.", reasoning="1 + 1"),
    )
    assert json.loads(earlier.messages[1].tool_calls) == [{"name": "add", "arguments": "{}"}]
    assert earlier.messages[2] == Message("tool", "", tool_call_id="add")


def test_message_drops_and_ids(tmp_path: Path) -> None:
    ask = {"role": "user", "content": "hi"}
    answers = {
        "image": {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
        "null": {"role": "assistant", "content": None},
        "think": {"role": "assistant", "content": "<think>oh"},
        "error": {"role": "assistant", "content": "network error"},
        "role": {"role": "bot", "content": "hi"},
        "text": "hi",
    }
    bad = [{"id": name, "messages": [ask, answer]} for name, answer in answers.items()]
    told = rows(lines(tmp_path / "x.jsonl", *bad, {"id": "none", "messages": []}, {"id": "number", "messages": 1}))
    assert {row.id: row.reason for row in told} == {
        "image": "a part that is not text",
        "null": "not in message form",
        "think": "reasoning without an end",
        "error": "error reply",
        "role": "not in message form",
        "text": "not in message form",
        "none": "empty conversation",
        "number": "not in message form",
    }
    good = {"role": "assistant", "content": "Yes."}
    again = {"id": 7, "messages": [ask, answers["error"], ask, good]}
    notes: Counter[str] = Counter()
    found = rows(lines(tmp_path / "x.jsonl", again, again, again), "", notes)
    assert [row.id for row in found] == ["7", "7#2", "7#3"] and notes["ids given twice, numbered"] == 2
    assert shape(found[0]) == [("user", "hi"), ("assistant", "Yes.")]
    assert notes["error replies taken out with their questions"] == 3


# -- ShareGPT and FastChat ---------------------------------------------------------------------------------------------
def entry(entry_id: str, *texts: str) -> dict[str, object]:
    return {
        "id": entry_id,
        "conversations": [{"from": "gpt" if i % 2 else "human", "value": text} for i, text in enumerate(texts)],
    }


def test_parts_are_joined_wherever_they_lie(tmp_path: Path) -> None:
    parts = [entry("a_0", "1", "2"), entry("b_0", "x", "y"), entry("a_2", "3", "4"), entry("c", "p", "q")]
    path = lines(tmp_path / "x.jsonl", *parts, entry("a_4", "5", "6"))
    found = {row.id: [content for _, content in shape(row)] for row in rows(path)}
    assert found == {"b": ["x", "y"], "c": ["p", "q"], "a": ["1", "2", "3", "4", "5", "6"]}
    assert list(found) == ["b", "c", "a"]  # in the order in which they are whole


def test_names_are_no_parts(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", *(entry(f"identity_{n}", f"Who {n}?", f"I {n}.") for n in range(4)))
    assert sniff(path) == "fastchat"
    assert [row.id for row in rows(path)] == [f"identity_{n}" for n in range(4)]


def test_arena_and_chats_of_fastchat(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    battle = {"question_id": "q", "model_a": "m", "model_b": "n", "conversation_a": chat, "conversation_b": chat[:0]}
    one = {"conversation_id": "c", "model": "m", "conversation": chat, "turn": 1}
    path = lines(tmp_path / "x.jsonl", battle)
    kept, dropped = rows(path)
    assert (kept.id, dropped.id, dropped.reason) == ("q-a", "q-b", "empty conversation")
    assert [row.id for row in rows(lines(path, one))] == ["c"]
    assert [row.reason for row in rows(path, "fastchat", model="other")] == ["another model"]


# -- tasks -------------------------------------------------------------------------------------------------------------
TASK = {
    "Contributors": ["x"],
    "Definition": ["Say it backwards."],
    "Positive Examples": [{"input": "ab", "output": "ba", "explanation": ""}, {"input": "c", "output": "c"}],
    "Negative Examples": [],
    "Instances": [
        {"id": "t-1", "input": "xy", "output": ["yx", "y x"]},
        {"input": "z", "output": ["z"]},
        {"id": "t-3", "input": "", "output": []},
        7,
    ],
}


def test_super_natural_instructions(tmp_path: Path) -> None:
    path = tmp_path / "task001_backwards.json"
    path.write_text(json.dumps(TASK, indent=4))
    notes: Counter[str] = Counter()
    one, two, empty, strange = rows(path, "", notes)
    assert shape(one) == [("user", "Say it backwards.\n\nxy"), ("assistant", "yx")]
    assert (two.id, notes["further accepted outputs left out"]) == ("task001_backwards-2", 1)
    assert (empty.reason, strange.reason) == ("empty answer", "not an instance")
    path.write_text(json.dumps({"Instances": TASK["Instances"]} | TASK))
    asked = rows(path, "super_natural_instructions", num_examples=1)[0].messages[0].content
    assert asked == (
        "Definition: Say it backwards.\n\nPositive Example 1-\nInput: ab\nOutput: ba\n\n"
        "Now complete the following example-\nInput: xy\nOutput:"
    )
    path.write_text(json.dumps(TASK)[:-30])
    with pytest.raises(DataError, match="2 whole entries end at byte"):
        rows(path)
    assert [type(row) for row in rows(path, salvage=True, name=sniff(path))] == [Conversation, Conversation, Drop]


def test_self_instruct_oddities(tmp_path: Path) -> None:
    task = {"id": "s", "instruction": "Do.\n", "instances": [{"input": "a", "output": "b"}, {"output": ""}, 3]}
    one, empty, strange = rows(lines(tmp_path / "x.jsonl", task))
    assert shape(one) == [("user", "Do.\n\na"), ("assistant", "b")] and one.id == "s-0"
    assert (empty.id, empty.reason, strange.reason) == ("s-1", "empty answer", "not an instance")
    pair = rows(lines(tmp_path / "y.jsonl", {"prompt": "Do.", "completion": " Done."}))
    assert shape(pair[0]) == [("user", "Do."), ("assistant", "Done.")]


# -- Parquet and our own datasets --------------------------------------------------------------------------------------
def test_parquet_in_its_three_forms(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    ours = Conversation(
        "a", (Message("user", "hi"), Message("assistant", "yes", "hm", "[1]"), Message("tool", "", "", "", "c"))
    )
    write_dataset(path, [ours] * 600)
    found = rows(path)
    assert [row.id for row in found] == ["a", *(f"a#{n}" for n in range(2, 601))]
    assert found[0].messages == ours.messages
    parquet.write_table(pyarrow.Table.from_pylist([entry("a_0", "q", "r"), entry("b", "s")]), path)
    assert [getattr(row, "reason", "kept") for row in rows(path)] == ["kept", "no answer to a question"]
    table = [
        {"instruction": "Do.", "input": "it", "output": "Done.", "text": "x"},
        {"instruction": "Do.", "output": None},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(table), path)
    kept, dropped = rows(path)
    assert shape(kept) == [("user", "Do.\n\nit"), ("assistant", "Done.")] and dropped.reason == "empty answer"
    parquet.write_table(pyarrow.table({"a": [1], "b": [2]}), path)
    with pytest.raises(DataError, match="has the columns a, b; one of these is needed: messages"):
        rows(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="is damaged, or no Parquet file"):
        rows(path)


def test_a_dataset_gives_its_drops_too(tmp_path: Path) -> None:
    kept = [Conversation("a", (Message("user", "hi"), Message("assistant", "yes")), "x.json")]
    drops = [Drop("b", "asked before", "a", "duplicates"), Drop("c", "error reply")]
    write_dataset(tmp_path / "records.parquet", kept)
    with pytest.raises(DataError, match=r"a folder without records\.parquet and DONE"):
        sniff(tmp_path)
    write_records(tmp_path / "dropped.jsonl", drops)
    (tmp_path / "DONE").write_text("{}")
    assert sniff(tmp_path) == "dataset"
    assert rows(tmp_path) == [*kept, *drops]
    assert rows(tmp_path, "dataset", with_drops=False) == kept
    (tmp_path / "dropped.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(DataError, match=r"row 1: .* is no Drop"):
        rows(tmp_path)
    (tmp_path / "records.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="is not a dataset of conversations"):
        rows(tmp_path)
    with pytest.raises(DataError, match="is no dataset of epigone's"):
        rows(tmp_path / "none", "dataset")


def test_paragraphs(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(b"One\ntwo.\r\n \r\n\n\nThree.\n\n")
    assert rows(path) == [Document("book-1", "One\ntwo."), Document("book-2", "Three.")]
    path.write_bytes(b"Whole.\n\nHalf \xff more")
    with pytest.raises(DataError, match="byte 13 is not UTF-8"):
        rows(path, "plain_text")
    *whole, lost = rows(path, "plain_text", salvage=True)
    assert [row.text for row in whole] == ["Whole.", "Half"] and lost.reason == "truncated file"
