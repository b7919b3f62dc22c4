"""Where every model stands on every metric, as resamples: what contrasts, verdicts and the gate are read from.

In: aligned answers, and the score sheets of other harnesses. Out: `Standing`s, one a metric, each with the Draws of all
models that have it; items are lined up, so that any two models of a standing are paired. Sheets of one benchmark under
different protocols are never put into one standing: the protocol of most models stays, the others are named as missing.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from epigone.metrics.discrimination import auc_draws, featurise, gram
from epigone.metrics.likeness import Look, Yardstick, levels, likeness, look, moved_to_other_prompts
from epigone.metrics.resampling import NUM_RESAMPLES, Array, Draws, ratios
from epigone.records import Score, ScoreSheet
from epigone.reporting.audit.alignment import Aligned
from epigone.reporting.audit.findings import Axis

STYLE_PROTOCOL = "style rules of epigone.metrics.likeness, against the teacher's answers"
FARTHER = frozenset({"distance", "told_apart"})
"""Metrics of which less is nearer to the teacher."""
LESS_IS_BETTER = frozenset(
    {"bits_per_byte", "nats_per_token", "perplexity", "byte_perplexity", "word_perplexity", "brier_score"}
)
"""Metrics of benchmarks of which less is better; none of them is a share. Ours, and those of lm-evaluation-harness."""
RANDOM = "random pairing"
PRIMARY = ("exact_match", "acc", "accuracy", "acc_norm", "pass@1", "mean")
"""The metric that stands for a benchmark where several were recorded, in this order; else the first by name."""
MIN_TOLD_APART = 20
"""Prompts: a classifier on fewer answers says nothing."""
_SUBJECT = re.compile(r"(mmlu)_(.+)")


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One metric of all models that have it. `items` holds 0-1 outcomes (NaN: none) where a metric has them."""

    axis: Axis
    metric: str
    protocol: str
    draws: Mapping[str, Draws]
    items: Mapping[str, Array] = field(default_factory=dict[str, Array])
    asked: Mapping[str, str] = field(default_factory=dict[str, str])
    """By model, a digest of its items and their prompts, and of all items that are lined up."""
    floor: Draws | None = None
    primary: bool = True
    less_is_better: bool = False

    def nearness(self, model: str) -> Draws:
        """The draws with more meaning nearer to the teacher."""
        found = self.draws[model]
        if self.metric not in FARTHER and not self.less_is_better:
            return found
        return Draws(-found.points, -found.samples, found.n, seed=found.seed)


@dataclass(frozen=True)
class Styled:
    """The style of all models: standings, levels by model, distances by model and prompt."""

    standings: tuple[Standing, ...]
    levels: Mapping[str, Mapping[str, Draws]]
    distances: Mapping[str, Array]
    parts: Mapping[str, Mapping[str, Draws]]
    """Parts of the distance by model, and of RANDOM, the floor."""
    looks: Mapping[str, Sequence[Look]]


def styled(aligned: Aligned, teacher: str) -> Styled:
    """Every style metric of every model but the teacher, with the floor of a random pairing."""
    looks = {name: [look(text) for text in aligned.texts(name)] for name in aligned.answers}
    mine = looks[teacher]
    yardstick, features = Yardstick(mine), featurise(aligned.texts(teacher))
    own = gram(features)
    others = [name for name in aligned.answers if name != teacher]
    metrics: dict[str, dict[str, Draws]] = defaultdict(dict)
    distances: dict[str, Array] = {}
    parts: dict[str, Mapping[str, Draws]] = {}
    for name in others:
        for metric, draws in likeness(mine, looks[name]).items():
            metrics[metric][name] = draws
        found = yardstick.distances(looks[name])
        distances[name] = found.by_prompt
        if np.isfinite(found.total.points).all():  # a model whose answers are all empty has no style
            metrics["distance"][name], parts[name] = found.total, found.parts
        used = np.asarray([not (t.empty or o.empty) for t, o in zip(mine, looks[name], strict=True)])
        if used.sum() >= MIN_TOLD_APART:
            metrics["told_apart"][name] = auc_draws(features, featurise(aligned.texts(name)), own=own)
    moved = moved_to_other_prompts(mine)
    far = yardstick.distances(moved)
    # what the teacher's answers to other prompts reach; being told apart has no such floor, it is 0.5
    floors = likeness(mine, moved) | {"distance": far.total}
    parts[RANDOM] = far.parts
    standings = tuple(
        Standing("style", metric, STYLE_PROTOCOL, draws, floor=floors.get(metric)) for metric, draws in metrics.items()
    )
    alone = {name: levels(seen) for name, seen in looks.items()}
    return Styled(standings, alone, distances, parts, looks)


def capability(
    sheets: Sequence[tuple[str, ScoreSheet]],
) -> tuple[tuple[Standing, ...], dict[str, str]]:
    """Standings of every benchmark and metric, and what could not be compared with its reason.

    `sheets` are (the audit's model name, sheet).
    """
    grouped: dict[tuple[str, str], list[tuple[str, ScoreSheet]]] = defaultdict(list)
    for model, sheet in pooled(sheets):
        grouped[sheet.benchmark, sheet.metric].append((model, sheet))
    by_benchmark: dict[str, list[str]] = defaultdict(list)
    for benchmark, metric in grouped:
        by_benchmark[benchmark].append(metric)
    standings: list[Standing] = []
    missing: dict[str, str] = {}
    for (benchmark, metric), found in grouped.items():
        first = primary_of(by_benchmark[benchmark])
        is_plain = metric == first and metric not in LESS_IS_BETTER
        name = benchmark if is_plain else f"{benchmark}/{metric}"
        kept, lost = _one_protocol(found)
        missing |= {f"capability.{name} of {model}": why for model, why in lost.items()}
        standing = _standing(name, kept, primary=metric == first)
        standings.append(replace(standing, less_is_better=metric in LESS_IS_BETTER))
    return tuple(standings), missing


def pooled(sheets: Sequence[tuple[str, ScoreSheet]]) -> Iterator[tuple[str, ScoreSheet]]:
    """Sheets with the subjects of MMLU put together, as its paper counts: a micro-average over questions."""
    parts: dict[tuple[str, str, str], list[ScoreSheet]] = defaultdict(list)
    for model, sheet in sheets:
        subject = _SUBJECT.fullmatch(sheet.benchmark)
        if subject and sheet.scores:
            parts[model, subject[1], sheet.metric].append(sheet)
        elif not subject:
            yield model, sheet
    for (model, benchmark, metric), found in parts.items():
        scores = tuple(_within(sheet.benchmark, score) for sheet in found for score in sheet.scores)
        protocols = sorted(f"{sheet.benchmark} {sheet.protocol}" for sheet in found)
        digest = hashlib.sha256("\n".join(protocols).encode()).hexdigest()[:8]
        protocol = f"{benchmark} of {len(found)} subjects--{digest}"
        yield model, ScoreSheet(model, benchmark, metric, protocol, scores)


def benchmark_of(sheet: ScoreSheet) -> str:
    """What a sheet's benchmark is called once the subjects of MMLU are put together."""
    subject = _SUBJECT.fullmatch(sheet.benchmark)
    return subject[1] if subject and sheet.scores else sheet.benchmark


def _within(subject: str, score: Score) -> Score:
    """An item under a name that is its own among all subjects."""
    return replace(score, item_id=f"{subject}/{score.item_id}", group=subject)


def primary_of(metrics: Sequence[str]) -> str:
    """Which of a benchmark's metrics stands for it."""
    known = [name for name in PRIMARY if name in metrics]
    return (known or sorted(metrics))[0]


def _one_protocol(found: Sequence[tuple[str, ScoreSheet]]) -> tuple[list[tuple[str, ScoreSheet]], dict[str, str]]:
    """The sheets under the protocol that most models share, one a model; the others with the reason."""
    counts = Counter(sheet.protocol for _, sheet in found)
    most = max(counts, key=lambda protocol: (counts[protocol], protocol))
    kept: dict[str, ScoreSheet] = {}
    lost: dict[str, str] = {}
    for model, sheet in found:
        if sheet.protocol != most:
            lost[model] = f"its protocol is {sheet.protocol}, the others' is {most}; only equal ones are compared"
        elif model in kept:
            lost[model] = "it was recorded twice under one protocol; the first recording is used"
        else:
            kept[model] = sheet
    return list(kept.items()), lost


def _standing(name: str, sheets: Sequence[tuple[str, ScoreSheet]], *, primary: bool) -> Standing:
    ids = sorted({score.item_id for _, sheet in sheets for score in sheet.scores})
    places = {item_id: place for place, item_id in enumerate(ids)}
    draws: dict[str, Draws] = {}
    items: dict[str, Array] = {}
    asked: dict[str, str] = {}
    for model, sheet in sheets:
        if not sheet.scores:
            draws[model] = _published(sheet)
            continue
        values = np.full(len(ids), np.nan)
        for score in sheet.scores:
            values[places[score.item_id]] = score.metrics[sheet.metric]
        used = np.isfinite(values).astype(np.float64)
        draws[model] = ratios(np.nan_to_num(values)[:, None], used[:, None])
        items[model] = values
        asked[model] = digest_of(ids, {score.item_id: score.prompt for score in sheet.scores})
    return Standing("capability", name, sheets[0][1].protocol, draws, items, asked, primary=primary)


def digest_of(lined_up: Sequence[str], prompts: Mapping[str, str]) -> str:
    """Tells the items that are lined up, and which prompts were asked; equal only where all of it is."""
    told = hashlib.sha256()
    for text in (*lined_up, "", *(part for item in sorted(prompts.items()) for part in item)):
        told.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
    return told.hexdigest()[:16]


def _published(sheet: ScoreSheet) -> Draws:
    """Resamples of a published value with its standard error; independent of every other model's."""
    assert sheet.aggregate is not None
    value, spread = sheet.aggregate.value, (sheet.aggregate.high - sheet.aggregate.low) / (2 * 1.959964)
    seed = int.from_bytes(hashlib.sha256(f"{sheet.model} {sheet.benchmark}".encode()).digest()[:4], "big")
    samples = value + spread * np.random.default_rng(seed).standard_normal((NUM_RESAMPLES, 1))
    return Draws(np.asarray([value]), samples, sheet.aggregate.n)
