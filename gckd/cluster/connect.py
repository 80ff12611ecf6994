"""Connection to Ray: an embedded one that only this machine can reach, or the cluster of RAY_ADDRESS."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gckd
from gckd.errors import InputError, reason_of
from gckd.interruption import Interruption
from gckd.plugins import load_sent, loaded_plugins
from gckd.runs.environment import check_for_ray

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "head"  # custom resource that clusters/parts/shared.yaml gives to the head alone
_LOOPBACK = "127.0.0.1"
_JOIN_SECONDS = 60.0  # for the first worker after `ray up`
_CONNECT_SECONDS = 5.0
_OBJECT_STORE_BYTES = 128 * 2**20  # results have a few kilobytes; by default Ray takes a third of the memory


def default_concurrency(available: int, workers: int) -> int:
    """Runs at a time on `available` cores, with one core for each of the `workers` of a run.

    By default a worker has one thread: a step of a small model consists of many small operations, which threads do not
    speed up.
    """
    return max(1, available // workers)


@contextlib.contextmanager
def cluster(workers: int, threads: int, *, nested: bool = False) -> Iterator[tuple[Any, Interruption]]:
    """Context with the connected `ray` module and the interruption of the command.

    At its end, also after an error, Ray is disconnected, and all processes of the embedded Ray are stopped.

    Args:
        workers: runs at a time on the embedded Ray. A cluster schedules by its own resources.
        threads: CPU threads of each run.
        nested: whether runs start Ray Train runs, whose clean-up needs the State API of the dashboard.

    Raises:
        InputError: RAY_ADDRESS is set and no cluster answers there, or `check_for_ray` refuses the environment.
    """
    address = os.environ.get("RAY_ADDRESS", "local")
    if address == "local":
        check_for_ray()
        _bind_to_loopback(threads)
    with Interruption() as interruption:
        import ray  # not earlier: Ray reads the environment when it is imported

        try:
            if address == "local":
                _start(ray, workers * threads + nested, dashboard=nested)
            else:
                _connect(ray, address)
                await_workers(ray)
            interruption.listen()  # Ray has installed its own handler, which exits silently
            interruption.check()
            yield ray, interruption
        finally:
            interruption.ignore()
            ray.shutdown()


def reachable_resources(ray: Any) -> dict[str, float]:
    """Resources of the connected cluster, with the nodes that its autoscaler may add."""
    present: dict[str, float] = ray.cluster_resources()
    addable = ray._private.state.state.get_max_resources_from_cluster_config() or {}
    return {name: max(present.get(name, 0.0), addable.get(name, 0.0)) for name in {*present, *addable}}


def await_workers(ray: Any) -> None:
    """Wait for the first worker. Right after `ray up` there may be only a head without CPUs."""
    end = time.monotonic() + _JOIN_SECONDS
    if not reachable_resources(ray).get("CPU"):
        click.echo(f"waiting up to {_JOIN_SECONDS:g} s for the cluster's first worker to join", err=True)
    while not reachable_resources(ray).get("CPU") and time.monotonic() < end:
        time.sleep(1.0)


def _bind_to_loopback(threads: int) -> None:
    # `ray.init(_node_ip_address="127.0.0.1")` is not enough: Ray 2.60 replaces a loopback address by the machine's
    # outer address and listens there. This switch, which is on under macOS and Windows, keeps the loopback address.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # workers of a run; gloo's default is the outer address
    # Other users of this machine can reach loopback, too. A token in the environment leaves no file behind.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _start(ray: Any, cpus: int, *, dashboard: bool) -> None:
    if not ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback:
        raise RuntimeError("ray was imported before gckd could bind it to 127.0.0.1; import ray later")
    port = _free_port() if dashboard else None
    if dashboard:
        # The process that cleans up after a nested run inherits this address. Without it, it searches the machine for a
        # State API, and gives up if it finds two.
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://{_LOOPBACK}:{port}"
    ray.init(
        address="local",
        _node_ip_address=_LOOPBACK,
        include_dashboard=dashboard,
        dashboard_host=_LOOPBACK,
        dashboard_port=port,
        num_cpus=cpus,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env=_runtime_env(embedded=True),
    )


def _runtime_env(*, embedded: bool) -> dict[str, Any] | None:
    """Runtime environment in which every worker loads the driver's plugins before it unpickles anything.

    Ray passes the hook on: to the actors of Tune and of a nested Train run as well. Workers of an embedded Ray get the
    folder of the driver's package first, because Ray runs the hook before it applies the driver's `sys.path`: without
    it, a checkout that is not installed is missing, and the hook would load an installed gckd instead.
    """
    plugins = loaded_plugins()
    if not plugins:
        return None

    def load() -> None:  # a closure, so that Ray pickles the texts with it
        load_sent(plugins)

    environment: dict[str, Any] = {"worker_process_setup_hook": load}
    if embedded:
        folders = [str(Path(gckd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment["env_vars"] = {"PYTHONPATH": os.pathsep.join(filter(None, folders))}
    return environment


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _started_here() -> str:
    """Address of the cluster that `ray start` last started on this machine, for RAY_ADDRESS=auto.

    Raises:
        ConnectionError: there is none.
    """
    from ray._private.services import canonicalize_bootstrap_address_or_die

    address: str = canonicalize_bootstrap_address_or_die("auto")
    return address


def _connect(ray: Any, address: str) -> None:
    try:
        # Ray itself would retry for more than a minute, also at the address of a cluster that has ended.
        resolved = _started_here() if address == "auto" else address
        host, _, port = resolved.rpartition(":")
        if port.isdigit() and "://" not in host:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=_runtime_env(embedded=False)
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise InputError(f"RAY_ADDRESS: no Ray cluster at {address!r} ({reason_of(error)})") from error
