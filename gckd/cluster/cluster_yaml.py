"""Check of a cluster file without a cluster: Ray's schema, and mistakes that the schema misses."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gckd.cluster.file_mounts import mount_problems
from gckd.cluster.kuberay import manifest_problems
from gckd.config.yaml_text import MAX_CHARACTERS, YamlError, load_yaml
from gckd.errors import InputError, reason_of
from gckd.printable import one_line
from gckd.storage.path import expanded
from gckd.storage.text_file import read_text

_TOKEN_FILE = Path("~/.ray/auth_token")
_PLACEHOLDERS = re.compile(r"sg-0+$|^my-project$|^192\.0\.2\.\d+$|^registry\.example/\S*|\w*:?//BUCKET(?=/)")
_START = "start_ray_commands"
# Fields that Ray reads before it checks its schema.
_SHAPES = {
    "properties": {
        **{name: {"type": "object"} for name in ("provider", "auth", "docker", "available_node_types")},
        "file_mounts": {"type": "object", "additionalProperties": {"type": "string"}},
    }
}


def cluster_problems(file: Path) -> list[str]:
    """Problems of a file for `ray up`, or of a KubeRay manifest, one line each.

    Raises:
        InputError: the file cannot be read, or is not a YAML mapping.
    """
    try:
        spec = load_yaml(read_text(file, MAX_CHARACTERS), aliases=True)
    except YamlError as error:
        raise InputError(f"{file}: not YAML that is read here: {error}") from error
    if not isinstance(spec, dict):
        raise InputError(f"{file}: is not a mapping of fields")
    return [one_line(problem) for problem in _problems(spec)]


def _problems(spec: dict[str, Any]) -> Iterator[str]:
    yield from _placeholders("", spec)
    if "apiVersion" in spec:
        yield from manifest_problems(spec)
    elif schema := _schema(spec):
        yield schema
    else:
        yield from _launcher(spec)


def _placeholders(path: str, value: Any) -> Iterator[str]:
    """Fields that only the user knows, and that still hold the placeholder of the shipped file."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _placeholders(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _placeholders(path, inner)
    elif path.startswith("metadata.") and isinstance(value, str) and (placeholder := _PLACEHOLDERS.search(value)):
        yield f"{path}: {placeholder.group()} is a placeholder; enter your value"


def _schema(spec: dict[str, Any]) -> str | None:
    """Error of Ray's own schema check; None if there is none."""
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    logging.getLogger("ray.autoscaler").setLevel(logging.WARNING)  # it logs every default that it fills in
    try:
        jsonschema.validate(spec, _SHAPES)
        validate_config(prepare_config(spec))
    except jsonschema.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path)) or 'file'}: {error.message.splitlines()[0]}"
    except KeyError as error:
        return f"file: the field {error} is missing, which every cluster file of Ray has"
    except Exception as error:  # Ray's node providers raise almost every exception type
        return f"file: refused by Ray ({reason_of(error)})"
    return None


def _launcher(spec: dict[str, Any]) -> Iterator[str]:
    yield from _start_commands(spec)
    yield from _token(spec)
    yield from _ports(spec)
    yield from _counts(spec)
    yield from _versions(_texts(spec.get("setup_commands"), spec.get("head_setup_commands")))
    yield from _zones(spec["provider"])
    yield from mount_problems(spec, token=str(_TOKEN_FILE))


def _texts(*commands: Any) -> str:
    return "\n".join(command for some in commands for command in some or [])


def _starting(spec: dict[str, Any], where: str) -> list[str]:
    return [command for command in spec.get(f"{where}_{_START}") or [] if "ray start" in command]


def _start_commands(spec: dict[str, Any]) -> Iterator[str]:
    for where, option in (("head", "--head"), ("worker", "--address")):
        if not any(option in command for command in _starting(spec, where)):
            yield f"{where}_{_START}: no `ray start {option}`; Ray would not start there"


def _token(spec: dict[str, Any]) -> Iterator[str]:
    for where in ("head", "worker"):
        for command in _starting(spec, where):
            before = command.partition("ray start")[0]
            if "RAY_AUTH_MODE=token" not in before:
                yield f"{where}_{_START}: RAY_AUTH_MODE=token is not set before `ray start`; the host could not join"
    mounts = spec.get("file_mounts") or {}
    token = mounts.get(str(_TOKEN_FILE))
    if token is None:
        yield f"file_mounts: {_TOKEN_FILE} is missing; mount it on the hosts"
    elif not expanded(token).is_file():
        yield f"file_mounts: {token} does not exist; create it with `ray get-auth-token --generate`"


def _ports(spec: dict[str, Any]) -> Iterator[str]:
    for command in _starting(spec, "head"):
        host = re.search(r"--dashboard-host[= ]+'?\"?([^\s'\";]+)", command)
        if host and not _loopback(host.group(1)):
            yield f"head_{_START}: --dashboard-host={host.group(1)} is public; use 127.0.0.1 and `ray dashboard`"
    if spec["provider"]["type"] == "aws":
        for name, node in (spec.get("available_node_types") or {}).items():
            if "SecurityGroupIds" not in node["node_config"]:
                yield (
                    f"available_node_types.{name}.node_config.SecurityGroupIds: missing; "
                    "the group that Ray creates opens SSH to the world"
                )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _counts(spec: dict[str, Any]) -> Iterator[str]:
    if spec["provider"]["type"] == "local":
        if not spec["provider"].get("worker_ips"):
            yield "provider.worker_ips: empty; trials need a worker, as none runs on the head"
        return
    most, head = spec.get("max_workers", 2), spec.get("head_node_type")
    workers = {name: node for name, node in (spec.get("available_node_types") or {}).items() if name != head}
    if sum(node.get("max_workers", most) for node in workers.values()) < 1 or most < 1:
        yield "max_workers: 0 is outside its limit: >= 1, as no trial runs on the head"
    for name, node in workers.items():
        if node.get("min_workers", 0) > node.get("max_workers", most):
            yield f"available_node_types.{name}: min_workers is above max_workers"


def _versions(commands: str) -> Iterator[str]:
    """Versions of Ray that the hosts install and that differ from the local one: such hosts cannot join."""
    import ray

    pinned = set(re.findall(r"\bray(?:\[[^\]]*\])?==([\w.]+)", commands))
    if "constraints.txt" in commands and Path("constraints.txt").is_file():
        pinned |= set(re.findall(r"^ray==(\S+)", Path("constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    for version in sorted(pinned - {ray.__version__}):
        yield f"setup_commands: hosts install ray {version}, and this machine has {ray.__version__}"
    if not pinned:
        yield f"setup_commands: the version of ray is not pinned; this machine has {ray.__version__}"


def _zones(provider: dict[str, Any]) -> Iterator[str]:
    """Zones outside the region, where the provider would find no image, network or key of the region."""
    region, zones = provider.get("region"), str(provider.get("availability_zone") or "")
    for zone in zones.split(","):
        if region and zone and not zone.strip().startswith(str(region)):
            yield f"provider.availability_zone: {zone.strip()} is not in the region {region}"
