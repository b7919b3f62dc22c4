"""Made-up dialogues and documents, and a tokenizer of bytes, that the tests of tokenisation share."""

import json
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from epigone.datasets import write_dataset
from epigone.records import Conversation, Message

CONTROL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<|im_start|>", "<|im_end|>")
WORDS = ("north", "river", "stone", "<|end|>", "light", "ä", "\n")


def byte_tokenizer(path: Path) -> Path:
    """One token a byte, saved."""
    vocabulary = {character: i for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(CONTROL))
    path.parent.mkdir(parents=True, exist_ok=True)
    backend.save(str(path))
    return path


def conversations(count: int, seed: int = 0) -> list[Conversation]:
    """Dialogues of one to three pairs of turns, of very different lengths."""
    rng = np.random.default_rng(seed)

    def words() -> str:
        return " ".join(rng.choice(WORDS, int(rng.integers(1, 12))))

    made = []
    for number in range(count):
        pairs = int(rng.integers(1, 4))
        messages = [Message(role, words()) for _ in range(pairs) for role in ("user", "assistant")]
        made.append(Conversation(f"c{number}", tuple(messages), "made up"))
    return made


def dataset(root: Path, rows: list[Conversation], name: str = "made-up--00000000") -> str:
    """A finished dataset artifact; its id."""
    folder = root / "datasets" / name
    write_dataset(folder / "records.parquet", rows)
    (folder / "DONE").write_text('{"files": {}}')
    return f"datasets/{name}"


def documents(path: Path, count: int, seed: int = 1) -> Path:
    """A file of documents."""
    rng = np.random.default_rng(seed)
    rows = [{"id": f"d{n}", "text": " ".join(rng.choice(WORDS, int(rng.integers(1, 40))))} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:3], {"id": "odd"}, *rows[3:]]))
    return path
