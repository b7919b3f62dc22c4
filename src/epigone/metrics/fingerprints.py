"""By what a model can be told from others: how its answers are worded, how they look, whom they name, how they decline.

In: models' answers to the same prompts. Out: `Evidence`: for each signal, model and candidate teacher one value a
prompt, high where the model's answer speaks for the teacher, NaN where it says nothing.

- wording: score of the teacher's class by ridge regression on character n-grams, fitted to all candidates' answers to
  the other half of the prompts; needs two candidates.
- nearness: cosine of the n-grams of the model's answer and the teacher's to the same prompt.
- style: minus the style distance of `likeness` from the teacher's answer to the same prompt.
- naming: 1 where the answer says that the teacher's maker made it, -1 where it names another maker, else 0.
- refusals: of an opening that declines or says what it is: mean cosine with the CLOSEST most similar ones of the
  teacher on other prompts.
- errors: of a prompt whose right answers are known and which the teacher gets wrong: 1 where the model says the same.

Source: section 6 of arXiv 2305.15717 (detecting imitation); the signals and their rules are ours, fixed before any
model was traced.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from epigone.errors import DataError
from epigone.metrics.answers import contains_answer, normalise_answer
from epigone.metrics.discrimination import RIDGE, featurise, gram, products
from epigone.metrics.first_look import OPENING
from epigone.metrics.likeness import Look, Yardstick, look
from epigone.metrics.resampling import Array

SIGNALS = ("wording", "nearness", "style", "naming", "refusals", "errors")
CLOSEST = 3
MOST_FITTED = 600
"""Prompts of a half from which the wording is learnt: with more of them it hardly changes, and takes ever longer."""
SAME_WORDS = 0.8
"""F1 of the words of two wrong answers from which on they say the same."""
MAKERS = {
    "openai": r"openai|chatgpt|gpt-?\d|davinci",
    "anthropic": r"anthropic|claude",
    "google": r"google|deepmind|bard|gemini|gemma|palm",
    "meta": r"meta\b|meta ai|llama",
    "mistral": r"mistral|mixtral",
    "alibaba": r"alibaba|qwen|tongyi",
    "deepseek": r"deepseek",
    "cohere": r"cohere|command-r",
    "microsoft": r"microsoft|bing",
    "laion": r"laion|open ?assistant",
    "lmsys": r"lmsys|vicuna",
}
_SAYS = re.compile(
    r"\b(?:(?:trained|developed|created|made|built|designed) by|i(?:'m| am)(?: called)?|my name is|as)"
    rf" (?:the |an? |team at |researchers (?:at|from) )?({'|'.join(f'(?:{words})' for words in MAKERS.values())})"
)


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """One model's answers, measured once; an empty answer has an empty row and a Look that says so."""

    texts: tuple[str, ...]
    looks: tuple[Look, ...]
    rows: csr_array
    """Hashed n-grams, a row an answer."""
    openings: csr_array
    """The same of the openings that decline or say what the model is; the other rows are empty."""
    makers: tuple[str, ...]
    """Who made it, as each answer says; empty where it does not."""


def fingerprint(texts: Sequence[str]) -> Fingerprint:
    """Measure one model's answers; "" is an answer that is missing."""
    looks = tuple(look(text) for text in texts)
    openings = [t[:OPENING] if seen.seen.refuses or seen.seen.names_itself else "" for t, seen in zip(texts, looks)]
    return Fingerprint(
        tuple(texts), looks, featurise(texts), featurise(openings), tuple(maker_named(text) for text in texts)
    )


def maker_named(text: str) -> str:
    """Who made the model, as it says of itself; of several the first, empty where it does not say."""
    said = _SAYS.search(" ".join(text.lower().replace("’", "'").split()))
    return _maker_of(said[1]) if said else ""


def _maker_of(words: str) -> str:
    return next((maker for maker, known in MAKERS.items() if re.search(known, words)), "")


def maker(name: str, print_: Fingerprint) -> str:
    """Who made a teacher: whom most of its answers name, else what its own name says; empty where nothing does."""
    named = Counter(each for each in print_.makers if each)
    return named.most_common(1)[0][0] if named else _maker_of(name.lower())


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What each prompt says: `values[signal]` is (models, teachers, prompts), NaN where it says nothing."""

    models: tuple[str, ...]
    teachers: tuple[str, ...]
    values: Mapping[str, Array]
    half: NDArray[np.int64]
    """Which half of the prompts each belongs to, (prompts,) of 0 and 1; what is learnt on one is tried on the other."""
    not_measured: Mapping[str, str]
    """Signals that say nothing of any model, with the reason."""


def evidence(
    prints: Mapping[str, Fingerprint],
    teachers: Sequence[str],
    accepted: Sequence[tuple[str, ...]] = (),
    *,
    seed: int = 0,
) -> Evidence:
    """Every model beside every candidate. `accepted` are the right answers by prompt, () where they are not known.

    Raises DataError where there are fewer than four prompts, or a model has another number of answers.
    """
    lengths = {len(each.texts) for each in prints.values()}
    if len(lengths) != 1 or min(lengths) < 4:
        raise DataError(f"models are traced by answers to the same prompts, four or more; got {sorted(lengths)}")
    num_prompts = lengths.pop()
    half = np.argsort(np.random.default_rng([seed, num_prompts, 5]).permutation(num_prompts)) % 2
    asked = {name: prints[name] for name in teachers}
    made = {name: maker(name, each) for name, each in asked.items()}
    yardsticks = {name: Yardstick(each.looks) for name, each in asked.items()}
    wrong = {name: _wrong(each.texts, accepted) for name, each in asked.items()} if accepted else {}
    words = _wording(list(prints.values()), list(asked.values()), half) if len(teachers) > 1 else None

    def each(one: Fingerprint, name: str) -> dict[str, Array]:
        teacher = asked[name]
        found = {
            "nearness": _cosines(one, teacher),
            "style": -yardsticks[name].distances(one.looks).by_prompt,
            "naming": _naming(one, made[name]),
            "refusals": _refusals(one, teacher),
        }
        return found | ({"errors": _errors(one, teacher, wrong[name], accepted)} if accepted else {})

    cells = [[each(one, name) for name in teachers] for one in prints.values()]
    values = {s: np.array([[cell[s] for cell in row] for row in cells]) for s in SIGNALS if s in cells[0][0]}
    if words is not None:
        values = {"wording": words} | values
    why = {
        "wording": "one candidate has nothing to be told from; name a second teacher",
        "naming": "no candidate and no candidate's answer says who made it",
        "refusals": "no model declines or says what it is where a candidate does on other prompts",
        "errors": "no right answers were given, or no candidate is wrong"
        if accepted
        else "no right answers were given",
    }
    telling = {name: each for name, each in values.items() if np.isfinite(each).any()}
    silent = {name: why.get(name, "no prompt was answered") for name in SIGNALS if name not in telling}
    return Evidence(tuple(prints), tuple(teachers), telling, half, silent)


def _wording(models: Sequence[Fingerprint], teachers: Sequence[Fingerprint], half: NDArray[np.int64]) -> Array:
    """Scores (models, teachers, prompts) of answers by what was learnt on the other half of the prompts."""
    found = np.full((len(models), len(teachers), len(half)), np.nan)
    for part in (0, 1):
        learnt = np.flatnonzero(half != part)[:MOST_FITTED]
        weights = _classes([each.rows[learnt] for each in teachers])
        tried = np.flatnonzero(half == part)
        for place, model in enumerate(models):
            rows = model.rows[tried]
            scores: Array = rows @ weights
            scores[np.diff(rows.indptr) == 0] = np.nan
            found[place][:, tried] = scores.T
    return found


def _classes(rows: Sequence[csr_array]) -> Array:
    """Columns of n-gram weights, one a class: ridge regression on labels that sum to 0 over the classes."""
    stacked = csr_array(vstack(rows))
    label = np.repeat(np.arange(len(rows)), [each.shape[0] for each in rows])
    labels = np.eye(len(rows))[label] - 1 / len(rows)
    inner = gram(stacked)
    inner[np.diag_indices_from(inner)] += RIDGE
    return stacked.T @ np.linalg.solve(inner, labels)


def _cosines(one: Fingerprint, teacher: Fingerprint) -> Array:
    found = np.asarray(one.rows.multiply(teacher.rows).sum(axis=1), dtype=np.float64).reshape(-1)
    empty = (np.diff(one.rows.indptr) == 0) | (np.diff(teacher.rows.indptr) == 0)
    return np.where(empty, np.nan, found)


def _naming(one: Fingerprint, made_by: str) -> Array:
    if not made_by:
        return np.full(len(one.texts), np.nan)
    named = [0.0 if not said else 1.0 if said == made_by else -1.0 for said in one.makers]
    return np.where([each.empty for each in one.looks], np.nan, named)


def _refusals(one: Fingerprint, teacher: Fingerprint) -> Array:
    found = np.full(len(one.texts), np.nan)
    mine, theirs = (np.flatnonzero(np.diff(side.openings.indptr) > 0) for side in (one, teacher))
    if not len(mine) or not len(theirs):
        return found
    alike = products(one.openings[mine], teacher.openings[theirs])
    alike[mine[:, None] == theirs] = -1.0  # the same prompt: what was asked would count
    best = -np.sort(-alike, axis=1)[:, :CLOSEST]
    usable = best[:, 0] >= 0
    found[mine[usable]] = np.where(best < 0, np.nan, best)[usable].T.mean(axis=0, where=best[usable].T >= 0)
    return found


def _wrong(texts: Sequence[str], accepted: Sequence[tuple[str, ...]]) -> list[bool]:
    """Where an answer is there, the right ones are known, and it holds none of them."""
    return [bool(right and text.strip()) and not contains_answer(text, right) for text, right in zip(texts, accepted)]


def _errors(
    one: Fingerprint, teacher: Fingerprint, wrong: Sequence[bool], accepted: Sequence[tuple[str, ...]]
) -> Array:
    rows = zip(one.texts, teacher.texts, wrong, accepted)
    return np.array(
        [_same_error(mine, theirs, right) if is_wrong else np.nan for mine, theirs, is_wrong, right in rows]
    )


def _same_error(mine: str, theirs: str, right: tuple[str, ...]) -> float:
    if not mine.strip():
        return float("nan")
    if contains_answer(mine, right):
        return 0.0
    one, two = (Counter(normalise_answer(text).split()) for text in (mine, theirs))
    shared = 2 * (one & two).total() / max(one.total() + two.total(), 1)
    return float(shared >= SAME_WORDS)
