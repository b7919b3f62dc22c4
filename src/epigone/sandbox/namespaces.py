"""Enters namespaces of its own and becomes another program: what `bwrap` does, for machines that do not have it.

Its source is handed to a bare interpreter as text, so it needs the standard library alone. In: what to show of the file
system, and the program to become. Out: that program, as process 1 of a PID namespace that ends with it; as nobody's
user, without capabilities, network, or anything writable but /tmp.
Source: user_namespaces(7), pid_namespaces(7), pivot_root(2); the order of steps is that of bubblewrap
(https://github.com/containers/bubblewrap).
"""

import ctypes
import os
import sys

NEW_USER, NEW_PID, NEW_NET, NEW_MOUNTS, NEW_IPC, NEW_NAMES = (
    0x10000000,
    0x20000000,
    0x40000000,
    0x20000,
    0x8000000,
    0x4000000,
)
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
REMOUNT, BIND, WITH_THOSE_BELOW, PRIVATE = 32, 4096, 16384, 1 << 18
DETACH = 2
SET_PARENT_DEATH_SIGNAL, SET_DUMPABLE, SET_NO_NEW_PRIVILEGES = 1, 4, 38
NOBODY = 65_534
KILL = 9
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
KEPT_FLAGS = {
    NO_SUID: os.ST_NOSUID,
    NO_DEVICES: os.ST_NODEV,
    NO_EXEC: os.ST_NOEXEC,
    1024: os.ST_NOATIME,
    2048: os.ST_NODIRATIME,
    1 << 21: os.ST_RELATIME,
}


class Kernel:
    """The system calls that Python 3.11 does not offer. Each raises OSError."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)

    def check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")

    def unshare(self, flags: int) -> None:
        self.check(self.libc.unshare(flags), "unshare")

    def mount(self, source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
        texts = [text.encode() or None for text in (source, target, kind)]
        long = ctypes.c_ulong(flags)
        self.check(self.libc.mount(*texts, long, options.encode() or None), f"mount {source} on {target}")

    def unmount(self, target: str) -> None:
        self.check(self.libc.umount2(target.encode(), DETACH), f"unmount {target}")

    def pivot_root(self, new: str, old: str) -> None:
        number = PIVOT_ROOT[os.uname().machine]
        self.check(self.libc.syscall(ctypes.c_long(number), new.encode(), old.encode()), "pivot_root")

    def control(self, option: int, value: int) -> None:
        self.check(self.libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def enter(shown: dict[str, list[str]], scratch_bytes: int, *program: str) -> None:
    """Become `program` in namespaces of its own. `shown`: folders and devices, and links as PLACE:TARGET.

    Root makes them without a user namespace, so that it can show what nobody may read, and becomes nobody then.
    """
    kernel = Kernel()
    kernel.control(SET_PARENT_DEATH_SIGNAL, KILL)
    proc = os.open("/proc", os.O_PATH)
    is_root = os.geteuid() == 0
    kernel.unshare(NEW_PID | NEW_NET | NEW_MOUNTS | NEW_IPC | NEW_NAMES | (0 if is_root else NEW_USER))
    if not is_root:
        map_ids(proc)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)
        os._exit(ended if ended >= 0 else 128 - ended)
    build_root(kernel, shown, scratch_bytes)
    if is_root:
        become_nobody(kernel)
        map_ids(proc)
    write_within(proc, "sys/user/max_user_namespaces", "0")  # none within: they would give capabilities back
    kernel.control(SET_PARENT_DEATH_SIGNAL, KILL)
    kernel.control(SET_NO_NEW_PRIVILEGES, 1)
    os.chdir("/tmp")
    os.execv(program[0], program)  # whoever is not root has no capabilities after this


def become_nobody(kernel: Kernel) -> None:
    """Give up root for good, into a user namespace in which processes are counted anew."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.control(SET_DUMPABLE, 1)  # else the files below are root's
    kernel.unshare(NEW_USER)


def map_ids(proc: int) -> None:
    """In the new user namespace, user and group are who they are outside."""
    user, group = os.getuid(), os.getgid()
    for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        write_within(proc, f"self/{file}", text)


def write_within(folder: int, file: str, text: str) -> None:
    """Write a file below an opened folder."""
    opened = os.open(file, os.O_WRONLY, dir_fd=folder)
    os.write(opened, text.encode())
    os.close(opened)


def build_root(kernel: Kernel, shown: dict[str, list[str]], scratch_bytes: int) -> None:
    """A root that holds what is shown, read-only, and an empty /tmp of so many bytes."""
    kernel.mount("none", "/", flags=WITH_THOSE_BELOW | PRIVATE)
    kernel.mount("tmpfs", "/tmp", "tmpfs", NO_SUID | NO_DEVICES, "size=1m,mode=755")
    os.mkdir("/tmp/old")
    kernel.pivot_root("/tmp", "/tmp/old")
    os.chdir("/")
    os.mkdir("/new")
    kernel.mount("tmpfs", "/new", "tmpfs", NO_SUID | NO_DEVICES, "size=1m,mode=755")
    for place in shown["folders"]:
        show(kernel, place)
    for place in shown["devices"]:
        show(kernel, place, is_device=True)
    for place, _, target in (link.partition(":") for link in shown["links"]):
        os.symlink(target, f"/new{place}")
    os.mkdir("/new/tmp")
    kernel.mount("tmpfs", "/new/tmp", "tmpfs", NO_SUID | NO_DEVICES, f"size={scratch_bytes},nr_inodes=1000,mode=1777")
    os.chdir("/new")
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    kernel.mount("none", "/", flags=REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEVICES)


def show(kernel: Kernel, place: str, *, is_device: bool = False) -> None:
    """One file or folder of the old root at its place in the new one; a device can be written to."""
    source, target = f"/old{place}", f"/new{place}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT))
    kernel.mount(source, target, flags=BIND | WITH_THOSE_BELOW)
    if not is_device:
        had = os.statvfs(target).f_flag  # a mount of another user's may be made stricter, never looser
        kept = sum(ours for ours, theirs in KEPT_FLAGS.items() if had & theirs)
        kernel.mount("none", target, flags=REMOUNT | BIND | READ_ONLY | NO_SUID | kept)


def main() -> None:
    """The command line: folders, links and devices, each joined by commas; bytes of scratch; the program."""
    shown: dict[str, list[str]] = dict(
        zip(("folders", "links", "devices"), (told.split(",") if told else [] for told in sys.argv[1:4]))
    )
    enter(shown, int(sys.argv[4]), *sys.argv[5:])
