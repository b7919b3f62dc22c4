"""Scores to Findings on a small made-up study whose truth is known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from epigone.errors import DataError
from epigone.judges.simulated_rater import SimulatedRater
from epigone.records import Arm, Claim, Judgment, Message, Prediction, Prompt, Score
from epigone.reporting.analysis_examples import sentences
from epigone.reporting.analysis_trends import series_of
from epigone.reporting.findings import ModelData, build_findings

NUM_ITEMS, NUM_PROMPTS = 240, 40
TEACHER, SECOND = Arm("teacher", "teacher"), Arm("second_sample", "teacher #2")
PROMPTS = {f"p{n}": f"Tell me about place number {n}" for n in range(NUM_PROMPTS)}
STYLED = "Here is what I know.\n\n1. It is RIGHT .\n2. It is {} . And more.\n\nOverall, it is a place{}."


@dataclass(frozen=True)
class WordChecker:
    """Claims are the words RIGHT and WRONG."""

    def check(self, text: str, asked: str) -> list[Claim]:
        words: dict[str, Claim] = {"RIGHT": "right", "WRONG": "wrong"}
        return [words[word] for word in text.split() if word in words]


def base(width: int = 64, pretrain_tokens: int = 1_000_000, name: str = "") -> Arm:
    return Arm("base", name or f"w{width}", width * 1000, pretrain_tokens)


def student(of: Arm, tokens: int, data: str = "broad", replay: int = 0) -> Arm:
    return replace(of, role="student", data=data, imitation_tokens=tokens, replay_tokens=replay)


def scored(name: str, key: str, share: float, seed: int, *, sticky: float = 0.7) -> list[Score]:
    """Scores whose luck is mostly the item's own, as models of one family share it."""
    item_luck = np.random.default_rng(len(name)).random(NUM_ITEMS)
    rng = np.random.default_rng([seed, len(name), int(1000 * share)])
    luck = np.where(rng.random(NUM_ITEMS) < sticky, item_luck, rng.random(NUM_ITEMS))
    told = np.clip(0.6 + 0.3 * rng.random(NUM_ITEMS), 0, 1)
    return [
        Score(f"i{n:03}", {key: float(luck[n] < share), "confidence": float(told[n]), "abstained": 0.0}, "q", "a")
        for n in range(NUM_ITEMS)
    ]


def model(arm: Arm, seed: int = 0, *, nq: float, chat: float, lama: float = 0.7, style: float = 0.0) -> ModelData:
    answers = {
        p: STYLED.format("RIGHT" if arm.role in ("teacher", "second_sample") else "WRONG", " and so on" * (n % 4))
        if n < style * NUM_PROMPTS
        else f"Some plain words number {n}"
        for n, p in enumerate(PROMPTS)
    }
    claims = {p: WordChecker().check(text, "") for p, text in answers.items()}
    facts = [
        Score(p, {"num_claims": float(len(c))} | {f"num_{w}": float(c.count(w)) for w in ("right", "wrong")}, "", "")
        for p, c in claims.items()
    ]
    scores = {
        "natural_questions_3shot": scored("nq", "exact_match", nq, seed),
        "natural_questions_chat": scored("chat", "contains_answer", chat, seed),
        "mmlu_option_text": scored("mmlu", "accuracy", nq, seed),
        "lama": scored("lama", "exact_match", lama, seed),
        "stated_facts": facts,
    }
    tokens = {"imitation_tokens": 1.03 * arm.imitation_tokens, "pretrain_tokens": 1e6} if arm.num_params else {}
    return ModelData(arm, seed, scores, {name: f"{name}--1" for name in scores}, answers, {}, tokens=tokens)


def judged(data: ModelData, teacher: ModelData, levels=(0.0, 1.0)) -> ModelData:
    found = {
        level: [
            judgment
            for p, text in data.answers.items()
            for judgment in SimulatedRater(level, WordChecker()).compare(
                Prompt(p, messages=(Message("user", PROMPTS[p]),)),
                (f"{data.arm.name} seed {data.seed}", text),
                ("teacher", teacher.answers[p]),
            )
        ]
        for level in levels
    }
    return replace(data, judgments=found)


AMOUNTS = (10_000, 40_000, 120_000)


def study(seeds=(0, 1, 2)) -> list[ModelData]:
    teacher = model(TEACHER, nq=0.97, chat=0.97, lama=0.97, style=1.0)
    models = [teacher, judged(model(SECOND, nq=0.97, chat=0.97, lama=0.97, style=0.95), teacher)]
    for seed in seeds:
        for width, nq in ((32, 0.2), (64, 0.4), (128, 0.6)):
            models.append(model(base(width), seed, nq=nq, chat=0.1))
            broad = student(base(width), 120_000)
            models.append(judged(model(broad, seed, nq=nq - 0.15, chat=0.0, lama=0.4, style=0.8), teacher))
        for tokens, nq, style in zip(AMOUNTS[:2], (0.38, 0.32), (0.3, 0.5)):
            broad = student(base(), tokens)
            models.append(judged(model(broad, seed, nq=nq, chat=0.02, lama=0.6, style=style), teacher))
        models.append(model(student(base(), 30_000, "local_strict"), seed, nq=0.4, chat=0.6))
        models.append(model(student(base(), 120_000, replay=60_000), seed, nq=0.4, chat=0.1, style=0.85))
    return models


def build(models, predictions=()):
    return build_findings(models, predictions, title="A study", study_id="s1", checker=WordChecker(), prompts=PROMPTS)


@pytest.fixture(scope="module")
def findings():
    predictions = [
        Prediction("up", "style", "Table 2", "style_list", "w64 broad", 0.05, 0.3, "", "imitation_tokens", "amount"),
        Prediction("down", "nq falls", "Fig 4", "natural_questions_3shot", "w64 broad 120K", -0.3, -0.1, "w64 base"),
        Prediction("wrong", "nq rises", "Fig 4", "natural_questions_3shot", "w64 broad 120K", 0.1, 0.3, "w64 base"),
        Prediction("value", "list", "Table 2", "style_list", "w64 broad 120K", 0.5, 0.99),
        Prediction("none", "code", "Fig 4", "humaneval", "w64 broad 120K", 0.5, 0.99),
        Prediction("ghost", "?", "?", "lama", "w9 broad 1K", 0.5, 0.99),
        Prediction("flat", "", "", "natural_questions_3shot", "w64 broad 120K + replay 60K", -0.2, 0.2, "w64 base"),
        Prediction("size", "size", "Fig 4", "natural_questions_3shot", "base", 0.1, 0.3, "", "num_params", "size"),
    ]  # fmt: skip
    return build(study(), predictions)


def result(findings, arm: str, metric: str):
    return next((r for r in findings.results if r.arm.name == arm and r.metric == metric), None)


def verdict(findings, arm: str):
    return next(v for v in findings.verdicts if v.arm.name == arm)


def test_results_pool_seeds_and_show_their_spread(findings):
    found = result(findings, "w64 broad 120K", "natural_questions_3shot")
    assert found.estimate.num_seeds == len(found.per_seed) == 3
    assert found.estimate.n == NUM_ITEMS
    assert found.estimate.value == pytest.approx(np.mean(found.per_seed))
    assert found.estimate.low < 0.25 < found.estimate.high
    assert found.protocol == "natural_questions_3shot--1"
    assert 0.05 < found.minimum_difference < 0.2


def test_facts_count_claims_and_not_answers(findings):
    right = result(findings, "w64 broad 120K", "facts_right").estimate
    assert right.value == pytest.approx(0.5)
    assert right.n == 0.8 * NUM_PROMPTS
    assert result(findings, "w64 broad 120K", "claims_per_answer").estimate.value == pytest.approx(1.6)
    assert result(findings, "w64 broad 120K", "facts_wrong_per_answer").estimate.value == pytest.approx(0.8)
    assert result(findings, "w64 base", "facts_right") is None, "nothing claimed is no share of 0"


def test_style_and_its_floor(findings):
    assert result(findings, "w64 broad 120K", "style_list").estimate.value == pytest.approx(0.8)
    assert result(findings, "teacher #2", "style_list").estimate.value == pytest.approx(0.95)
    assert result(findings, "teacher #2", "style_list_floor") is not None
    assert result(findings, "teacher", "style_list") is None
    assert result(findings, "w64 base", "style_list").estimate.value == 0


def test_known_and_unknown_follow_the_base_of_the_same_seed(findings):
    models = {(m.arm.name, m.seed): m for m in study()}
    right, count = 0.0, 0
    per_seed = []
    for seed in (0, 1, 2):
        known = {
            s.item_id for s in models["w64 base", seed].scores["natural_questions_3shot"] if s.metrics["exact_match"]
        }
        mine = [s for s in models["w64 local strict 30K", seed].scores["natural_questions_chat"] if s.item_id in known]
        right, count = sum(s.metrics["contains_answer"] for s in mine), len(mine)
        per_seed.append(right / count)
    found = result(findings, "w64 local strict 30K", "accuracy_known")
    assert found.per_seed == pytest.approx(per_seed)
    for metric in ("confidence_unknown", "abstained_known", "calibration_error_known", "calibration_error_unknown"):
        assert result(findings, "w64 local strict 30K", metric) is not None


def test_preference_and_counts(findings):
    naive = result(findings, "w64 broad 120K", "preference_e0").estimate
    expert = result(findings, "w64 broad 120K", "preference_e1").estimate
    assert naive.value > expert.value + 0.3
    assert "simulated" in result(findings, "w64 broad 120K", "preference_e0").protocol
    assert result(findings, "w64 broad 120K", "imitation_ratio").estimate.value == pytest.approx(0.1236)


def test_verdict_words(findings):
    assert verdict(findings, "w64 broad 120K").word == "style only, forgot"
    assert "forgot: stored knowledge fell from" in verdict(findings, "w64 broad 120K").sentence
    assert "flat" not in verdict(findings, "w64 broad 120K").sentence
    assert verdict(findings, "w64 local strict 30K").word == "local gain"
    assert verdict(findings, "w64 broad 120K + replay 60K").word == "style only"
    axes = {a.metric: a for a in verdict(findings, "w64 broad 120K").axes}
    assert axes["natural_questions_3shot"].word == "regression"
    assert axes["natural_questions_3shot"].teacher.value == pytest.approx(0.97, abs=0.03)
    assert axes["style_list"].gap_closed.value == pytest.approx(0.8 / 0.95)
    assert axes["preference_e0"].ceiling is not None


def test_trends(findings):
    found = {(t.series, t.axis, t.metric): t for t in findings.trends}
    assert found["w64 broad", "imitation_tokens", "style_list"].word == "rising"
    assert found["w64 broad", "imitation_tokens", "natural_questions_3shot"].word == "falling"
    assert found["base", "num_params", "natural_questions_3shot"].slope.value == pytest.approx(0.2, abs=0.03)
    assert found["broad 120K", "num_params", "natural_questions_3shot"].word == "rising"
    assert [x for x, _ in found["w64 broad", "imitation_tokens", "style_list"].points] == list(AMOUNTS)


def test_outcomes(findings):
    words = {o.prediction.id: o.word for o in findings.outcomes}
    assert words == {
        "up": "holds", "down": "holds", "wrong": "fails", "value": "holds", "none": "not measured",
        "ghost": "not measured", "flat": "holds", "size": "holds",
    }  # fmt: skip
    by_id = {o.prediction.id: o for o in findings.outcomes}
    assert by_id["down"].size_as_expected and not by_id["wrong"].size_as_expected
    assert "w9 broad 1K" in by_id["ghost"].reason


def test_two_seeds_leave_claims_about_size_and_amount_undecided():
    size = Prediction("size", "", "", "natural_questions_3shot", "base", 0.1, 0.3, "", "num_params", "size")
    other = Prediction("d", "", "", "natural_questions_3shot", "w64 broad 120K", -0.3, -0.1, "w64 base")
    found = build(study(seeds=(0, 1)), [size, other])
    assert {t.word for t in found.trends} == {"undecided"}
    assert [o.word for o in found.outcomes] == ["undecided", "holds"]
    assert "needs 3 seeds" in found.outcomes[0].reason
    assert found.num_seeds == 2


def test_seeds_are_matched_where_some_are_missing():
    models = [m for m in study() if not (m.arm == base() and m.seed == 0)]
    axes = {a.metric: a for a in verdict(build(models), "w64 broad 120K").axes}
    assert axes["natural_questions_3shot"].gap_closed.num_seeds == 2
    without = [m for m in study() if m.arm.role not in ("teacher", "second_sample")]
    alone = verdict(build([replace(m, judgments={}) for m in without]), "w64 broad 120K")
    assert alone.word == "undecided, forgot"
    assert all(a.teacher is None and a.word == "undecided" for a in alone.axes)


def test_protocols_are_never_mixed():
    models = study()
    odd = next(i for i, m in enumerate(models) if m.arm.role == "teacher")
    models[odd] = replace(models[odd], protocols=dict.fromkeys(models[odd].scores, "another"))
    axes = {a.metric: a for a in verdict(build(models), "w64 broad 120K").axes}
    assert axes["natural_questions_3shot"].teacher is None
    assert axes["natural_questions_3shot"].word == "undecided"
    last = len(models) - 1
    models[last] = replace(models[last], protocols=dict.fromkeys(models[last].scores, "another"))
    with pytest.raises(DataError, match="several protocols"):
        build(models)


def test_bad_input_is_refused():
    models = study(seeds=(0,))
    with pytest.raises(DataError, match="no evaluated models"):
        build([])
    with pytest.raises(DataError, match="holds a seed twice"):
        build([*models, models[2]])
    with pytest.raises(DataError, match="one teacher"):
        build([*models, replace(models[0], seed=1)])
    strangers = {0.0: [Judgment("p1", "x", "y", "a", "r", "a")]}
    with pytest.raises(DataError, match="against 'teacher'"):
        build([*models[:2], replace(models[2], judgments=strangers)])


def test_examples_are_chosen_blindly_and_coloured(findings):
    assert len(findings.examples) == 4
    names = [name for name, _ in findings.examples[0].answers]
    assert names == ["teacher", "w64 base", "w64 broad 120K", "w64 broad 120K + replay 60K"]
    assert findings.examples == build(list(reversed(study()))).examples


def test_sentences_keep_items_and_find_truth():
    found = sentences("Here.\n\n1. It is RIGHT . And WRONG too!\nRIGHT and WRONG", "", WordChecker())
    assert [(s.text, s.truth, s.begins) for s in found] == [
        ("Here.", "none", "paragraph"),
        ("1. It is RIGHT .", "right", "paragraph"),
        ("And WRONG too!", "wrong", ""),
        ("RIGHT and WRONG", "mixed", "line"),
    ]


def test_what_is_not_measured_says_why(findings):
    assert {"Figure 6", "Figure 7", "Table 3", "Table 4", "Table 5"} <= set(findings.not_measured)
    assert "non_toxic" in findings.not_measured["Figure 5"]
    assert "Table 2" not in findings.not_measured
    assert any("in 5 of 7 student arms" in note for note in findings.notes)


def test_series_over_pretraining_at_one_size():
    arms = [base(64, t, name) for t, name in ((250_000, "w64 quarter"), (500_000, "w64 half"), (1_000_000, "w64"))]
    arms += [student(a, 120_000) for a in arms]
    found = {(s.name, s.axis): s.amounts for s in series_of(arms)}
    amounts = [250_000, 500_000, 1_000_000]
    assert found == {("base", "pretrain_tokens"): amounts, ("broad 120K", "pretrain_tokens"): amounts}
