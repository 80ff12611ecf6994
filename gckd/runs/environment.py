"""Checks of the process's environment: variables, limits of the operating system, and the encoding of the console."""

from __future__ import annotations

import io
import os
import sys

from gckd.errors import InputError

if sys.platform != "win32":
    import resource

_OPEN_FILES = 8192  # soft limit that commands raise themselves to, as far as the hard limit allows
_MIN_OPEN_FILES = 512  # of an embedded Ray
_SOCKET_BYTES = 104 if sys.platform == "darwin" else 108  # longest path of a socket, with its final zero
_SOCKET = "/ray/session_2000-01-01_00-00-00_000000_0000000/sockets/plasma_store"  # below the temporary folder


def omp_threads() -> int | None:
    """Number of threads in the variable OMP_NUM_THREADS; None if it is unset.

    Raises:
        InputError: its value is not a whole number of at least 1. A list is accepted, as in OpenMP; the first counts.
    """
    text = os.environ.get("OMP_NUM_THREADS", "")
    first = text.partition(",")[0].strip()
    if not text.strip():
        return None
    if not (first.isascii() and first.isdigit() and 1 <= len(first) <= 6 and int(first)):
        raise InputError(
            f"OMP_NUM_THREADS: {text[:80]!r} is not a whole number >= 1; unset it or set a number of threads"
        )
    return int(first)


def allow_open_files() -> None:
    """Raise the soft limit of open files towards the hard limit. macOS starts processes with 256."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        goal = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < goal:
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))


def check_for_ray() -> None:
    """Refuse an environment in which an embedded Ray would crash or hang.

    Raises:
        InputError: too few open files are allowed, or the temporary folder is missing or its path too long.
    """
    if sys.platform != "win32":
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and limit < _MIN_OPEN_FILES:
            raise InputError(
                f"ulimit -n: {limit} open files is below its limit: {_MIN_OPEN_FILES}; run `ulimit -n 4096`"
            )
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    if variable is None or (variable == "TMPDIR" and not sys.platform.startswith("linux")):
        return
    folder = os.environ[variable]
    spare = _SOCKET_BYTES - 1 - len(_SOCKET)
    if len(os.fsencode(os.path.abspath(folder))) > spare:
        raise InputError(
            f"{variable}: its path has {len(os.fsencode(folder))} bytes, above the limit of Ray's sockets: {spare}; "
            f"set {variable}=/tmp"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{variable}: {folder} is not a folder that can be written; set {variable}=/tmp")


def tolerate_console() -> None:
    """Write characters that the console's encoding lacks as escapes, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
