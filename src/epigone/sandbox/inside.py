"""What runs in the two sandboxes of a program: the candidate, which holds the untrusted code, and its checker.

Its whole source is handed to a bare interpreter as text, so it needs the standard library alone. In: limits as JSON,
for the checker a task as JSON. Out: messages, one JSON array a line. Whatever an untrusted program answers comes to the
checker as plain values of Python's own types, made anew from JSON: no object of the candidate, no `__eq__` of its own.
"""

import builtins
import ctypes
import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from types import FunctionType

SCALARS = (bool, int, float, str)
CHUNK_BYTES = 65_536
DETAIL_CHARS = 300
SET_SECCOMP, BY_FILTER, SET_NO_NEW_PRIVILEGES = 22, 2, 38
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
FORBIDDEN = {
    "x86_64": (
        *(319, 29, 68, 240, 447),  # memory that no limit counts: memfd_create, shmget, msgget, mq_open, memfd_secret
        *(
            101,
            310,
            311,
            248,
            249,
            250,
        ),  # other processes, and keys: ptrace, process_vm_*, add_key, request_key, keyctl
        *(321, 298, 323, 425, 426, 427, 303, 304),  # the kernel's inside: bpf, perf_event_open, userfaultfd, io_uring_*
        *(272, 308, 165, 166, 155, 161, *range(428, 434)),  # another view: unshare, setns, mount, chroot, open_tree ...
    ),
    "aarch64": (
        *(279, 194, 186, 180, 447),
        *(117, 270, 271, 217, 218, 219),
        *(280, 241, 282, 425, 426, 427, 264, 265),
        *(97, 268, 40, 39, 41, 51, *range(428, 434)),
    ),
}
"""System calls by number that an untrusted program may not make: they fail with EPERM."""


class Opaque:
    """Stands for a value that is no plain data: equal to nothing but itself."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown


class EndedError(Exception):
    """The candidate answers no more."""


def encode(value: object) -> object:
    """A value as JSON; instances of subclasses go as what they are at bottom (a Counter as a dict)."""
    if value is None or type(value) in SCALARS:
        return value
    for kind, name in ((list, "list"), (tuple, "tuple"), (set, "set"), (frozenset, "frozenset")):
        if isinstance(value, kind):
            return [name, *(encode(held) for held in value)]
    if isinstance(value, dict):
        return ["dict", *([encode(key), encode(held)] for key, held in value.items())]
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return ["opaque", f"<{type(value).__name__}>"]


def decode(value: object) -> object:
    """The value of what `encode` made. Raises ValueError or TypeError for anything else."""
    if not isinstance(value, list):
        if isinstance(value, dict):
            raise ValueError("a JSON object is no encoded value")
        return value
    name, *held = value
    if name == "dict":
        return {decode(key): decode(held) for key, held in held}
    if name == "bytes":
        return bytes.fromhex(held[0])
    if name == "complex":
        return complex(held[0], held[1])
    if name == "opaque":
        return Opaque(str(held[0])[:DETAIL_CHARS])
    kinds: dict[object, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    return kinds[name](map(decode, held))


def send(fd: int, *message: object) -> None:
    """One message down a pipe, whole."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def received(fd: int, most_bytes: int) -> Iterator[list[object]]:
    """Messages out of a pipe until it ends. Raises EndedError for what is no message, and past `most_bytes` in all."""
    rest, num_bytes = b"", 0
    while chunk := os.read(fd, CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > most_bytes:
            raise EndedError(f"it answered more than {most_bytes:,} bytes")
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else ((rest + chunk),)
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, list) or not message:
                raise EndedError("it wrote what is no answer")
            yield message


def limit(limits: dict[str, int]) -> None:
    """Hard limits of this process and whatever it starts; they cannot be raised again."""
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def filter_of(machine: str) -> list[tuple[int, int, int, int]]:
    """The seccomp filter of a machine as BPF instructions (code, jump if so, jump if not, value); empty for others."""
    if machine not in ARCHITECTURES:
        return []
    load, if_equal, if_at_least, answer = 0x20, 0x15, 0x35, 0x06
    killed, refused, allowed = (answer, 0, 0, 0x80000000), (answer, 0, 0, 0x00050001), (answer, 0, 0, 0x7FFF0000)
    program = [(load, 0, 0, 4), (if_equal, 1, 0, ARCHITECTURES[machine]), killed, (load, 0, 0, 0)]
    program += [(if_at_least, 0, 1, 0x40000000), killed]  # calls of x32, under other numbers
    for number in FORBIDDEN[machine]:
        program += [(if_equal, 0, 1, number), refused]
    return [*program, allowed]


def forbid() -> None:
    """From here on this process and whatever it starts cannot make the FORBIDDEN calls. Raises OSError."""
    program = filter_of(os.uname().machine)
    if not program:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    told = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(instructions)))
    for option, value, where in ((SET_NO_NEW_PRIVILEGES, 1, None), (SET_SECCOMP, BY_FILTER, told)):
        if libc.prctl(option, ctypes.c_ulong(value), where, None, None) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def aside(fd: int) -> int:
    """Another number for a pipe, out of the way of what is printed."""
    moved = os.dup(fd)
    os.set_inheritable(moved, False)
    return moved


def silence() -> None:
    """From here on nothing is read from the standard input, and what is printed goes nowhere."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)


def candidate(limits: str) -> None:
    """Runs the untrusted source, then answers calls of its entry point; calls come in on 0, answers go out on 1."""
    calls, replies = aside(0), aside(1)
    silence()
    limit(json.loads(limits))
    forbid()
    send(replies, "hello")
    messages = received(calls, sys.maxsize)
    source, entry_point = next(messages)
    names: dict[str, object] = {"__name__": "candidate"}
    try:
        exec(compile(str(source), "program", "exec", dont_inherit=True), names)
        if entry_point not in names:
            raise NameError(f"it defines no {entry_point!r}")
        function = names[str(entry_point)]
    except BaseException as error:
        send(replies, *told(error))
        return
    send(replies, "ready")
    for args, kwargs in messages:
        positional, named = decode(args), decode(kwargs)
        try:
            answer = ("returned", encode(function(*positional, **named)))  # pyright: ignore[reportCallIssue, reportGeneralTypeIssues]
        except BaseException as error:
            answer = told(error)
        send(replies, *answer)


def told(error: BaseException) -> tuple[str, str, str]:
    """The message that something was raised."""
    return "raised", type(error).__name__, str(error)[:DETAIL_CHARS]


class Proxy:
    """The candidate's entry point as the checker calls it: arguments go out by value, a plain value comes back."""

    def __init__(self, calls: int, replies: int, most_bytes: int) -> None:
        self.calls, self.messages = calls, received(replies, most_bytes)
        self.num_answered = 0
        self.failure: BaseException | None = None

    def receive(self, wanted: str) -> list[object]:
        """The next message, which must be of the kind that is wanted. Raises what the candidate raised."""
        try:
            message: list[object] = next(self.messages, ["ended"])
        except EndedError as error:
            raise self.failed(error) from None
        if message[0] == "raised" and len(message) == 3:
            raise self.failed(raised(str(message[1]), str(message[2])))
        if message[0] != wanted:
            says = "it ended before it answered" if message[0] == "ended" else "it wrote what is no answer"
            raise self.failed(EndedError(says))
        return message

    def failed(self, error: BaseException) -> BaseException:
        self.failure = error
        return error

    def __call__(self, *args: object, **kwargs: object) -> object:
        try:
            send(self.calls, encode(args), encode(kwargs))
        except BrokenPipeError:
            raise self.failed(EndedError("it ended before it answered")) from None
        message = self.receive("returned")
        try:
            value = decode(message[1])
        except Exception:
            raise self.failed(EndedError("it wrote what is no answer")) from None
        self.num_answered += 1
        return value


def raised(name: str, text: str) -> Exception:
    """The candidate's exception, as one of Python's own where it is one: a check may expect it."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:
            pass  # one that wants more arguments
    return EndedError(f"{name}: {text}")


def checker(limits: str, calls_fd: str, replies_fd: str) -> None:
    """Runs the check against the candidate and says the verdict on 1, which the candidate does not have."""
    task = json.load(sys.stdin)
    calls, replies = int(calls_fd), int(replies_fd)
    verdict = aside(1)
    silence()
    limit(json.loads(limits))
    if "random" in task["check"]:  # it draws inputs; the same program gets the same verdict. Slow to import
        __import__("random").seed(0)
    proxy = Proxy(calls, replies, int(task["reply_bytes"]))
    try:
        proxy.receive("hello")
        send(verdict, "started")
        send(calls, task["source"], task["entry_point"])
        proxy.receive("ready")
        names: dict[str, object] = {"__name__": "check"}
        exec(task["prelude"], names)
        exec(task["check"], names)
        names[task["entry_point"]] = proxy  # a check may call it by its name, too
        check = names["check"]
        assert isinstance(check, FunctionType | Callable)
        check(proxy)
    except BaseException as error:
        send(verdict, *judged(error, proxy))
    else:
        send(verdict, *(("passed", "") if proxy.num_answered else ("wrong", "the check called nothing")))


def judged(error: BaseException, proxy: Proxy) -> tuple[str, str]:
    """Reason and detail of a check that did not come to its end."""
    shown = f"{type(error).__name__}: {error}".rstrip(": ")[:DETAIL_CHARS]
    if error is not proxy.failure:
        return "wrong", shown
    if isinstance(error, MemoryError):
        return "memory", shown
    return "error", str(error) if isinstance(error, EndedError) else shown
