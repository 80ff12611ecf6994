"""Files of the cache that are made once, by all workers of one run together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from gckd.distributed import barrier, broadcast_bool, rank
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import save_atomically


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Nobody else on this machine makes `file` meanwhile; the first worker of a run holds the lock for all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext() if rank() else FileLock(f"{file}.lock"):
        barrier()  # for the lock: until then another run may be writing
        yield


def made_once(kept: CachePath, make: Callable[[], Any], save: Callable[[Path, Any], None] = save_atomically) -> Path:
    """The file of an entry on this machine; made by the first run that asks, while others wait.

    Args:
        make: what `save` writes. All workers call it; the first one's is kept.
    """
    with alone(kept.here):
        if not broadcast_bool(kept.present()):
            content = make()
            if not rank():
                save(kept.here, content)
                kept.put()
        barrier()
        kept.present()  # for a worker of another machine
    return kept.here
