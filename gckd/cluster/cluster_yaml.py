"""What would go wrong with a cluster file, found without a cluster: Ray's schema, and what the schema misses."""

from __future__ import annotations

import ipaddress
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gckd.errors import InputError, reason_of

_SYNCED_MIB = 200  # Ray sends the folder to every node, and hashes it at every `ray up`
_TOKEN_FILE = Path("~/.ray/auth_token")
_PLACEHOLDERS = re.compile(r"sg-0+$|^my-project$|^192\.0\.2\.|^registry\.example/|//BUCKET/")
_START = "start_ray_commands"


def cluster_problems(file: Path) -> list[str]:
    """What is wrong with a file for `ray up`, or with a KubeRay manifest; one line a problem.

    Raises:
        InputError: it is no YAML mapping.
    """
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)})") from error
    if not isinstance(given, dict):
        raise InputError(f"{file}: must be a mapping of fields")
    problems = list(_left_as_they_were("", given))
    if "apiVersion" in given:
        return [*problems, *_kuberay(given)]
    schema = _schema(given)
    return [*problems, schema] if schema else [*problems, *_launcher(given)]


def _left_as_they_were(path: str, value: Any) -> Iterator[str]:
    """Fields that only the user knows, and that still hold what they were made with."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _left_as_they_were(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _left_as_they_were(path, inner)
    elif path.startswith("metadata.") and isinstance(value, str) and _PLACEHOLDERS.search(value):
        yield f"{path}: {value.strip()} is a placeholder; put in yours"


def _schema(given: dict[str, Any]) -> str | None:
    """What Ray itself says of the file, before it starts anything."""
    import click
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    logging.getLogger("ray.autoscaler").setLevel(logging.WARNING)  # it tells what it fills in
    try:
        validate_config(prepare_config(given))
    except jsonschema.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path)) or 'file'}: {error.message.splitlines()[0]}"
    except (ValueError, KeyError, TypeError, click.ClickException) as error:
        return f"file: Ray does not take it ({reason_of(error)})"
    return None


def _launcher(given: dict[str, Any]) -> Iterator[str]:
    yield from _start_commands(given)
    yield from _token(given)
    yield from _ports(given)
    yield from _counts(given)
    yield from _versions(_texts(given.get("setup_commands"), given.get("head_setup_commands")))
    yield from _synced(given)


def _texts(*commands: Any) -> str:
    return "\n".join(command for some in commands for command in some or [])


def _starting(given: dict[str, Any], where: str) -> list[str]:
    return [command for command in given.get(f"{where}_{_START}") or [] if "ray start" in command]


def _start_commands(given: dict[str, Any]) -> Iterator[str]:
    for where, option in (("head", "--head"), ("worker", "--address")):
        if not any(option in command for command in _starting(given, where)):
            yield f"{where}_{_START}: none has `ray start {option}`; nothing would run there"


def _token(given: dict[str, Any]) -> Iterator[str]:
    for where in ("head", "worker"):
        for command in _starting(given, where):
            before = command.partition("ray start")[0]
            if "RAY_AUTH_MODE=token" not in before:
                yield f"{where}_{_START}: RAY_AUTH_MODE=token is not set before `ray start`; so the host cannot join"
    mounts = given.get("file_mounts") or {}
    token = mounts.get(str(_TOKEN_FILE))
    if token is None:
        yield f"file_mounts: {_TOKEN_FILE} is not sent to the hosts"
    elif not Path(token).expanduser().is_file():
        yield f"file_mounts: {token} is not there; `ray get-auth-token --generate` makes it"


def _ports(given: dict[str, Any]) -> Iterator[str]:
    for command in _starting(given, "head"):
        found = re.search(r"--dashboard-host[= ]+'?\"?([^\s'\";]+)", command)
        if found and not _loopback(found.group(1)):
            yield f"head_{_START}: --dashboard-host={found.group(1)} is public; use 127.0.0.1 and `ray dashboard`"
    if given["provider"]["type"] == "aws":
        for name, node in (given.get("available_node_types") or {}).items():
            if "SecurityGroupIds" not in node["node_config"]:
                yield (
                    f"available_node_types.{name}.node_config.SecurityGroupIds: none; "
                    "the one that Ray makes opens SSH to the world"
                )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _counts(given: dict[str, Any]) -> Iterator[str]:
    if given["provider"]["type"] == "local":
        if not given["provider"].get("worker_ips"):
            yield "provider.worker_ips: none; no trial runs on the head"
        return
    most, head = given.get("max_workers", 2), given.get("head_node_type")
    workers = {name: node for name, node in (given.get("available_node_types") or {}).items() if name != head}
    if sum(node.get("max_workers", most) for node in workers.values()) < 1 or most < 1:
        yield "max_workers: 0; no trial runs on the head"
    for name, node in workers.items():
        if node.get("min_workers", 0) > node.get("max_workers", most):
            yield f"available_node_types.{name}: min_workers is above max_workers"


def _versions(commands: str) -> Iterator[str]:
    """Versions of Ray that the hosts install, against the one here: hosts of another one do not join."""
    import ray

    pinned = set(re.findall(r"\bray(?:\[[^\]]*\])?==([\w.]+)", commands))
    if "constraints.txt" in commands and Path("constraints.txt").is_file():
        pinned |= set(re.findall(r"^ray==(\S+)", Path("constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    for version in sorted(pinned - {ray.__version__}):
        yield f"setup_commands: ray {version} is installed there, and {ray.__version__} here"
    if not pinned:
        yield f"setup_commands: no version of ray is pinned; here it is {ray.__version__}"


def _synced(given: dict[str, Any]) -> Iterator[str]:
    for there, here in (given.get("file_mounts") or {}).items():
        folder = Path(here).expanduser()
        if not folder.is_dir():
            continue
        if shutil.which("rsync") is None:
            yield "file_mounts: rsync is not installed, and `ray up` needs it"
            return
        mib = _bytes_sent(folder, given.get("rsync_exclude") or []) / 2**20
        if mib > _SYNCED_MIB:
            yield f"file_mounts.{there}: {folder} has {mib:.0f} MiB, above its limit: {_SYNCED_MIB}; see rsync_exclude"


def _bytes_sent(folder: Path, excluded: list[str]) -> int:
    """As rsync itself counts them."""
    with tempfile.TemporaryDirectory(prefix="gckd-") as nowhere:
        excludes = [f"--exclude={pattern}" for pattern in excluded]
        command = ["rsync", "-an", "--stats", "--no-human-readable", *excludes, f"{folder}/", nowhere]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  # no shell
    found = re.search(r"Total file size: (\d+)", said)
    assert found is not None, said
    return int(found.group(1))


def _kuberay(given: dict[str, Any]) -> Iterator[str]:
    """What a manifest lacks; its schema is the operator's."""
    import ray

    spec = given.get("spec") or {}
    cluster = spec.get("rayClusterSpec", spec)
    if (cluster.get("authOptions") or {}).get("mode") != "token":
        yield "authOptions.mode: is not token; everyone in the network could run code there"
    if cluster.get("rayVersion") != ray.__version__:
        yield f"rayVersion: {cluster.get('rayVersion')} there, and {ray.__version__} here"
    kind = (cluster.get("headGroupSpec") or {}).get("serviceType", "ClusterIP")
    if kind != "ClusterIP":
        yield f"headGroupSpec.serviceType: {kind} is public; use ClusterIP and `kubectl port-forward`"
    groups = cluster.get("workerGroupSpecs") or []
    if not any(group.get("maxReplicas", 0) > 0 for group in groups):
        yield "workerGroupSpecs: no replicas at most; no trial runs on the head"
