"""What a stage needs of a machine while it runs: accelerators and main memory. Executors never give more than there is.

In: a stage whose inputs are there, and their store. Out: Needs. A stage says `num_devices` itself where it knows (a
training run by its mesh); one that asks a checkpoint in process takes one device; all others take none. Memory is an
estimate from the sizes of the checkpoints that a stage reads: docs/decisions/0029 has the factors and why.
"""

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from epigone.errors import EpigoneError, SpecError
from epigone.interfaces import StageSpec
from epigone.spec import Artifact, Component, Input, is_stage, parts_of
from epigone.store import Store

WHOLE = -1
"""As many devices as a machine has."""
WORKER_BYTES = 3 * 2**29
"""Of a process that runs a small stage: a worker of the testbed study held so much (1.5 GiB)."""
TRAINED, ASKED = 5, 2
"""Bytes of memory for each byte of a checkpoint that is trained (fp32 params, gradients, two moments, one copy while it
is written), or asked (params, and room for caches)."""
WEIGHTS = (".safetensors", ".gguf", ".bin", ".npz")


@dataclass(frozen=True)
class Needs:
    """What one stage takes."""

    num_devices: int = 0
    """Accelerators; WHOLE: all of a machine. Where a machine has none, its processors do the work."""
    memory_bytes: int = WORKER_BYTES

    def on(self, num_devices: int) -> "Needs":
        """The same on machines with so many devices each, WHOLE told as a number; 0 devices: processors do it."""
        wanted = num_devices if self.num_devices == WHOLE else self.num_devices
        return Needs(wanted if num_devices else 0, self.memory_bytes)


@dataclass(frozen=True)
class Room:
    """What is free."""

    num_devices: int
    memory_bytes: int

    def holds(self, needs: Needs) -> bool:
        """Whether a stage with such needs may run too."""
        return needs.num_devices <= self.num_devices and needs.memory_bytes <= self.memory_bytes

    def without(self, taken: Sequence[Needs]) -> "Room":
        """What is left beside those."""
        devices, memory = sum(each.num_devices for each in taken), sum(each.memory_bytes for each in taken)
        return Room(self.num_devices - devices, self.memory_bytes - memory)


def needs_of(stage: StageSpec, store: Store) -> Needs:
    """What the stage takes. Checkpoints that are not there yet count as nothing."""
    is_training = stage.kind == "checkpoints"
    own = getattr(stage, "num_devices", None)
    asks = any(part.folder == "backends" and part.name == "checkpoint" for part in _components(stage))
    sizes = sum(_weights(each, store) for each in _checkpoints(stage))
    factor = TRAINED if is_training else ASKED
    return Needs(int(asks) if own is None else own, WORKER_BYTES + factor * sizes)


def _components(value: object) -> Iterator[Component]:
    """The components of a stage, not those of its inputs."""
    for part in parts_of(value):
        if isinstance(part, Component):
            yield part
        if not is_stage(part):
            yield from _components(part)


def _checkpoints(value: object) -> Iterator[StageSpec | Artifact | Input]:
    for part in parts_of(value):
        if isinstance(part, Input | Artifact) or is_stage(part):
            yield part
        else:
            yield from _checkpoints(part)


def _weights(source: StageSpec | Artifact | Input, store: Store) -> int:
    """Bytes of the weights in a checkpoint, before it is there those of what it starts from; 0 of whatever is none."""
    try:
        if not isinstance(source, Input) and not (store.folder(source) / "DONE").exists():
            start = getattr(source, "start", None)
            return _weights(start, store) if start is not None else 0  # and a mirror sends nothing for an estimate
        path = store.path(source)
        files = [path] if path.is_file() else list(path.glob("*")) if path.is_dir() else []
        return sum(file.stat().st_size for file in files if file.suffix in WEIGHTS)
    except (EpigoneError, OSError):
        return 0


def hosts_of(wanted: int, num_devices: int, name: str) -> int:
    """How many machines with `num_devices` each a stage with so many needs. Raises SpecError where they do not fit."""
    each = max(1, num_devices)
    if wanted <= each:
        return 1
    if wanted % each:
        raise SpecError(f"{name} takes {wanted} devices and a machine has {each}: take a mesh of a multiple of {each}")
    return wanted // each


def mesh_devices(mesh: str) -> int:
    """The devices of a mesh such as 1,8,1; WHOLE where one entry is the rest (-1)."""
    sizes = [int(entry) for entry in re.findall(r"-?\d+", mesh)]
    return WHOLE if WHOLE in sizes else math.prod(sizes)


def devices_here(environment: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> tuple[str, ...]:
    """The NVIDIA cards of this machine, as CUDA_VISIBLE_DEVICES names them; none where JAX is told to use none."""
    if environment.get("JAX_PLATFORMS", "").startswith("cpu"):
        return ()
    if (visible := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        return tuple(name for name in visible.split(",") if name.strip() not in ("", "-1"))
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in dev.glob("nvidia*"))
    return tuple(sorted((match[1] for match in found if match), key=int))


def processors_as_devices(environment: Mapping[str, str] = os.environ) -> int:
    """As how many devices JAX counts the processors of one process: one, unless XLA_FLAGS says otherwise."""
    told = re.search(r"xla_force_host_platform_device_count=(\d+)", environment.get("XLA_FLAGS", ""))
    return int(told[1]) if told else 1


def memory_here(read: Callable[[str], str] | None = None) -> int:
    """Bytes of main memory that may be used here: what is free, and no more than the container is given."""
    read = read or (lambda path: Path(path).read_text())
    found = (
        [int(match[1]) * 1024] if (match := re.search(r"MemAvailable:\s+(\d+)", _text(read, "/proc/meminfo"))) else []
    )
    limit, used = (_text(read, f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdecimal() and used.isdecimal():
        cached = re.findall(r"^(?:in)?active_file (\d+)", _text(read, "/sys/fs/cgroup/memory.stat"), re.MULTILINE)
        found.append(int(limit) - int(used) + sum(map(int, cached)))  # the system gives caches of files back
    if not found:
        pages, size = (os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_PAGE_SIZE"))
        found.append(pages * size)
    return max(0, min(found)) if found else sys.maxsize


def _text(read: Callable[[str], str], path: str) -> str:
    try:
        return cast(str, read(path))
    except OSError:
        return ""
