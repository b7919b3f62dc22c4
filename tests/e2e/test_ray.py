"""Stages on a Ray cluster of two nodes: lost workers and nodes, failures, Ctrl-C, and the bytes of one machine."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from artifact_bytes import contents
from epigone.commands.run import executor_of
from epigone.errors import DataError, SpecError, WorkError
from epigone.executors import ray as executor_module
from epigone.executors.local import Local
from epigone.executors.ray import Ray
from epigone.interfaces import StageSpec
from epigone.ray_nodes import Place, _ready
from epigone.sharding import sharded_search
from epigone.spec import Component, Input, in_order
from epigone.stages.curate import Curate
from epigone.stages.neighbours import Neighbours
from epigone.stages.search import Search
from epigone.stages.tokenize import Tokenize
from epigone.stages.train import Train
from epigone.store import Store
from epigone.testbed.tokenizer import build_tokenizer
from ray_cluster import Nodes, cluster, ray_processes, wait_for
from training_cases import trained

Events = list[tuple[str, str]]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with cluster(Path(__file__).parent) as made:
        yield made


@pytest.fixture(scope="module")
def address(nodes: Nodes) -> Iterator[str]:
    """Two nodes, and one connection that all tests share, so that the cluster keeps its processes between them."""
    import ray

    found = nodes.have_two()
    ray.init(address=found, log_to_driver=False, logging_level="ERROR")
    yield found
    ray.shutdown()


@dataclass(frozen=True)
class Step:
    """Writes its name after its inputs' texts; may fail in several ways, or wait for ever."""

    name: str
    inputs: tuple["Step", ...] = ()
    fail: str = ""
    effort: float | int = 1.0

    kind: ClassVar[str] = "steps"
    version: ClassVar[int] = 1

    @property
    def slug(self) -> str:
        return self.name

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        if self.fail == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fail == "disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.fail == "data":
            raise DataError("row 3 is broken")
        if self.fail == "bug":
            raise ZeroDivisionError("oops")
        if self.fail == "hang once" and not list(out.glob("*.pid")):
            (out / f"{os.getpid()}.pid").touch()
            time.sleep(600)
        texts = [(inputs(step) / "text.txt").read_text() for step in self.inputs]
        (out / "text.txt").write_text("".join(texts) + self.name)
        return {}


@dataclass(frozen=True)
class HeldSearch(Search):
    """A search that says on which node it runs, and goes on once the file `hold` is gone."""

    gate: str = ""

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        gate = Path(self.gate)
        if (gate / "hold").exists():
            import ray

            note = f"{ray.get_runtime_context().get_node_id()} {os.getpid()}"
            (gate / f"{self.slug}.partial").write_text(note)
            (gate / f"{self.slug}.partial").rename(gate / f"{self.slug}.runs")
            while (gate / "hold").exists():
                time.sleep(0.05)
        return super().run(inputs, out)


def run(executor: Ray | Local, *targets: StageSpec) -> Events:
    events: Events = []
    stages = in_order(targets, Store(Path(executor.root)).resolver)
    executor.run(stages, lambda event, stage: events.append((event, stage.slug)))
    return events


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def made_up_dump(path: Path, num_rows: int, seed: int) -> Input:
    """Conversations in our own messages form, many of them like another."""
    draw = random.Random(seed)
    words = [f"word{n}" for n in range(300)]
    asked: list[str] = []
    for _ in range(num_rows):
        own = draw.choices(words, k=draw.randint(1, 40))
        near = draw.choice(asked).split() if asked and draw.random() < 0.5 else []
        asked.append(" ".join(near[: len(near) * 2 // 3] + own[: 40 - len(near)]) or "word")
    rows = [
        {"id": f"c{n}", "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": f"{n}."}]}
        for n, text in enumerate(asked)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Input(str(path))


def plain(spec: object) -> object:
    """A spec as the JSON of a spec file, inputs written out."""
    if isinstance(spec, Input):
        return {"file": spec.path}
    if isinstance(spec, tuple):
        return [plain(part) for part in spec]
    if not is_dataclass(spec):
        return spec
    stage = {"stage": type(spec).__module__.rpartition(".")[2]} if hasattr(spec, "kind") else {}
    return stage | {field.name: plain(getattr(spec, field.name)) for field in fields(spec)}


def curated(dump: Input, name: str) -> Curate:
    return Curate(dump, Component.of("formats", "messages"), (Component.of("curation", "duplicates"),), name)


@pytest.mark.slow
def test_a_node_killed_half_way_changes_no_byte(nodes: Nodes, tmp_path: Path) -> None:
    """It is killed while it searches a shard, which then starts again on the other."""
    gate = tmp_path / "gate"
    gate.mkdir()
    dataset = curated(made_up_dump(tmp_path / "dump.jsonl", 400, seed=5), "made-up")
    one = sharded_search(dataset, 1)
    index = one.shards[0].index
    shards = tuple(HeldSearch(index, n, 4, gate=str(gate)) for n in range(4))
    whole = Neighbours(shards)
    address = nodes.have_two()
    (gate / "hold").touch()

    def lost() -> list[list[str]]:
        runs = [[path.stem, *path.read_text().split()] for path in gate.glob("*.runs")]
        return [run for run in runs if run[1] == nodes.second.node_id]

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(run, Ray(str(tmp_path / "ray"), address), whole)
        try:
            slug, _, pid = wait_for(lost)[0]
            nodes.kill_second()
            wait_for(lambda: not is_alive(int(pid)))  # the shard did not get to its end there
        finally:
            (gate / "hold").unlink()
        events = outcome.result(timeout=300)
    assert [event for event, name in events if name == slug] == ["start", "start", "done"]
    assert sorted(event for event, _ in events) == ["done"] * 7 + ["start"] * 8
    run(Local(str(tmp_path / "local")), whole, one)
    there, here = contents(tmp_path / "ray"), contents(tmp_path / "local")
    assert there == {name: content for name, content in here.items() if name in there}
    folders = [Store(tmp_path / "local").folder(stage) for stage in (whole, one)]
    for name in ("rows.npy", "scores.npy", "partners.npy"):
        in_four, in_one = ((folder / name).read_bytes() for folder in folders)
        assert in_four == in_one
    scores = np.load(folders[0] / "scores.npy")
    assert len(scores) > 300 and len(np.unique(scores)) > 100, "the made-up queries are too much alike to tell"


@pytest.mark.slow
def test_files_documents_and_queries_give_the_bytes_of_one_machine(address: str, tmp_path: Path) -> None:
    build_tokenizer([]).save(str(tmp_path / "tokenizer.json"))
    targets: list[StageSpec] = []
    for n in range(2):
        dump = made_up_dump(tmp_path / f"dump{n}.jsonl", 200, seed=n)
        documents = tmp_path / f"documents{n}.jsonl"
        documents.write_text("".join(f'{{"id": "{i}", "text": "what is the number {i * i} ?"}}\n' for i in range(99)))
        tokenizer = Input(str(tmp_path / "tokenizer.json"))
        targets += [curated(dump, f"file{n}"), Tokenize(Input(str(documents)), tokenizer, 32, name=f"documents{n}")]
    targets += [sharded_search(targets[0], 2), sharded_search(Input(dump.path), 2, against=targets[0], name="against")]
    there = run(Ray(str(tmp_path / "ray"), address), *targets)
    assert sorted(there) == sorted(run(Local(str(tmp_path / "local")), *targets))
    assert len(there) == 2 * 12
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert len(contents(tmp_path / "ray")) > 40


def losses(root: Path, stage: Train) -> list[float]:
    lines = (Store(root).path(stage) / "train_log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.slow
def test_what_takes_two_nodes_runs_as_a_gang(address: str, tmp_path: Path) -> None:
    """Each node has one device, its processor: two processes of `jax.distributed` have the losses of one, nearly."""
    alone, both = trained(tmp_path, ""), trained(tmp_path, "1,2,1")
    assert run(Ray(str(tmp_path), address), both, Step("beside")).count(("done", "model")) == 1
    run(Local(str(tmp_path), 1), alone)
    assert len(losses(tmp_path, both)) == 20
    np.testing.assert_allclose(losses(tmp_path, both), losses(tmp_path, alone), rtol=5e-5)
    with pytest.raises(WorkError, match="no 3 nodes with 1 CPUs"):
        run(Ray(str(tmp_path), address, wait_seconds=1.0), trained(tmp_path, "1,3,1"))


@pytest.mark.slow
def test_a_gang_that_loses_a_process_starts_again(address: str, tmp_path: Path) -> None:
    both = trained(tmp_path, "1,2,1")
    both = replace(both, recipe=replace(both.recipe, num_steps=3000))
    killed: list[int] = []

    def kill_one() -> bool:
        listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        parts = [int(line.split()[0]) for line in listed.splitlines() if "ray::report_part" in line]
        if len(parts) == 2 and list(tmp_path.glob(".staging/checkpoints/model--*/*")):
            os.kill(parts[1], signal.SIGKILL)
            killed.append(parts[1])
        return bool(killed)

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(run, Ray(str(tmp_path), address), both)
        wait_for(lambda: kill_one() or outcome.done())
        events = outcome.result(timeout=300)
    assert killed and [event for event, _ in events] == ["start", "start", "done"]
    assert len(losses(tmp_path, both)) == 3000


def test_failures_are_named_and_the_rest_goes_on(address: str, tmp_path: Path) -> None:
    ray = Ray(str(tmp_path), address, num_restarts=1)
    broken = [Step(f"broken-{fail}", fail=fail) for fail in ("data", "bug", "die")]
    with pytest.raises(WorkError) as caught:
        run(ray, Step("reader", (broken[0],)), *broken, Step("two", (Step("one"),)))
    for told in ("row 3 is broken", "ZeroDivisionError", "steps/broken-die", "lost 2 times"):
        assert told in str(caught.value)
    assert sorted(p.name.split("--")[0] for p in tmp_path.glob("steps/*")) == ["one", "two"]


@pytest.mark.slow
def test_a_full_disk_stops_the_rest(address: str, tmp_path: Path) -> None:
    full = [Step(f"full{n}", fail="disk", effort=9.0) for n in range(6)]
    with pytest.raises(WorkError, match="disk full") as caught:
        run(Ray(str(tmp_path), address), *full, Step("small"))
    assert str(caught.value).count("disk full") <= 2  # those that ran already when the first one failed
    assert not list(tmp_path.glob("steps/*"))


@pytest.mark.slow
def test_an_interrupted_run_stops_its_tasks_and_goes_on(address: str, tmp_path: Path) -> None:
    step = Step("slow", fail="hang once")
    ray = Ray(str(tmp_path), address)

    def interrupt(event: str, stage: StageSpec) -> None:
        wait_for(lambda: list(tmp_path.glob(".staging/steps/slow--*/*.pid")))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ray.run([step], interrupt)
    (note,) = tmp_path.glob(".staging/steps/slow--*/*.pid")
    wait_for(lambda: not is_alive(int(note.stem)))
    assert run(ray, step) == [("start", "slow"), ("done", "slow")]
    assert not list(tmp_path.glob(".staging/run-*"))


@pytest.mark.slow
def test_the_command_line_interrupted_on_a_cluster_of_its_own_leaves_nothing_behind(tmp_path: Path) -> None:
    search = sharded_search(curated(made_up_dump(tmp_path / "dump.jsonl", 400, seed=5), "made-up"), 3)
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(plain(search)))
    root = tmp_path / "ray"
    command = [sys.executable, "-m", "epigone", "run", "neighbours", str(spec), "--root", str(root), "--json"]
    command += ["--executor", "ray:local"]
    before = ray_processes()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: list(root.glob(".staging/*/*/")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130 and "Traceback" not in said, said
    wait_for(lambda: ray_processes() <= before)
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"artifact": str(Store(root).folder(search))}
    run(Local(str(tmp_path / "local")), search)
    assert contents(root) == contents(tmp_path / "local")
    wait_for(lambda: ray_processes() <= before)


def test_a_cluster_that_cannot_run_a_stage_is_told_of(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkError, match=r"steps/one--\w+: no node with 4 CPUs"):
        run(Ray(str(tmp_path), address, num_cpus_per_stage=4, wait_seconds=0.5), Step("one"))

    @contextmanager
    def marked_elsewhere(root: Path) -> Generator[Path, None, None]:
        yield root / "not there"

    monkeypatch.setattr(executor_module, "_marked", marked_elsewhere)
    with pytest.raises(SpecError, match=r"node 127.0.0.1 does not see the root .*share"):
        run(Ray(str(tmp_path), address), Step("one"))
    assert not list(tmp_path.glob("*/one--*"))


def test_wrong_options_are_told_of_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="there is local, here, ray, ray:HOST:PORT, ray:local, slurm"):
        executor_of("rya", tmp_path, 2)
    assert executor_of("ray:head:6379", tmp_path, 2) == Ray(str(tmp_path), "head:6379", num_cpus=2)
    with pytest.raises(SpecError, match="HOST:PORT of the head node"):
        run(Ray(str(tmp_path), "ray://head:10001"), Step("one"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"pip install 'epigone\[ray\]'"):
        run(Ray(str(tmp_path)), Step("one"))


def test_a_node_must_see_the_same_files(tmp_path: Path) -> None:
    (tmp_path / ".staging").mkdir()
    (tmp_path / ".staging" / "mark").touch()
    version = executor_module.epigone.__version__
    assert Place(str(tmp_path), ".", "mark", version).complaint() == ""
    assert "does not see the root" in Place(str(tmp_path / "other"), ".", "mark", version).complaint()
    assert f"has epigone {version}, here it is 0.0" in Place(str(tmp_path), ".", "mark", "0.0").complaint()
    failure, _ = _ready(Place(str(tmp_path), ".", "mark", version), "datasets/other--00000000", Step("one"))
    assert failure and "reads other bytes" in failure
