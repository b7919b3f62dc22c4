"""pass@k: how likely it is that one of k samples is right, from n samples of which c are.

In: counts. Out: a probability, 0-1. The unbiased estimate 1 - C(n - c, k) / C(n, k), and not 1 - (1 - c/n)^k, which is
too high for few samples. Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code" (arXiv
2107.03374), section 2.1.
"""

from math import comb

from epigone.errors import SpecError


def pass_at_k(num_samples: int, num_passed: int, k: int) -> float:
    """The share of all sets of k samples that hold one that passed. Raises SpecError for fewer than k samples."""
    if not 1 <= k <= num_samples:
        raise SpecError(f"pass@{k} of {num_samples} samples: k must be from 1 to the number of samples")
    if not 0 <= num_passed <= num_samples:
        raise SpecError(f"{num_passed} of {num_samples} samples passed: from 0 to all can")
    return 1.0 - comb(num_samples - num_passed, k) / comb(num_samples, k)
