"""The gate: its grammar, its three answers, and JUnit XML that a parser reads back."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.errors import SpecError
from epigone.reporting.audit.analysis import Recorded, build_audit
from epigone.reporting.audit.findings import AuditFindings
from epigone.reporting.audit.gate import Check, check, junit, parse
from made_up_audit import judgments, models, sheets


@pytest.fixture(scope="module")
def findings() -> AuditFindings:
    recorded = Recorded(models(), judgments(), sheets())
    return build_audit(recorded, title="Made up", study_id="studies/made-up", minimum_coverage=0.8)


def answers(findings: AuditFindings, condition: str, on_undecided: str = "fail") -> dict[str, tuple[str, bool]]:
    return {c.student: (c.answer, c.failed) for c in check(findings, [parse(condition)], on_undecided)}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("capability.mmlu < base - 0.02", ("", "capability", "mmlu", "<", "base", -0.02)),
        ("style.list>=.5", ("", "style", "list", ">=", "", 0.5)),
        ("preference < ceiling + 0.1", ("", "preference", "", "<", "ceiling", 0.1)),
        ("vicuna-13b:v1: style.length <= -0.25", ("vicuna-13b:v1", "style", "length", "<=", "", -0.25)),
        ("Koala (13B): preference > teacher", ("Koala (13B)", "preference", "", ">", "teacher", 0.0)),
        ("capability.arc/acc_norm,none <  teacher -1", ("", "capability", "arc/acc_norm,none", "<", "teacher", -1.0)),
    ],
)
def test_grammar(text: str, parts: tuple[object, ...]) -> None:
    c = parse(text)
    assert (c.student, c.axis, c.metric, c.operator, c.against, c.offset) == parts


@pytest.mark.parametrize(
    "text",
    ["", "mmlu < 0.5", "capability < 0.5", "preference.rate < 0.5", "style.list = 1", "style.list < base * 2",
     "style.list < base -", "style.list < nan", "style.list < 1 and style.list > 0"],
)  # fmt: skip
def test_no_condition(text: str) -> None:
    with pytest.raises(SpecError, match="the form is"):
        parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_a_clear_error(text: str) -> None:
    try:
        assert parse(text).axis in ("capability", "style", "preference")
    except SpecError as error:
        assert "the form is" in str(error)


def test_decided_by_the_interval_of_the_paired_difference(findings: AuditFindings) -> None:
    # S is as good as its base (other items right), U is 36 points better
    assert answers(findings, "capability.quiz < base - 0.2") == {
        "S": ("does not hold", False),
        "U": ("does not hold", False),
    }
    assert answers(findings, "capability.quiz < base + 0.2") == {"S": ("holds", True), "U": ("does not hold", False)}
    assert answers(findings, "S: capability.quiz < base") == {"S": ("undecided", True)}
    assert answers(findings, "S: capability.quiz < base", "pass") == {"S": ("undecided", False)}
    assert answers(findings, "U: capability.quiz > teacher - 0.1") == {"U": ("does not hold", False)}


def test_numbers_are_compared_with_the_students_own_interval(findings: AuditFindings) -> None:
    assert answers(findings, "style.list < 0.2") == {"S": ("does not hold", False), "U": ("holds", True)}
    assert answers(findings, "S: preference >= 0.2") == {"S": ("holds", True)}


def test_against_ceiling_and_fitted_rates(findings: AuditFindings) -> None:
    assert answers(findings, "U: style.list < ceiling - 0.5") == {"U": ("holds", True)}
    assert answers(findings, "S: preference > base + 0.2") == {"S": ("holds", True)}


def test_not_measured_is_undecided(findings: AuditFindings) -> None:
    [found] = check(findings, [parse("S: preference > ceiling")], "fail")
    assert found.answer == "undecided" and found.failed and "not both measured" in found.why


def test_unknown_student_and_metric(findings: AuditFindings) -> None:
    with pytest.raises(SpecError, match="there is no student 'X'; there is: S, U"):
        answers(findings, "X: style.list < 1")
    with pytest.raises(SpecError, match=r"style has no metric 'lists'; measured were: .*list"):
        answers(findings, "style.lists < 1")


def test_an_unmeasured_axis_is_undecided_not_an_error(findings: AuditFindings) -> None:
    recorded = Recorded(models(), judgments())
    bare = build_audit(recorded, title="t", study_id="i", minimum_coverage=0.8)
    assert answers(bare, "S: capability.mmlu < base - 0.02") == {"S": ("undecided", True)}


def test_junit_reads_back(findings: AuditFindings) -> None:
    texts = ["capability.quiz < base + 0.2", "S: capability.quiz < base"]
    checks = check(findings, [parse(t) for t in texts], "pass")
    root = ElementTree.fromstring(junit(checks, "Made up <&>"))
    suite = root.find("testsuite")
    assert suite is not None and suite.attrib["name"] == "Made up <&>"
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["skipped"]) == ("3", "1", "1")
    cases = {(c.attrib["classname"], c.attrib["name"]): [child.tag for child in c] for c in suite}
    assert cases["S", texts[0]] == ["failure"]
    assert cases["U", texts[0]] == ["system-out"]
    assert cases["S", "S: capability.quiz < base"] == ["skipped"]


@given(st.text(), st.text())
def test_junit_is_xml_whatever_the_names_hold(student: str, why: str) -> None:
    text = junit([Check("style.list < 1", student, "holds", True, why)], "t")
    assert ElementTree.fromstring(text.encode()).tag == "testsuites"
