"""Any task of lm-evaluation-harness by its name, asked of our models; its results are ordinary scores by item.

In: a task or group of tasks, its data from the hub or from local files. Out: one Score an item. lm-evaluation-harness
makes the prompts, filters the replies and scores them; whoever answers is one of our models. All prompts are made at
once and in its own order, so that an item has the same exemplars whichever items are asked.
Source: https://github.com/EleutherAI/lm-evaluation-harness, version 0.4.13 (extra `harness`).
"""

import dataclasses
import difflib
import json
import logging
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from epigone import discover
from epigone.errors import DataError, SpecError
from epigone.harness_model import HarnessModel, as_messages, name_of
from epigone.interfaces import LanguageModel
from epigone.metrics.answers import protocol_id
from epigone.records import Item, Score
from epigone.rows import finite

SEED = 1234
"""Draws exemplars: the default of lm-evaluation-harness."""
FILE_KINDS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
_PLACES = ("dataset_path", "dataset_name", "dataset_kwargs", "metadata")


@dataclass(frozen=True)
class Harness:
    """Metrics of an item are those of the task, by its names; `NAME@FILTER` where it has several filters.

    A share of several parts (ifeval's inst_level) is their mean, and of a text's likelihood `NAME_nats` is the negative
    log-likelihood a word or byte; what has no value by item (F1 over all items) is left out. The group of a score is
    its task. A prompt that is longer than the model's context is an error here, while lm-evaluation-harness cuts it.
    """

    task: str
    """A task or group by its name: gsm8k, truthfulqa, ifeval, bbh, ..."""
    num_shots: int | None = None
    """Worked items in front of each item; unset: as the task says."""
    chat: bool = False
    """Ask in messages, which the model's own chat template writes; exemplars are turns."""
    system: str = ""
    """A system message in front."""
    include_path: str | Path = ""
    """A folder with more tasks (YAML files), which take precedence."""
    data_folder: str | Path = ""
    """Local data in place of the hub's: SPLIT.jsonl, .json, .csv or .parquet, or a folder of these for each task."""
    limit: int | None = None
    """Ask only the first `limit` items of every task."""

    @property
    def protocol(self) -> str:
        """`harness-TASK--hash`, over version, every task's settings, exemplars and chat form."""
        shape = {"lm_eval": version("lm_eval"), "chat": self.chat, "system": self.system, "seed": SEED}
        tasks: dict[str, object] = {}
        for name, task in self._tasks.items():
            settings = {k: v for k, v in task.dump_config().items() if k not in _PLACES}
            first = task.instances[0]
            tasks[name] = {"settings": json.loads(json.dumps(settings, default=str)), "first": _text_of(first.args)}
        readable = f"harness-{self.task.replace('_', '-')}{'-chat' if self.chat else ''}"
        return protocol_id(readable, tasks=tasks, **shape)

    def items(self) -> list[Item]:
        """The items, task by task, `question` being the prompt. Raises DataError where a task's data is not there."""
        return [
            Item(item_id, _text_of(requests[0].args), group=requests[0].task_name)
            for item_id, requests in self._requests.items()
        ]

    def run(self, model: LanguageModel, items: Sequence[Item] | None = None) -> list[Score]:
        """One Score an item, in order. Raises SpecError for what the model cannot tell."""
        chosen = list(self._requests) if items is None else [item.id for item in items]
        adapter = HarnessModel(model)
        fresh = {item_id: [_fresh(request) for request in self._requests[item_id]] for item_id in chosen}
        by_kind: dict[str, list[Any]] = defaultdict(list)
        for requests in fresh.values():
            for request in requests:
                by_kind[request.request_type] += [request] * (request.repeats or 1)
        for kind, requests in by_kind.items():
            for request, reply in zip(requests, getattr(adapter, kind)(requests), strict=True):
                request.resps.append(reply)
        if not adapter.tells_greedy and any(self._needs_greedy(requests[0].task_name) for requests in fresh.values()):
            raise SpecError(
                f"{self.task} asks whether greedy decoding gives a continuation, which {type(model).__name__} does not "
                "tell; take a checkpoint"
            )
        by_task: dict[str, list[Any]] = defaultdict(list)
        for requests in fresh.values():
            by_task[requests[0].task_name] += requests
        for name, requests in by_task.items():
            for each in getattr(self._tasks[name], "_filters", []):
                each.apply(requests)
        return [self._score(item_id, requests) for item_id, requests in fresh.items()]

    def _needs_greedy(self, name: str) -> bool:
        return self._tasks[name].OUTPUT_TYPE == "loglikelihood"

    def _score(self, item_id: str, requests: list[Any]) -> Score:
        """Scored by the task, once a filter, as lm_eval.evaluator.evaluate has it."""
        task, metrics = self._tasks[requests[0].task_name], dict[str, float]()
        filters = list(requests[0].filtered_resps)
        for name in filters:
            found = task.process_results(requests[0].doc, [r.filtered_resps[name] for r in requests])
            for metric, value in found.items():
                told = metric if len(filters) == 1 else f"{metric}@{name}"
                metrics |= _number(told, value)
        if not metrics:
            raise DataError(f"{item_id}: no metric of its task has a value by item; the task cannot be scored so")
        parsed = requests[0].filtered_resps[filters[0]]
        told = parsed if isinstance(parsed, str) else ""
        return Score(item_id, metrics, _text_of(requests[0].args), _said(requests), told, requests[0].task_name)

    @cached_property
    def _requests(self) -> dict[str, list[Any]]:
        """What is asked for every item, by the item's id."""
        found: dict[str, list[Any]] = {}
        for task in self._tasks.values():
            for request in task.instances:
                found.setdefault(name_of(request), []).append(request)
        return found

    @cached_property
    def _tasks(self) -> dict[str, Any]:
        """The tasks by name, each with all its requests. Raises SpecError, and DataError where data is missing."""
        listing, leaves = _leaves(self.task, str(self.include_path))
        with _seeded():
            return {name: self._ready(listing, name, settings) for name, settings in leaves}

    def _ready(self, listing: Any, name: str, settings: Mapping[str, object]) -> Any:
        """One task with all its requests."""
        task = self._built(listing, name, settings)
        if getattr(task, "UNSAFE_CODE", False):
            raise SpecError(f"{name} runs programs that models write, which this benchmark does not; leave it out")
        if self.num_shots is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=self.num_shots)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=SEED)
        task.build_all_requests(
            limit=self.limit,
            system_instruction=self.system or None,
            apply_chat_template=self.chat,
            fewshot_as_multiturn=self.chat,
            chat_template=as_messages if self.chat else None,
        )
        return task

    def _built(self, listing: Any, name: str, settings: Mapping[str, object]) -> Any:
        entry, changed = listing.task_index[name], {**settings, "task": name, **self._local_data(name)}
        try:
            factory = discover.load("lm_eval.tasks._factory").TaskFactory()
            return factory.build(entry, overrides=changed, registry=listing.task_index)
        except (
            Exception
        ) as error:  # whatever the loader of a task's data raises: a hub out of reach, a file that is none
            raise DataError(
                f"{self.task}: the data of {name} cannot be read ({type(error).__name__}: {error}); where there is no "
                "hub, name a data_folder with a file a split"
            ) from error

    def _local_data(self, name: str) -> dict[str, object]:
        if not self.data_folder:
            return {}
        folder = Path(self.data_folder)
        folder = folder / name if (folder / name).is_dir() else folder
        files = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in FILE_KINDS}
        kinds = {FILE_KINDS[path.suffix] for path in files.values()}
        if len(kinds) != 1:
            raise DataError(
                f"{folder} holds files of {len(kinds)} kinds; give one a split (test.jsonl), all of one kind among "
                f"{', '.join(FILE_KINDS)}"
            )
        data_files = {split: str(path) for split, path in files.items()}
        return {"dataset_path": kinds.pop(), "dataset_name": None, "dataset_kwargs": {"data_files": data_files}}


def _check_installed() -> None:
    """Raises SpecError where lm-evaluation-harness is not installed; quiets it where it is."""
    try:
        version("lm_eval")
    except PackageNotFoundError as error:
        raise SpecError("lm-evaluation-harness is not installed; pip install 'epigone[harness]'") from error
    os.environ.setdefault("TQDM_DISABLE", "1")  # its bars would run into ours
    notes = logging.getLogger("lm_eval")
    if notes.level == logging.NOTSET:
        notes.setLevel(logging.ERROR)  # hundreds of lines on which file a task was read from


@contextmanager
def _seeded() -> Iterator[None]:
    """The seeds of lm_eval.evaluator.simple_evaluate, for tasks that draw from global generators; then as before."""
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


@cache
def _listing(include_path: str, include_defaults: bool) -> Any:
    _check_installed()
    tasks = discover.load("lm_eval.tasks")
    return tasks.TaskManager(include_path=include_path or None, include_defaults=include_defaults)


def _leaves(name: str, include_path: str) -> tuple[Any, list[tuple[str, dict[str, object]]]]:
    """The tasks of a group or tag, each with what the group changes; its own folder is looked through first, since all
    tasks that come with lm-evaluation-harness take seconds to be listed. Raises SpecError for a name that is none."""
    known: Mapping[str, Any] = {}
    for with_defaults in (False, True) if include_path else (True,):
        listing = _listing(include_path, with_defaults)
        known = listing.task_index
        if name in known:
            return listing, list(_expanded(name, {}, known))
    close = difflib.get_close_matches(name, known, n=3)
    raise SpecError(f"lm-evaluation-harness has no task {name!r}; close to it: {', '.join(close) or 'none'}")


def _expanded(
    name: str, settings: dict[str, object], index: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, object]]]:
    entry = index[name]
    members: Sequence[Any] = sorted(entry.tags) if entry.kind.name == "TAG" else ()
    if entry.kind.name == "GROUP":
        members = (entry.cfg or {}).get("task", ())
    elif not members:
        yield name, settings
    for member in members:
        changed = member if isinstance(member, dict) else {"task": member}
        child = changed.get("task") or changed.get("group")
        if not isinstance(child, str) or child not in index:
            raise SpecError(f"{name} holds {str(member)[:80]}, which is defined in it; name its tasks one by one")
        yield from _expanded(child, settings | {k: v for k, v in changed.items() if k not in ("task", "group")}, index)


def _fresh(request: Any) -> Any:
    return dataclasses.replace(request, resps=[], filtered_resps={})


def _text_of(arguments: Sequence[object]) -> str:
    """What is shown of a request: its prompt, or the whole text that is scored."""
    if len(arguments) > 2:
        raise SpecError("the task shows images or plays sounds, which models here do not take")
    return str(arguments[0])


def _said(requests: Sequence[Any]) -> str:
    """The reply; else JSON: several replies as a list, log-likelihoods by what they are of."""
    replies = [reply for request in requests for reply in request.resps]
    if len(replies) == 1 and isinstance(replies[0], str):
        return replies[0]
    if all(isinstance(reply, tuple) for reply in replies):
        return json.dumps([[request.args[-1], request.resps[0][0]] for request in requests], ensure_ascii=False)
    return json.dumps(replies, ensure_ascii=False)


def _number(name: str, value: object) -> dict[str, float]:
    """A metric's value of one item as a number, if it is one."""
    if isinstance(value, list) and value and all(isinstance(part, bool | int | float) for part in value):
        return {name: sum(map(float, value)) / len(value)}
    if (
        isinstance(value, tuple)
        and len(value) == 2
        and name.partition("@")[0].endswith(("perplexity", "bits_per_byte"))
    ):
        total, count = map(float, value)
        return {f"{name}_nats": -total / count} if count else {}
    value = value.item() if isinstance(value, np.generic) else value
    found = float(value) if isinstance(value, bool) else finite(value)
    return {} if found is None else {name: found}
