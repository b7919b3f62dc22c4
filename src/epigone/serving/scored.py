"""Log-probabilities of whole texts: what waits is scored together, and what texts begin with alike is scored once.

In: token ids of texts, from any thread. Out: `TokenScores` of every token but the first. A client that asks for the
options of a question sends the question once with each, and its exemplars with every question: here they cost what
is new in them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from epigone.decoding import prefixes
from epigone.decoding.engine import Engine, TokenScores
from epigone.serving.worker import Worker

MOST_TOGETHER = 64
NUM_KEPT = 32
"""Texts whose scores are kept for those that begin alike."""

Text = tuple[int, ...]


@dataclass
class Scorer:
    """Texts of one token or more, scored in the thread of `worker`."""

    engine: Engine
    worker: Worker
    _waiting: SimpleQueue[tuple[Text, int, Future[TokenScores]]] = field(default_factory=SimpleQueue)
    _kept: OrderedDict[tuple[Text, int], TokenScores] = field(default_factory=OrderedDict)

    def submit(self, ids: Sequence[int], num_top: int) -> Future[TokenScores]:
        """Scores of a text's tokens but the first, with the `num_top` likeliest in each one's place."""
        future: Future[TokenScores] = Future()
        self._waiting.put((tuple(ids), num_top, future))
        self.worker.call(self._score_waiting)
        return future

    def _score_waiting(self) -> None:
        by_top: dict[int, list[tuple[Text, Future[TokenScores]]]] = {}
        for _ in range(MOST_TOGETHER):
            try:
                ids, num_top, future = self._waiting.get_nowait()
            except Empty:
                break
            if future.set_running_or_notify_cancel():  # else the client went away
                by_top.setdefault(num_top, []).append((ids, future))
        for num_top, asked in by_top.items():
            try:
                found = self.scores(sorted({ids for ids, _ in asked}), num_top)
            except Exception as error:  # whatever it is belongs to who asked
                for _, future in asked:
                    future.set_exception(error)
                continue
            for ids, future in asked:
                future.set_result(found[ids])

    def scores(self, texts: Sequence[Text], num_top: int) -> dict[Text, TokenScores]:
        """By text. Of each only what neither the one before it nor a kept one begins with is computed."""
        found: dict[Text, TokenScores] = {}
        known = {ids: scores for (ids, top), scores in self._kept.items() if top == num_top}
        begins: list[tuple[Text, int]] = []
        for place, ids in enumerate(texts):
            others = [*known, *texts[max(place - 1, 0) : place]]
            lengths = [prefixes.shared_length(ids, other) for other in others]
            best = max(range(len(others)), key=lengths.__getitem__, default=None)
            begins.append(((), 1) if best is None or not lengths[best] else (others[best], lengths[best]))
        pairs = [(ids[:length], ids[length:]) for ids, (_, length) in zip(texts, begins) if length < len(ids)]
        computed = iter(self.engine.token_scores(pairs, num_top=num_top))
        for ids, (other, length) in zip(texts, begins, strict=True):
            start = known.get(other) or found.get(other) or TokenScores([], [])
            rest = next(computed) if length < len(ids) else TokenScores([], [])
            told = TokenScores(start.logprobs[: length - 1] + rest.logprobs, start.top[: length - 1] + rest.top)
            found[ids] = self._kept[ids, num_top] = told
            self._kept.move_to_end((ids, num_top))
        while len(self._kept) > NUM_KEPT:
            self._kept.popitem(last=False)
        return found
