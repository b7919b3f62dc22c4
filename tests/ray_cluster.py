"""A Ray cluster of the tests' own: nodes with one CPU each, all on this machine's loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"


class Nodes:
    """A cluster; its first node holds it together, the second comes and goes."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args=self.options())
        self.second: object = None

    @staticmethod
    def options() -> dict[str, object]:
        room = 80 * 2**20
        here = {"node_ip_address": LOOPBACK, "include_dashboard": False, "object_store_memory": room}
        return here | {"num_cpus": 1}

    def have_two(self) -> str:
        """The cluster's address, once it has two nodes."""
        if self.second is None:
            self.second = self.cluster.add_node(**self.options())
        return self.cluster.address

    def kill_second(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)  # kill -9
        self.second = None


def ray_processes() -> set[str]:
    """Processes of clusters on this machine, those apart that another run of the tests has started."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {line for line in listed.splitlines() if "/raylet " in line or "/gcs_server " in line or " ray::" in line}


@contextmanager
def cluster(*folders: Path) -> Iterator[Nodes]:
    """A cluster whose processes can import what lies in these folders, too; none of them outlives it."""
    before = ray_processes()
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's switch for "this machine's address is the loopback"
    patch.setenv("PYTHONPATH", os.pathsep.join([*map(str, folders), *filter(None, sys.path)]))
    import ray
    from ray._private import ray_constants

    patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    made = Nodes()
    try:
        yield made
    finally:
        ray.shutdown()
        made.cluster.shutdown()
        patch.undo()
    assert ray_processes() <= before, "Ray's processes outlive the tests"


def wait_for(what: Callable[[], object]) -> object:
    for _ in range(3600):
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited for three minutes in vain")
