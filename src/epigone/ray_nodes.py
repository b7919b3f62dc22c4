"""What runs on the nodes of a Ray cluster: one stage in one process, or one stage in a gang, a process a node.

In: a stage's spec and where the root is. Out: its artifact, and a Report for whoever handed it out. A gang's
processes are joined by `jax.distributed` (`parallel.hosts`): the first builds the artifact, the others do their share.
Source: https://docs.ray.io/en/latest/ray-core/scheduling/placement-group.html.
"""

import os
import socket
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import epigone
from epigone import discover
from epigone.errors import EpigoneError
from epigone.interfaces import StageSpec
from epigone.mirror import VARIABLE, Mirror
from epigone.parallel.launch import COORDINATOR, NUM_PROCESSES, RANK
from epigone.schedule import build, build_part, peak_bytes
from epigone.store import Store

LAST_WORDS_SECONDS = 20.0
"""How long a gang one of whose processes failed is listened to: where a node was lost, that is why it failed."""


@dataclass(frozen=True)
class Place:
    """What a node must have in common with the machine that hands out the stages."""

    root: str
    folder: str
    """The working folder, for paths that are relative."""
    mark: str
    """A file under ROOT/.staging that this run made."""
    version: str

    def complaint(self) -> str:
        """Why stages cannot run in this process; empty where they can."""
        if Mirror.named() is None and not (Path(self.root) / ".staging" / self.mark).exists():
            return (
                f"does not see the root {self.root}; it must be a folder that all nodes share, at the same path, or "
                f"{VARIABLE} must name an object store"
            )
        if epigone.__version__ != self.version:
            return f"has epigone {epigone.__version__}, here it is {self.version}; install the same on all nodes"
        return ""


@dataclass(frozen=True)
class Report:
    """What a task says of its stage: why it failed, if nothing else need be tried, where it ran, with what memory."""

    failure: str | None
    is_final: bool
    process: tuple[str, int]
    peak_bytes: int
    is_lost: bool = False
    """A node or process of a gang was lost: the stage may start again."""


@dataclass(frozen=True)
class Gang:
    """Nodes that work on one stage together."""

    group: object
    """Ray's placement group, one bundle a node."""
    num_hosts: int
    num_cpus: float | int
    num_gpus: int
    wait_seconds: float | int
    environment: tuple[tuple[str, str], ...]


def report(place: Place, key: str, stage: StageSpec) -> Report:
    """Build a stage in this process, which is a worker of the cluster."""
    failure, is_final = _ready(place, key, stage)
    if failure is None:
        failure, is_final = build(_store(place.root), stage)
    return _said(failure, is_final=is_final)


def report_of_gang(place: Place, key: str, stage: StageSpec, gang: Gang) -> Report:
    """Have a stage built by one process on each of several nodes; this one only starts them and listens."""
    ray = discover.load("ray")
    if not gang.group.wait(gang.wait_seconds):  # pyright: ignore[reportAttributeAccessIssue]
        told = f"no {gang.num_hosts} nodes with {gang.num_cpus} CPUs and {gang.num_gpus} devices each were free"
        return _said(f"{told} for {gang.wait_seconds:.0f} s; start nodes and run the command again", is_final=False)
    parts: list[object] = []
    try:
        address = ray.get(_member(ray, gang, 0, address_here))
        for rank in range(gang.num_hosts):
            told = {COORDINATOR: address, NUM_PROCESSES: str(gang.num_hosts), RANK: str(rank)}
            parts.append(_member(ray, gang, rank, report_part, place, key, stage, tuple(told.items())))
        return _heard(ray, parts)
    except ray.exceptions.RayError as error:
        return replace(_said(str(error), is_final=False), is_lost=True)
    finally:
        for part in parts:
            ray.cancel(part, force=True)


def _heard(ray: object, parts: Sequence[object]) -> Report:
    """The first process's report; that of one which failed, unless another was lost meanwhile (RayError)."""
    waiting, failed, first = list(parts), None, None
    while waiting:
        limit = None if failed is None else LAST_WORDS_SECONDS
        done, waiting = ray.wait(waiting, num_returns=1, timeout=limit)  # pyright: ignore[reportAttributeAccessIssue]
        if not done:
            break
        told: Report = ray.get(done[0])  # pyright: ignore[reportAttributeAccessIssue]
        failed = failed or (told if told.failure else None)
        first = told if done[0] == parts[0] else first
    found = failed or first
    assert found is not None
    return found


def _member(ray: object, gang: Gang, rank: int, function: object, *arguments: object) -> object:
    strategies = discover.load("ray.util.scheduling_strategies")
    pinned = strategies.PlacementGroupSchedulingStrategy(placement_group=gang.group, placement_group_bundle_index=rank)
    # a process ends with its part: JAX joins others once in the life of a process
    once = {"max_calls": 1} if function is report_part else {"max_calls": 0}
    remote = ray.remote(**once)(function)  # pyright: ignore[reportAttributeAccessIssue]
    task = remote.options(
        max_retries=0,
        num_cpus=gang.num_cpus,
        num_gpus=gang.num_gpus,
        scheduling_strategy=pinned,
        runtime_env={"env_vars": dict(gang.environment)},
    )
    return task.remote(*arguments)


def report_part(place: Place, key: str, stage: StageSpec, told: tuple[tuple[str, str], ...]) -> Report:
    """Do one process's part of a stage; the others do theirs."""
    failure, is_final = _ready(place, key, stage)
    if failure is None:
        os.environ.update(told)
        try:
            build_part(_store(place.root), stage, is_first=dict(told)[RANK] == "0")
            discover.load("epigone.parallel.hosts").leave()
        except EpigoneError as error:
            failure = str(error)
        except Exception:  # a bug, not swallowed: its traceback ends in the WorkError that names the stage
            failure = traceback.format_exc()
    return _said(failure, is_final=is_final)


def complaint(place: Place) -> str:
    """Why stages cannot run on this node; empty where they can."""
    return place.complaint()


def address_here() -> str:
    """HOST:PORT of this node, the port a free one."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{_node_name()}:{probe.getsockname()[1]}"


def _ready(place: Place, key: str, stage: StageSpec) -> tuple[str | None, bool]:
    """Why the stage cannot run here, and whether no other could either: such a node would fail one after the other."""
    with suppress(OSError):
        os.chdir(place.folder)
    if told := place.complaint():
        return told, True
    with suppress(Exception):  # what cannot be read here is told better by the stage itself
        if _store(place.root).resolver.id(stage) != key:
            return "reads other bytes from the stage's files than this machine does; share them with all nodes", False
    return None, False


def _said(failure: str | None, *, is_final: bool) -> Report:
    node = _node_name()
    return Report(failure and f"on node {node}: {failure}", is_final, (node, os.getpid()), peak_bytes())


@cache
def _store(root: str) -> Store:
    return Store(Path(root))  # kept, so that a file is hashed once a process


def _node_name() -> str:
    return str(discover.load("ray").util.get_node_ip_address())
