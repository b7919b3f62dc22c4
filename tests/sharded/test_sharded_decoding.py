"""A model over a mesh answers as on one device: the same texts, scores to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from small_checkpoint import small_base

PROGRAM = Path(__file__).with_name("sharded_programs.py")
CHEAP = "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0"  # what is compiled runs a few times


def test_texts_and_scores_over_a_mesh_are_those_of_one_device(tmp_path):
    folder = small_base(tmp_path / "base")
    done = subprocess.run(
        [sys.executable, PROGRAM, "decoding", folder],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": CHEAP},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    one = found.pop("")
    assert len(set(one["texts"])) > 3
    for mesh, over in found.items():
        assert over["texts"] == one["texts"], mesh
        np.testing.assert_allclose(over["logprobs"], one["logprobs"], atol=1e-4, err_msg=mesh)
