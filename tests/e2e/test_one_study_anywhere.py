"""One study, the same bytes wherever its stages run and however often it is killed; the testbed at its small scale."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artifact_bytes import contents
from epigone.executors.local import Local
from epigone.executors.ray import Ray
from epigone.interfaces import Executor
from epigone.spec import in_order
from epigone.store import Store
from epigone.studies.testbed import testbed as make_testbed
from ray_cluster import Nodes, cluster, wait_for

SMALL = ("study", "testbed", "--scale", "small", "--seeds", "1", "--json")
NUM_KILLS = 20


def run(executor: Executor, root: Path) -> dict[str, bytes]:
    """What the study's artifacts hold, those of another root excepted."""
    stages = in_order([make_testbed(seeds=1, scale="small").report], Store(root).resolver)
    executor.run([stage for stage in stages if not Store(root).is_done(stage)], lambda event, stage: None)
    return contents(root)


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("one")
    return run(Local(str(root), 1), root)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with cluster(Path(__file__).parent) as made:
        yield made


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(one_worker: dict[str, bytes], tmp_path: Path) -> None:
    assert run(Local(str(tmp_path), 2), tmp_path) == one_worker
    assert len(one_worker) > 100


@pytest.mark.slow
def test_two_nodes_give_them_too_and_one_that_is_killed_half_way_changes_nothing(
    nodes: Nodes, one_worker: dict[str, bytes], tmp_path: Path
) -> None:
    address, killed = nodes.have_two(), tmp_path / "killed"
    assert run(Ray(str(tmp_path / "both"), address), tmp_path / "both") == one_worker
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(run, Ray(str(killed), address), killed)
        half = len({name.rpartition("/")[0] for name in one_worker}) // 2
        wait_for(lambda: outcome.done() or len(list(killed.glob("*/*/DONE"))) >= half)
        assert not outcome.done(), "it ended before it could be killed half-way"
        nodes.kill_second()
        assert outcome.result(timeout=900) == one_worker


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte(one_worker: dict[str, bytes], tmp_path: Path) -> None:
    """Each run gets further than the last, or dies on its way; what it leaves is gone on with."""
    draw, command = random.Random(9), [sys.executable, "-m", "epigone", *SMALL, "--root", "runs"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"EPIGONE_CACHE": str(tmp_path / "cache")}
    num_artifacts = len({name.rpartition("/")[0] for name in one_worker})
    for number in range(NUM_KILLS):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **silent)
        seen = len(list(tmp_path.glob("runs/*/*/DONE")))
        # a moment after the work has begun, or after another artifact: kills spread over the whole study
        wanted = min(seen + draw.randrange(3), number * num_artifacts // NUM_KILLS)
        while process.poll() is None and len(list(tmp_path.glob("runs/*/*/DONE"))) < wanted:
            time.sleep(0.02)
        time.sleep(0.4 * draw.random())
        assert process.poll() is None, f"the study ended before kill {number + 1}"
        os.killpg(process.pid, signal.SIGKILL)  # workers too: nobody has time to tidy up
        process.wait()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "runs") == one_worker
