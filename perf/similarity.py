"""The exact nearest-neighbour search beside sacrebleu on the same texts, and how it grows with the number of queries.

    python perf/similarity.py [--more FILE ...] [SIZE ...]     FILE: a further dump of conversations, damaged or not

Two pools of real text, each shuffled once, so that a size is a random part of the next: user turns as they are, and,
since the data sets hold too few of those, user turns together with the paragraphs of the answers. Sizes beyond a pool
are left out. Seconds are of the clock with all cores (NUMBA_NUM_THREADS limits them), so measure on a quiet machine.
A million is extrapolated from the CPU seconds of the largest size, with the exponent between the last two sizes. This
assumes that the texts are as long and as much alike as here and that the exponent stays what it is.
EPIGONE_DATA names the folder of published data sets.
"""

import argparse
import math
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sacrebleu

from epigone import discover
from epigone.formats import sniff
from epigone.records import Conversation
from epigone.similarity.bleu import Settings
from epigone.similarity.index import nearest_without_index
from epigone.similarity.prepared import Prepared

SIZES = (5_000, 10_000, 20_000, 50_000, 90_000, 200_000)
TARGET = 1_000_000
SAMPLE = 150
"""Texts of which all pairs are compared by sacrebleu too."""
NUM_PROMPTS, NUM_TEXTS = 255, 50_000
"""The paper's evaluation prompts (section 4.1), and a training set's size."""
DUMPS = ("sharegpt/sharegpt_sample.json.gz", "hc3/medicine.jsonl", "hc3/open_qa.jsonl", "hc3/wiki_csai.jsonl")
MIN_WORDS = 4
"""Shorter paragraphs are headings and numbers, which all sets share."""
SETTINGS = Settings()


class Spent(NamedTuple):
    """What one piece of work took."""

    clock: float
    cpu: float
    peak: float
    """The most memory that this process held meanwhile, in GiB; 0 where the system does not say."""


class Meter:
    """`with Meter() as meter: ...`, then `meter.spent`; memory is looked at every 20 ms."""

    spent: Spent

    def __enter__(self) -> "Meter":
        self._peak, self._done = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        self._started = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        clock, cpu = time.monotonic() - self._started[0], time.process_time() - self._started[1]
        self._done.set()
        self._watch.join()
        self.spent = Spent(clock, cpu, self._peak)

    def _look(self) -> None:
        statm = Path("/proc/self/statm")
        while statm.exists():
            self._peak = max(self._peak, int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**30)
            if self._done.wait(0.02):
                return


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


def beside_sacrebleu(texts: list[str], many: list[str]) -> None:
    """All pairs of a sample, three ways; the scores must agree. Then ours where it is meant for, many texts."""
    pairs = [(a, b) for a in texts for b in texts if a is not b]
    reused = sacrebleu.BLEU(smooth_method="none", effective_order=True)
    rates: dict[str, float] = {}
    with Meter() as meter:
        scores = [
            sacrebleu.sentence_bleu(a, [b], smooth_method="none", use_effective_order=True).score for a, b in pairs
        ]
    rates["sacrebleu.sentence_bleu"] = len(pairs) / meter.spent.cpu
    with Meter() as meter:
        again = [reused.sentence_score(a, [b]).score for a, b in pairs]
    rates["a reused sacrebleu.BLEU"] = len(pairs) / meter.spent.cpu
    repeats = 50
    with Meter() as meter:
        for _ in range(repeats):
            found = Prepared.of(texts, None, SETTINGS).nearest(SETTINGS, range(len(texts)))
    rates[f"epigone, the same {len(texts)} texts"] = repeats * len(pairs) / meter.spent.cpu
    best = np.asarray(scores).reshape(len(texts), -1).max(axis=1)
    assert np.allclose(scores, again) and np.abs(best - found.scores).max() < 1e-9, "the scores differ"
    with Meter() as meter:
        Prepared.of(many, None, SETTINGS).nearest(SETTINGS, range(len(many)))
    rates[f"epigone, {len(many):,} texts"] = len(many) * (len(many) - 1) / meter.spent.cpu
    print(f"the nearest of {len(texts)} user turns, {len(pairs):,} pairs: the scores agree to 1e-9")
    first, second = list(rates.values())[:2]
    for name, rate in rates.items():
        print(
            f"  {name:<30} {rate:>15,.0f} pairs decided per CPU-second"
            f"   {rate / first:>10,.1f} x sentence_bleu {rate / second:>10,.1f} x reused"
        )


def few_prompts(prompts: list[str], texts: list[str]) -> None:
    with Meter() as meter:
        nearest_without_index(prompts, texts, SETTINGS)
    spent = meter.spent
    print(f"{len(prompts)} prompts against {len(texts):,} texts, no index of the texts: {spent.clock:.2f} s")


def measure(queries: list[str]) -> tuple[Spent, Spent]:
    """To tokenise and index, and to search."""
    with Meter() as indexing:
        prepared = Prepared.of(queries, None, SETTINGS)
    with Meter() as searching:
        prepared.nearest(SETTINGS, range(len(queries)))
    return indexing.spent, searching.spent


def grow(name: str, texts: list[str], sizes: list[int]) -> None:
    """Measure every size of a pool and print what a million would take."""
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"{name}: {len(texts):,} different ones, {words:.0f} words on average")
    print(f"  {'queries':>9} {'index':>9} {'search':>9} {'together':>9} {'CPU':>9} {'memory':>10}")
    spent: list[tuple[Spent, Spent]] = []
    fitting = [size for size in sizes if size <= len(texts)]
    for size in fitting:
        index, search = measure(texts[:size])
        spent.append((index, search))
        seconds = [index.clock, search.clock, index.clock + search.clock, index.cpu + search.cpu]
        columns = " ".join(f"{value:7.1f} s" for value in seconds)
        print(f"  {size:>9,} {columns} {max(index.peak, search.peak):6.2f} GiB", flush=True)
    for place, what in enumerate(("index", "search")):
        if len(spent) > 1:
            before, last = spent[-2][place].cpu, spent[-1][place].cpu
            power = math.log(last / before) / math.log(fitting[-1] / fitting[-2])
            seconds = last * (TARGET / fitting[-1]) ** power
            print(f"  {what:<6} grows with N^{power:.2f}: {seconds:,.0f} CPU seconds for {TARGET:,}, extrapolated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--more", nargs="*", type=Path, default=[])
    given = parser.parse_args()
    root = os.environ.get("EPIGONE_DATA")
    if not root:
        print("similarity: not measured, EPIGONE_DATA is unset: it names the folder of published data sets")
        return
    found = pools([*(Path(root) / name for name in DUMPS), *given.more])
    turns, texts = found.values()
    measure(turns[:1_000])  # compiles
    beside_sacrebleu(turns[:SAMPLE], texts[:NUM_TEXTS])
    nearest_without_index(turns[:2], turns[:100], SETTINGS)  # compiles
    few_prompts(turns[:NUM_PROMPTS], texts[NUM_PROMPTS : NUM_PROMPTS + NUM_TEXTS])
    for name, pool in found.items():
        grow(name, pool, given.sizes)


if __name__ == "__main__":
    main()
