"""Creation of cache files under a lock: once per cache entry, by all workers of one run together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from gckd.distributed import barrier, broadcast_bool, rank
from gckd.errors import InputError
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint, save_atomically


@contextlib.contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Lock `file` against other runs on this machine; the first worker of a run holds the lock for all its workers."""
    file.parent.mkdir(parents=True, exist_ok=True)
    barrier()  # the workers connect before the first one may wait for the lock
    with contextlib.nullcontext() if rank() else FileLock(f"{file}.lock"):
        barrier()  # the other workers wait until the first one has the lock
        yield


def usable(file: Path, load: Callable[[Path], Any]) -> Any:
    """Content of a cache file; None if it does not exist. A damaged file is removed, so that it is created again.

    Args:
        load: returns the content, and raises InputError if it is damaged.
    """
    if not file.exists():
        return None
    try:
        return load(file)
    except InputError:
        file.unlink(missing_ok=True)
        return None


def create_once(
    entry: CachePath,
    create: Callable[[], Any],
    save: Callable[[Path, Any], None] = save_atomically,
    load: Callable[[Path], Any] = load_checkpoint,
) -> Any:
    """Content of a cache entry, created by the first run that needs it while others wait.

    A damaged entry is created again.

    Args:
        create: returns the content. All workers of the run call it; the first worker's result is saved.
        save: writes the content to a path.
        load: reads it.
    """
    with exclusive(entry.local_path):
        if not broadcast_bool(entry.ensure_local() and usable(entry.local_path, load) is not None):
            content = create()
            if not rank():
                save(entry.local_path, content)
                entry.upload()
        barrier()
        entry.ensure_local()  # for workers on other machines
        content = load(entry.local_path)
        barrier()
    return content
