"""The tokenize stage: blocks as they were before they were streamed, nested amounts, kills, parts, refusals."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from epigone.errors import ArtifactError, DataError, SpecError
from epigone.records import Conversation, Message
from epigone.spec import Artifact, Component, Input
from epigone.stages.encode import Encode
from epigone.stages.tokenize import Tokenize
from epigone.store import Store, read_summary
from epigone.tokens import encoding
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.encoding import Encoded
from epigone.tokens.packing import load_blocks
from epigone.tokens.sources import Dialogues
from epigone.tokens.tokenizer import Tokenizer
from tokenize_cases import byte_tokenizer, conversations, dataset, documents

ARRAYS = ("tokens", "loss_mask", "segment_ids")
BEFORE = {
    # what the stage wrote when it held everything in memory (0.1.0, commit 6cc37d5): sha256 of the three files
    ("dialogues", 0): ("acbcd0df43699312", "1fb075464494c383", "4574cea16fa616f4"),
    ("dialogues", 3000): ("9b59217d1ddfd287", "d8e8766bf7e9b1a6", "12e279fc80d47594"),
    ("documents", 0): ("a8b0890dd42da91a", "b7e9f8f993a06ef4", "b1adf67e7afc1f3a"),
    ("documents", 3000): ("5222f49dbe1af7b9", "db40698757cad401", "10704234cdbfedce"),
}


class Place:
    """A root with a dataset, documents and a tokenizer."""

    def __init__(self, folder: Path, rows: list[Conversation]) -> None:
        self.store = Store(folder / "runs")
        self.tokenizer = Input(str(byte_tokenizer(folder / "tokenizer.json")))
        self.dialogues = Artifact(dataset(folder / "runs", rows))
        self.documents = Input(str(documents(folder / "docs.jsonl", 120)))

    def stage(self, source: Artifact | Input | None = None, **options: object) -> Tokenize:
        return Tokenize(source or self.dialogues, self.tokenizer, **({"length": 96, "seed": 3} | options))

    def build(self, source: Artifact | Input | None = None, **options: object) -> Path:
        return self.store.build(self.stage(source, **options))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, conversations(300))


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "SHARD_CHARACTERS", 2000)


def digests(folder: Path) -> tuple[str, ...]:
    return tuple(hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest()[:16] for name in ARRAYS)


@pytest.mark.parametrize(("kind", "max_tokens"), BEFORE)
def test_blocks_are_to_the_byte_what_they_were_before(place: Place, small_shards: None, kind: str, max_tokens: int):
    folder = place.build(getattr(place, kind), max_tokens=max_tokens)
    assert digests(folder) == BEFORE[kind, max_tokens]
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.npy" for name in ARRAYS), "DONE", "spec.json", "summary.json",
    }  # fmt: skip
    blocks, summary = load_blocks(folder), read_summary(folder)
    assert summary["num_tokens"] == blocks.num_tokens + summary["num_tokens_cut"]
    assert summary["num_loss_tokens"] == blocks.loss_mask.sum()
    assert summary["share_padded"] == pytest.approx((blocks.segment_ids == 0).mean(), abs=1e-5)


def stream(folder: Path) -> list[tuple[int, bool]]:
    """Tokens and mask of chopped blocks, without the padding at the end."""
    blocks = load_blocks(folder)
    there = blocks.segment_ids > 0
    return list(zip(blocks.tokens[there].tolist(), blocks.loss_mask[there].tolist(), strict=True))


def by_hand(rows: list[Conversation], tokenizer: Input) -> list[list[tuple[int, bool]]]:
    chat = ChatTokens(Tokenizer.load(Path(tokenizer.path)))
    return [list(zip(*chat.encode(row.messages), strict=True)) for row in rows]


def test_chop_is_the_authors_stream(place: Place):
    each = by_hand(conversations(300), place.tokenizer)
    whole = [pair for number in np.random.default_rng(3).permutation(300) for pair in each[number]]
    folder = place.build(packing="chop")
    assert stream(folder) == whole
    assert len(load_blocks(folder)) == -(-len(whole) // 96)
    as_is = place.build(packing="chop", order="as_is", name="as-is")
    assert stream(as_is) == [pair for pairs in each for pair in pairs]


@pytest.mark.parametrize("order", ["permuted", "as_is"])
def test_amounts_are_nested_and_as_large_as_asked(place: Place, small_shards: None, order: str):
    streams = [stream(place.build(packing="chop", order=order, max_tokens=n)) for n in (500, 3000, 20_000, 38_000)]
    for amount, small, large in zip((500, 3000, 20_000), streams, streams[1:]):
        assert large[: len(small)] == small
        assert amount <= len(small) < amount + 400


def test_a_first_guess_that_was_too_low_changes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encoding, "CHARACTERS_A_TOKEN", 0.01)
    assert digests(place.build(max_tokens=3000)) == BEFORE["dialogues", 3000]


def test_a_small_amount_reads_little(place: Place, monkeypatch: pytest.MonkeyPatch, small_shards: None):
    seen: list[int] = []
    encode = Dialogues.encode
    monkeypatch.setattr(Dialogues, "encode", lambda self, rows: seen.append(len(rows)) or encode(self, rows))
    place.build(max_tokens=3000)
    assert 26 <= sum(seen) < 150


@pytest.mark.parametrize("num_shards", [1, 3])
def test_parts_encoded_apart_are_the_whole(place: Place, small_shards: None, num_shards: int):
    parts = [
        Encode(place.dialogues, place.tokenizer, seed=3, shard=k, num_shards=num_shards) for k in range(num_shards)
    ]
    built = [place.store.build(part) for part in parts]
    assert sum(read_summary(folder)["num_encoded"] for folder in built) == 300
    for max_tokens in (0, 3000):
        folder = place.build(encoded=tuple(parts), max_tokens=max_tokens)
        assert digests(folder) == BEFORE["dialogues", max_tokens]
    if num_shards > 1:
        with pytest.raises(ArtifactError, match="give all shards"):
            place.build(encoded=tuple(parts[:-1]), name="partly")


def test_parts_cannot_count_towards_an_amount(place: Place):
    with pytest.raises(SpecError, match="give max_tokens or num_shards"):
        place.store.build(Encode(place.dialogues, place.tokenizer, max_tokens=10, num_shards=2))
    with pytest.raises(SpecError, match="shard 2 of 2 does not exist"):
        place.store.build(Encode(place.dialogues, place.tokenizer, shard=2, num_shards=2))


def test_too_little_data_says_how_much_there_is(place: Place):
    with pytest.raises(DataError, match="50000 tokens were asked for, the data holds 38322"):
        place.build(max_tokens=50_000)


def test_a_failed_run_goes_on_at_the_next_shard(place: Place, monkeypatch: pytest.MonkeyPatch, small_shards: None):
    encode, seen = Dialogues.encode, []

    def fails_later(self: Dialogues, rows: list[Conversation]) -> object:
        seen.append([row.id for row in rows])
        if len(seen) == 5:
            raise OSError("the power went out")
        return encode(self, rows)

    monkeypatch.setattr(Dialogues, "encode", fails_later)
    with pytest.raises(OSError, match="power"):
        place.build()
    folder = place.store.root / ".staging" / place.store.resolver.id(place.stage()) / "encoded"
    assert 0 < (Encoded([folder]).lengths > 0).sum() < Encoded([folder]).num_documents
    assert digests(place.build()) == BEFORE["dialogues", 0]
    again = [shard for shard in seen[5:] if shard in seen[:4]]
    assert again == [] and seen[5] == seen[4]


KILLED = """
import sys
from pathlib import Path
from epigone.spec import Artifact, Input
from epigone.stages.tokenize import Tokenize
from epigone.store import Store
from epigone.tokens import encoding
encoding.SHARD_CHARACTERS = 2000
root, tokenizer = sys.argv[1:]
stage = Tokenize(Artifact("datasets/made-up--00000000"), Input(tokenizer), length=96, seed=3)
print(Store(Path(root)).build(stage))
"""


def test_killed_while_it_encodes_it_ends_in_the_same_bytes(tmp_path: Path):
    place = Place(tmp_path, conversations(800))
    straight = digests(place.build(name="straight"))
    command = [sys.executable, "-c", KILLED, str(place.store.root), place.tokenizer.path]
    numbers = []
    for wanted in (3, 15):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        staging = place.store.root / ".staging" / "blocks"
        while child.poll() is None and len(list(staging.glob("blocks--*/encoded/*.documents.npy"))) < wanted:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it was done before it could be killed"
        numbers.append(len(list(staging.glob("blocks--*/encoded/*.documents.npy"))))
    assert 3 <= numbers[0] < numbers[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert digests(Path(done.stdout.strip())) == straight
    assert not list(Path(done.stdout.strip()).glob("encoded*"))


def test_a_block_longer_than_the_positions_is_refused(place: Place, tmp_path: Path):
    ways_out = r"96 tokens is longer than the model's 64 positions.*at most 64.*another model.*rope scaling"
    with pytest.raises(SpecError, match=ways_out):
        place.stage(max_positions=64)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 64}))
    with pytest.raises(SpecError, match=ways_out):
        place.build(model=Input(str(tmp_path / "config.json")))
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 96}}))
    assert digests(place.build(model=Input(str(tmp_path / "config.json")))) == BEFORE["dialogues", 0]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "rwkv"}))
    with pytest.raises(SpecError, match=r"does not say how many positions.*max_positions"):
        place.build(model=Input(str(tmp_path / "config.json")))


def test_what_a_template_cannot_say_is_named_by_its_conversation(tmp_path: Path):
    rows = [*conversations(3), Conversation("odd", (Message("system", "Be brief."), Message("user", "Hi.")))]
    place = Place(tmp_path, rows)
    with pytest.raises(SpecError, match=r"conversation 'odd'.*'system'.*fold"):
        place.build()
    folded = place.build(template=Component.of("tokens.templates", "special_tokens", system="fold"))
    assert read_summary(folded)["num_sequences"] == 4
    chatml = place.build(template=Component.of("tokens.templates", "chatml"), packing="chop", order="as_is")
    tokenizer = Tokenizer.load(Path(place.tokenizer.path))
    assert [token for token, _ in stream(chatml)].count(tokenizer.id("<|im_start|>")) == sum(
        len(row.messages) for row in rows
    )
