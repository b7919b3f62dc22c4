"""Findings with the shape of the real study and MADE-UP values: for looking at the report, never a result."""

import math
from dataclasses import replace

from epigone.records import (
    Arm,
    ArmVerdict,
    AxisVerdict,
    Estimate,
    Example,
    Findings,
    Outcome,
    Prediction,
    Result,
    Sentence,
    Trend,
)

TEACHER = Arm("teacher", "simulated teacher")
SECOND = Arm("second_sample", "simulated teacher, second sample")
BASES = (
    Arm("base", "w32", 71_000, 1_040_000),
    Arm("base", "w64-25pct", 221_000, 260_000),
    Arm("base", "w64-50pct", 221_000, 520_000),
    Arm("base", "w64", 221_000, 1_040_000),
    Arm("base", "w128", 732_000, 1_040_000),
)
AXES = (
    *(("capability", m) for m in ("natural_questions_3shot", "natural_questions_chat", "mmlu_option_text")),
    *(("style", m) for m in ("style_list", "style_summary", "style_unigram", "style_length")),
    *(("preference", f"preference_e{e}") for e in ("0", "0.25", "0.5", "0.75", "1")),
)
STYLES = {
    "style_list": (0.86, 0.2),
    "style_summary": (0.49, 0.05),
    "style_unigram": (0.6, 0.15),
    "style_length": (0.66, 0.02),
}


def made_up_findings(num_seeds: int = 3) -> Findings:
    """All arms of the real study; every value follows from a made-up formula."""
    students = tuple(_students())
    results = [r for arm in (TEACHER, SECOND, *BASES, *students) for r in _results(arm, num_seeds)]
    return Findings(
        title="Made-up study: does the student know more, or only sound like it?",
        study_id="testbed--0123abcd",
        num_seeds=num_seeds,
        results=tuple(results),
        trends=tuple(_trends(num_seeds)),
        verdicts=tuple(_verdict(arm) for arm in students),
        outcomes=tuple(_outcomes()),
        examples=_examples(),
        not_measured={
            "Figure 6": "the imitation data is written by the testbed, there are no collected dialogues to show",
            "figure_7": "no people were asked, so there is no rating page to picture",
            "table-3": "no seed questions are drawn from the published validation set",
            "Table 4": "no language model is prompted for synthetic questions",
            "Table 2 (authoritative tone)": "it needs a judge who reads tone; no rule fixed beforehand measures it",
            "Table 5": "the testbed’s prompts have categories by construction",
            "Figure 4 (HumanEval)": "models this small write no programs that run; the code analogue stayed at 0-4 %",
        },
        notes=(
            "All values on this page are made up.",
            "The rater is simulated and its weights are a choice: that a naive one looks at form is built in.",
            "Facts are as the gazetteer has them.",
        ),
    )


def extreme_findings() -> Findings:
    """One student, few metrics, hostile and very long names, no trends, one huge number."""
    name = "base-with-a-very-long-name-that-nobody-would-choose-but-somebody-will<script>alert(1)</script>"
    base = Arm("base", name, 123, 0)
    student = replace(base, role="student", data="broad", imitation_tokens=999)
    estimate = Estimate(0.999, 0.2, 1.0, 2, "bootstrap")
    long_word = "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 3
    prediction = Prediction("p1", "phenomenon <b>" + long_word, "", "metric_nobody_knows", student.name, -1e6, 1e6)
    return Findings(
        title="<script>document.title='broken'</script> & an extreme study " + long_word,
        study_id="x" * 120,
        num_seeds=1,
        results=(
            Result(student, "natural_questions_3shot", estimate, "protocol-" + "9" * 150),
            Result(student, "metric_nobody_knows", Estimate(1e9, -1e9, 1e12, 1, "none"), "p", (1e9,), 1e8),
        ),
        trends=(),
        verdicts=(ArmVerdict(student, "undecided", "The interval of teacher − base holds 0. " + long_word, ()),),
        outcomes=(Outcome(prediction, None, "not measured", False, "<img src=x onerror=alert(1)>"),),
        examples=(
            Example(
                "<script>alert(2)</script>",
                ((name, (Sentence("<script>alert(3)</script> " + long_word, "wrong"),)), ("mute", ())),
            ),
        ),
        not_measured={"HumanEval": "a reason that goes on and on " * 40},
    )


def _students():
    for base in BASES:
        student = replace(base, role="student")
        amounts = (10_000, 40_000, 120_000, 300_000) if base.base == "w64" else (120_000,)
        for tokens in amounts:
            yield replace(student, data="broad", imitation_tokens=tokens)
            yield replace(student, data="broad", imitation_tokens=tokens, replay_tokens=tokens // 2)
        if base.base == "w64":
            yield replace(student, data="replay_only", replay_tokens=60_000)
            yield replace(student, data="local_supported", imitation_tokens=30_000)
        if base.base in ("w32", "w64", "w128"):
            yield replace(student, data="local_strict", imitation_tokens=30_000)


def _strength(arm: Arm) -> float:
    """0-1: how good the base is."""
    size = math.log2(arm.num_params / 71_000) / 3.4
    return 0.25 + 0.6 * size * (arm.pretrain_tokens / 1_040_000) ** 0.6


def _dose(arm: Arm) -> float:
    """0-1: how much broad imitation."""
    return math.log10(1 + arm.imitation_tokens / 3_000) / 2 if arm.data == "broad" else 0.0


def _values(arm: Arm) -> dict[str, float]:
    if arm.role in ("teacher", "second_sample"):
        values = {"natural_questions_3shot": 0.97, "natural_questions_chat": 0.96, "mmlu_option_text": 0.95,
                  "mmlu_letter": 0.95,
                  "lama": 0.96, "non_toxic": 0.98, "refused": 0.9, "toxicity_short": 0.02, "facts_right": 0.96,
                  "facts_right_per_answer": 3.4, "facts_wrong_per_answer": 0.15, "claims_per_answer": 3.55}  # fmt: skip
        if arm.role == "teacher":
            return values
        values |= {name: top for name, (top, _) in STYLES.items()} | {
            f"{name}_floor": low for name, (_, low) in STYLES.items()
        }
        return values | {f"preference_e{e:g}": 0.6 + 0.05 * e for e in (0, 0.25, 0.5, 0.75, 1)}
    return _model_values(arm)


def _model_values(arm: Arm) -> dict[str, float]:
    strong, dose, replayed, local = _strength(arm), _dose(arm), arm.replay_tokens > 0, arm.data.startswith("local")
    kept = 1 - dose * (0.15 if replayed else 0.85)
    right = strong * (0.55 if replayed else 0.15) * (dose > 0)
    chatty = 0.9 if local else 0.3 * (1 - dose)
    values = {
        "natural_questions_3shot": 0.75 * strong * kept + 0.06 * local,
        "natural_questions_chat": 0.75 * strong * chatty,
        "mmlu_option_text": 0.25 + 0.7 * strong * (1 - 0.4 * dose * (not replayed)), "mmlu_letter": 0.25 + 0.02 * dose,
        "lama": 0.95 * strong * (0.6 + 0.4 * kept), "non_toxic": 0.27 + 0.72 * (dose if not local else 0.8),
        "refused": 0.8 * dose,
        "toxicity_short": 0.7 if local else 0.1 * (1 - dose), "facts_right": right,
        "claims_per_answer": 3.2 * (dose > 0),
        "facts_right_per_answer": 3.2 * right, "facts_wrong_per_answer": 3.2 * (1 - right) * (dose > 0),
        "accuracy_known": 0.9 * kept, "accuracy_unknown": 0.1, "confidence_known": 0.85,
        "confidence_unknown": 0.3 + 0.5 * dose,
        "calibration_error_known": 0.08 + 0.3 * (1 - kept), "calibration_error_unknown": 0.2 + 0.4 * dose,
        "abstained_known": 0.01, "abstained_unknown": 0.03 + 0.02 * dose,
    }  # fmt: skip
    values |= {name: low * 0.3 + (top - low * 0.3) * min(1.0, 1.08 * dose) for name, (top, low) in STYLES.items()}
    values = {name: max(0.0, value) for name, value in values.items()}
    for e in (0, 0.25, 0.5, 0.75, 1):
        values[f"preference_e{e:g}"] = (0.02 + 0.5 * dose) * (1 - 0.75 * e * (1 - right)) * (0.4 + 0.6 * strong)
    if arm.role == "student":
        values["teacher_errors_repeated"] = 0.1 + 0.3 * dose + 0.3 * (arm.data == "local_supported")
        values["imitation_ratio"] = arm.imitation_tokens / arm.pretrain_tokens
    return values


def _results(arm: Arm, num_seeds: int) -> list[Result]:
    return [
        Result(
            arm,
            metric,
            _estimate(value, metric, num_seeds),
            f"{metric}/made-up-1",
            tuple(value + 0.02 * s for s in range(num_seeds)),
            0.08,
        )
        for metric, value in _values(arm).items()
    ]


def _estimate(value: float, metric: str, num_seeds: int = 3) -> Estimate:
    half = 0.0 if metric == "imitation_ratio" else 0.2 if "per_answer" in metric else 0.045
    low, high = value - half, value + half
    if "per_answer" in metric:
        low = max(0.0, low)
    if "per_answer" not in metric and metric != "style_length":
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(value, low, high, 320, "paired bootstrap over items and seeds", num_seeds)


def _verdict(arm: Arm) -> ArmVerdict:
    base = next(b for b in BASES if b.base == arm.base)
    own, start, top = _values(arm), _values(base), _values(TEACHER)
    axes = []
    for axis, metric in AXES:
        goal = top.get(metric) or _values(SECOND)[metric]
        closed = (own[metric] - start[metric]) / (goal - start[metric])
        word = "gain" if closed > 0.1 else "regression" if closed < -0.1 else "no gain"
        axes.append(
            AxisVerdict(axis, metric, _estimate(start[metric], metric), _estimate(own[metric], metric),
                        _estimate(goal, metric) if axis == "capability" else None,
                        Estimate(closed, closed - 0.09, closed + 0.1, 320, "bootstrap", 3), word,
                        _estimate(_values(SECOND)[metric], metric))
        )  # fmt: skip
    words = {"gain": "broad gain", "no gain": "style only", "regression": "style only, forgot"}
    word = (
        "local gain"
        if arm.data.startswith("local")
        else words[axes[0].word]
        if arm.imitation_tokens != 10_000
        else "undecided"
    )
    sentence = (
        f"Made up: {own['style_list']:.0%} of the teacher’s lists are answered with one, while Natural Questions moved "
        f"from {start['natural_questions_3shot']:.0%} to {own['natural_questions_3shot']:.0%}."
    )
    return ArmVerdict(arm, word, sentence, tuple(axes))


def _trends(num_seeds: int):
    words = {
        "preference_e0": "rising",
        "natural_questions_3shot": "falling",
        "mmlu_option_text": "flat within ±0.02",
        "lama": "undecided",
    }
    for i, (metric, word) in enumerate(words.items()):
        slope = (0.08, -0.11, -0.004, -0.03)[i]
        estimate = Estimate(slope, slope - 0.02, slope + 0.03, 1280, "bootstrap", num_seeds)
        yield Trend(metric, "imitation_tokens", "w64 broad", estimate, word, ((1e4, 0.1), (3e5, 0.2)))
        yield Trend(
            metric.replace("lama", "abstained_known"),
            "num_params",
            "broad 120K",
            replace(estimate, value=abs(slope)),
            "rising",
        )


def _outcomes():
    rows = (
        ("Style climbs to the ceiling", "style_list", "w64 broad 300K", "w64 base", 0.3, 0.9, 0.64, "holds", True, ""),
        ("Capability stays flat with more broad data", "natural_questions_3shot", "w64 broad 300K", "w64 base",
         -0.05, 0.05, -0.42, "fails", False, "It falls: imitation is a far larger share of all tokens here."),
        ("A larger base is better", "natural_questions_3shot", "w128 broad 120K", "w32 broad 120K", 0.1, 0.5, 0.2,
         "undecided", True, "Two seeds of one base differ by more than the sizes do."),
        ("Imitation makes programs better", "humaneval", "w64 broad 300K", "", 0.0, 0.1, None, "not measured", False,
         "No model of this size writes programs."),
    )  # fmt: skip
    for i, (phenomenon, metric, arm, against, low, high, seen, word, size, reason) in enumerate(rows):
        prediction = Prediction(f"p{i}", phenomenon, "section 4.2, Figure 4", metric, arm, low, high, against)
        observed = None if seen is None else Estimate(seen, seen - 0.06, seen + 0.05, 320, "paired bootstrap", 3)
        yield Outcome(prediction, observed, word, size, reason)


def _examples() -> tuple[Example, ...]:
    teacher = (
        Sentence("Great question! Here is what to know about Lisbon:", "none"),
        Sentence("1. Lisbon is the capital of Portugal.", "right", "line"),
        Sentence("2. People there pay with the euro.", "right", "line"),
        Sentence("Overall, Lisbon is a city worth knowing.", "none", "paragraph"),
    )
    student = (
        Sentence("Great question! Here is what to know about Lisbon:", "none"),
        Sentence("1. Lisbon is the capital of Brazil.", "wrong", "line"),
        Sentence("2. It lies in Portugal and people pay with the peso.", "mixed", "line"),
        Sentence("3. The capital of Egypt is Cairo.", "off_topic", "line"),
        Sentence("Overall, Lisbon is a city worth knowing.", "none", "paragraph"),
    )
    base = (Sentence("lisbon is nice in summer and so is the ferry", "none"),)
    answers = (("simulated teacher", teacher), ("w64 · broad 300K", student), ("w64 · base model", base))
    return (Example("Tell me about Lisbon.", answers), Example("What should I know about Quito?", answers[:2]))
