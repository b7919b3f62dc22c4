"""What every test shares: a single-threaded JAX on the CPU, repeatable hypothesis, and the folder of real data."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of published data sets, named by EPIGONE_DATA; tests that need it skip where it is unset."""
    root = os.environ.get("EPIGONE_DATA")
    if not root:
        pytest.skip("EPIGONE_DATA is unset: it names the folder of published data sets")
    return Path(root)
