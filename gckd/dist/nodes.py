"""What a node of a cluster must have for a trial to run there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Needs:
    """Folders that every node must see: the output, the cache, and the datasets (specs, `FORMAT:FOLDER`)."""

    folder: str
    cache: str
    datasets: tuple[str, ...]

    @property
    def folder_path(self) -> Path:
        return Path(self.folder)


def node_problems(needs: Needs, token: str) -> list[str]:
    """What this node lacks, one line each.

    Args:
        token: name of a file that the driver has put into the output folder.
    """
    problems = []
    if not (needs.folder_path / token).exists():
        problems.append(f"--out: {needs.folder} is not the driver's folder; it must be on storage that all nodes share")
    elif not os.access(needs.folder, os.W_OK):
        problems.append(f"--out: {needs.folder} cannot be written")
    try:
        Path(needs.cache).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(f"--cache: {needs.cache} cannot be made ({error.strerror})")
    for spec in needs.datasets:
        folder = spec.partition(":")[2] or spec
        if not Path(folder).is_dir():
            problems.append(f"data: {folder} is not there")
    return problems
