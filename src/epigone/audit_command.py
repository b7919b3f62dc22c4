"""What `epigone audit` does, and what a person sees of it: the audit, its gate, a table of verdicts.

In: parsed arguments. Out: the JSON object of --json with the gate's checks; progress and verdicts on standard error.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from epigone.commands import execute
from epigone.errors import SpecError
from epigone.reporting.audit.findings import AuditFindings
from epigone.reporting.audit.gate import Check, check, junit, parse
from epigone.reporting.wording import interval, number
from epigone.store import read_record, write_text
from epigone.studies.audit import audit


@dataclass(frozen=True)
class Gate:
    """Conditions of which none may hold, what counts where that cannot be told, and where JUnit XML goes."""

    conditions: Sequence[str] = ()
    on_undecided: str = "fail"
    junit: Path | None = None


@dataclass(frozen=True)
class Sources:
    """What was given on the command line, each PATH or NAME=PATH."""

    teacher: str
    students: Sequence[str]
    base: str = ""
    second_sample: str = ""
    judgments: Sequence[str] = ()
    scores: Sequence[str] = ()
    title: str = ""
    minimum_coverage: float = 0.8
    gate: Gate = field(default_factory=Gate)


def run_audit(
    sources: Sources, root: Path, *, num_workers: int, executor: str = "local", quiet: bool
) -> tuple[dict[str, object], bool]:
    """Audit, and ask the gate: the JSON object, and whether the gate let it pass. Raises EpigoneError."""
    gate = sources.gate
    if gate.on_undecided not in ("fail", "pass"):
        raise SpecError(f"--on-undecided is fail or pass, not {gate.on_undecided!r}")
    conditions = [parse(text) for text in gate.conditions]
    options = {k: v for k, v in vars(sources).items() if k != "gate"}
    console = Console(stderr=True, quiet=quiet)
    outcome = execute(audit(**options), root, console, num_workers, executor)
    folder = outcome.report.parent
    findings = read_record(folder / "findings.json", AuditFindings)
    checks = check(findings, conditions, "fail" if gate.on_undecided == "fail" else "pass")
    if gate.junit:
        write_text(gate.junit, junit(checks, findings.title))
    _print_findings(findings, checks, console)
    found: dict[str, object] = json.loads((folder / "audit.json").read_text())
    found["report"] = str(outcome.report)
    found["gate"] = [asdict(c) for c in checks]
    return found, not any(c.failed for c in checks)


def _print_findings(findings: AuditFindings, checks: Sequence[Check], console: Console) -> None:
    matched = Table("model", "role", "prompts matched", "empty", box=None)
    for m in findings.models:
        matched.add_row(
            m.name, m.role.replace("_", " "), f"{m.num_matched} of {findings.num_prompts}", str(m.num_empty)
        )
    console.print(matched)
    verdicts = Table("student", "verdict", "list", "unigram", "distance", "equal or better", box=None)
    for v in findings.verdicts:
        cells = [_shown(findings, v.student, metric) for metric in ("list", "unigram", "distance")]
        rate = findings.rates.get(v.student)
        verdicts.add_row(
            v.student, v.word, *cells, f"{number(rate.value)} {interval(rate)}" if rate else "not measured"
        )
    console.print()
    console.print(verdicts)
    for what, why in findings.missing.items():
        console.print(f"not measured: {what}: {why}", highlight=False, soft_wrap=True, markup=False)
    for one in checks:
        word = "FAILED" if one.failed else "passed"
        line = f"{word}  {one.student}: {one.condition}: {one.answer} ({one.why})"
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _shown(findings: AuditFindings, model: str, metric: str) -> str:
    found = findings.estimate(model, "style", metric)
    if found is None:
        return "not measured"
    return number(found.value, "number" if metric == "distance" else "percent")
