"""Two workers of one run on pretended CUDA, through the backends of a machine with GPUs."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path

import torch

from gckd import distributed
from gckd.config import Config
from gckd.pretended_cuda.device import pretended_cuda
from tests.pretended_cuda.marks import needs_pretended_cuda
from tests.training.micro import trained
from tests.training.several import WORKERS, run_workers

pytestmark = needs_pretended_cuda


def _train(rank: int, config: Config, folder: Path, port: int) -> None:
    """Train as a worker that torchrun started."""
    torch.set_num_threads(1)
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": WORKERS, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    with pretended_cuda(), distributed.process_group(config.device):
        saved = trained(config, folder / "cache", folder / "out")
        assert distributed.world_size() == WORKERS
    torch.save(saved["curve"], folder / f"{rank}.pt")


def test_two_workers_train_on_the_gpu(config: Config, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run_workers(_train, config, tmp_path, port)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(WORKERS))
    assert first == second
    assert all(math.isfinite(float(point["value"])) for point in first)
