"""Natural Questions: each detail of the protocol, by hand or on the real file; shots in text and in chat."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from epigone.benchmarks.natural_questions import NaturalQuestions
from epigone.errors import SpecError
from epigone.metrics import answers
from epigone.records import Completion, Prompt, SamplingParams


@dataclass
class Scripted:
    """Says the replies in their order, cut as a model cuts them, and remembers what it was asked."""

    replies: Sequence[str]
    asked: list[tuple[Prompt, SamplingParams]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        self.asked += [(prompt, sampling) for prompt in prompts]
        found = []
        for reply in self.replies[: len(prompts)]:
            ends = [reply.find(stop) for stop in sampling.stop if stop in reply]
            found.append(Completion(reply[: min(ends)] if ends else reply, 1, "stop"))
        return found


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def nq(tmp_path: Path) -> NaturalQuestions:
    dev = lines(
        tmp_path / "dev.jsonl", {"question": "when did it end", "answer": ["14 December 1972 UTC", "the 1970s"]}
    )
    train = lines(tmp_path / "train.jsonl", *[{"question": f"q{n}", "answer": [f"a{n}", "other"]} for n in range(5)])
    return NaturalQuestions(dev, train)


def scored(nq: NaturalQuestions, reply: str) -> dict[str, float]:
    return nq.run(Scripted([reply]))[0].metrics


def test_three_shots_in_text_are_the_default(nq: NaturalQuestions) -> None:
    assert nq.prompt(nq.items()[0]).text == "Q: q0\nA: a0\n\nQ: q1\nA: a1\n\nQ: q2\nA: a2\n\nQ: when did it end\nA:"
    assert nq.protocol.startswith("nq-3shot--")


@pytest.mark.parametrize(
    ("options", "id_", "num_turns"),
    [({"chat": True}, "nq-chat--", 1), ({"chat": True, "num_shots": 3}, "nq-chat-3shot--", 7)],
)
def test_chat_is_zero_shot_and_shots_are_turns(nq: NaturalQuestions, options, id_: str, num_turns: int) -> None:
    chat = replace(nq, **options)
    turns = chat.prompt(chat.items()[0]).messages
    assert [turn.role for turn in turns] == [("user", "assistant")[n % 2] for n in range(num_turns)]
    assert turns[-1].content == "when did it end" and chat.protocol.startswith(id_)
    if num_turns > 1:
        assert [turn.content for turn in turns[:4]] == ["q0", "a0", "q1", "a1"]
        assert chat.run(Scripted(["x"]))[0].prompt.endswith("[assistant] a2\n\n[user] when did it end")


def test_zero_shot_needs_no_exemplars(nq: NaturalQuestions) -> None:
    bare = NaturalQuestions(nq.path, num_shots=0)
    assert bare.prompt(bare.items()[0]).text == "Q: when did it end\nA:"
    assert bare.protocol.startswith("nq-0shot--")
    with pytest.raises(SpecError, match="num_shots=3 needs `exemplars`"):
        NaturalQuestions(nq.path).protocol  # noqa: B018
    assert len({each.protocol for each in (nq, bare, NaturalQuestions(nq.path, chat=True))}) == 3


def test_replies_end_at_a_line_feed_alone(nq: NaturalQuestions) -> None:
    model = Scripted([" 14 Dec. 1972, UTC\nQ: next"])
    (score,) = nq.run(model)
    assert score.reply == " 14 Dec. 1972, UTC" and model.asked[0][1].stop == ("\n",)
    assert model.asked[0][1].temperature == 0


def test_exact_match_is_the_best_over_the_accepted_answers(nq: NaturalQuestions) -> None:
    assert scored(nq, " 14 december 1972 UTC.")["exact_match"] == 1  # case, punctuation, blanks
    assert scored(nq, " 1970s")["exact_match"] == 1  # the article of the second answer
    assert scored(nq, " in the 1970s") == {"exact_match": 0, "contains_answer": 1, "abstained": 0, "length_words": 3}
    assert scored(nq, " 1970")["contains_answer"] == 0  # whole words
    assert scored(nq, "") == {"exact_match": 0, "contains_answer": 0, "abstained": 0, "length_words": 0}


def test_chat_scores_the_whole_reply_and_its_first_line(nq: NaturalQuestions) -> None:
    chat = NaturalQuestions(nq.path, chat=True)
    found = scored(chat, "\nThe 1970s.\nIt is hard to say when.")
    assert (found["exact_match"], found["first_line_exact_match"], found["contains_answer"]) == (0, 1, 1)
    assert found["length_words"] == 8
    assert scored(chat, "It ended in the 1970s.")["first_line_exact_match"] == 0
    model = Scripted(["x"])
    chat.run(model)
    assert model.asked[0][1].stop == ()


def test_what_stops_at_a_full_stop_would_lose(data_root: Path) -> None:
    """On the real file: questions of which no accepted answer is without "." or ",", and those with several answers."""
    path = data_root / "nq_open" / "NQ-open.dev.first1800.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lost = [all("." in answer or "," in answer for answer in row["answer"]) for row in rows]
    nq = NaturalQuestions(path, num_shots=0)
    model = Scripted([f" {row['answer'][0]}\nQ:" for row in rows])
    found = nq.run(model)
    assert all(score.metrics["exact_match"] == 1 for score in found)
    cut = [score.reply.split(".")[0].split(",")[0] for score in found]
    wrong = [not answers.exact_match(reply, row["answer"]) for reply, row in zip(cut, rows)]
    assert sum(lost) == 157 and sum(w and n for w, n in zip(wrong, lost)) == 155
    assert sum(len(row["answer"]) > 1 for row in rows) == 791
