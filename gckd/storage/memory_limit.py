"""Limit on the memory that a piece of code may allocate, for content that unpacks to more than its size."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import psutil

_lock = threading.Lock()  # the limit is one of the process


@contextlib.contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Context in which the process can allocate about `size` more bytes. Not on Windows, and macOS ignores it.

    Threads that run meanwhile share the limit, so it has to leave them room.

    Raises:
        MemoryError: raised by code in the context that needs more.
    """
    if sys.platform == "win32":
        yield
        return
    import resource

    with _lock:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = psutil.Process().memory_info().vms + size
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
