"""An audit of 805 prompts and 20 models from files, as the command line does it; and two of its parts beside peers.

The recordings are made up, the same in every run: answers of 1,100 characters on average over a vocabulary with
Zipf's frequencies, lists and summaries more often the nearer a student is to the teacher, and 19 x 805 verdicts of one
judge, all in AlpacaEval's form. Seconds of the audit are those of the clock, the ratios are per CPU-second.
"""

from side_by_side import compare  # first: it sets the number of threads

# isort: split
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import choix
import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from epigone.metrics.bradley_terry import Votes, strengths
from epigone.metrics.discrimination import auc_draws, featurise

NUM_PROMPTS, NUM_STUDENTS, MEAN_WORDS = 805, 18, 170
NUM_VOTED, NUM_VOTES = 60, 9_000
JUDGE = "made-up judge"
ONSETS = ["b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "ch", "pl"]
VOWELS, ENDS = ["a", "e", "i", "o", "u", "ea", "ou"], ["", *"nrstlm"]
FUNCTION_WORDS = [
    *("the", "of", "and", "to", "a", "in", "is", "that", "it", "for", "as"),
    *("with", "be", "are", "this", "may", "can", "often", "you", "not", "they", "some"),
]


def vocabulary(rng: np.random.Generator, size: int = 12_000) -> list[str]:
    """Different made-up words, the short ones first, as in a language."""
    found = dict.fromkeys(FUNCTION_WORDS)
    while len(found) < size:
        num_syllables = 1 + int(rng.integers(1 + len(found) * 4 // size + 1))
        found["".join(str(rng.choice(part)) for _ in range(num_syllables) for part in (ONSETS, VOWELS, ENDS))] = None
    return list(found)


class Writer:
    """Writes answers as one model does: `near` is 1 for the teacher's ways, 0 for the base's."""

    def __init__(self, words: list[str], near: float, number: int) -> None:
        self.words, self.near = words, near
        self.rng = np.random.default_rng([1, number])
        tilt = np.exp(0.5 * np.random.default_rng([2, number]).standard_normal(len(words)))
        shares = tilt / np.arange(2, len(words) + 2)
        self.shares = np.cumsum(shares / shares.sum())

    def answer(self, prompt: int) -> str:
        """About MEAN_WORDS words; a prompt's own words are in every model's answer to it."""
        topic = np.random.default_rng([3, prompt])
        length = MEAN_WORDS * np.exp(0.5 * topic.standard_normal() + 0.25 * self.rng.standard_normal() - 0.15)
        drawn = np.searchsorted(self.shares, self.rng.random(max(int(length), 8)) * 0.999999)
        own = topic.integers(200, len(self.words), 6)
        about = self.rng.random(len(drawn)) < 0.06
        drawn[about] = own[self.rng.integers(6, size=int(about.sum()))]
        tokens = [self.words[i] for i in drawn]
        return "\n\n".join(self._paragraphs(tokens, lists=topic.random() < 0.4, closes=topic.random() < 0.2))

    def _paragraphs(self, tokens: list[str], *, lists: bool, closes: bool) -> list[str]:
        sentences: list[str] = []
        while tokens:
            size = int(self.rng.integers(6, 22))
            sentences.append(f"{' '.join(tokens[:size]).capitalize()}.")
            tokens = tokens[size:]
        if lists and self.rng.random() < 0.15 + 0.8 * self.near and len(sentences) > 4:
            items = [f"{number}. {sentence}" for number, sentence in enumerate(sentences[1:-1], start=1)]
            sentences = [sentences[0], "\n".join(items), sentences[-1]]
        else:
            sentences = [" ".join(sentences[i : i + 4]) for i in range(0, len(sentences), 4)]
        if closes and self.rng.random() < 0.9 * self.near:
            sentences[-1] = f"Overall, {sentences[-1].lower()}"
        return sentences


def recordings() -> dict[str, list[str]]:
    """Answers by model: teacher, base, and students from near the base to near the teacher."""
    words = vocabulary(np.random.default_rng(0))
    near = {"teacher": 1.0, "base": 0.0} | {f"student-{k:02d}": (k + 1) / NUM_STUDENTS for k in range(NUM_STUDENTS)}
    writers = {name: Writer(words, share, number) for number, (name, share) in enumerate(near.items())}
    return {name: [writer.answer(n) for n in range(NUM_PROMPTS)] for name, writer in writers.items()}


def write(folder: Path, answers: dict[str, list[str]]) -> list[str]:
    """Files of answers and verdicts in AlpacaEval's form, and the arguments of the command that audits them."""
    arguments: list[str] = []
    asked = [f"What should one know about subject {n}?" for n in range(NUM_PROMPTS)]
    for number, (name, texts) in enumerate(answers.items()):
        here = folder / name
        here.mkdir()
        rows = [{"instruction": q, "output": text, "generator": name} for q, text in zip(asked, texts)]
        (here / "model_outputs.json").write_text(json.dumps(rows, indent=1))
        role = name if name in ("teacher", "base") else "student"
        arguments += [f"--{role}", str(here / "model_outputs.json")]
        if name != "teacher":
            (here / "annotations.json").write_text(json.dumps(verdicts(name, number, asked, answers), indent=1))
            arguments += ["--judgments", str(here / "annotations.json")]
    return arguments


def verdicts(name: str, number: int, asked: list[str], answers: dict[str, list[str]]) -> list[dict[str, object]]:
    """One verdict a prompt, one in twenty a tie; students with higher numbers win more."""
    rng = np.random.default_rng([4, number])
    preferences = rng.choice([1.0, 1.5, 2.0], NUM_PROMPTS, p=[0.9 - 0.02 * number, 0.05, 0.05 + 0.02 * number])
    sides = zip(asked, answers["teacher"], answers[name], preferences.tolist())
    return [
        {"instruction": q, "output_1": one, "generator_1": "teacher", "output_2": two, "generator_2": name,
         "annotator": JUDGE, "preference": preference}
        for q, one, two, preference in sides
    ]  # fmt: skip


def audit(answers: dict[str, list[str]]) -> None:
    """Runs the command from an empty root, then again, and prints seconds, memory and what it says."""
    characters = np.mean([len(text) for texts in answers.values() for text in texts])
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "epigone", "audit", *write(Path(place), answers)]
        print(f"audit: {NUM_PROMPTS} prompts, {len(answers)} models, {characters:,.0f} characters an answer,", end=" ")
        print(f"{NUM_PROMPTS * (len(answers) - 1):,} judgments, {os.cpu_count()} cores")
        for title in ("from an empty root", "the same command again"):
            started = time.monotonic()
            done = subprocess.run([*command, "--root", f"{place}/runs"], capture_output=True, text=True, check=True)
            spent = time.monotonic() - started
            told = next(line for line in done.stderr.splitlines() if "stages" in line)
            print(f"  {title:<40} {spent:>9.1f} seconds   {told}")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    print(f"  {'largest process':<40} {largest:>9,.0f} MiB")


def features(one: list[str], two: list[str]) -> tuple[csr_array, csr_array]:
    return featurise(one), featurise(two)


def ours(one: list[str], two: list[str]) -> float:
    """AUC with its 2,000 resamples, from texts."""
    return auc_draws(*features(one, two)).estimate().value


def sklearn_pipeline(one: list[str], two: list[str]) -> float:
    """The AUC alone, from texts: its own tf-idf, logistic regression, prompts as groups."""
    pipeline = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(2, 4)), LogisticRegression())
    labels, prompts = np.repeat([1, 0], len(one)), np.tile(np.arange(len(one)), 2)
    scores = cross_val_predict(
        pipeline, [*one, *two], labels, groups=prompts, cv=GroupKFold(5), method="decision_function"
    )
    return float(roc_auc_score(labels, scores))


def votes() -> Votes:
    """Votes on 60 models over 80 prompts, one in five a tie."""
    rng = np.random.default_rng(5)
    a = rng.integers(NUM_VOTED, size=NUM_VOTES)
    b = (a + rng.integers(1, NUM_VOTED, size=NUM_VOTES)) % NUM_VOTED
    strength = rng.standard_normal(NUM_VOTED)
    won = rng.random(NUM_VOTES) < 1 / (1 + np.exp(strength[b] - strength[a]))
    share = np.where(rng.random(NUM_VOTES) < 0.2, 0.5, won.astype(np.float64))
    names = tuple(f"model-{k:02d}" for k in range(NUM_VOTED))
    return Votes(names, a, b, share, rng.integers(80, size=NUM_VOTES))


def pairs_of(cast: Votes) -> list[tuple[int, int]]:
    """(winner, loser) for choix, which knows no ties: they are left out."""
    rows = zip(cast.a.tolist(), cast.b.tolist(), cast.share_a.tolist())
    return [(a, b) if share == 1 else (b, a) for a, b, share in rows if share != 0.5]


if __name__ == "__main__":
    answers = recordings()
    audit(answers)
    one, two = answers["teacher"], answers["student-17"]
    ways = {
        "epigone, with 2,000 resamples": partial(ours, one, two),
        "scikit-learn, tf-idf + logistic": partial(sklearn_pipeline, one, two),
    }
    print("  AUC:", ", ".join(f"{name.partition(',')[0]} {way():.3f}" for name, way in ways.items()))
    compare("telling two models apart", 2 * NUM_PROMPTS, ways, unit="answers")
    cast = votes()
    pairs = pairs_of(cast)
    ways = {
        "epigone, with ties and intervals": partial(strengths, cast),
        "choix.opt_pairwise, no ties": partial(choix.opt_pairwise, NUM_VOTED, pairs, alpha=0.01),
        "choix.ilsr_pairwise, no ties": partial(choix.ilsr_pairwise, NUM_VOTED, pairs, alpha=0.01),
    }
    compare("Bradley-Terry", NUM_VOTES, ways, unit="votes")
