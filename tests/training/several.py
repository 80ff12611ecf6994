"""Several worker processes of one run, which communicate over loopback."""

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
def worker(rank: int, store: Path) -> Iterator[None]:
    """Make this process a worker of the process group, with one thread."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORKERS)
    yield
    dist.destroy_process_group()


def run_workers(function: Any, *args: Any) -> None:
    """Call `function(rank, *args)` in every worker and wait; raises the error of a worker."""
    started = start(function, *args)
    while not started.join():
        pass


def start(function: Any, *args: Any) -> mp.ProcessContext:
    """`run_workers` without waiting. Workers are forked from one process that has imported the common modules."""
    multiprocessing.set_forkserver_preload(["tests.training.micro"])
    result: mp.ProcessContext = mp.start_processes(function, args, WORKERS, join=False, start_method="forkserver")
    return result
