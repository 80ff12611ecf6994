"""A Ray of several nodes on this machine's loopback: `python nodes.py CPUS [CPUS ...]`.

A head without CPUs, for drivers, and a node for each number. Prints the address and the pids of the nodes' raylets, in
one line, and ends with all of them once its standard input is closed. For other programs: `simulated`.
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
_KEPT_TO_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # before ray is imported: see gckd.cluster.connect
_STORE_BYTES = 80 * 2**20  # of each node's object store; Ray takes no less than 75 MiB


@dataclass(frozen=True)
class Nodes:
    """A Ray of several nodes, in processes below `pid`."""

    pid: int
    environment: dict[str, str]  # of a driver that is to find it
    raylets: list[int]  # pids, one a node


@contextlib.contextmanager
def simulated(cpus: Sequence[int]) -> Iterator[Nodes]:
    """A head without CPUs and a node with each number of them; gone with all its processes when the block ends.

    Its folder is short, as the paths of sockets must be, and its own, for in Ray's the address is noted.
    """
    found = _KEPT_TO_LOOPBACK | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *map(str, cpus)],
            env=os.environ | found | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # out of reach of Ctrl-C, which would end some of them before the others
        )
        assert process.stdout is not None
        try:
            address, *raylets = process.stdout.readline().split()
            yield Nodes(process.pid, found | {"RAY_ADDRESS": address}, [int(pid) for pid in raylets])
        finally:
            process.communicate()


def main(cpus: list[int]) -> None:
    os.environ.update(_KEPT_TO_LOOPBACK)
    from ray.cluster_utils import Cluster

    own = {"node_ip_address": LOOPBACK, "object_store_memory": _STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **own})
    nodes = [cluster.add_node(wait=False, num_cpus=count, **own) for count in cpus]
    cluster.wait_for_nodes(timeout=60 + 10 * len(nodes))
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    sys.stdout.write(f"{cluster.address} {' '.join(map(str, raylets))}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
