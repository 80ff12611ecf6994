"""What a node of a cluster must have for a trial to run there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gckd.errors import InputError
from gckd.place import Place


@dataclass(frozen=True)
class Needs:
    """What every node must see: the output, the cache, and the datasets (specs, `FORMAT:FOLDER`)."""

    out: Place
    cache: str
    datasets: tuple[str, ...]


def node_problems(needs: Needs, token: str) -> list[str]:
    """What this node lacks, one line each.

    Args:
        token: name of a file that the driver has put into the output.
    """
    problems = [f"--out: {problem}" for problem in _out_problems(needs.out, token)]
    try:
        Path(needs.cache).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(f"--cache: {needs.cache} cannot be made ({error.strerror})")
    for spec in needs.datasets:
        folder = spec.partition(":")[2] or spec
        if not Path(folder).is_dir():
            problems.append(f"data: {folder} is not there")
    return problems


def _out_problems(out: Place, token: str) -> Iterator[str]:
    try:
        if not (out / token).exists():
            yield f"{out} is not the driver's; it must be on storage that all nodes share"
            return
        with (own := out / f"{token}-{uuid.uuid4().hex}").writing() as file:
            file.touch()
        own.remove()
    except (InputError, OSError) as error:
        yield f"{out} cannot be written ({error})"
