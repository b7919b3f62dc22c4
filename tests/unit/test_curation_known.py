"""The filter of what a model knows: k of n replies, by a model whose knowledge is dealt out by a rule."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from epigone.component_text import component
from epigone.curation.known import Known
from epigone.errors import SpecError
from epigone.records import Completion, Conversation, Drop, Message, Prompt, SamplingParams
from small_checkpoint import small_base


@dataclass(frozen=True)
class Dealt:
    """Knows the answer to question n in n of 4 replies, whatever the seeds are called."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion(self._said(p, sampling.seed), 2, "stop") for p in prompts]

    def _said(self, prompt: Prompt, seed: int) -> str:
        asked = prompt.text or prompt.messages[-1].content
        number = int(asked.rsplit("number ", 1)[1].split("?")[0])
        return f" The answer is word{number}." if (seed + number) % 4 < number else " No idea, word."


def asked(number: int) -> Conversation:
    turns = (Message("user", f"what is number {number}?"), Message("assistant", f"Word{number}"))
    return Conversation(f"c{number}", turns)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize(("min_right", "kept"), [(1, [1, 2, 3, 4]), (2, [2, 3, 4]), (4, [4])])
def test_k_of_n(min_right, kept, chat):
    known = Known(Dealt(), min_right=min_right, chat=chat)
    found = list(known.apply(map(asked, range(5))))
    assert [row.id for row in found if isinstance(row, Conversation)] == [f"c{n}" for n in kept]
    drops = [row for row in found if isinstance(row, Drop)]
    assert drops[0].reason == "not known" and drops[0].detail == "0 of 4 replies hold the answer"
    other = list(Known(Dealt(), keep="unknown", min_right=min_right, chat=chat).apply(map(asked, range(5))))
    assert {row.id for row in other if isinstance(row, Conversation)} == {row.id for row in drops}


def test_what_asks_nothing_is_a_drop_in_its_place():
    silent = Conversation("s", (Message("assistant", "hello"),))
    found = list(Known(Dealt()).apply([asked(4), silent, asked(3)]))
    assert [type(row).__name__ for row in found] == ["Conversation", "Drop", "Conversation"]


def test_options_that_cannot_be():
    for options, said in [
        ({"min_right": 5}, "give 1 to num_samples=4"),
        ({"keep": "both"}, "not among known, unknown"),
        ({"temperature": 0}, "all replies are the same"),
    ]:
        with pytest.raises(SpecError, match=said):
            Known(Dealt(), **options)


def test_a_checkpoint_is_asked_by_what_the_command_line_says(tmp_path):
    folder = small_base(tmp_path / "base")
    (tmp_path / "solved.jsonl").write_text(json.dumps({"question": "one", "answer": ["a", "b"]}) + "\n")
    written = (
        f"known:model=backends/checkpoint:{folder},num_samples=1,min_right=1,exemplars={tmp_path / 'solved.jsonl'}"
    )
    made = component("curation", written).make(lambda given: given.path)
    found = list(made.apply([asked(1)]))
    assert [row.id for row in found] == ["c1"]
