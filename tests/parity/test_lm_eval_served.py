"""`epigone serve` in a process of its own, asked by lm-evaluation-harness as `local-completions`.

Its likelihoods (echo and logprobs) and its replies are those of the checkpoint in this process.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from epigone.answers import kept_at
from epigone.backends.checkpoint import Checkpoint
from epigone.backends.openai import OpenAI
from epigone.benchmarks.harness import Harness
from epigone.records import Prompt
from small_checkpoint import small_base

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-evaluation-harness and what it brings warn as they load
TASKS = {
    "served_choice.yaml": (
        "task: served_choice\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: '{{text}}'\ndoc_to_choice: '{{options}}'\ndoc_to_target: label\nmetric_list:\n  - metric: acc\n"
    ),
    "served_said.yaml": (
        "task: served_said\ndataset_path: json\ntest_split: test\noutput_type: generate_until\n"
        "doc_to_text: '{{text}}'\ndoc_to_target: '{{label}}'\n"
        'generation_kwargs: {until: ["e", "\\n"], max_gen_toks: 12}\nmetric_list:\n  - metric: exact_match\n'
    ),
}


@pytest.fixture
def served(tmp_path: Path):
    """The folder of a tiny checkpoint, and the address that serves it."""
    folder = small_base(tmp_path / "small", max_positions=512)
    command = [sys.executable, "-m", "epigone", "serve", str(folder), "--port", "0", "--slots", "4", "--context", "256"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = ""
    while not line.startswith("serving"):
        line = server.stderr.readline()
        assert line or server.poll() is None, "the server ended"
    with server:
        yield folder, line.split()[-1]
        server.terminate()
        assert server.wait(60) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_local_completions(served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: pip install 'epigone[harness]'")
    pytest.importorskip("transformers", reason="its tokenizer is read with transformers: pip install 'epigone[parity]'")
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    folder, address = served
    own, data = tmp_path / "own", tmp_path / "data"
    own.mkdir()
    data.mkdir()
    for name, text in TASKS.items():
        (own / name).write_text(text)
    rows = [
        {"text": f"the cat {n} sat on", "options": [" a mat", " the", " th", " me"], "label": n % 4} for n in range(10)
    ]
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    listing = TaskManager(include_path=str(own), include_defaults=False)
    here = Checkpoint(str(folder))
    for task in ("served_choice", "served_said"):
        bench = Harness(task, include_path=own, data_folder=data)
        mine = bench.run(here)
        options = {
            "model": folder.name,
            "base_url": f"{address}/completions",
            "tokenizer": str(folder),
            "add_bos_token": True,
        }
        found = simple_evaluate(
            "local-completions", model_args=options, tasks=[bench._built(listing, task, {})], bootstrap_iters=0
        )
        samples = sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
        assert len(samples) == len(rows) and os.environ["OPENAI_API_KEY"] == "none"
        for score, sample in zip(mine, samples):
            if task == "served_choice":
                told = [float(reply[0]) for reply in sample["filtered_resps"]]
                assert [value for _, value in json.loads(score.reply)] == pytest.approx(told, abs=1e-3)
                assert score.metrics["acc"] == sample["acc"]
            else:
                assert score.reply == sample["resps"][0][0]
    with kept_at(tmp_path / "runs", "scores/served"):
        asked = OpenAI(url=address, model=folder.name)
        pairs = [(Prompt("", text="the cat sat on"), chr(code)) for code in range(33, 127)]
        told = asked.loglikelihood(pairs)
    expected = here.loglikelihood(pairs)
    assert [one.is_greedy for one in told] == [one.is_greedy for one in expected]
    assert [one.logprob for one in told] == pytest.approx([one.logprob for one in expected], abs=1e-3)
    assert {score.metrics["exact_match"] for score in mine} == {0.0} and any(score.reply for score in mine)
