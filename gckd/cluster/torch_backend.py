"""Process group of the workers of a run on Ray Train, whose store is reachable by the other workers only.

Ray Train lets torch open the store through which the workers meet, and torch's store listens on all interfaces. Here
the first worker opens it on the address by which Ray knows its node: loopback on the embedded Ray.

This module imports Ray: import it after connecting to a cluster.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ray
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group, _TorchBackend
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, but not in its __all__

if TYPE_CHECKING:
    from ray.train._internal.base_worker_group import BaseWorkerGroup

_stores: list[TCPStore] = []  # of this process; a store closes with its last reference


class _NodeTorchBackend(_TorchBackend):
    """Ray Train's backend for torch, with a store that this module opens."""

    def on_start(  # type: ignore[override]  # the class of Ray Train has the same argument
        self, worker_group: BaseWorkerGroup, backend_config: TorchConfig
    ) -> None:
        """Start the process group in every worker."""
        address, port = worker_group.execute_single(0, _open_store)
        worker_group.execute(_set_store, address=address, port=port)
        worker_group.execute(_set_torch_distributed_env_vars)
        started = [
            worker_group.execute_single_async(
                rank,
                _setup_torch_process_group,
                backend=backend_config.backend,
                world_rank=rank,
                world_size=len(worker_group),
                init_method="env://",
                timeout_s=backend_config.timeout_s,
            )
            for rank in range(len(worker_group))
        ]
        ray.get(started)  # type: ignore[arg-type]  # Ray has two classes of this name


@dataclass
class NodeTorchConfig(TorchConfig):
    """Ray Train's `TorchConfig` with this backend. `backend` has to be given."""

    @property
    def backend_cls(self) -> type[_NodeTorchBackend]:
        return _NodeTorchBackend


def _open_store() -> tuple[str, int]:
    """Open a store on the address of this node; returns address and port."""
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    port: int = listener.getsockname()[1]
    descriptor = listener.detach()  # the store closes it
    store = TCPStore(address, port, is_master=True, wait_for_workers=False, master_listen_fd=descriptor)
    _stores[:] = [store]
    return address, port


def _set_store(address: str, port: int) -> None:
    """Make `env://` connect to that store. Otherwise the first worker would open one of its own."""
    os.environ.update(MASTER_ADDR=address, MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="True")
