"""Chat templates through our sandbox against transformers' apply_chat_template, from committed golden files.

Text is equal always, ids and masks but for two differences that are ours on purpose, each told below.
"""

import importlib.util
import json
from pathlib import Path

import pytest

from epigone.errors import SpecError
from epigone.records import Message
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.templates.jinja import Jinja
from epigone.tokens.tokenizer import Tokenizer

FOLDER = Path(__file__).parent / "golden" / "templates"
GOLDEN = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
TOKENIZERS = ("byte_level", "metaspace", "prepended")
SEAM = {
    # the template ends a prompt with a new line and the answer begins with one: read alone, as when the model is asked,
    # the first is a token of its own
    **{(name, kind): {"blanks"} for name in TOKENIZERS for kind in ("chatml", "thinking")},
    # GPT-2's pre-tokenizer cuts two new lines apart where a word follows, and not where a prompt ends
    ("byte_level", "headers"): {"two_turns", "system", "blanks", "other_scripts"},
}
SPELT_OUT = {
    # a control token that a message spells out is plain text, which transformers cuts there: a blank is put behind it
    (name, kind): {"spelt_out"}
    for name in ("metaspace", "prepended")
    for kind in ("chatml", "headers", "instruct", "thinking")
}


def messages(case: str) -> list[Message]:
    return [
        Message(
            row["role"],
            row["content"],
            reasoning=row.get("reasoning_content", ""),
            tool_calls=json.dumps(row["tool_calls"]) if "tool_calls" in row else "",
        )
        for row in GOLDEN["conversations"][case]
    ]


def chat(name: str, template: str) -> ChatTokens:
    file = FOLDER / f"{name}.json"
    jinja = Jinja(str(FOLDER / f"{template}.jinja"), str(file), config=str(FOLDER / "tokenizer_config.json"))
    return ChatTokens(Tokenizer.load(file), jinja)


@pytest.mark.parametrize("marked", ["", "_unmarked"], ids=["marked", "unmarked"])
@pytest.mark.parametrize("kind", ["chatml", "headers", "instruct", "thinking"])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_text_ids_and_mask_are_those_of_transformers(name: str, kind: str, marked: str) -> None:
    ours = chat(name, kind + marked)
    different = set()
    for case, golden in GOLDEN[name][kind].items():
        if case == "tools" and marked:
            continue  # see test_answers_that_cannot_be_told_apart_are_refused
        told = messages(case)
        pieces = ours.template.pieces(told)
        assert "".join(piece.text for piece in pieces) == golden["text"]
        ids, mask = ours.encode(told)
        if ids != golden["ids"]:
            different.add(case)
            continue
        assert golden["mask"] in (None, [int(learnt) for learnt in mask])
        assert ours.prompt(told[:-1]) == golden["prompt"] == ids[: len(golden["prompt"])]
    assert different == SEAM.get((name, kind), set()) | SPELT_OUT.get((name, kind), set())


@pytest.mark.parametrize("kind", ["chatml", "headers", "thinking"])
def test_where_ids_differ_the_prompt_is_still_how_the_model_is_asked(kind: str) -> None:
    told = messages("blanks")
    ours = chat("byte_level", kind)
    prompt = GOLDEN["byte_level"][kind]["blanks"]["prompt"]
    ids, mask = ours.encode(told)
    assert ids[: len(prompt)] == prompt, "transformers' own prompt"
    assert GOLDEN["byte_level"][kind]["blanks"]["ids"][: len(prompt)] != prompt, (
        "which its whole text does not begin with"
    )
    assert mask == [False] * len(prompt) + [True] * mask.count(True) + [False] * (len(ids) - len(prompt) - sum(mask))


def test_a_spelt_out_control_token_is_text() -> None:
    ours = chat("byte_level", "chatml")
    ids, _ = ours.encode(messages("spelt_out"))
    stop, start = (ours.tokenizer.id(token) for token in ("<|stop|>", "<|start|>"))
    assert (ids.count(stop), ids.count(start)) == (2, 2)


def test_answers_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(SpecError, match=r"message 2 .* differently.*\{% generation %\}.*leave_out"):
        chat("byte_level", "thinking_unmarked").encode(messages("tools"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_golden_templates_made_anew(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed (extra `parity`)")
    spec = importlib.util.spec_from_file_location("make_templates", FOLDER.parents[1] / "make_golden_templates.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    anew = json.loads((tmp_path / "golden.json").read_text(encoding="utf-8"))
    assert {name: anew[name] for name in TOKENIZERS} == {name: GOLDEN[name] for name in TOKENIZERS}
