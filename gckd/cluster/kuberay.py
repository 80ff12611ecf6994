"""Check of a KubeRay manifest: what its operator, which checks the schema, accepts and a search does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gckd.printable import brief


def manifest_problems(manifest: dict[str, Any]) -> Iterator[str]:
    """Problems of a manifest, one line each."""
    problems: list[str] = []
    api = manifest.get("apiVersion")
    if not str(api).startswith("ray.io/"):
        yield f"apiVersion: {brief(api)} is outside its limit: ray.io/*; a KubeRay manifest is expected"
        return
    body = _mapping(manifest, "spec", problems)
    cluster = _mapping(body, "rayClusterSpec", problems) if "rayClusterSpec" in body else body
    yield from problems or _cluster_problems(cluster)


def _cluster_problems(cluster: dict[str, Any]) -> Iterator[str]:
    import ray

    problems: list[str] = []
    if _mapping(cluster, "authOptions", problems).get("mode") != "token":
        yield "authOptions.mode: is not token; everyone in the network could run code on the cluster"
    if cluster.get("rayVersion") != ray.__version__:
        yield f"rayVersion: {cluster.get('rayVersion')} in the file, and this machine has {ray.__version__}"
    kind = _mapping(cluster, "headGroupSpec", problems).get("serviceType", "ClusterIP")
    if kind != "ClusterIP":
        yield f"headGroupSpec.serviceType: {kind} is public; use ClusterIP and `kubectl port-forward`"
    yield from problems
    yield from _group_problems(cluster.get("workerGroupSpecs") or [])


def _group_problems(groups: Any) -> Iterator[str]:
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        yield f"workerGroupSpecs: {brief(groups)} is not a list of mappings"
        return
    most = [group.get("maxReplicas", 0) for group in groups]
    if wrong := [value for value in most if not isinstance(value, int)]:
        yield f"workerGroupSpecs: maxReplicas {brief(wrong[0])} is not a whole number"
    elif max(most, default=0) < 1:
        yield "workerGroupSpecs: maxReplicas is 0 in every group; trials need a worker"


def _mapping(parent: dict[str, Any], name: str, problems: list[str]) -> dict[str, Any]:
    """Field of a mapping that must be a mapping as well; empty, and a problem, if it is not."""
    value = parent.get(name) or {}
    if not isinstance(value, dict):
        problems.append(f"{name}: {brief(value)} is not a mapping of fields")
        return {}
    return value
