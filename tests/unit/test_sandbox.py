"""The sandbox: honest programs pass, wrong ones do not, and none of many hostile ones passes, gets out, or stays."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.errors import SpecError, WorkError
from epigone.sandbox import Limits, Outcome, Program, Sandbox, inside, isolation
from hostile_programs import DEED_CHECK, FAKE_CHECK, hostile

SYSTEM_PYTHON = "/usr/bin/python3"
LOOP = "def answer(x):\n    while True: pass\n"
LEAVES = "import os\nos._exit(0)\n"
CUBE = "def answer(x):\n    return x ** 3 - 17\n"
ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
SETS = st.sets(st.integers(), max_size=1) | st.frozensets(st.text(), max_size=1)  # of more, the order may differ
PLAIN = st.recursive(
    ATOMS | SETS | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@pytest.fixture(params=isolation.WAYS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A sandbox of each kind that this machine has, told apart by its limits from whatever else runs here."""
    limits = Limits(timeout_seconds=1, file_bytes=8 * 2**20 + os.getpid())
    return Sandbox(limits, isolation=request.param, interpreter=working(request.param))


def working(way: str) -> str:
    """An interpreter with which a way works here: as root, bubblewrap needs one that nobody may read."""
    reasons = []
    for interpreter in ("", SYSTEM_PYTHON):
        if not interpreter or Path(interpreter).exists():
            try:
                isolation.find_isolation(way, interpreter, 2**20)
                return interpreter
            except WorkError as error:
                reasons.append(str(error))
    pytest.skip(f"{way} does not work here: {' / '.join(reasons)}")


def one(sandbox: Sandbox, source: str, check: str = FAKE_CHECK) -> Outcome:
    return sandbox.run([Program(source, "answer", check)])[0]


def test_what_comes_of_honest_programs(sandbox: Sandbox) -> None:
    assert one(sandbox, CUBE) == Outcome("passed")
    assert one(sandbox, "def answer(x): return x") == Outcome("wrong", "AssertionError")
    assert one(sandbox, "def answer(x): return 1 / 0") == Outcome("error", "ZeroDivisionError: division by zero")
    assert one(sandbox, "def answer(x): return [] + x").detail.startswith("TypeError: can only concatenate list")
    assert one(sandbox, "import nothing_of_that_name").detail.startswith("ModuleNotFoundError: No module named")
    assert one(sandbox, "def other(x): return x").detail == "NameError: it defines no 'answer'"
    assert one(sandbox, LOOP) == Outcome("timeout", "longer than 1 s")
    assert one(sandbox, "def answer(x): return len(bytes(2**40))").reason == "memory"
    assert one(sandbox, "x = 1\n" * 200_000).reason == "refused"


def test_what_a_check_may_do(sandbox: Sandbox) -> None:
    """It has a prelude, calls with keywords, expects exceptions, and compares plain values of every kind."""
    source = """
import collections
def answer(x, *, much=1):
    if x < 0: raise ValueError("negative")
    return collections.Counter("a" * much), (x,), {x}, b"a", 1j, [None, True, 2.5]
"""
    check = """
def check(candidate):
    assert candidate(twice(2), much=3) == ({"a": 3}, (4,), {4}, b"a", 1j, [None, True, 2.5])
    try:
        candidate(-1)
    except ValueError as error:
        assert str(error) == "negative"
    else:
        raise AssertionError
"""
    program = Program(source, "answer", check, prelude="def twice(x): return 2 * x\n")
    assert sandbox.run([program]) == [Outcome("passed")]
    assert one(sandbox, CUBE, "def check(candidate): pass") == Outcome("wrong", "the check called nothing")


def test_as_many_as_you_like_in_order(sandbox: Sandbox) -> None:
    sources = [f"def answer(x): return {7_980 + number}" for number in range(8)]
    outcomes = sandbox.run([Program(source, "answer", FAKE_CHECK) for source in sources])
    assert [outcome.passed for outcome in outcomes] == [number == 3 for number in range(8)]


def test_hostile_programs(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None passes; no process, no file is left; beside them an honest one passes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "secret").write_text("secret")
    token = str(sandbox.limits.file_bytes)
    with socket.socket() as listening, socket.socket(socket.AF_UNIX) as abstract:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        abstract.bind(f"\0{token}")
        abstract.listen()
        places = {
            "secret": str(tmp_path / "secret"),
            "marker": str(tmp_path / "marker"),
            "port": str(listening.getsockname()[1]),
            "pid": str(os.getpid()),
            "token": token,
        }
        fakes = {name: Program(text, "answer", FAKE_CHECK) for name, text in hostile("fake", places).items()}
        deeds = {name: Program(text, "answer", DEED_CHECK) for name, text in hostile("deed", places).items()}
        deeds |= {f"{name} again": deeds[name] for name in ("what the last program left", "writes outside")}
        others = {"honest": Program(CUBE, "answer", FAKE_CHECK), **deeds}
        waiting = replace(sandbox, num_workers=6)  # many of them do nothing until their time is up
        outcomes = dict(zip(fakes, waiting.run(list(fakes.values())), strict=True))
        outcomes |= dict(zip(others, sandbox.run(list(others.values())), strict=True))
    assert len(outcomes) > 60
    assert [name for name, outcome in outcomes.items() if outcome.passed] == ["honest"]
    could_not = {name for name in deeds if "AssertionError" in outcomes[name].detail}
    assert set(deeds) - could_not <= {"calls under other numbers"}, "a deed that broke was not tried to its end"
    assert {outcomes[name].reason for name in ("a loop", "sleeps", "a loop that ignores signals")} == {"timeout"}
    assert outcomes["memory in one piece"].reason == "memory" and outcomes["leaves with status 0"].reason == "error"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "secret"]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert left_over(token) == []


def test_whoever_runs_it_may_be_killed(sandbox: Sandbox) -> None:
    """Then nothing is left to stop the programs, and they stop."""
    token = str(sandbox.limits.file_bytes + 1)
    host = f"""
from epigone.sandbox import Limits, Program, Sandbox
limits = Limits(timeout_seconds=60, file_bytes={token})
sandbox = Sandbox(limits, isolation={sandbox.isolation!r}, interpreter={sandbox.interpreter!r})
sandbox.run([Program("import time; time.sleep(60)", "answer", "")])
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = subprocess.Popen([sys.executable, "-c", host], env=environment)
    try:
        while len(carrying(f'"FSIZE": {token}')) < 2:
            assert running.poll() is None, "it ended by itself"
            time.sleep(0.05)
    finally:
        running.kill()
        running.wait()
    assert left_over(token) == []


def left_over(token: str) -> list[str]:
    """Command lines of processes that carry the token, once the kernel has had a little time to end them."""
    found = carrying(token)
    for _ in range(50):
        if not found:
            break
        time.sleep(0.1)
        found = carrying(token)
    return found


def carrying(token: str) -> list[str]:
    return [text for text in map(command_line, Path("/proc").glob("[0-9]*")) if token in text]


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def test_what_is_left_over_would_be_seen() -> None:
    token = f"0.{os.getpid()}0123"
    sleeping = subprocess.Popen(["sleep", "60", token])
    try:
        while not (found := carrying(token)):
            time.sleep(0.01)  # until it is the program that it was told to be
        assert len(found) == 1
    finally:
        sleeping.kill()
        sleeping.wait()
    assert left_over(token) == []


def test_files_are_counted() -> None:
    """By `namespaces`; bubblewrap offers no such limit, as the sandbox's docstring says."""
    source = "def answer(x):\n    for number in range(2_000): open(f'/tmp/{number}', 'w').close()\n"
    outcome = one(Sandbox(isolation="namespaces", interpreter=working("namespaces")), source)
    assert outcome == Outcome("error", "OSError: [Errno 28] No space left on device: '/tmp/999'")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; others are such a one already")
def test_namespaces_of_an_ordinary_user() -> None:
    """Who is not root makes a user namespace first; as root that way is not taken."""
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"there is no {SYSTEM_PYTHON}, and others may not be read by everyone")
    way = isolation.Isolation("namespaces", os.path.realpath(SYSTEM_PYTHON), 2**20)
    command = way.command(isolation.PROBE, "/usr")
    done = subprocess.run(
        command, user=isolation.NOBODY, group=isolation.NOBODY, extra_groups=[], env={}, capture_output=True, cwd="/"
    )
    assert done.stdout == b"shut in\n", done.stderr


def test_the_probe_sees_what_is_not_shut_in() -> None:
    command = isolation.Isolation(isolation.UNSANDBOXED, sys.executable, 2**20).command(isolation.PROBE, "/usr")
    done = subprocess.run(command, env={}, capture_output=True, text=True)
    assert "AssertionError: it sees" in done.stderr and not done.stdout


def test_without_isolation_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation.sys, "platform", "darwin")
    with pytest.raises(
        WorkError, match=r"not measured: no isolation .*there is none on darwin.*allow_unsandboxed=true"
    ):
        one(Sandbox(), CUBE)
    open_ = Sandbox(Limits(timeout_seconds=1), allow_unsandboxed=True)
    assert open_.found.way == "none"
    assert [one(open_, source).reason for source in (CUBE, LEAVES, LOOP)] == [
        "passed",
        "error",
        "timeout",
    ]


def test_bwrap_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(WorkError, match="bwrap: not installed"):
        isolation.find_isolation("bwrap", "", 2**20)
    with pytest.raises(SpecError, match="'chroot' is not among auto, bwrap, namespaces"):
        isolation.find_isolation("chroot", "", 2**20)


@given(PLAIN)
def test_plain_values_come_back_as_they_were(value: object) -> None:
    back = inside.decode(inside.encode(value))
    assert back == value and repr(back) == repr(value)
