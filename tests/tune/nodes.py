"""A Ray of several nodes on this machine's loopback: `python nodes.py CPUS [CPUS ...]`.

A head without CPUs, for drivers, and a node for each number. Prints the address and the pids of the nodes' raylets, in
one line, and ends with all of them once its standard input is closed.
"""

from __future__ import annotations

import os
import sys

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # before ray is imported: keeps 127.0.0.1, see gckd.dist.cluster

from ray.cluster_utils import Cluster

LOOPBACK = "127.0.0.1"


def main(cpus: list[int]) -> None:
    head = {"num_cpus": 0, "include_dashboard": False, "node_ip_address": LOOPBACK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=count, node_ip_address=LOOPBACK) for count in cpus]
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    sys.stdout.write(f"{cluster.address} {' '.join(map(str, raylets))}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
