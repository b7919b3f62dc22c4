"""Artifacts under a root: what needs what, and what may go."""

from pathlib import Path

import pytest

from epigone.commands.artifacts import found_under, needed_by, run_gc, run_list, unneeded
from epigone.errors import SpecError
from epigone.store import write_json


def artifact(root: Path, id_: str, *needs: str, done: bool = True) -> None:
    folder = root / id_
    folder.mkdir(parents=True)
    nested = {"options": [["path", {"artifact": need, "path": "."}] for need in needs]}
    write_json(folder / "spec.json", {"spec": {"stage": "made-up", "model": nested}})
    if done:
        write_json(folder / "DONE", {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A study over a score over a checkpoint over blocks; a checkpoint with its own blocks; one that is not whole."""
    artifact(tmp_path, "studies/s--1", "scores/e--1")
    artifact(tmp_path, "scores/e--1", "checkpoints/c--1")
    artifact(tmp_path, "checkpoints/c--1", "blocks/b--1")
    artifact(tmp_path, "blocks/b--1")
    artifact(tmp_path, "checkpoints/alone--2", "blocks/b--2", "blocks/gone--9")
    artifact(tmp_path, "blocks/b--2")
    artifact(tmp_path, "blocks/half--3", done=False)
    return tmp_path


def test_what_needs_what(root):
    users = needed_by(found_under(root, now=0))
    assert users["blocks/b--1"] == ["checkpoints/c--1"] and users["studies/s--1"] == []
    assert "blocks/half--3" not in users and "blocks/gone--9" not in users


def test_what_nothing_needs(root):
    artifacts = found_under(root, now=0)
    assert [a.id for a in unneeded(artifacts, [])] == ["blocks/b--2", "checkpoints/alone--2"]
    assert unneeded(artifacts, ["alone--*"]) == []
    assert [a.id for a in unneeded(artifacts, ["blocks/b--2"])] == ["checkpoints/alone--2"]
    with pytest.raises(SpecError, match="--keep typo fits no artifact"):
        unneeded(artifacts, ["typo"])


def test_deleting_is_asked_for(root):
    run_gc(root, [], delete=False, quiet=True)
    assert (root / "checkpoints/alone--2/DONE").exists()
    assert run_gc(root, [], delete=True, quiet=True)["is_deleted"]
    left = sorted(str(done.parent.relative_to(root)) for done in root.glob("*/*/DONE"))
    assert left == ["blocks/b--1", "checkpoints/c--1", "scores/e--1", "studies/s--1"]
    assert (root / "blocks/half--3").exists() and not (root / "blocks/b--2").exists()
    listed = run_list(root, quiet=True)["artifacts"]
    assert len(listed) == 4 and all(row["num_bytes"] > 0 for row in listed)


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match="there is no folder"):
        run_list(tmp_path / "nowhere", quiet=True)
