"""What `epigone audit` does, and what a person sees of it: the price, the audit, its gate, a table of verdicts.

In: parsed arguments. Out: the JSON object of --json with the gate's checks; price, progress and verdicts on standard
error.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from epigone.commands.billing import Billed, bills, within
from epigone.commands.run import execute
from epigone.errors import SpecError
from epigone.reporting.audit.findings import AuditFindings
from epigone.reporting.audit.gate import Check, check, junit, parse
from epigone.reporting.wording import interval, number
from epigone.store import Store, read_record, write_text
from epigone.studies.audit import audit
from epigone.study import Study
from epigone.tokens.amounts import amount


@dataclass(frozen=True)
class Gate:
    """Conditions of which none may hold, what counts where that cannot be told, and where JUnit XML goes."""

    conditions: Sequence[str] = ()
    on_undecided: str = "fail"
    junit: Path | None = None


@dataclass(frozen=True)
class Price:
    """The most that models behind servers may cost together; `dry_run`: tell what it would be, and ask nothing."""

    budget_usd: float | None = None
    budget_tokens: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Sources:
    """What was given on the command line, each SOURCE or NAME=SOURCE; as in `studies.audit`."""

    teacher: str
    students: Sequence[str]
    base: str = ""
    second_sample: str = ""
    judgments: Sequence[str] = ()
    scores: Sequence[str] = ()
    references: str = ""
    title: str = ""
    minimum_coverage: float = 0.8
    prompts: str = ""
    benchmarks: Sequence[str] = ()
    limit: int = 0
    max_tokens: int = 512
    temperature: float = 0.0
    gate: Gate = field(default_factory=Gate)
    price: Price = field(default_factory=Price)


def run_audit(
    sources: Sources, root: Path, *, num_workers: int, executor: str = "local", quiet: bool
) -> tuple[dict[str, object], bool]:
    """Audit, and ask the gate: the JSON object, and whether the gate let it pass. Raises EpigoneError."""
    gate = sources.gate
    if gate.on_undecided not in ("fail", "pass"):
        raise SpecError(f"--on-undecided is fail or pass, not {gate.on_undecided!r}")
    conditions = [parse(text) for text in gate.conditions]
    options = {k: v for k, v in vars(sources).items() if k not in ("gate", "price")}
    console = Console(stderr=True, quiet=quiet)
    study, store = audit(**options), Store(root)
    billed = bills(study, store)
    _print_bills(billed, console)
    if sources.price.dry_run:
        return {"bills": [{"stage": store.resolver.id(each.stage)} | asdict(each.bill) for each in billed]}, True
    study = _within_budget(study, store, billed, sources.price)
    outcome = execute(study, root, console, num_workers, executor)
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


def _within_budget(study: Study, store: Store, billed: Sequence[Billed], price: Price) -> Study:
    """The study as it may be run. Raises SpecError where it costs money and nobody said how much it may."""
    most = sum(each.bill.usd_at_most or 0.0 for each in billed)
    if price.budget_usd is None and not price.budget_tokens:
        if most > 0:
            raise SpecError(f"this asks models that cost money, at most ${most:.4f}: give --budget-usd, or --dry-run")
        return study
    return within(study, store, billed, price.budget_usd, amount(price.budget_tokens) if price.budget_tokens else None)


def _print_bills(billed: Sequence[Billed], console: Console) -> None:
    """The price, before anything is asked."""
    if not billed:
        return
    table = Table("asked of a server", "requests", "tokens in", "out, at most", "cost, at most", box=None)
    for each in billed:
        bill, cost = each.bill, "unknown"
        if bill.usd_at_most is not None:
            cost = f"${bill.usd_at_most:.4f}"
        table.add_row(
            each.stage.name, f"{bill.num_requests:,}", f"{bill.tokens_in:,}", f"{bill.tokens_out_at_most:,}", cost
        )
    for column in table.columns[1:]:
        column.justify = "right"
    console.print(table)
    console.print()


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
