"""What `epigone serve` does: a checkpoint behind an OpenAI-compatible server.

In: a checkpoint (a folder, an artifact, a .gguf file), where to listen. Out: a server that runs until it is stopped;
SIGTERM or Ctrl-C lets what runs finish and refuses what is new.
"""

import os
import sys
from pathlib import Path

import uvicorn

from epigone.commands.listening import listening_at
from epigone.decoding.engine import Engine
from epigone.decoding.texts import Texts
from epigone.errors import SpecError
from epigone.models.weights import load_checkpoint
from epigone.parallel.mesh import make_mesh
from epigone.serving.app import Served
from epigone.serving.worker import Worker

KEY = "EPIGONE_SERVE_KEY"
NUM_STEPS = 4
"""Tokens a row gets in one step: a request that comes waits no longer, and a stream moves on as often."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run_serve(
    checkpoint: Path,
    *,
    name: str = "",
    host: str = "127.0.0.1",
    port: int = 8000,
    slots: int = 16,
    context: int = 0,
    mesh: str = "",
) -> None:
    """Serve until a signal comes. Port 0 is any free one; the address is told on standard error.

    Raises SpecError for a port that is taken and a context that the model has not.
    """
    key = os.environ.get(KEY, "")
    served = made(checkpoint, name=name, key=key, num_slots=slots, context=context, mesh=mesh)
    listening = listening_at(host, port)
    if host not in LOOPBACK and not key:
        sys.stderr.write(f"anybody who reaches {host} can ask: set {KEY} to ask for a key\n")
    sys.stderr.write(f"serving {served.name} at http://{host}:{listening.getsockname()[1]}/v1\n")
    sys.stderr.flush()
    config = uvicorn.Config(served.app(), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def made(
    checkpoint: Path, *, name: str = "", key: str = "", num_slots: int = 16, context: int = 0, mesh: str = ""
) -> Served:
    """A checkpoint read and ready. `context` is the most tokens of prompt and reply together, 0 as many as 2,048."""
    model = load_checkpoint(checkpoint, make_mesh(mesh) if mesh else None)
    most = model.config.max_positions
    if context > most or context < 0:
        raise SpecError(f"--context {context}: the model has {most} positions; give 1 to {most}, or 0")
    engine, texts = Engine(model, num_slots), Texts(checkpoint)
    slots = engine.slots(num_slots, context or min(most, 2048), end_ids=texts.end_ids, num_steps=NUM_STEPS)
    return Served(name or checkpoint.resolve().name, engine, texts, Worker(slots), key)
