"""A PostgreSQL server of the tests' own on loopback, where Debian's or any other is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_USER = "postgres"  # that the server runs as where the tests are root: it refuses to be root


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of an empty database."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: there is no initdb on the PATH, nor in /usr/lib/postgresql/*/bin")
    user = _USER if os.geteuid() == 0 else None
    if user and user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip(f"PostgreSQL refuses to be run by root, and there is no user {user}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="gckd-postgres-") as folder:
        if user:
            shutil.chown(folder, user)
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
        make = [programs / "initdb", "-D", f"{folder}/data", "-U", "gckd", "-A", "trust", "-E", "UTF8"]
        control = [programs / "pg_ctl", "-D", f"{folder}/data", "-w"]
        for command in (make, [*control, "-o", options, "-l", f"{folder}/log", "start"]):
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg://gckd@127.0.0.1:{port}/postgres"
        finally:
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)


def _programs() -> Path | None:
    initdb = shutil.which("initdb")
    if initdb:
        return Path(initdb).parent
    return max((file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
