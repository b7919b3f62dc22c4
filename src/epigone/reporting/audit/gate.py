"""The gate for CI: conditions on an audit's findings, of which none may hold; and their outcome as JUnit XML.

In: conditions as text, AuditFindings. Out: one Check a condition and student. The grammar, blanks free:

    condition  = [ student ":" ] quantity operator reference
    quantity   = "capability." name | "style." name | "preference"
    operator   = "<" | "<=" | ">" | ">="
    reference  = number | model [ ("+" | "-") number ]
    model      = "base" | "teacher" | "ceiling"

`capability.mmlu < base - 0.02` holds where the student's accuracy lies more than two points below its base's. Values
are 0-1 as in the JSON object. A condition is decided by the 95 % interval of the (paired) difference: it holds where
the whole interval does, does not hold where the whole interval lies on the other side, and is undecided in between and
where something was not measured. Without a student it is asked of every one.
JUnit XML: https://github.com/testmoapp/junitxml.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast
from xml.etree import ElementTree

from epigone.errors import SpecError
from epigone.records import Estimate
from epigone.reporting.audit.findings import AuditFindings, Axis

Answer = Literal["holds", "does not hold", "undecided"]
OnUndecided = Literal["fail", "pass"]
Operator = Literal["<", "<=", ">", ">="]
Against = Literal["", "base", "teacher", "ceiling"]
GRAMMAR = (
    "[STUDENT:] capability.NAME|style.NAME|preference  <|<=|>|>=  NUMBER|base|teacher|ceiling [+|- NUMBER], "
    "e.g. 'capability.mmlu < base - 0.02'"
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_CONDITION = re.compile(
    r"\s*(?:(?P<student>.+?)\s*:\s+)?"
    r"(?P<axis>capability|style|preference)(?:\.(?P<metric>[^\s<>=]+))?\s*"
    r"(?P<operator><=|>=|<|>)\s*"
    rf"(?:(?P<model>base|teacher|ceiling)(?:\s*(?P<sign>[+-])\s*(?P<offset>{_NUMBER}))?|(?P<number>-?(?:{_NUMBER})))\s*"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One parsed condition; `against` is empty where the reference is `offset` alone."""

    text: str
    student: str
    axis: Axis
    metric: str
    operator: Operator
    against: Against
    offset: float


@dataclass(frozen=True, slots=True)
class Check:
    """A condition asked of one student: the answer, whether it fails the gate, and the numbers."""

    condition: str
    student: str
    answer: Answer
    failed: bool
    why: str


def parse(text: str) -> Condition:
    """A condition from its text. Raises SpecError with the grammar."""
    found = _CONDITION.fullmatch(text)
    if not found or (found["axis"] == "preference") != (found["metric"] is None):
        raise SpecError(f"--fail-if {text!r} is no condition; the form is: {GRAMMAR}")
    offset = float(found["offset"] or 0) if found["model"] else float(found["number"])
    return Condition(
        text=" ".join(text.split()),
        student=found["student"] or "",
        axis=cast(Axis, found["axis"]),
        metric=found["metric"] or "",
        operator=cast(Operator, found["operator"]),
        against=cast(Against, found["model"] or ""),
        offset=-offset if found["sign"] == "-" else offset,
    )


def check(findings: AuditFindings, conditions: Sequence[Condition], on_undecided: OnUndecided) -> tuple[Check, ...]:
    """Every condition of every student it is about. Raises SpecError for a student or metric that does not exist."""
    for condition in conditions:
        _exists(findings, condition)
    return tuple(
        _check(findings, condition, student, on_undecided)
        for condition in conditions
        for student in ([condition.student] if condition.student else findings.students)
    )


def _exists(findings: AuditFindings, condition: Condition) -> None:
    if condition.student and condition.student not in findings.students:
        raise SpecError(
            f"--fail-if {condition.text!r}: there is no student {condition.student!r}; there is: "
            f"{', '.join(findings.students)}"
        )
    known = sorted({m.metric for m in findings.measured if m.kind == condition.axis})
    if condition.metric and known and condition.metric not in known:
        raise SpecError(
            f"--fail-if {condition.text!r}: {condition.axis} has no metric {condition.metric!r}; measured were: "
            f"{', '.join(known)}"
        )


def _check(findings: AuditFindings, condition: Condition, student: str, on_undecided: OnUndecided) -> Check:
    found, why = _difference(findings, condition, student)
    if found is None:
        failed = on_undecided == "fail"
        return Check(condition.text, student, "undecided", failed, why)
    answer = _answer(found, condition)
    failed = answer == "holds" or (answer == "undecided" and on_undecided == "fail")
    return Check(condition.text, student, answer, failed, why)


def _difference(findings: AuditFindings, condition: Condition, student: str) -> tuple[Estimate | None, str]:
    """The student's value, or its difference to the reference; and both in words."""
    name = f"{condition.axis}{'.' if condition.metric else ''}{condition.metric}"
    if not condition.against:
        own = _own(findings, condition, student)
        return own, f"{name} is {_shown(own)}" if own else f"{name} was not measured for {student}"
    found = _against(findings, condition, student)
    if found is None:
        return None, f"{name} of {student} and of the {condition.against} were not both measured"
    return found, f"{name} minus the {condition.against}'s is {_shown(found)}"


def _own(findings: AuditFindings, condition: Condition, student: str) -> Estimate | None:
    if condition.axis == "preference":
        return findings.rates.get(student)
    return findings.estimate(student, condition.axis, condition.metric)


def _against(findings: AuditFindings, condition: Condition, student: str) -> Estimate | None:
    role = "second_sample" if condition.against == "ceiling" else condition.against
    metric = condition.metric or "rate"
    for contrast in findings.contrasts:
        asked = (contrast.axis, contrast.metric, contrast.student, contrast.role)
        if asked == (condition.axis, metric, student, role):
            return contrast.difference
    return None


def _answer(found: Estimate, condition: Condition) -> Answer:
    low, high, limit = found.low, found.high, condition.offset
    inside, outside = {
        "<": (high < limit, low >= limit),
        "<=": (high <= limit, low > limit),
        ">": (low > limit, high <= limit),
        ">=": (low >= limit, high < limit),
    }[condition.operator]
    return "holds" if inside else "does not hold" if outside else "undecided"


def _shown(e: Estimate) -> str:
    return f"{e.value:.4f} [{e.low:.4f}, {e.high:.4f}], n = {e.n}"


def junit(checks: Sequence[Check], title: str) -> str:
    """The checks as JUnit XML: a failure where one failed; what is undecided and let pass counts as skipped."""
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(title),
        tests=str(len(checks)),
        failures=str(sum(c.failed for c in checks)),
        errors="0",
        skipped=str(sum(not c.failed and c.answer == "undecided" for c in checks)),
    )
    for one in checks:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(one.student), name=_xml(one.condition))
        text = _xml(f"{one.answer}: {one.why}")
        if one.failed:
            ElementTree.SubElement(case, "failure", message=text).text = text
        elif one.answer == "undecided":
            ElementTree.SubElement(case, "skipped", message=text)
        else:
            ElementTree.SubElement(case, "system-out").text = text
    root = ElementTree.Element("testsuites", tests=suite.get("tests", ""), failures=suite.get("failures", ""))
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold, not even escaped."""
    return _NO_XML.sub("\ufffd", text)
