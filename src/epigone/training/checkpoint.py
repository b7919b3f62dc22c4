"""The state of an unfinished run on disk, so that it goes on in the very same bytes.

In: a TrainState and the log so far. Out: one safetensors file, or one from each of several processes with the parts
that its devices hold; written beside and moved over, and older ones removed only when all are there, so that there is
always a whole state. It is read back into any layout: each device takes the slices that it needs. It carries the
identity of its run: a state of another run is refused. Finished models are written by `epigone.models.weights` instead.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, PyTree, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from epigone.errors import ArtifactError
from epigone.parallel import hosts

FILE = "train_state.safetensors"
PART = "train_state.{generation:08d}.{process}-of-{count}.safetensors"
_PART = re.compile(r"train_state\.(\d{8})\.(\d+)-of-(\d+)\.safetensors")

Slices = tuple[slice, ...]
Tree = TypeVar("Tree", bound=PyTree[Shaped[Array | np.ndarray, "..."]])


def save_state(folder: Path, tree: PyTree[Shaped[Array | np.ndarray, "..."]], identity: str) -> None:
    """Replace the saved state by this one, atomically. `identity` names the run.

    All processes call it, and `folder` is one that they share; raises ArtifactError where it is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = _whole_states(folder)
    process, count = jax.process_index(), jax.process_count()
    generation = max((number for number, _ in before), default=0) + 1
    names = [PART.format(generation=generation, process=i, count=count) for i in range(count)] if count > 1 else [FILE]
    _write(folder / names[process], tree, identity)
    hosts.wait_for_all(f"train state {generation}")
    if missing := [name for name in names if not (folder / name).exists()]:
        raise ArtifactError(f"{folder / missing[0]} was written on another host: give a folder that all hosts share")
    hosts.wait_for_all(f"train state {generation} is there")
    if process == 0:
        _remove(folder, keep=names)


def load_state(folder: Path, like: Tree, identity: str) -> Tree | None:
    """The saved state in the structure and the places of `like`, or None where nothing was saved.

    All processes call it. Raises ArtifactError for a broken file or the state of another run.
    """
    states = _whole_states(folder)
    # What a killed save left is no part of a state; every process has looked before process 0 tidies up.
    hosts.wait_for_all("train states seen")
    files = max(states)[1] if states else []
    if jax.process_index() == 0:
        _remove(folder, keep=[file.name for file in files])
    hosts.wait_for_all("train states tidied")
    if not files:
        return None
    with ExitStack() as stack:
        saved = _Saved(files, stack)
        expected = _named(like)
        if saved.identity != identity or saved.parts.keys() != expected.keys():
            raise ArtifactError(
                f"{files[0]}: the state of another run ({saved.identity}, not {identity}); delete it to start anew"
            )
        leaves = [saved.read(name, leaf) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


class _Saved:
    """The parts of every saved array, over the files of one state."""

    def __init__(self, files: list[Path], stack: ExitStack) -> None:
        self.files = files
        self.parts: dict[str, list[tuple[safe_open, str, Slices]]] = {}
        for file in files:
            try:
                opened = stack.enter_context(safe_open(file, "numpy"))
                told = opened.metadata() or {}
                self.identity = told.get("identity")
                for part, (name, bounds) in json.loads(told.get("parts", "{}")).items():
                    self.parts.setdefault(name, []).append((opened, part, tuple(slice(*pair) for pair in bounds)))
            except (OSError, SafetensorError, ValueError) as error:
                raise ArtifactError(f"{file}: not a saved train state ({error}); delete it to start anew") from error

    def read(self, name: str, like: Shaped[Array | np.ndarray, "..."]) -> Shaped[Array | np.ndarray, "..."]:
        """A saved array where `like` lies."""

        everything = (slice(None),) * like.ndim

        def cut(wanted: Slices | None) -> Shaped[np.ndarray, "..."]:
            return self._cut(name, wanted or everything, like.shape, np.dtype(like.dtype))

        if isinstance(like, jax.Array) and isinstance(like.sharding, NamedSharding):
            return jax.make_array_from_callback(like.shape, like.sharding, cut)
        return jnp.asarray(cut(everything))

    def _cut(self, name: str, wanted: Slices, shape: tuple[int, ...], dtype: np.dtype) -> Shaped[np.ndarray, "..."]:
        bounds = [part.indices(size)[:2] for part, size in zip(wanted, shape, strict=True)]
        found = np.empty([stop - start for start, stop in bounds], dtype)
        num_found = 0
        for file, part, at in self.parts[name]:
            both = [(max(a, s.start), min(b, s.stop)) for (a, b), s in zip(bounds, at, strict=True)]
            if all(start < stop for start, stop in both):
                here = tuple(slice(a - b[0], z - b[0]) for (a, z), b in zip(both, bounds, strict=True))
                there = tuple(slice(a - s.start, z - s.start) for (a, z), s in zip(both, at, strict=True))
                found[here] = file.get_slice(part)[there] if there else file.get_tensor(part)
                num_found += found[here].size
        if num_found != found.size:
            raise ArtifactError(f"{self.files[0]}: {name} is not whole ({num_found} of {found.size}); delete the state")
        return found


def _write(file: Path, tree: PyTree[Shaped[Array | np.ndarray, "..."]], identity: str) -> None:
    tensors: dict[str, np.ndarray] = {}
    parts: dict[str, tuple[str, list[tuple[int, int]]]] = {}
    for name, leaf in _named(tree).items():
        for bounds, array in _own_parts(leaf):
            part = f"{name}{bounds}"
            tensors[part], parts[part] = np.asarray(array, order="C"), (name, bounds)
    unfinished = file.with_name(f"{file.name}.unfinished")
    save_file(tensors, unfinished, metadata={"identity": identity, "parts": json.dumps(parts)})
    with open(unfinished, "rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(file)


def _own_parts(
    leaf: Shaped[Array | np.ndarray, "..."],
) -> Iterator[tuple[list[tuple[int, int]], Shaped[np.ndarray, "..."]]]:
    """What this process writes of an array, with its bounds; of equal copies, the first is written."""
    if not isinstance(leaf, jax.Array):
        if jax.process_index() == 0:
            yield [(0, size) for size in leaf.shape], leaf
        return
    for shard in leaf.addressable_shards:
        if shard.replica_id == 0:
            at = zip(shard.index, leaf.shape, strict=True)
            yield [(part.indices(size)[0], part.indices(size)[1]) for part, size in at], np.asarray(shard.data)


def _whole_states(folder: Path) -> list[tuple[int, list[Path]]]:
    """The files of every state whose files are all there, with its number; that of a single process counts as 0."""
    found: dict[tuple[int, int], list[Path]] = {}
    for file in sorted(folder.glob("train_state.*.safetensors")):
        if match := _PART.fullmatch(file.name):
            found.setdefault((int(match[1]), int(match[3])), []).append(file)
    whole = [(number, files) for (number, count), files in found.items() if len(files) == count]
    return [(0, [folder / FILE]), *whole] if (folder / FILE).exists() else whole


def _remove(folder: Path, keep: list[str]) -> None:
    for file in folder.glob("train_state.*"):
        if file.name not in keep:
            file.unlink()


def _named(tree: PyTree[Shaped[Array | np.ndarray, "..."]]) -> dict[str, Shaped[Array | np.ndarray, "..."]]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
