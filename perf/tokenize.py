"""Tokens a second of `epigone tokenize`, against `tokenizers` alone on the same text in the same run, and its memory.

    python perf/tokenize.py [FILE]      FILE: a dump in a form that `epigone run curate` reads as sharegpt

Without FILE the text is made up. The tokenizer is trained on the text here (byte-level BPE, 32,000 words, the size of
LLaMA's), the conversations are repeated until there are enough tokens. "tokenizers alone" is encode_batch of the same
messages and nothing else: no template, no mask, nothing written. Both use every core; a machine that does other work
beside this slows both. What 150M tokens would take is extrapolated from the rate, and said so.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from epigone.datasets import iterate_dataset, write_dataset
from epigone.formats.sharegpt import ShareGPT
from epigone.records import Conversation, Message
from epigone.store import read_summary

NUM_CHARACTERS = int(os.environ.get("PERF_CHARACTERS", 40_000_000))
ROUNDS = 2
CONTROL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"]


def made_up() -> list[Conversation]:
    """Conversations of words with a long tail, as many as a published sample holds."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("etaoinshrdlucmfwypvbgk"), rng.integers(2, 10))) for _ in range(30_000)]

    def text(size: int) -> str:
        picked = np.minimum(rng.zipf(1.2, size), len(words)) - 1
        return " ".join(words[i] for i in picked)

    return [
        Conversation(
            str(n), tuple(Message(role, text(int(size))) for role, size in (("user", 40), ("assistant", 250)) * 3)
        )
        for n in range(2000)
    ]


def published(path: Path) -> list[Conversation]:
    """The dialogues of a dump that users and assistants alone speak in."""
    rows = [row for row in ShareGPT().read(path) if isinstance(row, Conversation)]
    return [row for row in rows if {message.role for message in row.messages} <= {"user", "assistant"}]


def enough(rows: list[Conversation]) -> Iterator[Conversation]:
    """The conversations again and again, under new ids."""
    num_characters = 0
    for number, row in enumerate(cycle(rows)):
        if num_characters >= NUM_CHARACTERS:
            return
        num_characters += sum(len(message.content) for message in row.messages)
        yield replace(row, id=str(number))


def train(rows: list[Conversation], path: Path) -> tokenizers.Tokenizer:
    """A byte-level BPE of the text."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([m.content for row in rows[:3000] for m in row.messages], trainer)
    backend.save(str(path))
    return backend


def alone(backend: tokenizers.Tokenizer, dataset: Path) -> tuple[float, int]:
    """Seconds and tokens of encode_batch over all messages, a thousand conversations at a time."""
    rows = list(iterate_dataset(dataset))
    started = time.monotonic()
    num_tokens = 0
    for first in range(0, len(rows), 1000):
        texts = [message.content for row in rows[first : first + 1000] for message in row.messages]
        num_tokens += sum(len(encoding) for encoding in backend.encode_batch(texts, add_special_tokens=False))
    return time.monotonic() - started, num_tokens


def ours(place: Path, dataset: Path, number: int) -> tuple[float, int]:
    """Seconds and tokens of the command, start of the interpreter and checksums included."""
    command = [sys.executable, "-m", "epigone", "tokenize", str(dataset), "--tokenizer", str(place), "--json"]
    started = time.monotonic()
    subprocess.run([*command, "--root", str(place / "runs"), "--name", f"r{number}"], check=True, capture_output=True)
    seconds = time.monotonic() - started
    (made,) = (place / "runs" / "blocks").glob(f"r{number}--*")
    return seconds, int(read_summary(made)["num_tokens"])  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    rows = published(Path(sys.argv[1])) if len(sys.argv) > 1 else made_up()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        backend = train(rows, place / "tokenizer.json")
        dataset = place / "runs" / "datasets" / "perf--00000000"
        write_dataset(dataset / "records.parquet", enough(rows))
        (dataset / "DONE").write_text('{"files": {}}')
        best = {"epigone tokenize": 0.0, "tokenizers alone": 0.0}
        for number in range(ROUNDS):
            seconds, num_tokens = ours(place, dataset, number)
            best["epigone tokenize"] = max(best["epigone tokenize"], num_tokens / seconds)
            seconds, num_alone = alone(backend, dataset / "records.parquet")
            best["tokenizers alone"] = max(best["tokenizers alone"], num_alone / seconds)
        print(
            f"tokenize: {num_tokens:,} tokens, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, best of {ROUNDS}"
        )
        for title, rate in best.items():
            share = rate / best["tokenizers alone"]
            print(f"  {title:<20} {rate:>10,.0f} tokens a second   {share:.2f} x tokenizers alone")
        minutes = 150e6 / best["epigone tokenize"] / 60
        print(f"  150M tokens at that rate, extrapolated: {minutes:.1f} minutes")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
        print(f"  {'largest process':<20} {peak:>10,.0f} MiB")
