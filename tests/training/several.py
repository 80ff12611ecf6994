"""Several workers of one run on this machine, each a process, talking over loopback."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

WORKERS = 2


@contextmanager
def joined(rank: int, store: Path) -> Iterator[None]:
    """This process as one of the workers, on one thread."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORKERS)
    yield
    dist.destroy_process_group()


def together(function: Any, *args: Any) -> None:
    """Calls `function(rank, *args)` in each worker; returns when all have, and raises what one of them raised."""
    started = start(function, *args)
    while not started.join():
        pass


def start(function: Any, *args: Any) -> mp.ProcessContext:
    """The same, without waiting. Workers are forked from one process that has imported what they all need."""
    multiprocessing.set_forkserver_preload(["tests.training.micro"])
    found: mp.ProcessContext = mp.start_processes(function, args, WORKERS, join=False, start_method="forkserver")
    return found
