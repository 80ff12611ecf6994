"""Ray cluster of several nodes on this machine's loopback: `python nodes.py CPUS [CPUS ...]`.

Starts a head without CPUs, for drivers, and one node for each number. Prints the address and the pids of the nodes'
raylets in one line, and stops everything when its standard input closes. Other programs use `simulated`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # before ray is imported: see gckd.cluster.connect
_STORE_BYTES = 80 * 2**20  # of each node's object store; Ray takes no less than 75 MiB


@dataclass(frozen=True)
class Nodes:
    """Ray cluster of several nodes, in processes below `pid`."""

    pid: int
    environment: dict[str, str]  # variables of a driver that connects to it
    raylets: list[int]  # one pid per node


@contextlib.contextmanager
def simulated(cpus: Sequence[int]) -> Iterator[Nodes]:
    """Start a head without CPUs and one node for each number in `cpus`; stop all processes at the end of the block.

    The temporary folder has a short path, because socket paths are limited, and is not Ray's default one, where Ray
    records the address.
    """
    environment = _LOOPBACK_ONLY | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *map(str, cpus)],
            env=os.environ | environment | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C would otherwise stop the processes in random order
        )
        assert process.stdout is not None
        try:
            address, *raylets = process.stdout.readline().split()
            yield Nodes(process.pid, environment | {"RAY_ADDRESS": address}, [int(pid) for pid in raylets])
        finally:
            process.communicate()


def main(cpus: list[int]) -> None:
    os.environ.update(_LOOPBACK_ONLY)
    from ray.cluster_utils import Cluster

    shared = {"node_ip_address": LOOPBACK, "object_store_memory": _STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **shared})
    nodes = [cluster.add_node(wait=False, num_cpus=count, **shared) for count in cpus]
    cluster.wait_for_nodes(timeout=60 + 10 * len(nodes))
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    sys.stdout.write(f"{cluster.address} {' '.join(map(str, raylets))}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
