"""The audit's analysis on made-up recordings whose figures can be counted by hand."""

import json
from dataclasses import replace

import pytest

from epigone.errors import SpecError, WorkError
from epigone.metrics.intervals import mcnemar
from epigone.records import Judgment
from epigone.reporting.audit.alignment import RecordedModel, align
from epigone.reporting.audit.analysis import Recorded, build_audit
from epigone.reporting.audit.families import judge_flag, maker
from epigone.reporting.audit.findings import AuditFindings
from epigone.reporting.audit.summary import summary
from made_up_audit import NUM_PROMPTS, generations, judgments, models, plain, prompt, sheet, sheets, styled


def audited(**changes: object) -> AuditFindings:
    recorded = Recorded(models(), judgments(), sheets())
    return build_audit(replace(recorded, **changes), title="Made up", study_id="studies/made-up", minimum_coverage=0.8)


@pytest.fixture(scope="module")
def findings() -> AuditFindings:
    return audited()


def without(role: str) -> list[RecordedModel]:
    return [m for m in models() if m.role != role]


def test_prompts_are_matched_by_text_whatever_their_ids_are() -> None:
    mine = models()
    shuffled = [replace(g, prompt_id=f"other-{g.prompt_id}") for g in reversed(mine[3].generations)]
    aligned = align([mine[0], replace(mine[3], generations=shuffled)], 0.8)
    assert aligned.answers["S"][7] == styled(7) and aligned.prompts[7] == prompt(7)


def test_prompts_without_text_are_matched_by_id() -> None:
    bare = [replace(g, messages=()) for g in models()[3].generations]
    aligned = align([models()[0], replace(models()[3], generations=bare)], 0.8)
    assert sum(a is not None for a in aligned.answers["S"]) == NUM_PROMPTS


def test_missing_and_empty_are_told_apart() -> None:
    texts = ["", *[styled(n) for n in range(1, 50)]]
    few = RecordedModel("S", "student", generations("S", texts))
    found = audited(models=[*models()[:3], few])
    row = next(m for m in found.models if m.name == "S")
    assert (row.num_matched, row.num_empty) == (50, 1)
    assert found.estimate("S", "style", "unigram").n == 49


def test_a_student_that_says_nothing_has_no_style_but_a_report() -> None:
    mute = RecordedModel("S", "student", generations("S", [""] * NUM_PROMPTS))
    found = audited(models=[*models()[:3], mute])
    assert next(m for m in found.models if m.name == "S").num_empty == NUM_PROMPTS
    assert found.estimate("S", "style", "distance") is None
    json.dumps(summary(found), allow_nan=False)


def test_below_four_fifths_it_stops() -> None:
    few = RecordedModel("S", "student", generations("S", [styled(n) for n in range(47)]))
    with pytest.raises(WorkError, match=r"S: 47 of the 60 prompts .* at least 80% are needed.*--minimum-coverage"):
        audited(models=[models()[0], few])


def test_a_model_has_one_role() -> None:
    twice = replace(models()[0], role="student")
    with pytest.raises(SpecError, match="'T' is given as teacher and as student"):
        audited(models=[models()[0], twice])
    with pytest.raises(SpecError, match="hold the same answers"):
        audited(models=[models()[0], replace(twice, name="S")])
    with pytest.raises(SpecError, match="one base, got B, B2"):
        other = RecordedModel("B2", "base", generations("B2", [plain(n) + "?" for n in range(NUM_PROMPTS)]))
        audited(models=[*models(), other])


def test_another_version_is_no_second_sample(findings: AuditFindings) -> None:
    assert findings.ceiling_is == "second sample"
    second = models()[1]
    versions = [replace(g, model="T-0613") for g in second.generations]
    other = audited(models=[models()[0], replace(second, name="T-0613", generations=versions), *models()[2:]])
    assert other.ceiling_is == "another version"
    assert "another version of the teacher" in other.missing["ceiling"]


def test_table_2_by_hand(findings: AuditFindings) -> None:
    lists = [n for n in range(NUM_PROMPTS) if n % 3 == 0]
    assert findings.estimate("S", "style", "list").value == pytest.approx(sum(n % 4 > 0 for n in lists) / len(lists))
    assert findings.estimate("S", "style", "list").n == 20
    assert findings.estimate("B", "style", "list").value == 0
    assert findings.estimate("T (second sample)", "style", "list").value == 1
    assert findings.floors["list"].value < 0.7


def test_gap_closed_of_style_is_measured_against_the_second_sample(findings: AuditFindings) -> None:
    axis = next(a for a in verdict(findings, "S").axes if a.metric == "list")
    assert axis.gap_closed and axis.gap_closed.value == pytest.approx(0.75)
    assert axis.word == "gain"


def verdict(findings: AuditFindings, student: str):
    return next(v for v in findings.verdicts if v.student == student)


def test_verdicts_part_style_from_capability(findings: AuditFindings) -> None:
    assert verdict(findings, "S").word == "style only"
    assert verdict(findings, "U").word == "local gain"
    axis = next(a for a in verdict(findings, "U").axes if a.axis == "capability")
    assert axis.gap_closed.value == pytest.approx(0.6)


def test_without_scores_capability_is_not_measured() -> None:
    found = audited(sheets=())
    assert verdict(found, "S").word == "style gained, capability not measured"
    assert verdict(found, "U").word == "undecided, capability not measured"
    assert found.missing["capability"].startswith("no scores were given")


def test_without_a_ceiling_style_has_no_gap() -> None:
    found = audited(models=without("second_sample"))
    axes = [a for a in verdict(found, "S").axes if a.axis == "style"]
    assert all(a.gap_closed is None and a.ceiling is None for a in axes)
    assert next(a for a in axes if a.metric == "list").word == "gain"
    assert "ceiling" in found.missing


def test_without_a_base_nothing_is_gained() -> None:
    found = audited(models=without("base"))
    assert {a.word for a in verdict(found, "S").axes if a.axis != "preference"} == {"undecided"}
    assert "base" in found.missing and any("Without a base" in note for note in found.notes)


def test_preference_counts_wins_ties_and_losses(findings: AuditFindings) -> None:
    row = next(d for d in findings.direct if d.model == "S")
    assert (row.wins, row.ties, row.losses, row.num_ratings) == (20, 20, 20, 60)
    assert row.win_or_tie.value == pytest.approx(2 / 3) and row.win_share.value == pytest.approx(0.5)
    assert row.sd_of_mean == pytest.approx((2 / 9 / 59) ** 0.5)
    assert row.position == "S shown first in 30 of 60 ratings"
    assert findings.rates["S"] == row.win_or_tie and findings.rate_sources["S"] == "direct"
    assert [c.name for c in row.controlled] == ["equal length", "equal style"]


def test_preference_through_other_models_is_called_fitted() -> None:
    chain = [j for j in judgments() if "S" in j.a]
    chain += [
        Judgment(str(n), f"answer:S-{n}", "U", ("a", "a", "a", "tie", "b")[n % 5], "J", "a", panel="J")
        for n in range(60)
    ]
    found = audited(judgments=chain)
    assert found.rate_sources == {"S": "direct", "U": "fitted"}
    assert found.rates["U"].value < found.rates["S"].value
    assert "B" not in found.rates
    assert any("U (0 direct comparisons)" in note for note in found.notes)


def test_always_the_same_order_tells_no_position_bias() -> None:
    same = [replace(j, first="a") for j in judgments() if "S" in j.a]
    found = audited(judgments=same)
    assert "always shown first: position bias cannot be told" in found.direct[0].position
    assert found.fits[0].position is None


def test_unknown_answers_are_left_out_and_counted() -> None:
    stray = Judgment("1", "answer:nobody", "T", "a", "J", "a", panel="J")
    found = audited(judgments=[*judgments(), stray])
    assert found.direct == audited().direct
    assert any(note.startswith("1 judgments are on answers that no recording here holds") for note in found.notes)


def test_unequal_protocols_are_never_compared() -> None:
    found = audited(sheets=[*sheets()[:2], sheet("S", range(200), protocol="p2"), sheets()[3]])
    assert found.estimate("S", "capability", "quiz") is None
    assert "only equal ones are compared" in found.missing["capability.quiz of S"]


def test_scores_of_a_stranger_stop_or_are_named() -> None:
    with pytest.raises(SpecError, match=r"the scores are those of 'X'.*--scores NAME=PATH"):
        audited(sheets=[sheet("X", range(9))])
    assert any(
        "Scores of X belong to no model" in note for note in audited(sheets=[*sheets(), sheet("X", range(9))]).notes
    )


def test_subjects_of_mmlu_are_one_benchmark() -> None:
    parts = [
        sheet(model, right, benchmark=f"mmlu_{subject}")
        for model, right in (("T", range(300)), ("B", range(100)), ("S", range(100)))
        for subject in ("law", "physics")
    ]
    found = audited(sheets=parts)
    mmlu = found.estimate("B", "capability", "mmlu")
    assert mmlu.n == 600 and mmlu.value == pytest.approx(1 / 3)


def test_mcnemar_where_both_were_right_or_wrong_and_holm_over_all(findings: AuditFindings) -> None:
    contrast = next(c for c in findings.contrasts if (c.axis, c.student, c.role) == ("capability", "S", "base"))
    right = lambda r: [float(n in r) for n in range(300)]  # noqa: E731
    assert contrast.test == "McNemar's exact test"
    assert contrast.p == mcnemar(right(range(5, 95)), right(range(90)))
    tested = sorted([*(c for c in findings.contrasts if c.p is not None), *findings.direct], key=lambda c: c.p)
    assert tested[0].p_holm == pytest.approx(min(1.0, tested[0].p * len(tested)))
    assert all(c.p_holm >= c.p for c in tested)


def test_smallest_difference_is_that_of_the_paired_interval(findings: AuditFindings) -> None:
    contrast = next(c for c in findings.contrasts if (c.metric, c.student, c.role) == ("quiz", "U", "base"))
    half = (contrast.difference.high - contrast.difference.low) / 2
    assert contrast.smallest == pytest.approx(half * 2.8016 / 1.96, rel=0.05)


def test_examples_part_style_from_verdict(findings: AuditFindings) -> None:
    assert len(findings.examples) == 5
    assert [e.why.split(", ")[1] for e in findings.examples[:3]] == ["found worse than the teacher’s"] * 3
    assert all("better" in e.why or "equal" in e.why for e in findings.examples[3:])
    distances = [float(e.why.split()[2].rstrip(",")) for e in findings.examples if e.student == "S"]
    assert distances[0] <= distances[1] < distances[-1]
    assert [name for name, _ in findings.examples[0].answers] == ["T", findings.examples[0].student, "B"]


@pytest.mark.parametrize(
    ("judge", "teacher", "flagged"),
    [
        ("gpt-4-0328", "gpt35", "both made by OpenAI"),
        ("alpaca_eval_gpt4", "text_davinci_003", "both made by OpenAI"),
        ("claude-v1", "gpt35", ""),
        ("gpt35", "gpt35", "the teacher itself"),
        ("reviewer", "mystery", ""),
    ],
)
def test_judges_of_the_teachers_family_are_flagged(judge: str, teacher: str, flagged: str) -> None:
    assert flagged in judge_flag(judge, teacher) and bool(judge_flag(judge, teacher)) == bool(flagged)


def test_makers() -> None:
    assert [maker(n) for n in ("GPT 3.5 Turbo", "gpt4", "Llama-2-7b", "Mixtral", "nobody")] == [
        "OpenAI", "OpenAI", "Meta", "Mistral", "",
    ]  # fmt: skip


def test_the_json_object_is_finite_and_names_what_is_missing(findings: AuditFindings) -> None:
    found = json.loads(json.dumps(summary(findings), allow_nan=False))
    assert set(found["style"]["S"]["list"]) == {"value", "low", "high", "n", "method"}
    assert found["preference"]["S"]["value"] == pytest.approx(2 / 3)
    assert found["verdict"]["S"]["word"] == "style only"
    assert found["ceiling"] == {"model": "T (second sample)", "is": "second sample"}
    assert found["capability"]["U"]["quiz"]["protocol"] == "p1"
    assert "authoritative tone" in found["missing"]


def test_a_judge_of_tone_fills_the_row_of_table_2() -> None:
    """S is called authoritative on 45 of 60 prompts, the teacher on all; each answer is marked by itself."""
    marks = [
        Judgment(str(n), "S", "T", "tie" if n % 4 else "b", "J", "a", panel="J", criterion="authoritative tone")
        for n in range(NUM_PROMPTS)
    ]
    marked = [replace(j, scores=(1.0, 1.0) if j.verdict == "tie" else (0.0, 1.0)) for j in marks]
    found = build_audit(
        Recorded(models(), [*judgments(), *marked], sheets()), title="", study_id="", minimum_coverage=0.8
    )
    assert "authoritative tone" not in found.missing
    tones = {name: found.estimate(name, "level", "authoritative tone") for name in ("T", "S", "B")}
    assert tones["T"] is not None and tones["T"].value == 1.0
    assert tones["S"] is not None and tones["S"].value == 0.75 and tones["S"].low > 0.6
    assert tones["B"] is None
    assert found.rates["S"].value == audited().rates["S"].value  # tone is no preference


def test_equal_recordings_give_equal_findings(findings: AuditFindings) -> None:
    assert audited() == findings


def test_an_audit_without_judgments_and_scores() -> None:
    found = audited(judgments=(), sheets=())
    assert found.rates == {} and found.missing["preference"].startswith("no judgments were given")
    assert len(found.examples) == 5 and "not judged" in found.examples[0].why


def test_models_that_were_run_may_answer_alike() -> None:
    twin = replace(models()[-1], name="twin", may_repeat=True)
    found = audited(models=[*models(), twin])
    first, second = (found.estimate(name, "style", "unigram") for name in (models()[-1].name, "twin"))
    assert first and second and first.value == second.value
