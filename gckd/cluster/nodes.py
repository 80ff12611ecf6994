"""Check that a node of a cluster has everything that a trial requirements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gckd.data.datasets import find_dataset, is_store
from gckd.errors import InputError, reason_of
from gckd.runs.preflight import usable_cache
from gckd.storage.cache import CachePath
from gckd.storage.path import StoragePath


@dataclass(frozen=True)
class NodeRequirements:
    """Paths that every node must reach.

    datasets: `FORMAT:FOLDER`, or the URI of a store. files: field of the config -> path.
    """

    out: StoragePath
    cache: CachePath
    datasets: tuple[str, ...]
    files: Mapping[str, str]


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
        f"{field}: {path} does not exist on this node"
        for field, path in requirements.files.items()
        if not Path(path).exists()
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
