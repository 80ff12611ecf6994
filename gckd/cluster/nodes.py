"""Check that every node of a cluster reaches what a run or trial needs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gckd.config import Config
from gckd.config.paths import local_files
from gckd.data.datasets import find_dataset, is_store
from gckd.errors import InputError, reason_of
from gckd.runs.preflight import usable_cache
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath

_TIMEOUT_S = 180  # a busy node may need a minute to import torch


@dataclass(frozen=True)
class NodeRequirements:
    """Paths that every node must reach.

    datasets: `FORMAT:FOLDER`, or the URI of a store. files: fields of the config, each with its path.
    """

    out: StoragePath
    cache: CachePath
    datasets: tuple[str, ...]
    files: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, configs: Sequence[Config], out: StoragePath, cache: Path | CachePath) -> Self:
        """Paths that the runs of these configs need, each once."""
        datasets = dict.fromkeys(spec for config in configs for spec in (config.data.source, config.data.target))
        files = dict.fromkeys(item for config in configs for item in local_files(config).items())
        return cls(out, CachePath.at(cache), tuple(datasets), tuple(files))


def problems_of_nodes(ray: Any, requirements: NodeRequirements) -> list[str]:
    """Problems of each node of a connected cluster, one line each.

    A token file shows whether the output folder is the same on all of them.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = f".seen-{uuid.uuid4().hex}"
    try:
        with (token_file := requirements.out / token).writing() as file:
            file.touch()
    except (InputError, OSError) as error:
        return [f"--out: {requirements.out} cannot be written ({reason_of(error)})"]
    try:
        task = ray.remote(num_cpus=0)(node_problems)
        alive = [node for node in ray.nodes() if node["Alive"]]
        strategies = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
        refs = [task.options(scheduling_strategy=strategy).remote(requirements, token) for strategy in strategies]
        ray.wait(refs, num_returns=len(refs), timeout=_TIMEOUT_S)
        # Addresses are not unique: one machine may run several nodes.
        answers = [(node["NodeManagerAddress"], _answer(ray, ref)) for node, ref in zip(alive, refs, strict=True)]
        return [f"node {name}: {problem}" for name, problems in answers for problem in problems]
    finally:
        token_file.remove()


def _answer(ray: Any, ref: Any) -> list[str]:
    """Problems that a node found; one if it could not look for them."""
    try:
        problems: list[str] = ray.get(ref, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return [f"did not answer within {_TIMEOUT_S} s; it may be busy or unreachable"]
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        return [f"gckd cannot run there ({reason}); install the same gckd on every node"]
    return problems


def node_problems(requirements: NodeRequirements, token: str) -> list[str]:
    """Requirements that this node does not meet, one line each.

    Args:
        token: name of a file that the driver has written to the output.
    """
    problems = [f"--out: {problem}" for problem in _out_problems(requirements.out, token)]
    try:
        usable_cache(requirements.cache)
    except InputError as error:
        problems.append(str(error))
    problems += [f"data: {problem}" for spec in requirements.datasets if (problem := _data_problem(spec))]
    problems += [
        f"{field}: {path} does not exist on this node" for field, path in requirements.files if not Path(path).exists()
    ]
    return problems


def _data_problem(spec: str) -> str:
    if is_store(spec):
        try:
            find_dataset(spec)
        except InputError as error:
            return str(error)
        return ""
    folder = spec.partition(":")[2] or spec
    return "" if Path(folder).is_dir() else f"{folder} does not exist on this node"


def _out_problems(out: StoragePath, token: str) -> Iterator[str]:
    try:
        if not (out / token).exists():
            yield f"{out} is another folder than on the driver; use storage that all nodes share"
            return
        out.check_writable()
    except (InputError, OSError) as error:
        yield f"{out} cannot be written ({reason_of(error)})"
