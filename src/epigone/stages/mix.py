"""mix: datasets -> one dataset, weighted, in an order whose every beginning keeps the weights.

In: datasets with weights, and the student's tokenizer if tokens are to be counted by it. Out: `datasets/`:
records.parquet, each row's source naming the part that it came from. Amounts are prefixes of that one seeded order, so
that a smaller amount always lies within a larger one. Source: the data axis of Figure 1 and of ShareGPT-Mix, sections
3.2 and 4.2 of the paper (arXiv 2305.15717).
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

import numpy
from numpy.typing import NDArray

from epigone.datasets import DatasetWriter, RandomAccess, iterate_dataset
from epigone.errors import DataError, SpecError
from epigone.interfaces import StageSpec
from epigone.progress import tell
from epigone.records import Conversation
from epigone.reporting.collection_card import carry_cards
from epigone.spec import Artifact, Input
from epigone.tokens.tokenizer import Tokenizer

COUNTED_AT_A_TIME = 1000


@dataclass(frozen=True)
class Part:
    """One dataset of a mixture."""

    name: str
    """What the part is called; the rows' source begins with it."""
    dataset: StageSpec | Artifact
    """A dataset."""
    weight: float | int = 0
    """Its share of the tokens, in any unit; 0 for all parts: each as much as it holds."""


@dataclass(frozen=True)
class Mix:
    """Options of a mixture."""

    parts: tuple[Part, ...]
    """The datasets and their weights."""
    tokenizer: Input | None = None
    """The student's tokenizer.json, by which the messages' tokens are counted; without it, words are."""
    amounts: tuple[int, ...] = ()
    """Token budgets of which summary.json tells the rows, tokens and shares; DataError where there are fewer tokens."""
    seed: int = 0
    """Orders every part."""
    when_short: Literal["stop", "go on"] = "stop"
    """Where a part runs out before the others: the mixture ends there, or goes on with what is left."""
    name: str = "mixture"
    """What the dataset is called."""

    kind: ClassVar[str] = "datasets"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if any(amount < 1 for amount in self.amounts):
            raise SpecError(f"an amount of a mixture is one token or more, not {min(self.amounts)}")

    @property
    def slug(self) -> str:
        """The dataset's name."""
        return self.name

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 1.0

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Count, order, write. Raises DataError for an amount that is not there, SpecError for strange weights."""
        weighted = _checked(self.parts)
        files = [inputs(part.dataset) / "records.parquet" for part in self.parts]
        tokenizer = Tokenizer.load(inputs(self.tokenizer)) if self.tokenizer else None
        counts = [count_tokens(iterate_dataset(file), tokenizer) for file in files]
        weights = [float(part.weight) if weighted else float(max(n.sum(), 1)) for part, n in zip(self.parts, counts)]
        which, rows = mixture_order(counts, weights, seed=self.seed, when_short=self.when_short)
        tokens = numpy.array([counts[part][row] for part, row in zip(which, rows, strict=True)], dtype=numpy.int64)
        with tempfile.TemporaryDirectory(dir=out, suffix=".partial") as scratch:
            opened = [RandomAccess(file, _folder(Path(scratch), number)) for number, file in enumerate(files)]
            with DatasetWriter(out / "records.parquet", Conversation) as writer:
                for part, row in zip(which.tolist(), rows.tolist(), strict=True):
                    tell(writer.num_rows, len(rows), "rows", "written")
                    found = opened[part][row]
                    writer.write(replace(found, source=f"{self.parts[part].name}/{found.source}"))
            del opened  # the mapped files must be closed before their folder goes
        carry_cards(files, out)
        return {
            "num_kept": len(rows),
            "num_tokens": int(tokens.sum()),
            "counted_by": "tokenizer" if tokenizer else "words",
            "parts": [self._part(number, counts[number], tokens[which == number]) for number in range(len(files))],
            "amounts": [self._amount(amount, which, tokens) for amount in self.amounts],
        }

    def _part(self, number: int, there: NDArray[numpy.int64], taken: NDArray[numpy.int64]) -> dict[str, object]:
        part = self.parts[number]
        found: dict[str, object] = {"name": part.name, "weight": part.weight, "num_rows": len(there)}
        found |= {"num_tokens": int(there.sum()), "num_rows_taken": len(taken)}
        return found | {"num_tokens_taken": int(taken.sum())}

    def _amount(self, amount: int, which: NDArray[numpy.int64], tokens: NDArray[numpy.int64]) -> dict[str, object]:
        cumulative = tokens.cumsum()
        if not len(tokens) or cumulative[-1] < amount:
            raise DataError(
                f"{amount} tokens were asked for, the mixture holds {tokens.sum()}: ask for less, give more data, or "
                "let it go on where a part is short (when_short)"
            )
        num_rows = int(numpy.searchsorted(cumulative, amount)) + 1
        held = cumulative[num_rows - 1]
        shares = {
            part.name: float(tokens[:num_rows][which[:num_rows] == number].sum() / held)
            for number, part in enumerate(self.parts)
        }
        return {"amount": amount, "num_rows": num_rows, "num_tokens": int(held), "shares": shares}


def mixture_order(
    counts: Sequence[NDArray[numpy.int64]],
    weights: Sequence[float],
    *,
    seed: int,
    when_short: Literal["stop", "go on"] = "stop",
) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Part and row within it, one pair a row of the mixture. `counts` are the tokens of every row, by part.

    The next row always comes from the part that has given least for its weight (the first of equals), so that every
    beginning keeps the weights to within a row of each part.
    """
    given: list[NDArray[numpy.float64]] = []
    rows: list[NDArray[numpy.int64]] = []
    for number, (tokens, weight) in enumerate(zip(counts, weights, strict=True)):
        order = numpy.random.default_rng([seed, number]).permutation(len(tokens))
        before = tokens[order].cumsum() - tokens[order]
        given.append(before / weight)
        rows.append(order.astype(numpy.int64))
    which = numpy.repeat(numpy.arange(len(rows)), [len(part) for part in rows])
    key, row = numpy.concatenate(given), numpy.concatenate(rows)
    merged = numpy.lexsort((numpy.arange(len(key)), which, key))
    if when_short == "stop":
        end = min(float(tokens.sum()) / weight for tokens, weight in zip(counts, weights, strict=True))
        merged = merged[key[merged] < end]
    return which[merged], row[merged]


def count_tokens(conversations: Iterable[Conversation], tokenizer: Tokenizer | None) -> NDArray[numpy.int64]:
    """Tokens of every conversation's messages, (n,); words where no tokenizer is given, and at least 1."""
    counts: list[int] = []
    rows = iter(conversations)
    while batch := list(islice(rows, COUNTED_AT_A_TIME)):
        texts = [m.content for c in batch for m in c.messages]
        lengths = iter([len(ids) for ids in tokenizer.encode_batch(texts)] if tokenizer else map(_num_words, texts))
        counts += [max(1, sum(islice(lengths, len(c.messages)))) for c in batch]
    return numpy.array(counts, dtype=numpy.int64)


def _num_words(text: str) -> int:
    return len(text.split())


def _checked(parts: Sequence[Part]) -> bool:
    """Whether there are weights. Raises SpecError."""
    names = [part.name for part in parts]
    if not names or len(set(names)) < len(names):
        raise SpecError(f"a mixture needs parts of different names, got {', '.join(names) or 'none'}")
    weights = [part.weight for part in parts]
    if any(weight < 0 for weight in weights) or 0 < sum(weight > 0 for weight in weights) < len(weights):
        raise SpecError(f"weights are all above 0, or all 0 (as much as there is); got {weights}")
    return weights[0] > 0


def _folder(scratch: Path, number: int) -> Path:
    folder = scratch / str(number)
    folder.mkdir()
    return folder
