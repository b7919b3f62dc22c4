"""Runs untrusted programs and says what came of each: passed, wrong, error, timeout, memory or refused.

In: programs, each a source, the name of a function in it, and a check, `def check(candidate)`, which the program never
sees. Out: one Outcome a program, in order. Many run at once, one a core.

**The scheme.** A program gets two sandboxes, with nothing in common but two pipes. In one the *candidate* runs: the
source, then calls of the function. In the other the *checker* runs the check; each call in it goes down a pipe as plain
values, and what comes back is made anew from JSON. The verdict goes up a third pipe, from the checker alone. So a
candidate has nothing to forge: leaving with status 0, printing "passed", patching `assert`, an object that is equal to
everything, reading frames, memory or `/proc`, writing to whatever it has open can each do no more than give an answer
to a call, and it is the checker that compares it. To pass, the right values must come back.

**A sandbox** (`isolation`): user, PID, mount, network, IPC and host-name namespaces of its own. It sees /usr and the
interpreter, read-only, and an empty /tmp in memory; no home, no /proc, no environment but PYTHONHASHSEED, no network,
no capabilities, no files open but its pipes. Hard limits hold for memory (of each process), CPU time, processes, file
size and the bytes of its answers; what it prints goes nowhere. On x86-64 and ARM64 a seccomp filter refuses the calls
by which a program gets at memory that no limit counts, at other processes, or at another view of the machine. When it
is over, its PID namespace ends and with it every process inside, whatever it forked, and /tmp is gone.

**Where it ends.** It does not protect from a hole in the kernel, nor from what a program can tell through the time that
it takes; a program can use up its limits (num_processes times memory_bytes, and scratch_bytes, at worst, and with
bubblewrap any number of empty files), see what lies below /usr, and know a published check by heart. Arguments go by
value: what a function does to them in place a check does not see, and only plain data comes back (None, bool, int,
float, complex, str, bytes, list, tuple, set, frozenset, dict; of a subclass what it is at bottom). With
`allow_unsandboxed`, where there is no isolation, the two are ordinary processes with the same limits: a program can
then read and change what the user can, outlive its process group, and forge its verdict.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from select import poll
from typing import IO

from epigone.errors import WorkError
from epigone.progress import tell
from epigone.sandbox.isolation import ENVIRONMENT, UNSANDBOXED, Isolation, find_isolation

REASONS = ("passed", "wrong", "error", "timeout", "memory", "refused")
START_SECONDS = 60
MAX_SOURCE_BYTES = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a program may use. They hold for each process that it starts, too."""

    timeout_seconds: float | int = 3
    """Wall time from when its interpreter is ready to the verdict; CPU time a little above."""
    memory_bytes: int = 512 * 2**20
    """Address space of each process."""
    num_processes: int = 8
    """Processes and threads at once, two of them the sandbox's own."""
    file_bytes: int = 8 * 2**20
    """The largest file."""
    scratch_bytes: int = 32 * 2**20
    """All files together."""
    reply_bytes: int = 4 * 2**20
    """All answers together."""

    def of_process(self) -> dict[str, int]:
        """As setrlimit(2) names them."""
        cpu_seconds = int(self.timeout_seconds) + 2
        return {
            "AS": self.memory_bytes,
            "CPU": cpu_seconds,
            "NPROC": self.num_processes,
            "FSIZE": self.file_bytes,
            "NOFILE": 32,
            "CORE": 0,
        }


@dataclass(frozen=True, slots=True)
class Program:
    """An untrusted source that should define `entry_point`, and the check that it is put to."""

    source: str
    entry_point: str
    check: str
    """Defines check(candidate), which raises where an answer is wrong. Runs apart from the source."""
    prelude: str = ""
    """What the check needs beside it: imports, functions. Trusted as the check is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a program: one of REASONS, and what was raised."""

    reason: str
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check came to its end."""
        return self.reason == "passed"


@dataclass(frozen=True)
class Sandbox:
    """Where programs run."""

    limits: Limits = field(default_factory=Limits)
    """Of each program."""
    isolation: str = "auto"
    """bwrap, namespaces, or auto: the first that works here."""
    allow_unsandboxed: bool = False
    """Where no isolation works, run them all the same: see what that means above."""
    interpreter: str = ""
    """Which Python runs them; empty: the one that runs this."""
    num_workers: int = 0
    """Programs at once; 0: one a core."""

    def run(self, programs: Sequence[Program]) -> list[Outcome]:
        """One Outcome a program, in order. Raises WorkError where there is no isolation or a sandbox does not start."""
        isolation = self.found
        num_workers = self.num_workers or _num_cores()
        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(num_workers) as pool:
            for outcome in pool.map(lambda program: _outcome(program, isolation, self.limits), programs):
                outcomes.append(outcome)
                tell(len(outcomes), len(programs), "programs")
        return outcomes

    @cached_property
    def found(self) -> Isolation:
        """The isolation that programs run in. Raises WorkError where there is none and none need not be."""
        try:
            return find_isolation(self.isolation, self.interpreter, self.limits.scratch_bytes)
        except WorkError:
            if not self.allow_unsandboxed:
                raise
            return Isolation(UNSANDBOXED, self.interpreter or sys.executable, self.limits.scratch_bytes)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outcome(program: Program, isolation: Isolation, limits: Limits) -> Outcome:
    if len(program.source.encode(errors="replace")) > MAX_SOURCE_BYTES:
        return Outcome("refused", f"its source is longer than {MAX_SOURCE_BYTES:,} bytes")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile("w+") as task:
        json.dump({**_task(program), "reply_bytes": limits.reply_bytes}, task)
        task.seek(0)
        return _Run(isolation, limits, scratch).outcome(task)


def _task(program: Program) -> dict[str, str]:
    return {
        "source": program.source,
        "entry_point": program.entry_point,
        "check": program.check,
        "prelude": program.prelude,
    }


@dataclass
class _Run:
    """One program's two sandboxes, from their start to their end."""

    isolation: Isolation
    limits: Limits
    scratch: str

    def outcome(self, task: IO[str]) -> Outcome:
        """Raises WorkError where they do not start."""
        told = json.dumps(self.limits.of_process())
        started: list[subprocess.Popen[bytes]] = []
        with ExitStack() as ours, ExitStack() as theirs:
            calls, calls_in = _pipe(theirs, theirs)
            replies_in, replies = _pipe(theirs, theirs)
            verdict_in, verdict = _pipe(ours, theirs)
            passed = (calls_in, replies_in)
            arguments = [told, *map(str, passed)]
            try:
                started.append(self._start("candidate", [told], stdin=calls, stdout=replies))
                started.append(self._start("checker", arguments, stdin=task.fileno(), stdout=verdict, passed=passed))
                theirs.close()  # or nobody would be told when one of them ends
                return _verdict(verdict_in, self.limits.timeout_seconds)
            except OSError as error:
                raise WorkError(f"a sandbox did not start: {error}; is there room for more processes?") from error
            finally:
                for process in started:
                    _end(process)

    def _start(
        self, role: str, arguments: list[str], *, stdin: int, stdout: int, passed: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        inside = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
        user = self.isolation.user
        return subprocess.Popen(
            self.isolation.command(f"{inside}\n{role}(*sys.argv[1:])\n", *arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            pass_fds=passed,
            env=ENVIRONMENT,
            cwd=self.scratch if self.isolation.way == UNSANDBOXED else "/",
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """Its two ends, to be closed with these."""
    ends = os.pipe()
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends


def _verdict(fd: int, timeout_seconds: float | int) -> Outcome:
    """What the checker says, in time. Raises WorkError where the two sandboxes did not even start."""
    messages = _messages(fd, timeout_seconds)
    first = next(messages)
    if first != ["started"]:
        raise WorkError(f"a sandbox did not start within {START_SECONDS} s: {first}")
    match next(messages):
        case [reason, detail]:
            return Outcome(str(reason), str(detail))
        case None:
            return Outcome("timeout", f"longer than {timeout_seconds} s")
        case _:
            return Outcome("error", "its answers were more than the check could bear")


def _messages(fd: int, timeout_seconds: float | int) -> Iterator[list[object] | None]:
    """Lines of the checker; [] where it ended, None where time is up. Time is counted anew for the second line."""
    poller = poll()
    poller.register(fd)
    rest = b""
    for seconds in (START_SECONDS, timeout_seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in rest:
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(left * 1000):
                yield None
                return
            chunk = os.read(fd, 65_536)
            if not chunk:
                yield []
                return
            rest += chunk
        line, _, rest = rest.partition(b"\n")
        yield json.loads(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill its process group: the launcher, and the first process of its PID namespace, with which all others go."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
