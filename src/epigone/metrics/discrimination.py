"""Can two models' answers be told apart: out-of-fold AUC of a linear model on character n-grams.

In: two models' answers to the same prompts. Out: the AUC over the prompts that both answered, 0.5 for answers that
cannot be told apart and 1 for answers that always can, as an Estimate or as Draws, of which differences are paired.

An answer is its first 4,000 characters between two line breaks, as counts of its 2-, 3- and 4-grams, hashed to 2^18
columns, 1 + log(count), scaled to length 1. The model is ridge regression on labels of 1 and -1 with an intercept,
solved in its dual form: as many unknowns as answers. Both answers to a prompt lie in the same fold, so that what a
prompt is about never helps. Resamples draw prompts and keep the fits.
Source: the classifier test of Lopez-Paz & Oquab, arXiv 1610.06545; hashed features as in Weinberger et al.,
arXiv 0902.2206; all folds from one inverse as in An, Liu & Venkatesh (2007),
https://doi.org/10.1016/j.patcog.2006.12.015.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from epigone.errors import DataError
from epigone.metrics.resampling import NUM_RESAMPLES, Array, Draws, item_weights
from epigone.records import Estimate

NUM_COLUMNS = 2**18
MAX_CHARACTERS = 4000
SIZES = (2, 3, 4)
RIDGE = 0.3
"""Beside rows of length 1. On real answers the AUC moves by 0.02 at most between a third and three times of this."""
NUM_FOLDS = 5
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: its products spread over the high bits
DENSE_FROM = 100**2  # columns that give so many products are multiplied as full matrices, the rest as sparse ones
DECIMALS = 9  # of a fold's scores: equal answers are tied, whatever the order of the sums left in the last digits


def tell_apart(one: Sequence[str], two: Sequence[str], *, num_folds: int = NUM_FOLDS, seed: int = 0) -> Estimate:
    """AUC with its interval; one[i] and two[i] answer the same prompt. Raises DataError with too few prompts."""
    return tell_apart_features(featurise(one), featurise(two), num_folds=num_folds, seed=seed)


def tell_apart_features(one: csr_array, two: csr_array, *, num_folds: int = NUM_FOLDS, seed: int = 0) -> Estimate:
    """The same from features, which are worth keeping where a model's answers are compared with many others'."""
    return auc_draws(one, two, num_folds=num_folds, seed=seed).estimate()


def featurise(texts: Sequence[str]) -> csr_array:
    """Hashed n-grams of every answer, (n, 2^18), rows of length 1; an empty answer has an empty row."""
    rows = [_counted(text) for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in rows])])
    columns = np.concatenate([columns for columns, _ in rows]) if rows else np.empty(0, dtype=np.int32)
    values = np.concatenate([values for _, values in rows]) if rows else np.empty(0)
    return csr_array((values, columns, starts), shape=(len(rows), NUM_COLUMNS))


def _counted(text: str) -> tuple[NDArray[np.int32], Array]:
    """Columns and values of one row."""
    if not text.strip():
        return np.empty(0, dtype=np.int32), np.empty(0)
    # A lone surrogate, which JSON may hold, is a character like any other here.
    code = f"\n{text[:MAX_CHARACTERS]}\n".encode("utf-32-le", "surrogatepass")
    characters = np.frombuffer(code, dtype="<u4").astype(np.uint64)
    hashes, found = characters, list[NDArray[np.int32]]()
    for size in range(2, max(SIZES) + 1):
        hashes = hashes[:-1] * MULTIPLIER + characters[size - 1 :]
        if size in SIZES:
            found.append((hashes * MULTIPLIER >> np.uint64(46)).astype(np.int32))
    columns, counts = np.unique(np.concatenate(found), return_counts=True)
    values = 1 + np.log(counts)
    return columns, values / np.sqrt(values @ values)


def auc_draws(
    one: csr_array,
    two: csr_array,
    *,
    num_folds: int = NUM_FOLDS,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
    own: Array | None = None,
) -> Draws:
    """AUC as Draws over all prompts, those left out too: so two AUCs over the same prompts have a paired difference.

    `own` is gram(one), worth keeping where `one` is told apart from many others.
    """
    used, scores_one, scores_two = fold_scores(one, two, num_folds=num_folds, seed=seed, own=own)
    won = (np.sign(scores_one[:, None] - scores_two) + 1) / 2  # a tie is half a win
    wins = np.zeros((len(used), len(used)), dtype=np.float32)
    wins[np.ix_(used, used)] = won
    weights = item_weights(len(used), seed, num_resamples)
    num_pairs = (weights @ used.astype(np.float32)) ** 2
    with np.errstate(invalid="ignore"):  # a resample without any prompt that both answered
        samples = (weights @ wins * weights).sum(axis=1, dtype=np.float64) / num_pairs
    point = float(won.mean())
    samples = np.where(np.isfinite(samples), samples, point)
    return Draws(np.array([point]), samples[:, None], int(used.sum()), seed=seed, bounded=True)


def fold_scores(
    one: csr_array, two: csr_array, *, num_folds: int = NUM_FOLDS, seed: int = 0, own: Array | None = None
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Which prompts (n,) both answered, and their answers' out-of-fold scores: high for the first model.

    Raises DataError where the two have different numbers of prompts, or both answered fewer than there are folds.
    """
    if one.shape != two.shape:
        raise DataError(f"answers are told apart on the same prompts, got {one.shape[0]} and {two.shape[0]}")
    used = (np.diff(one.indptr) > 0) & (np.diff(two.indptr) > 0)
    num_used = int(used.sum())
    if num_used < num_folds:
        raise DataError(
            f"both models answered {num_used} prompts, fewer than the {num_folds} folds: ask for fewer folds"
        )
    # Folds follow one order of all prompts, so that leaving out a few moves the others little.
    order = np.random.default_rng([seed, len(used), 3]).permutation(len(used))[used]
    fold = np.tile(np.argsort(np.argsort(order)) % num_folds, 2)
    across = products(one, two)
    blocks = [[gram(one) if own is None else own, across], [across.T, gram(two)]]
    scores = _held_out(np.block([[block[np.ix_(used, used)] for block in row] for row in blocks]), fold)
    return used, scores[:num_used], scores[num_used:]


def _held_out(own: Array, fold: NDArray[np.int64]) -> Array:
    """Scores of every fold by ridge regression on the others, in its dual form: labels 1 in the first half, then -1.

    With a free intercept the fit solves [[own + ridge, 1], [1, 0]]. R being the block of that matrix's inverse beside
    `own`, and F a fold, R[F, F] maps what the labels lack from their scores onto (R labels)[F].
    """
    labels = np.repeat([1.0, -1.0], len(own) // 2)
    own[np.diag_indices_from(own)] += RIDGE
    factor, _ = lapack.dpotrf(own, overwrite_a=True)  # cannot fail: with the ridge it is positive definite
    inverse, _ = lapack.dpotri(factor, overwrite_c=True)
    inverse += np.triu(inverse, 1).T
    sums = inverse.sum(axis=0)
    duals = inverse @ labels - sums * (sums @ labels / sums.sum())
    scores = labels.copy()
    for number in range(fold.max() + 1):
        here = fold == number
        block = inverse[np.ix_(here, here)] - np.outer(sums[here], sums[here] / sums.sum())
        scores[here] -= np.linalg.solve(block, duals[here])
    return scores.round(DECIMALS)


def gram(rows: csr_array) -> Array:
    """Products of all rows with all rows, (n, n)."""
    return products(rows, rows)


def products(one: csr_array, two: csr_array) -> Array:
    """Products of all rows of `one` with all rows of `two`, (n, m)."""
    left = one.tocsc()
    right = left if one is two else two.tocsc()
    num_products = np.diff(left.indptr).astype(np.int64) * np.diff(right.indptr)
    full, rest = num_products >= DENSE_FROM, (num_products > 0) & (num_products < DENSE_FROM)
    dense = left[:, full].toarray()
    other = dense if one is two else right[:, full].toarray()  # numpy halves the work of a matrix with itself
    dense = dense @ other.T
    return dense + (left[:, rest].tocsr() @ right[:, rest].T).toarray()
