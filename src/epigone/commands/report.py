"""What `epigone report` does: two studies side by side.

In: two studies' folders under their roots. Out: plain values for --json; a table for people; with `out` a page. Scores
are read again from the artifacts that each study names, so that differences are paired item by item.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from epigone.errors import ArtifactError, SpecError
from epigone.formats.messages import read_prompts
from epigone.records import Estimate
from epigone.reporting.analysis_measures import SCORED, measure
from epigone.reporting.audit.analysis import sheets_by_model
from epigone.reporting.audit.standings import capability, digest_of
from epigone.reporting.audit.wording import wording
from epigone.reporting.comparison import Comparison, Difference, Measured, Measurement, compare, render, signed
from epigone.reporting.evaluated import ModelData, by_arm, only
from epigone.reporting.links import benchmark_of
from epigone.reporting.wording import interval, metric_of, number
from epigone.spec import build
from epigone.stages.audit import Audit
from epigone.stages.gather import Gather
from epigone.stages.report import Report
from epigone.store import Store, write_text

MOST_ROWS = 60
KINDS = {"style": "style", "level": "levels"}
"""Of an audit's metrics, beside capability and preference: by their name here, the key of its JSON."""


def run_report(studies: Sequence[Path], *, compare: bool, out: Path | None, quiet: bool) -> dict[str, object]:
    """Compare two studies. Raises SpecError for anything but two of them, ArtifactError where one is not whole."""
    if not compare or len(studies) != 2:
        raise SpecError(f"epigone report --compare takes two studies, got {len(studies)}: STUDY is runs/studies/NAME")
    found = comparison_of(studies[0], studies[1])
    console = Console(stderr=True, quiet=quiet, width=None if Console(stderr=True).is_terminal else 200)
    _show(found, console)
    if out:
        for name, content in render(found).items():
            write_text(out / name, content)
        console.print(f"page: {out / 'report.html'}", highlight=False, soft_wrap=True)
    return _plain(found)


def comparison_of(first: Path, second: Path) -> Comparison:
    """What two study folders have in common. Raises ArtifactError, SpecError."""
    names = (first.resolve().name, second.resolve().name)
    if names[0] == names[1]:
        names = (f"{first}", f"{second}")
    return compare(measured_of(first), measured_of(second), names)


def measured_of(folder: Path) -> Measured:
    """What a study measured, by cell and metric. Raises ArtifactError, SpecError for what is no study."""
    if not (folder / "DONE").exists():
        raise ArtifactError(f"{folder} is no finished study (no DONE file); give a folder such as runs/studies/NAME")
    plain = json.loads((folder / "spec.json").read_text(encoding="utf-8"))["spec"]
    stage = build(object, plain, str(folder / "spec.json"))
    store = Store(folder.resolve().parent.parent)
    if isinstance(stage, Report):
        return _of_report(stage, store)
    if isinstance(stage, Audit):
        return dict(_of_audit(stage, folder, store))
    if isinstance(stage, Gather):
        folders = [store.path(family.audit) for family in stage.families]
        return {key: found for each in folders for key, found in _of_audit(_stage_at(each), each, store)}
    raise SpecError(f"{folder} is made by {plain.get('stage')!r}; report --compare reads report, audit and gather")


def _stage_at(folder: Path) -> Audit:
    stage = build(object, json.loads((folder / "spec.json").read_text(encoding="utf-8"))["spec"], str(folder))
    assert isinstance(stage, Audit)
    return stage


def _of_report(stage: Report, store: Store) -> Measured:
    models = stage.read(store.path)
    prompts = {p.id: p.messages[-1].content for p in read_prompts(store.path(stage.prompts))}
    teacher = only(models, "teacher")
    against = f"; teacher's answers {_digest_of_answers(teacher.answers)}" if teacher else ""
    members = by_arm(models)
    found: dict[tuple[str, str], Measurement] = {}
    for (arm, metric), measure_ in measure(models, list(prompts)).items():
        protocol = measure_.protocol + (against if metric.startswith(("style_", "preference_", "empty_")) else "")
        items = _items(models, members[arm][0], metric, prompts)
        shown = metric_of(metric)
        seeds = measure_.seeds
        found[arm.name, metric] = Measurement(
            shown.label, shown.unit, protocol, measure_.result().estimate, measure_.draws, seeds, items
        )
    return found


def _items(models: Sequence[ModelData], model: ModelData, metric: str, prompts: Mapping[str, str]) -> str:
    """A digest of the items behind a metric, as they are lined up over all models, and of this model's prompts."""
    benchmark = SCORED[metric][0] if metric in SCORED else benchmark_of(metric)
    if benchmark not in model.scores:
        return digest_of(sorted(prompts), prompts)
    lined_up = sorted({score.item_id for each in models for score in each.scores.get(benchmark, ())})
    return digest_of(lined_up, {score.item_id: score.prompt for score in model.scores[benchmark]})


def _digest_of_answers(answers: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:8]


def _of_audit(stage: Audit, folder: Path, store: Store) -> Iterator[tuple[tuple[str, str], Measurement]]:
    """Capability item by item, the rest as the audit found it."""
    recorded = stage.read(store.path)
    told = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    for standing in capability(sheets_by_model(recorded.models, recorded.sheets)[0])[0]:
        shown = wording("capability", standing.metric)
        for model, draws in standing.draws.items():
            yield (
                (model, standing.metric),
                Measurement(
                    shown.label,
                    shown.unit,
                    standing.protocol,
                    draws.estimate(),
                    draws,
                    (0,),
                    standing.asked.get(model, ""),
                ),
            )
    answers = next((m.generations for m in recorded.models if m.role == "teacher"), ())
    protocol = f"beside the teacher's answers {_digest_of_answers({g.prompt_id: g.text for g in answers})}"
    for kind, key in KINDS.items():
        for model, metrics in told[key].items():
            for metric, found in metrics.items():
                shown = wording(kind, metric)
                yield (model, f"{kind}: {metric}"), Measurement(shown.label, shown.unit, protocol, _estimate(found))
    for model, found in told["preference"].items():
        judge = f"{told['judges']['main']} {told['judges']['criterion']}".strip()
        label = "Equal to the teacher or better"
        yield (model, "preference"), Measurement(label, "percent", f"{protocol}, by {judge}", _estimate(found))


def _estimate(found: Mapping[str, object]) -> Estimate:
    value, low, high = (float(str(found[name])) for name in ("value", "low", "high"))
    return Estimate(value, low, high, int(str(found["n"])), str(found["method"]))


def _show(found: Comparison, console: Console) -> None:
    apart = [d for d in found.differences if d.word in ("higher", "lower")]
    table = Table("cell", "metric", *found.names, "difference", "n", box=None)
    for d in apart[:MOST_ROWS]:
        n = f"{d.difference.n}{'' if d.is_paired else ', not paired'}"
        table.add_row(d.cell, d.label, number(d.first.value, d.unit), number(d.second.value, d.unit), _told(d), n)
    if apart:
        console.print(table, highlight=False)
    rest = f", {len(apart) - MOST_ROWS} more of them not shown" if len(apart) > MOST_ROWS else ""
    console.print(
        f"{len(found.differences)} metrics of shared cells compared: {len(apart)} intervals lie on one side of 0{rest}"
        f"; about {round(len(found.differences) / 20)} would by chance alone.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for cell, metric, why in found.refused[:MOST_ROWS]:
        console.print(f"not compared: {metric} of {cell}: {why}", highlight=False, markup=False, soft_wrap=True)
    if len(found.refused) > MOST_ROWS:
        console.print(f"and {len(found.refused) - MOST_ROWS} more that are not compared", highlight=False)
    for name, cells in zip(found.names, found.alone, strict=True):
        if cells:
            console.print(f"in {name} alone: {', '.join(cells)}", highlight=False, markup=False, soft_wrap=True)


def _told(d: Difference) -> str:
    return f"{signed(d.difference.value, d.unit)} {interval(d.difference, d.unit)}"


def _plain(found: Comparison) -> dict[str, object]:
    """The object of --json."""
    return {
        "studies": list(found.names),
        "differences": [asdict(d) | {"word": d.word} for d in found.differences],
        "refused": [dict(zip(("cell", "metric", "why"), each, strict=True)) for each in found.refused],
        "alone": dict(zip(found.names, map(list, found.alone), strict=True)),
    }
