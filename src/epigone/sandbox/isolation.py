"""Ways to shut a program in, and which of them works on this machine.

In: the name of a way, or `auto`. Out: the command line that runs an interpreter inside. `bwrap` is bubblewrap; without
it `namespaces` does the same by system calls. A way counts as working once a program inside has tried to get out.
Source: https://github.com/containers/bubblewrap; user_namespaces(7).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import SpecError, WorkError

WAYS = ("bwrap", "namespaces")
UNSANDBOXED = "none"
NOBODY = 65_534
FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""All that a program finds in its environment: sets have one order, so that a program has one verdict."""
FLAGS = ("-s", "-P", "-S", "-B")
"""Of the interpreter: nothing is imported but the standard library."""
PROBE_SECONDS = 20
PROBE = """
import os, socket, sys
seen = set(os.listdir("/")) - {"usr", "bin", "sbin", "lib", "lib32", "lib64", "etc", "dev", "tmp"}
assert seen <= {sys.argv[1].split("/")[1]}, f"it sees {seen}"
assert [name for _, name in socket.if_nameindex()] in ([], ["lo"]), "it has a network"
assert os.geteuid() != 0, "it is root"
assert not {"HOME", "PATH"} & set(os.environ), "it has an environment"
for place in ("/", "/usr", sys.argv[1]):
    try:
        open(f"{place}/written", "w")
    except OSError:
        continue
    raise AssertionError(f"it can write to {place}")
open("/tmp/written", "w").write("shut in")
print(open("/tmp/written").read())
"""


@dataclass(frozen=True)
class Isolation:
    """A way that works, with the interpreter that runs inside."""

    way: str
    """bwrap, namespaces, or none."""
    interpreter: str
    scratch_bytes: int

    @property
    def user(self) -> int | None:
        """Who the launcher must be: bubblewrap maps one user, and must not be root's."""
        return NOBODY if self.way == "bwrap" and os.geteuid() == 0 else None

    def command(self, source: str, *arguments: str) -> list[str]:
        """The command line that runs `source` inside with these arguments."""
        program = [self.interpreter, *FLAGS, "-c", source, *arguments]
        if self.way == UNSANDBOXED:
            return program
        shown = _shown(self.interpreter)
        if self.way == "bwrap":
            return [*_bwrap(shown, self.scratch_bytes), *program]
        launcher = Path(__file__).with_name("namespaces.py").read_text(encoding="utf-8") + "\nmain()\n"
        links = (f"{place}:{target}" for place, target in shown.links)
        told = (",".join(parts) for parts in (shown.folders, links, shown.devices))
        return [self.interpreter, *FLAGS, "-c", launcher, *told, str(self.scratch_bytes), *program]


@dataclass(frozen=True)
class _Shown:
    """What a program sees of the file system."""

    folders: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    devices: tuple[str, ...]


def find_isolation(way: str, interpreter: str, scratch_bytes: int) -> Isolation:
    """The way that is asked for, or the first that works. Raises WorkError that says why none does."""
    if way not in ("auto", *WAYS):
        raise SpecError(f"isolation {way!r} is not among auto, {', '.join(WAYS)}")
    real = os.path.realpath(interpreter or sys.executable)
    reasons: list[str] = []
    for name in WAYS if way == "auto" else (way,):
        isolation = Isolation(name, real, scratch_bytes)
        why_not = _obstacle(isolation)
        if not why_not:
            return isolation
        reasons.append(f"{name}: {why_not}")
    raise WorkError(
        f"not measured: no isolation for untrusted programs ({'; '.join(reasons)}). Install bubblewrap, or allow user "
        "namespaces, on Linux; or take allow_unsandboxed=true where the machine can be lost"
    )


def _obstacle(isolation: Isolation) -> str:
    """Why a way does not work here; empty where it does."""
    if not sys.platform.startswith("linux"):
        return f"there is none on {sys.platform}"
    if isolation.way == "bwrap" and not shutil.which("bwrap"):
        return "not installed"
    try:
        command = isolation.command(PROBE, _prefix(isolation.interpreter))
        done = subprocess.run(
            command, env=ENVIRONMENT, user=isolation.user, group=isolation.user, capture_output=True, text=True,
            timeout=PROBE_SECONDS, cwd="/", extra_groups=None if isolation.user is None else [],
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.stdout.strip() == "shut in":
        return ""
    return (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]


def _prefix(interpreter: str) -> str:
    """The folder that an interpreter and its library lie in: /opt/python for /opt/python/bin/python3."""
    return str(Path(interpreter).parent.parent)


def _shown(interpreter: str) -> _Shown:
    present = [place for place in FOLDERS if os.path.exists(place)]
    links = tuple((place, os.readlink(place)) for place in present if os.path.islink(place))
    folders = [place for place in present if not os.path.islink(place)]
    prefix = _prefix(interpreter)
    if not any(Path(prefix).is_relative_to(place) for place in folders):
        folders.append(prefix)
    return _Shown(tuple(folders), links, DEVICES)


def _bwrap(shown: _Shown, scratch_bytes: int) -> list[str]:
    return [shutil.which("bwrap") or "bwrap", *_bwrap_options(shown, scratch_bytes), "--"]


def _bwrap_options(shown: _Shown, scratch_bytes: int) -> Iterator[str]:
    yield from ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
    yield from ("--disable-userns", "--cap-drop", "ALL", "--die-with-parent")
    for place in shown.folders:
        yield from ("--ro-bind", place, place)
    for place, target in shown.links:
        yield from ("--symlink", target, place)
    for place in shown.devices:
        yield from ("--dev-bind", place, place)
    yield from (
        "--size",
        str(scratch_bytes),
        "--perms",
        "1777",
        "--tmpfs",
        "/tmp",
        "--remount-ro",
        "/",
        "--chdir",
        "/tmp",
    )
