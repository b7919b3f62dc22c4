"""The state of an unfinished run on disk, so that it goes on in the very same bytes.

In: a TrainState and the log so far. Out: one safetensors file, written beside and moved over the last one, so that
there is always a whole one. It carries the identity of its run: a state of another run is refused. Finished models
are written by `epigone.models.weights` instead.
"""

import os
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from epigone.errors import ArtifactError

FILE = "train_state.safetensors"


Tree = TypeVar("Tree", bound=PyTree[Shaped[Array | np.ndarray, "..."]])


def save_state(folder: Path, tree: PyTree[Shaped[Array | np.ndarray, "..."]], identity: str) -> None:
    """Replace the saved state by this one, atomically. `identity` names the run."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{FILE}.unfinished"
    tensors = {name: np.asarray(leaf) for name, leaf in _named(tree).items()}
    save_file(tensors, unfinished, metadata={"identity": identity})
    with open(unfinished, "rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(folder / FILE)


def load_state(folder: Path, like: Tree, identity: str) -> Tree | None:
    """The saved state in the structure of `like`, or None where nothing was saved.

    Raises ArtifactError for a broken file or the state of another run.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        with safe_open(file, "numpy") as saved:
            found = (saved.metadata() or {}).get("identity")
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{file}: not a saved train state ({error}); delete it to start anew") from error
    expected = _named(like)
    if found != identity or tensors.keys() != expected.keys():
        raise ArtifactError(f"{file}: the state of another run ({found}, not {identity}); delete it to start anew")
    leaves = [jnp.asarray(tensors[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named(tree: PyTree[Shaped[Array | np.ndarray, "..."]]) -> dict[str, Shaped[Array | np.ndarray, "..."]]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
