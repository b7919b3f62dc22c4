"""Which prompts to ask a teacher next: at random, or where base model and teacher are likely to differ most.

In: prompts, and of a few of them (the probes) an answer of both models. Out: an order of all prompts. Pure functions.
How far two answers are from one another is 1 - the F1 of their words, the paper's word overlap (Table 2), which is
defined for the shortest answers too. What a prompt without answers is likely to give is the mean of the probes, each
weighted by how similar its prompt is (BLEU of `epigone.similarity`, exp smoothing, lower case), drawn to the mean of
all probes where nothing is similar.
Source: ours; the question is that of section 5 of the paper (arXiv 2305.15717), what imitation data are worth asking
for. Weighted means of neighbours: Nadaraya (1964), https://doi.org/10.1137/1109020
"""

from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from epigone.metrics.style import features, unigram_f1
from epigone.similarity import BleuIndex, Settings

ORDERS = ("random", "disagreement")
PRIOR = 0.1
"""Weight of the mean of all probes, in probes whose prompt is the same."""
_SETTINGS = Settings(smoothing="exp", lowercase=True)

Values = NDArray[numpy.float64]


def disagreement(base: Sequence[str], teacher: Sequence[str]) -> Values:
    """How far each two answers are apart, 0 the same words to 1 none in common; NaN where one is empty. (n,)."""
    pairs = zip(base, teacher, strict=True)
    return numpy.array([_apart(b, t) if b.strip() and t.strip() else numpy.nan for b, t in pairs], dtype=float)


def expected_disagreement(prompts: Sequence[str], probes: Sequence[str], measured: Values) -> Values:
    """What each prompt is likely to give, by the probes' prompts and what they gave (no NaN). (n,)."""
    prior = float(measured.mean()) if len(measured) else 0.0
    sums = numpy.full(len(prompts), PRIOR * prior)
    weights = numpy.full(len(prompts), PRIOR)
    if len(probes) and len(prompts):
        places, partners, scores = BleuIndex.build(probes, _SETTINGS).pairs_above(0, prompts)
        numpy.add.at(sums, places, scores / 100 * measured[partners])
        numpy.add.at(weights, places, scores / 100)
    return sums / weights


def order_of(prompts: Sequence[str], probes: Sequence[int], measured: Values, seed: int) -> list[int]:
    """All prompts: the probes, in their order, then the others, the highest expected disagreement first.

    `probes` are the first of `random_order`, `measured` what they gave; of equal ones the random order decides.
    """
    rest = random_order(len(prompts), seed)[len(probes) :]
    assert random_order(len(prompts), seed)[: len(probes)] == list(probes), "probes come first in the random order"
    known = ~numpy.isnan(measured)
    texts = [prompts[at] for at, is_known in zip(probes, known) if is_known]
    expected = expected_disagreement([prompts[at] for at in rest], texts, measured[known])
    return [*probes, *(rest[at] for at in numpy.argsort(-expected, kind="stable"))]


def random_order(num: int, seed: int) -> list[int]:
    """All numbers below `num` in an order of the seed alone."""
    return numpy.random.default_rng(seed).permutation(num).tolist()


def _apart(a: str, b: str) -> float:
    if not (features(a).num_words and features(b).num_words):
        return float(a.strip() != b.strip())
    return 1 - unigram_f1(features(a), features(b))
