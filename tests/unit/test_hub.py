"""Checkpoints by their name on the model hub, against a stand-in that speaks the hub's protocol on loopback."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from epigone.errors import SpecError
from epigone.models.hub import here
from epigone.stages.fetch import Fetch
from small_checkpoint import small_base

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "somebody/small-base"
PROGRAM = """
import sys
from epigone.backends.checkpoint import Checkpoint
from epigone.records import Prompt, SamplingParams

(reply,) = Checkpoint(sys.argv[1]).generate([Prompt("p", text="abc")], SamplingParams(4))
print(repr(reply.text))
"""

FETCH = """
import sys
from pathlib import Path
from epigone.stages.fetch import Fetch
from epigone.store import Store, read_summary

root, source = sys.argv[1].split(" ")
folder = Store(Path(root)).build(Fetch(source))
print(folder.name.rpartition("--")[0], read_summary(folder)["commit"])
"""


class Hub(BaseHTTPRequestHandler):
    folder: Path
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        files = sorted(file.name for file in self.folder.iterdir())
        if self.path.startswith(f"/api/models/{NAME}"):
            told = {"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            tree = [{"type": "file", "path": n, "size": (self.folder / n).stat().st_size, "oid": n} for n in files]
            return self.send(json.dumps(tree if "/tree/" in self.path else told).encode(), "info")
        name = self.path.rpartition("/")[2]
        if f"/{NAME}/resolve/" in self.path and name in files:
            return self.send((self.folder / name).read_bytes(), name)
        self.send(b"{}", "", 404)

    do_HEAD = do_GET  # noqa: N815 (a name of http.server)

    def send(self, body: bytes, tag: str, status: int = 200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path):
    folder = small_base(tmp_path / "published")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    kept = type("Kept", (Hub,), {"folder": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kept)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kept
    server.shutdown()
    server.server_close()


def answered(name: str, endpoint: str, home: Path, program: str = PROGRAM) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", program, name], env=environment, capture_output=True, text=True, check=False
    )


def test_a_checkpoint_of_the_hub_answers_as_its_folder_does_and_is_fetched_once(hub, tmp_path):
    endpoint, kept = hub
    home = tmp_path / "home"
    first = answered(f"hf://{NAME}", endpoint, home)
    assert first.returncode == 0, first.stderr
    assert first.stdout == answered(str(kept.folder), endpoint, home).stdout
    fetched = [path for path in kept.asked if path.endswith("model.safetensors")]
    assert fetched and not [path for path in kept.asked if path.endswith(".bin")]
    assert answered(f"hf://{NAME}", endpoint, home).stdout == first.stdout
    assert not [path for path in kept.asked if path.endswith("model.safetensors")][len(fetched) :]


def test_a_name_that_the_hub_has_not_is_a_clear_error(hub, tmp_path):
    endpoint, _ = hub
    done = answered("hf://nobody/nothing", endpoint, tmp_path)
    assert "SpecError: hf://nobody/nothing" in done.stderr and "write hf://OWNER/NAME" in done.stderr
    away = answered("hf://nobody/nothing", "http://127.0.0.1:9", tmp_path)
    assert "WorkError: hf://nobody/nothing was not fetched before" in away.stderr


def test_what_is_no_name_is_told(tmp_path):
    assert here(str(tmp_path)) == tmp_path
    for name in ("hf://", "hf://a b/c"):
        with pytest.raises(SpecError, match="write hf://OWNER/NAME"):
            here(name)


def test_the_stage_fetch_makes_an_artifact_that_names_the_commit(hub, tmp_path):
    endpoint, kept = hub
    done = answered(f"{tmp_path / 'runs'} hf://{NAME}@step1000", endpoint, tmp_path / "home", FETCH)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["small-base-step1000", COMMIT]
    (folder,) = (tmp_path / "runs" / "checkpoints").iterdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (kept.folder / name).read_bytes()
    assert not list(folder.glob("*.bin"))
    with pytest.raises(SpecError, match="'models/base' is not on the hub"):
        Fetch("models/base")
