"""What a study will take, from its specs alone: nothing is read that a study would run on, neither weights nor data.

In: a study, sets of devices, prices. Out: a row for each training run: tokens, steps, the peak rate that is reached,
bytes of its checkpoint, and by devices memory, hours and dollars. A base is planned by the config of its folder where
that is here, else by the published size of its name. What cannot be known beforehand is None: the tokens of a dataset
that is taken whole, the shape of a model whose tokenizer is yet to be made, a price that was not given.
"""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from epigone.errors import DataError, SpecError
from epigone.imitation_grid import config_of
from epigone.interfaces import StageSpec
from epigone.models import family as families
from epigone.models.family import ModelConfig
from epigone.models.params import num_params
from epigone.spec import Artifact, Input, inputs_of
from epigone.stages.fetch import Fetch
from epigone.stages.simulate import Simulate
from epigone.stages.tokenize import Tokenize
from epigone.stages.train import Train, llama_of
from epigone.study import Study
from epigone.training import plan as plans
from epigone.training.devices import Devices
from epigone.training.plan import FP32, Batch, Budget, Plan

HOUR = 3600


@dataclass(frozen=True)
class OnDevices:
    """One training run on one set of devices."""

    plan: Plan
    hours: float | int | None
    usd: float | int | None


@dataclass(frozen=True)
class Run:
    """One training run of a study."""

    name: str
    config: ModelConfig | None
    """None: not known before the study runs."""
    num_tokens: int | None
    """Imitation tokens and replayed ones; None: all that a dataset holds."""
    batch: Batch | None
    budget: Budget | None
    learning_rate: float | int
    on: Mapping[str, OnDevices] = field(default_factory=dict[str, OnDevices])
    """By the name of the devices."""

    @property
    def num_params(self) -> int | None:
        """Scalars."""
        return num_params(families.of_config(self.config).param_tree(self.config)) if self.config else None

    @property
    def disk_bytes(self) -> int | None:
        """Of its checkpoint, in fp32; while it runs, its state takes three times as much besides."""
        return FP32 * self.num_params if self.num_params else None


@dataclass(frozen=True)
class StudyPlan:
    """All of a study."""

    name: str
    num_stages: Mapping[str, int]
    """By verb."""
    runs: tuple[Run, ...]
    devices: Mapping[str, Devices]

    def total(self, what: str, devices: str = "") -> tuple[float | int, int]:
        """The sum of what is known (`hours` or `usd` on devices, `disk_bytes`), and how many runs are not in it."""
        values = [getattr(run.on.get(devices), what, None) if devices else getattr(run, what) for run in self.runs]
        known = [value for value in values if value is not None]
        return sum(known), len(values) - len(known)


def planned(
    study: Study,
    devices: Mapping[str, Devices],
    *,
    prices: Mapping[str, float] | None = None,
    mfu: float | None = None,
    only: str = "",
) -> StudyPlan:
    """The plan. `prices` are dollars a device and hour by devices, `only` as `chosen` takes it. Raises SpecError."""
    stages = needed(chosen(study, only))
    verbs: dict[str, int] = {}
    for stage in stages:
        verb = type(stage).__module__.rpartition(".")[2]
        verbs[verb] = verbs.get(verb, 0) + 1
    known: dict[tuple[ModelConfig, Batch, str], Plan] = {}
    sizes = {stage: stage.vocab_size for stage in stages if isinstance(stage, Simulate)}
    trained = [stage for stage in stages if isinstance(stage, Train)]
    runs = tuple(_run(stage, devices, prices or {}, mfu, known, vocab_sizes=sizes) for stage in trained)
    return StudyPlan(study.name, verbs, runs, devices)


def chosen(study: Study, only: str, ids: Mapping[int, str] | None = None) -> list[StageSpec]:
    """The report, or the stages that a glob fits: by slug, by kind/slug, or by the whole id where `ids` are known.

    Raises SpecError where it fits none.
    """
    if not only:
        return [study.report]
    stages = needed([study.report])
    names = [{s.slug, f"{s.kind}/{s.slug}", (ids or {}).get(id(s), s.slug)} for s in stages]
    found = [s for s, own in zip(stages, names, strict=True) if any(fnmatch.fnmatchcase(name, only) for name in own)]
    if not found:
        few = ", ".join(f"{stage.kind}/{stage.slug}" for stage in stages[:6])
        raise SpecError(f"--only {only} fits none of the {len(stages)} stages of {study.name}; there are {few} ...")
    return found


def needed(targets: Sequence[StageSpec]) -> list[StageSpec]:
    """Every stage that the targets need, inputs first, each once; equal specs are one. Reads no file."""
    seen: dict[int, StageSpec] = {}
    found: dict[StageSpec, None] = {}

    def visit(stage: StageSpec) -> None:
        if id(stage) in seen:
            return
        seen[id(stage)] = stage  # held, so that its id stays its own
        for source in inputs_of(stage):
            visit(source)
        found[stage] = None

    for target in targets:
        visit(target)
    return list(found)


def _run(
    stage: Train,
    devices: Mapping[str, Devices],
    prices: Mapping[str, float],
    mfu: float | None,
    known: dict[tuple[ModelConfig, Batch, str], Plan],
    *,
    vocab_sizes: Mapping[Simulate, int],
) -> Run:
    config, blocks = _config(stage, vocab_sizes), _blocks(stage)
    num_tokens = _tokens(stage)
    batch = Batch(stage.recipe.batch_size, blocks.length) if blocks else None
    counted = plans.budget(num_tokens, batch, stage.recipe) if num_tokens and batch else None
    on: dict[str, OnDevices] = {}
    for name, where in devices.items() if config and batch else ():
        assert config and batch
        key = (config, batch, name)
        if key not in known:
            known[key] = plans.plan(config, batch, where)
        hours = known[key].step_seconds(mfu) * counted.num_steps / HOUR if counted and known[key].fits else None
        price = prices.get(name)
        usd = hours * where.count * price if hours is not None and price is not None else None
        on[name] = OnDevices(known[key], hours, usd)
    return Run(stage.name, config, num_tokens, batch, counted, stage.recipe.learning_rate, on)


def _config(stage: Train, vocab_sizes: Mapping[Simulate, int]) -> ModelConfig | None:
    """The shape of what is trained: that of the checkpoint at the beginning of the way."""
    start: object = stage
    while isinstance(start, Train):
        if start.size is not None:
            made = start.tokenizer.of
            size = vocab_sizes.get(made) if isinstance(made, Simulate) else None
            return llama_of(start.size, size) if size else None  # else the study makes its tokenizer from data
        start = start.start
    if isinstance(start, Artifact):
        return None
    source = start.source if isinstance(start, Fetch) else start.path if isinstance(start, Input) else ""
    try:
        return config_of(source) if source else None
    except (SpecError, DataError):
        return None


def _blocks(stage: Train) -> Tokenize | None:
    parts = [stage.blocks, *(value for treatment in stage.treatments for _, value in treatment.options)]
    return next((part for part in parts if isinstance(part, Tokenize)), None)


def _tokens(stage: Train) -> int | None:
    """What one epoch takes: the amount that blocks are cut at, and what is replayed."""
    replayed = sum(
        value
        for treatment in stage.treatments
        for name, value in treatment.options
        if (treatment.name, name) == ("replay", "num_tokens") and isinstance(value, int)
    )
    if stage.blocks is None:
        return replayed
    own = stage.blocks.max_tokens if isinstance(stage.blocks, Tokenize) else 0
    return own + replayed if own else None


def rows(plan: StudyPlan) -> Iterator[dict[str, object]]:
    """Every run as plain values, for machines; what is not known is null."""
    for run in plan.runs:
        yield {
            "name": run.name,
            "num_params": run.num_params,
            "num_tokens": run.num_tokens,
            "batch_size": run.batch.size if run.batch else None,
            "length": run.batch.length if run.batch else None,
            "num_steps": run.budget.num_steps if run.budget else None,
            "learning_rate": run.learning_rate,
            "peak_learning_rate": run.budget.peak_learning_rate if run.budget else None,
            "checkpoint_bytes": run.disk_bytes,
            "on": {
                name: {
                    "bytes_a_device": on.plan.memory.total,
                    "fits": on.plan.fits,
                    "mesh": on.plan.layout.mesh,
                    "remat": on.plan.layout.remat,
                    "accumulation": on.plan.layout.accumulation,
                    "hours": on.hours,
                    "usd": on.usd,
                }
                for name, on in run.on.items()
            },
        }
