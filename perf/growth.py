"""How the exact nearest-neighbour search grows with the number of queries, and what a million would take.

Two pools of real text, each shuffled once, so that a size is a random part of the next: user turns as they are, and,
since the data sets hold too few of those, user turns together with the paragraphs of the answers. CPU seconds of one
thread. A million is extrapolated from the largest size, with the exponent between the last two sizes. This assumes that
the texts are as long and as much alike as here and that the exponent stays what it is.

perf/growth.py [--more FILE ...] [SIZE ...]: FILE is a further dump of conversations, damaged or not. Sizes beyond a
pool are left out. EPIGONE_DATA names the folder of published data sets.
"""

import argparse
import math
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

from epigone import discover
from epigone.formats import sniff
from epigone.records import Conversation
from epigone.similarity.bleu import Settings
from epigone.similarity.prepared import Prepared

SIZES = (5_000, 10_000, 20_000, 40_000, 90_000, 200_000)
TARGET = 1_000_000
DUMPS = ("sharegpt/sharegpt_sample.json.gz", "hc3/medicine.jsonl", "hc3/open_qa.jsonl", "hc3/wiki_csai.jsonl")
MIN_WORDS = 4
"""Shorter paragraphs are headings and numbers, which all sets share."""


def conversations(paths: list[Path]) -> Iterator[Conversation]:
    for path in paths:
        name = sniff(path)
        options = {"salvage": True} if name == "sharegpt" else {}
        yield from (row for row in discover.make("formats", name, options).read(path) if isinstance(row, Conversation))


def pools(paths: list[Path]) -> dict[str, list[str]]:
    """Different texts in an order that is drawn once."""
    turns: dict[str, None] = {}
    paragraphs: dict[str, None] = {}
    for conversation in conversations(paths):
        for message in conversation.messages:
            if message.role == "user":
                turns[message.content] = None
            else:
                parts = message.content.split("\n")
                paragraphs |= {part.strip(): None for part in parts if len(part.split()) >= MIN_WORDS}
    made = {"user turns": list(turns), "user turns and paragraphs of answers": list(turns | paragraphs)}
    for texts in made.values():
        random.Random(0).shuffle(texts)
    return made


def measure(queries: list[str]) -> tuple[float, float]:
    """CPU seconds to tokenise and index, and to search."""
    settings = Settings()
    started = time.process_time()
    prepared = Prepared.of(queries, None, settings)
    ready = time.process_time()
    prepared.nearest(settings, range(len(queries)))
    return ready - started, time.process_time() - ready


def grow(name: str, texts: list[str], sizes: list[int]) -> None:
    """Measure every size of a pool and print what a million would take."""
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"{name}: {len(texts):,} different ones, {words:.0f} words on average")
    spent: list[tuple[float, float]] = []
    fitting = [size for size in sizes if size <= len(texts)]
    for size in fitting:
        spent.append(measure(texts[:size]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
        index, search = spent[-1]
        print(f"  {size:>9,}: index {index:7.1f} s, search {search:7.1f} s; {peak:.1f} GiB so far", flush=True)
    for place, what in enumerate(("index", "search")):
        if len(spent) > 1:
            before, last = spent[-2][place], spent[-1][place]
            power = math.log(last / before) / math.log(fitting[-1] / fitting[-2])
            seconds = last * (TARGET / fitting[-1]) ** power
            print(f"  {what:<6} grows with N^{power:.2f}: {seconds:,.0f} CPU seconds for {TARGET:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--more", nargs="*", type=Path, default=[])
    given = parser.parse_args()
    root = os.environ.get("EPIGONE_DATA")
    if not root:
        sys.exit("EPIGONE_DATA is unset: it names the folder of published data sets")
    found = pools([*(Path(root) / name for name in DUMPS), *given.more])
    measure(found["user turns"][:1_000])  # compiles
    for name, texts in found.items():
        grow(name, texts, given.sizes)


if __name__ == "__main__":
    main()
