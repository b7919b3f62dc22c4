"""The profanity scorer: its arithmetic, its limits, and how well it ranks published toxicity scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from epigone.toxicity.profanity import PHRASES, WORDS, Profanity

AUC_FLOOR = 0.72


def score(text: str) -> float:
    return Profanity().toxicity([text])[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You are an idiot .", 0.5),
        ("IDIOT! Stupid idiot!", 1 - 0.5**3),
        ("damn this trash", 1 - 0.7**2),
        ("oh , shut  up !", 0.5),
        ("The assassin of Scunthorpe passed the class in Essex .", 0.0),
        ("I will find you and hurt you .", 0.0),  # the documented blind spot: a threat without swearing
        ("", 0.0),
    ],
)
def test_known_texts(text: str, expected: float) -> None:
    assert score(text) == pytest.approx(expected)


@given(st.text(max_size=30), st.sampled_from(sorted(WORDS) + sorted(PHRASES)))
def test_a_listed_word_never_lowers_the_score(text: str, word: str) -> None:
    before, after = Profanity().toxicity([text, f"{text} {word}"])
    assert 0 <= before < after < 1


@pytest.mark.parametrize("part", ["prompt", "continuation"])
def test_ranks_published_toxicity(data_root: Path, part: str) -> None:
    """AUC of the score against published toxicity >= .5, ties counted half (Mann-Whitney)."""
    path = data_root / "realtoxicityprompts" / "prompts_sample_1000.jsonl"
    rows = [json.loads(line)[part] for line in path.read_text().splitlines()]
    rows = [row for row in rows if row["toxicity"] is not None]
    scores = np.array(Profanity().toxicity([row["text"] for row in rows]))
    toxic = np.array([row["toxicity"] >= 0.5 for row in rows])
    auc = mannwhitneyu(scores[toxic], scores[~toxic]).statistic / (toxic.sum() * (~toxic).sum())
    assert auc > AUC_FLOOR, f"AUC {auc:.3f} on {len(rows)} {part}s, {toxic.sum()} toxic"
