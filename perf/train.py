"""Training speed beside torch + transformers: same shapes, same data, each way in a process of its own, by turns.

    python perf/train.py [9m] [135m] [7b] [--ways WORD ...] [--layers N] [--batch-size N] [--rounds N] [--save FOLDER]

On a CPU every way has one thread on one core, speeds are tokens per CPU-second, and the shapes are 9m and 135m. On an
NVIDIA card the shape is 7b (LLaMA-7B, sequence 2,048, bf16 compute over fp32 masters, every layer computed again in
the backward pass), ways run one after the other, each with the whole card, and speeds are tokens a second of the clock
with the model FLOPs utilisation (MFU) that they come to, as `training.speed` counts it. torch's settings are those of
its documentation for the precision: SDPA attention, the fused AdamW, autocast for bf16, eager and compiled.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from epigone.models import llama
from epigone.models.family import Model
from epigone.training.speed import flops_per_token, peak_flops

LR, B1, B2, CLIP = 1e-4, 0.9, 0.98, 1.0


@dataclass(frozen=True)
class Shape:
    """A LLaMA and the batch that it is trained on."""

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    hidden_width: int
    vocab_size: int
    tied: bool
    length: int
    batch_size: int
    num_steps: int
    """Steps a round."""

    @property
    def num_tokens(self) -> int:
        return self.length * self.batch_size * self.num_steps

    @property
    def config(self) -> llama.Config:
        return llama.Config(
            vocab_size=self.vocab_size,
            width=self.width,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            hidden_width=self.hidden_width,
            max_positions=self.length,
            tie_embeddings=self.tied,
        )


SHAPES = {
    "9m": Shape(256, 6, 4, 4, 688, 16_384, True, 256, 2, 10),
    "135m": Shape(576, 30, 9, 3, 1536, 49_152, True, 256, 1, 4),
    "7b": Shape(4096, 32, 32, 32, 11_008, 32_000, False, 2048, 4, 4),
}
CPU_WAYS = ("epigone fp32", "torch fp32 eager", "torch fp32 compiled", "torch bf16 eager", "torch bf16 compiled")
CARD_WAYS = ("epigone bf16 cudnn", "epigone bf16 xla", "torch bf16 eager", "torch bf16 compiled")


def tokens_of(shape: Shape) -> np.ndarray:
    """Random tokens, [steps, batch, length]; every block is one document."""
    size = (shape.num_steps, shape.batch_size, shape.length)
    return np.random.default_rng(0).integers(1, shape.vocab_size, size, dtype=np.int32)


def epigone(shape: Shape, words: list[str], on_card: bool) -> tuple[Callable[[], float], Callable[[], float]]:
    """A round, and the most memory that was held, in GiB."""
    import jax
    import jax.numpy as jnp

    from epigone.models.compute import Compute
    from epigone.models.family import random_model
    from epigone.training.optimizer import Recipe
    from epigone.training.step import Batch, Method, init_state, run_steps

    config = shape.config
    recipe = Recipe(learning_rate=LR, batch_size=shape.batch_size, num_epochs=1, b1=B1, b2=B2, clip_norm=CLIP)
    half = "bf16" in words
    compute = Compute(
        dtype="bfloat16" if half else "float32",
        remat="full" if on_card else "none",
        attention="cudnn" if "cudnn" in words else "xla",
    )
    tokens = jnp.asarray(tokens_of(shape))
    ones = jnp.ones(tokens.shape, jnp.int32)
    batches = Batch(tokens, ones.astype(bool), ones, jnp.broadcast_to(jnp.arange(shape.length), tokens.shape))
    rates = recipe.rates(10_000)
    method = Method(llama, config, recipe.optimizer, recipe.accumulation, compute)
    state = init_state(random_model(config, seed=0), rates, method)

    def one() -> float:
        nonlocal state
        state, log = run_steps(state, batches, jnp.int32(shape.num_steps), rates, method=method)
        return float(log.loss[shape.num_steps - 1])

    def memory() -> float:
        stats = jax.devices()[0].memory_stats() if on_card else None
        return stats["peak_bytes_in_use"] / 2**30 if stats else host_memory()

    return one, memory


def torch_loop(shape: Shape, words: list[str], on_card: bool) -> tuple[Callable[[], float], Callable[[], float]]:
    """The same by torch and transformers."""
    import torch
    import transformers

    torch.set_num_threads(1 if not on_card else 8)
    torch.manual_seed(0)
    device = "cuda" if on_card else "cpu"
    config = transformers.LlamaConfig(**shape.config.to_hf(), attn_implementation="sdpa", use_cache=False)
    with torch.device(device):
        network = transformers.LlamaForCausalLM(config)
    network.train()
    if on_card:
        network.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, betas=(B1, B2), weight_decay=0.0, fused=True)
    called = torch.compile(network) if "compiled" in words else network
    batches = torch.from_numpy(tokens_of(shape)).long().to(device)

    def one() -> float:
        for tokens in batches:
            with torch.autocast(device, dtype=torch.bfloat16) if "bf16" in words else nullcontext():
                loss = called(input_ids=tokens, labels=tokens).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return one, (lambda: torch.cuda.max_memory_allocated() / 2**30) if on_card else host_memory


def host_memory() -> float:
    """The most that this process held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def work(way: str, shape: Shape, on_card: bool) -> None:
    """One way's process: a first round compiles, then a round for every line that comes in; a JSON line each."""
    words = way.split()
    make = epigone if words[0] == "epigone" else torch_loop
    started = time.monotonic()
    one, memory = make(shape, words, on_card)
    one()
    print(json.dumps({"ready_seconds": time.monotonic() - started}), flush=True)
    for _ in sys.stdin:
        clock, cpu = time.monotonic(), time.process_time()
        loss = one()
        spent = {"clock": time.monotonic() - clock, "cpu": time.process_time() - cpu}
        print(json.dumps(spent | {"loss": loss, "memory_gib": memory()}), flush=True)


class Worker:
    """A way in its own process."""

    def __init__(self, way: str, name: str, shape: Shape, on_card: bool) -> None:
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        environment = dict(os.environ)
        if on_card:
            environment |= {
                "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",
                "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
            }
        else:
            flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            environment |= {
                "XLA_FLAGS": flags,
                "OMP_NUM_THREADS": "1",
                "JAX_PLATFORMS": "cpu",
                "CUDA_VISIBLE_DEVICES": "",
            }
        size = ["--layers", str(shape.num_layers), "--batch-size", str(shape.batch_size)]
        command = [sys.executable, __file__, name, *size, "--worker", way, *(["--card"] if on_card else [])]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, text=True
        )
        self.ready = self.answer()

    def answer(self) -> dict[str, float]:
        """The next line, or what went wrong."""
        assert self.process.stdout
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        self.complaints.seek(0)
        raise RuntimeError(" ".join(self.complaints.read().strip().splitlines()[-1:])[-300:] or "ended")

    def round(self) -> dict[str, float]:
        """Run one more."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def measure(ways: list[str], name: str, shape: Shape, on_card: bool, rounds: int) -> dict[str, dict[str, object]]:
    """The best round of every way, or why it has none. On a CPU all ways wait side by side and take turns."""
    found: dict[str, dict[str, object]] = {}

    def started(some: list[str]) -> Iterator[tuple[str, Worker]]:
        for way in some:
            try:
                yield way, Worker(way, name, shape, on_card)
            except RuntimeError as error:
                found[way] = {"failed": str(error)}

    for group in [[way] for way in ways] if on_card else [ways]:
        workers = dict(started(group))
        for _ in range(rounds):
            for way, worker in workers.items():
                spent = worker.round()
                seconds = spent["clock" if on_card else "cpu"]
                if seconds < float(found.get(way, {}).get("seconds", float("inf"))):  # pyright: ignore[reportArgumentType]
                    found[way] = spent | {"seconds": seconds, "tokens_per_second": shape.num_tokens / seconds}
        for worker in workers.values():
            worker.end()
        if on_card:  # a card is dear: what is measured is said at once
            print(f"{group[0]}: {json.dumps(found.get(group[0]))}", file=sys.stderr, flush=True)
    return found


def show(name: str, shape: Shape, device: str, found: dict[str, dict[str, object]]) -> None:
    """A line a way."""
    unit = "second" if "cpu" not in device else "CPU-second"
    title = f"training, {name}: {shape.num_layers} layers, {shape.batch_size} x {shape.length} tokens a step"
    print(f"{title}, {device}")
    first = next((r["tokens_per_second"] for r in found.values() if "tokens_per_second" in r), None)
    peak, token_flops = peak_flops(device), flops_per_token(Model(llama, shape.config, {}), shape.length)
    for way, result in found.items():
        rate = result.get("tokens_per_second")
        if not isinstance(rate, float) or not isinstance(first, float):
            print(f"  {way:<22} not measured: {result['failed']}")
            continue
        mfu = f"  MFU {rate * token_flops / peak:.1%}" if peak else ""
        print(
            f"  {way:<22} {rate:>9,.0f} tokens per {unit}  {first / rate:.2f} x the first over it"
            f"{mfu}  {result['memory_gib']:.2f} GiB  loss {result['loss']:.4f}"
        )


def device_name() -> str:
    """The card's name, or the processor's."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return f"cpu {platform.processor() or platform.machine()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", choices=[*SHAPES, []])
    parser.add_argument("--ways", nargs="*", help="only ways whose name holds one of these words")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=Path, help="folder that the last result of this device is kept in")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--card", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = device_name()
    on_card = "cpu" not in device
    for name in given.shapes or (["7b"] if on_card else ["9m", "135m"]):
        shape = SHAPES[name]
        shape = replace(
            shape, num_layers=given.layers or shape.num_layers, batch_size=given.batch_size or shape.batch_size
        )
        if given.worker:
            work(given.worker, shape, given.card)
            return
        ways = [
            way
            for way in (CARD_WAYS if on_card else CPU_WAYS)
            if not given.ways or any(word in way for word in given.ways)
        ]
        found = measure(ways, name, shape, on_card, given.rounds)
        show(name, shape, device, found)
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            result = {"device": device, "date": time.strftime("%Y-%m-%d"), "shape": vars(shape), "ways": found}
            (given.save / f"train-{name}-{'-'.join(device.split()).lower()}.json").write_text(
                json.dumps(result, indent=1) + "\n"
            )


if __name__ == "__main__":
    main()
