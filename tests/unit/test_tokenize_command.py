"""`epigone tokenize` and `epigone show` on blocks, as a person runs them."""

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from rich.console import Console
from tokenizers import decoders, models, normalizers

from epigone.commands.show_blocks import block_as_json, show_blocks
from epigone.commands.tokenize import Wanted, plan, run_tokenize
from epigone.errors import ArtifactError, SpecError
from epigone.records import Conversation, Message
from epigone.tokens.amounts import amount
from epigone.tokens.packing import load_blocks
from epigone.tokens.tokenizer import Tokenizer
from tokenize_cases import byte_tokenizer, conversations, dataset, documents

TALK = [
    Conversation("a", (Message("user", "Say <|end|>, please."), Message("assistant", "With\ntwo lines: <|end|>"))),
    Conversation("b", (Message("user", "Grüße?"), Message("assistant", "[bold]Grüße![/bold]"))),
]
GUARDED = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"


def epigone(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "epigone", *arguments]
    return subprocess.run(command, cwd=folder, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    byte_tokenizer(tmp_path / "tok" / "tokenizer.json")
    dataset(tmp_path / "runs", TALK)
    return tmp_path


def wanted(folder: Path, **options: object) -> Wanted:
    given = {"source": folder / "runs/datasets/made-up--00000000", "tokenizer": folder / "tok", "length": 128} | options
    return Wanted(**given)


def shown(path: Path, *, terminal: bool, rows: list[int] | None = None) -> str:
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=80, color_system="standard" if terminal else None
    )
    show_blocks(path, rows or [0], console)
    return console.file.getvalue()


def test_the_command_line_from_dataset_to_text(folder: Path) -> None:
    source = "runs/datasets/made-up--00000000"
    told = ("tokenize", source, "--tokenizer", "tok", "--length", "128", "--name", "talk")
    done = epigone(*told, "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (made,) = found["blocks"]
    num_learnt = sum(len(c.messages[1].content.encode()) + 2 for c in TALK)
    assert (made["num_blocks"], made["num_loss_tokens"], made["num_truncated"]) == (1, num_learnt, 0)
    assert found["peak_memory_bytes"] > 0 and Path(made["artifact"]).name.startswith("talk--")
    again = epigone(*told, folder=folder)
    assert again.returncode == 0 and "blocks: runs/blocks/talk--" in again.stderr
    text = epigone("show", made["artifact"], "--row", "0", folder=folder).stdout
    assert "<|user|> Say <|end|>, please.<|assistant|>[[ With\ntwo lines: <|end|><|end|>]]" in text
    assert "<|user|> Grüße?<|assistant|>[[ [bold]Grüße![/bold]<|end|>]]" in text
    plain = json.loads(epigone("show", made["artifact"], "--row", "0", "--json", folder=folder).stdout)
    blocks = load_blocks(folder / made["artifact"])
    assert plain["tokens"] == blocks.tokens[0].tolist()
    assert plain["loss_mask"] == blocks.loss_mask[0].tolist()
    assert plain["segment_ids"] == blocks.segment_ids[0].tolist()
    whole = epigone("show", made["artifact"], folder=folder)
    assert '"num_loss_tokens"' in whole.stdout and "segment 2" in whole.stdout
    missing = epigone("show", made["artifact"], "--row", "1", folder=folder)
    assert missing.returncode == 1 and "has no block 1; it has 1" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--length", "512", "--max-positions", "256"), "512 tokens is longer than the model's 256 positions"),
        (("--template", "chatlm"), "Did you mean 'chatml'?"),
        (("--template-option", "system=ignore"), "'ignore' is not among refuse, fold"),
        (("--template-option", "sytem=fold"), "has no option 'sytem'"),
        (("--packing", "tight"), "documents or chop"),
        (("--amounts", "1M", "many"), "'many' is no amount"),
        (("--executor", "elsewhere"), "there is local, here, ray"),
    ],
)
def test_wrong_words_get_one_message(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = epigone("tokenize", "runs/datasets/made-up--00000000", "--tokenizer", "tok", *arguments, folder=folder)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_amounts_are_read_as_people_write_them() -> None:
    texts = ("300000", "300K", "0.3M", "150m", "1_000", "0")
    assert [amount(text) for text in texts] == [300_000, 300_000, 300_000, 150_000_000, 1000, 0]


def test_several_amounts_are_one_encoding_and_nested(folder: Path) -> None:
    dataset(folder / "runs", conversations(200), "many--00000000")
    source = folder / "runs/datasets/many--00000000"
    told = wanted(folder, source=source, amounts=("4K", "1K", "0"), packing="chop")
    stages = plan(told, folder / "runs")
    assert [stage.max_tokens for stage in stages] == [1000, 4000, 0]
    assert len({stage.encoded for stage in stages}) == 1
    found = run_tokenize(told, folder / "runs", quiet=True)
    streams = []
    for one in found["blocks"]:
        blocks = load_blocks(Path(one["artifact"]))
        streams.append(blocks.tokens[blocks.segment_ids > 0])
    assert all(np.array_equal(large[: len(small)], small) for small, large in itertools.pairwise(streams))
    assert 1000 <= len(streams[0]) < 4000 <= len(streams[1]) < len(streams[2])
    (alone,) = run_tokenize(
        wanted(folder, source=source, amounts=("4K",), packing="chop"), folder / "runs", quiet=True
    )["blocks"]
    lone = load_blocks(Path(alone["artifact"]))
    assert np.array_equal(lone.tokens[lone.segment_ids > 0], streams[1])


def test_documents_take_a_file(folder: Path) -> None:
    told = wanted(folder, source=documents(folder / "docs.jsonl", 30), document_end="<|im_end|>")
    (made,) = run_tokenize(told, folder / "runs", quiet=True)["blocks"]
    assert (made["num_sequences"], Path(made["artifact"]).name.partition("--")[0]) == (30, "docs")
    assert made["num_loss_tokens"] == made["num_tokens"]


def test_sources_that_cannot_be_are_refused(folder: Path) -> None:
    with pytest.raises(SpecError, match="neither a dataset"):
        plan(wanted(folder, source=folder / "runs"), folder / "runs")
    with pytest.raises(SpecError, match=r"not lie under the root .*give --root .*runs"):
        plan(wanted(folder), folder / "elsewhere")
    with pytest.raises(SpecError, match="source=PATH"):
        plan(wanted(folder, template="jinja"), folder / "runs")


def test_a_published_template_is_found_beside_the_tokenizer(folder: Path) -> None:
    (folder / "tok" / "chat_template.jinja").write_text(GUARDED + "{{ '' if quiet else '' }}")
    told = wanted(folder, template="jinja", template_options=("variables.quiet=true", "reasoning=read"))
    (made,) = run_tokenize(told, folder / "runs", quiet=True)["blocks"]
    runs = block_as_json(Path(made["artifact"]), 0)["runs"]
    assert [run["text"] for run in runs if run["learnt"]]
    assert sum("<|im_start|>assistant\n" in run["text"] for run in runs) == 2


def test_colours_say_what_is_learnt_and_where_a_segment_ends(folder: Path) -> None:
    (made,) = run_tokenize(wanted(folder), folder / "runs", quiet=True)["blocks"]
    text = shown(Path(made["artifact"]), terminal=True)
    codes = {
        words: int(text[: text.index(words)].rpartition("\x1b[")[2].partition("m")[0]) for words in (" With", " [bold]")
    }
    first, second = sorted(codes, key=text.index)
    assert (codes[first], codes[second]) == (32, 36), "the first segment is green, the second cyan"
    assert "[[" not in text
    plain = shown(Path(made["artifact"]), terminal=False)
    assert "\x1b" not in plain and "segment 1: " in plain and "of 128 tokens are padding" in plain
    with pytest.raises(ArtifactError, match="has no block 5"):
        shown(Path(made["artifact"]), terminal=False, rows=[5])
    with pytest.raises(ArtifactError, match="holds no blocks"):
        block_as_json(folder / "runs/datasets/made-up--00000000", 0)


def sentencepiece_like(path: Path) -> None:
    """Words that carry their blank before them, which the decoder takes off the first one."""
    words = ["<unk>", "<|user|>", "<|assistant|>", "<|end|>", "▁", "a", "b", "▁a", "▁b", "▁▁", "▁▁a", "▁▁b"]
    merges = [("▁", "a"), ("▁", "b"), ("▁", "▁"), ("▁", "▁a"), ("▁", "▁b")]
    backend = tokenizers.Tokenizer(models.BPE({w: i for i, w in enumerate(words)}, merges, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    backend.add_special_tokens(words[1:4])
    backend.save(str(path))


def test_blanks_are_shown_though_a_decoder_takes_off_the_first(folder: Path) -> None:
    sentencepiece_like(folder / "tok" / "tokenizer.json")
    dataset(
        folder / "runs", [Conversation("a", (Message("user", "a b"), Message("assistant", "b a a")))], "ab--00000000"
    )
    told = wanted(folder, source=folder / "runs/datasets/ab--00000000")
    (made,) = run_tokenize(told, folder / "runs", quiet=True)["blocks"]
    tokenizer = Tokenizer.load(folder / "tok")
    words = [tokenizer.backend.id_to_token(t) for t in load_blocks(Path(made["artifact"])).tokens[0, :9].tolist()]
    assert words[:3] == ["<|user|>", "▁▁a", "▁b"]
    assert "<|user|>  a b<|assistant|>[[  b a a<|end|>]]" in shown(Path(made["artifact"]), terminal=False)


def test_a_tokenizer_that_is_gone_is_named(folder: Path) -> None:
    (made,) = run_tokenize(wanted(folder), folder / "runs", quiet=True)["blocks"]
    (folder / "tok" / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not there"):
        block_as_json(Path(made["artifact"]), 0)


def test_nothing_is_left_in_staging(folder: Path) -> None:
    run_tokenize(wanted(folder, amounts=("40", "80")), folder / "runs", quiet=True)
    assert [
        path for path in (folder / "runs" / ".staging").rglob("*") if path.is_file() and path.suffix != ".lock"
    ] == []
