"""What the stages of a study that ask servers will come to, told beforehand, and one budget over all of them.

In: a study. Out: a Bill for every stage that asks a server; the same study, each of these stages with its share of the
budget: what it has cost before, and its part by the bill of what all of them together have left. So the whole never
costs more than the budget, however often the command is given.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from epigone.answers import Answers, kept_at
from epigone.errors import SpecError
from epigone.formats.messages import read_prompts
from epigone.interfaces import Benchmark, LanguageModel, ServedModel, StageSpec
from epigone.records import Completion, Likelihood, Prompt, SamplingParams
from epigone.replies import Bill
from epigone.spec import Component, Input, in_order, is_stage
from epigone.stages.evaluate import Evaluate, drawn
from epigone.stages.generate import Generate
from epigone.store import Store
from epigone.study import Study

Asking = Generate | Evaluate


@dataclass(frozen=True)
class Billed:
    """A stage that asks a server, and what it will come to."""

    stage: Asking
    bill: Bill


def bills(study: Study, store: Store) -> list[Billed]:
    """One a stage that is not done, in their order; sends nothing, and reads what the prompts are in.

    Raises SpecError for a stage that scores a server's log-likelihoods, whose cost is not told beforehand.
    """
    found = []
    for stage in in_order([study.report], store.resolver):
        if isinstance(stage, Generate | Evaluate) and not store.is_done(stage) and _asks_a_server(stage):
            with kept_at(store.root, store.resolver.id(stage)):
                found.append(Billed(stage, _bill(stage, store)))
    return found


def within(study: Study, store: Store, found: Sequence[Billed], usd: float | None, tokens: int | None) -> Study:
    """The study with the budget shared out. Raises SpecError for dollars where a price is not known."""
    spent = {key: (stage, *before) for key, stage, before in _spent(study, store)}
    priceless = [each.stage for each in found if each.bill.usd_at_most is None]
    priceless += [stage for stage, _, dollars in spent.values() if dollars is None]
    if usd is not None and priceless:
        raise SpecError(
            f"a budget in dollars needs prices, and that of {_model(priceless[0])} is not known: write the model "
            "as openai:url=...,model=...,price_in=...,price_out=... (dollars a million tokens; 0 for a server of your "
            "own), or give --budget-tokens"
        )
    left_usd = max(0.0, (usd or 0.0) - sum(dollars or 0.0 for _, _, dollars in spent.values()))
    left_tokens = max(0, (tokens or 0) - sum(counted for _, counted, _ in spent.values()))
    shares = {store.resolver.id(each.stage): _share(each.bill, found) for each in found}

    def changed(stage: StageSpec) -> StageSpec:
        key = store.resolver.id(stage) if isinstance(stage, Generate | Evaluate) else ""
        if key not in shares or not isinstance(stage, Generate | Evaluate):
            return stage
        _, counted, dollars = spent[key]
        options = dict(stage.model.options)
        options |= {"budget_usd": (dollars or 0.0) + left_usd * shares[key][0]} if usd is not None else {}
        options |= {"budget_tokens": counted + int(left_tokens * shares[key][1])} if tokens is not None else {}
        return dataclasses.replace(stage, model=Component.of("backends", stage.model.name, **options))

    return Study(study.name, cast(StageSpec, _rebuilt(study.report, changed)))


def _spent(study: Study, store: Store) -> Iterator[tuple[str, Asking, tuple[int, float | None]]]:
    """Of every stage that asks a server, done or not: its id, and what it has cost in tokens and dollars so far."""
    for stage in in_order([study.report], store.resolver):
        if isinstance(stage, Generate | Evaluate) and _asks_a_server(stage):
            key = store.resolver.id(stage)
            with kept_at(store.root, key), Answers() as answers:
                yield key, stage, answers.spent()[:2]


def _share(bill: Bill, found: Sequence[Billed]) -> tuple[float, float]:
    """Of dollars and of tokens."""
    usd = sum(each.bill.usd_at_most or 0.0 for each in found)
    tokens = sum(each.bill.tokens_in + each.bill.tokens_out_at_most for each in found)
    own = bill.tokens_in + bill.tokens_out_at_most
    return ((bill.usd_at_most or 0.0) / usd if usd else 0.0), (own / tokens if tokens else 0.0)


def _rebuilt(value: object, changed: Callable[[StageSpec], StageSpec]) -> object:
    """The same tree of stages, each as `changed` has it."""
    if isinstance(value, tuple):
        return tuple(_rebuilt(part, changed) for part in cast(tuple[object, ...], value))
    if isinstance(value, Component):
        options = {name: _rebuilt(option, changed) for name, option in value.options}
        return Component.of(value.folder, value.name, **options)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    parts = {f.name: _rebuilt(getattr(value, f.name), changed) for f in dataclasses.fields(value) if f.init}
    made = dataclasses.replace(value, **parts)
    return changed(cast(StageSpec, made)) if is_stage(made) else made


def _asks_a_server(stage: Asking) -> bool:
    return stage.model.name == "openai"


def _model(stage: Asking) -> str:
    return str(dict(stage.model.options).get("model", stage.model.name))


def _bill(stage: Asking, store: Store) -> Bill:
    model = stage.model.make(store.path)
    assert isinstance(model, ServedModel)
    if isinstance(stage, Generate):
        if isinstance(stage.prompts, Input) and stage.prompts.of is not None and is_stage(stage.prompts.of):
            store.build(stage.prompts.of)  # a recording, read here
        sampling = SamplingParams(stage.max_tokens, stage.temperature, stage.seed)
        return model.bill(read_prompts(store.path(stage.prompts)), sampling)
    benchmark, asked = stage.benchmark.make(store.path), _Counted()
    assert isinstance(benchmark, Benchmark) and isinstance(asked, LanguageModel)
    benchmark.run(asked, drawn(benchmark.items(), stage.limit, stage.seed))
    return Bill.total([model.bill(prompts, sampling) for prompts, sampling in asked.asked])


@dataclass(frozen=True)
class _Counted:
    """A model that says nothing and remembers what it was asked."""

    asked: list[tuple[Sequence[Prompt], SamplingParams]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        self.asked.append((prompts, sampling))
        return [Completion("", 0, "unknown")] * len(prompts)

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        raise SpecError("what a server's log-likelihoods cost is not told beforehand; ask it in chat")
