"""What a node of a cluster must have for a trial to run there."""

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
    """What every node must see: the output, the cache, the datasets (`FORMAT:FOLDER`, or a store's URI) and files."""

    out: StoragePath
    cache: CachePath
    datasets: tuple[str, ...]
    files: Mapping[str, str]  # field of the config -> path


def node_problems(needs: NodeRequirements, token: str) -> list[str]:
    """What this node lacks, one line each.

    Args:
        token: name of a file that the driver has put into the output.
    """
    problems = [f"--out: {problem}" for problem in _out_problems(needs.out, token)]
    try:
        usable_cache(needs.cache)
    except InputError as error:
        problems.append(str(error))
    problems += [f"data: {problem}" for spec in needs.datasets if (problem := _data_problem(spec))]
    problems += [f"{field}: {path} is not there" for field, path in needs.files.items() if not Path(path).exists()]
    return problems


def _data_problem(spec: str) -> str:
    if is_store(spec):
        try:
            find_dataset(spec)
        except InputError as error:
            return str(error)
        return ""
    folder = spec.partition(":")[2] or spec
    return "" if Path(folder).is_dir() else f"{folder} is not there"


def _out_problems(out: StoragePath, token: str) -> Iterator[str]:
    try:
        if not (out / token).exists():
            yield f"{out} is not the driver's; it must be on storage that all nodes share"
            return
        out.check_writable()
    except (InputError, OSError) as error:
        yield f"{out} cannot be written ({reason_of(error)})"
