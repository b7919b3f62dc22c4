"""A PostgreSQL of the tests' own, in a temporary folder, as somebody who is not root; skips where there is none."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rating_cases import free_port


def binary(name: str) -> str:
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), "")
    if not found:
        pytest.skip(f"no PostgreSQL here: {name} is not on PATH")
    return found


@contextmanager
def cluster() -> Iterator[str]:
    """The URL of a cluster of its own, run by somebody who is not root."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: epigone[postgres]")
    initdb, server = binary("initdb"), binary("postgres")
    user = next((u for u in ("postgres", "nobody") if any(entry.pw_name == u for entry in pwd.getpwall())), "")
    if os.geteuid() == 0 and not user:
        pytest.skip("PostgreSQL does not run as root, and there is nobody else here")
    folder = Path(tempfile.mkdtemp(prefix="epigone-pg-"))
    who: dict[str, object] = {}
    if os.geteuid() == 0:
        who = {"user": user}
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    port, data = free_port(), folder / "data"
    try:
        told = {"cwd": folder, "capture_output": True, "text": True, **who}
        made = subprocess.run([initdb, "-D", data, "-A", "trust", "-U", "epigone", "-E", "UTF8"], **told)
        assert made.returncode == 0, made.stderr
        settings = (f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1", "fsync=off")
        options = ["-D", data, "-p", str(port), *(word for setting in settings for word in ("-c", setting))]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = subprocess.Popen([server, *options], cwd=folder, **silent, **who)
        url = f"postgresql://epigone@127.0.0.1:{port}/postgres"
        try:
            wait_for(url)
            yield url
        finally:
            running.send_signal(signal.SIGINT)  # end at once, whoever is connected
            running.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(url: str) -> None:
    import psycopg

    for _ in range(100):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError("PostgreSQL does not answer")


def made_database(url: str, name: str) -> str:
    """A new database in the cluster."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return url.rpartition("/")[0] + "/" + name
