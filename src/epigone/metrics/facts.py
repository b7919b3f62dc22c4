"""How much of what a model states is wrong, how much of it sounds authoritative, and whether raters mind.

In: checked sentences of answers, judgments. Out: shares over the sentences of all answers with intervals (a bootstrap
over answers: sentences of one answer are no independent sample); how often a model was preferred although it has more
wrong sentences. What was not read is missing and counted.
Source: arXiv 2305.15717, Figure 2 and section 4.1 (raters "may miss these errors").
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from epigone.metrics.intervals import estimate
from epigone.metrics.preference import comparisons
from epigone.metrics.resampling import ratios
from epigone.metrics.sentences import CheckedSentence
from epigone.records import Estimate, Judgment


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one answer."""

    num_sentences: int
    num_unread: int
    """Sentences of which no truth is known."""
    num_claiming: int
    """Sentences that are right, doubtful or wrong."""
    num_doubtful: int
    num_wrong: int
    num_toned: int
    """Sentences of whose tone something is known."""
    num_authoritative: int

    def metrics(self) -> dict[str, float]:
        """As metrics of a Score: shares where there is something to share, and counts."""
        shares = {"wrong_share": (self.num_wrong, self.num_claiming)}
        shares |= {"doubtful_share": (self.num_doubtful, self.num_claiming)}
        shares |= {"authoritative_share": (self.num_authoritative, self.num_toned)}
        counts = {name: float(getattr(self, name)) for name in self.__slots__}
        return {name: part / whole for name, (part, whole) in shares.items() if whole} | counts


@dataclass(frozen=True, slots=True)
class Factuality:
    """Of one model: shares over all of its sentences, None where none counts."""

    num_answers: int
    num_sentences: int
    num_unread: int
    num_claiming: int
    wrong: Estimate | None
    """Wrong sentences among those that claim something; n is the answers with such a sentence."""
    doubtful: Estimate | None
    authoritative: Estimate | None
    """Authoritative sentences among those whose tone is known."""


@dataclass(frozen=True, slots=True)
class PreferredThoughWrong:
    """Of one model beside another: comparisons that it won although more of its sentences are wrong."""

    share: Estimate
    """Of all comparisons of which both answers were read whole."""
    num_more_wrong: int
    """Comparisons in which it has more wrong sentences, and of these:"""
    wins: int
    ties: int
    losses: int
    num_unread: int
    """Comparisons left out: a sentence of one of the answers was not read, or the answer is not there."""


def counts(sentences: Iterable[CheckedSentence]) -> Counts:
    """Counts of one answer's sentences."""
    rows = list(sentences)
    truths = Counter(row.truth for row in rows)
    toned = [row.is_authoritative for row in rows if row.is_authoritative is not None]
    num_claiming = truths["right"] + truths["doubtful"] + truths["wrong"]
    return Counts(
        len(rows), truths[None], num_claiming, truths["doubtful"], truths["wrong"], len(toned), sum(map(bool, toned))
    )


def by_answer(sentences: Iterable[CheckedSentence]) -> dict[str, Counts]:
    """Counts by prompt id, in the order of the sentences."""
    found: defaultdict[str, list[CheckedSentence]] = defaultdict(list)
    for sentence in sentences:
        found[sentence.prompt_id].append(sentence)
    return {prompt_id: counts(rows) for prompt_id, rows in found.items()}


def factuality(answers: Sequence[Counts]) -> Factuality:
    """Shares over all sentences of a model's answers."""
    return Factuality(
        len(answers),
        sum(each.num_sentences for each in answers),
        sum(each.num_unread for each in answers),
        sum(each.num_claiming for each in answers),
        _share([(each.num_wrong, each.num_claiming) for each in answers]),
        _share([(each.num_doubtful, each.num_claiming) for each in answers]),
        _share([(each.num_authoritative, each.num_toned) for each in answers]),
    )


def _share(parts: Sequence[tuple[int, int]]) -> Estimate | None:
    used = [(part, whole) for part, whole in parts if whole]
    if not used:
        return None
    columns = np.asarray(used, dtype=np.float64)
    found = ratios(columns[:, :1], columns[:, 1:]).estimate()
    if found.value not in (0.0, 1.0):
        return Estimate(found.value, found.low, found.high, found.n, "bootstrap over answers")
    # All or none: resampling shows no spread. The exact binomial bound, as if each answer were one sentence, does.
    edge = 0.025 ** (1 / len(used))
    low, high = (edge, 1.0) if found.value else (0.0, 1 - edge)
    return Estimate(found.value, low, high, len(used), "exact binomial over answers")


def preferred_though_wrong(
    judgments: Sequence[Judgment], model: str, other: str, mine: Mapping[str, Counts], theirs: Mapping[str, Counts]
) -> PreferredThoughWrong | None:
    """How often raters preferred `model` to `other` although it has more wrong sentences; None: nothing to count.

    `mine` and `theirs` are counts by prompt id; judgments of other models are passed over.
    """
    between = [j for j in judgments if {j.a, j.b} == {model, other}]
    outcomes = comparisons(between, model) if between else {}
    read = {p: c.outcome for p, c in outcomes.items() if _is_whole(mine.get(p)) and _is_whole(theirs.get(p))}
    if not read:
        return None
    worse = {p: outcome for p, outcome in read.items() if mine[p].num_wrong > theirs[p].num_wrong}
    tally = Counter(worse.values())
    return PreferredThoughWrong(
        share=estimate([[float(worse.get(p) == "win") for p in read]]),
        num_more_wrong=len(worse),
        wins=tally["win"],
        ties=tally["tie"],
        losses=tally["loss"],
        num_unread=len(outcomes) - len(read),
    )


def _is_whole(found: Counts | None) -> bool:
    return found is not None and not found.num_unread
