"""Check of a cluster file's `file_mounts`: what rsync would really copy to the nodes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gckd.storage.path import expanded

_LIMIT_MIB = 200  # Ray copies a folder to every node, and hashes it at every `ray up`


class _Sent(NamedTuple):
    files: int
    mib: float


def mount_problems(spec: dict[str, Any], *, token: str) -> Iterator[str]:
    """Problems of a cluster file's mounts, one line each.

    Args:
        token: target of the mount with the authentication token, which has a check of its own.
    """
    excluded, filters = spec.get("rsync_exclude") or [], spec.get("rsync_filter") or []
    for remote, local in (spec.get("file_mounts") or {}).items():
        source = expanded(local)
        if remote == token:
            continue
        if not source.exists():
            yield f"file_mounts.{remote}: {local} does not exist on this machine"
            continue
        if shutil.which("rsync") is None:
            yield "file_mounts: rsync is not installed; `ray up` needs it"
            return
        sent = _sent(source, excluded, filters)
        if not sent.files and _sent(source, [], []).files:
            yield _held_back(remote, source, excluded, filters)
        elif sent.mib > _LIMIT_MIB and source.is_dir():
            yield f"file_mounts.{remote}: {local} has {sent.mib:.0f} MiB, limit {_LIMIT_MIB}; use rsync_exclude"


def _held_back(remote: str, source: Path, excluded: list[str], filters: list[str]) -> str:
    """Problem of a mount of which rsync would copy nothing."""
    patterns = [pattern for pattern in excluded if not _sent(source, [pattern], []).files]
    fields = [name for name, given in (("rsync_exclude", excluded), ("rsync_filter", filters)) if given]
    cause = f"rsync_exclude: {', '.join(patterns)}" if patterns else " together with ".join(fields)
    return f"file_mounts.{remote}: {cause} keeps {source} back, so that it never reaches the nodes; change it"


def _sent(source: Path, excluded: list[str], filters: list[str]) -> _Sent:
    """Number and size of the files that rsync would copy, by its own count. The options are those of Ray."""
    with tempfile.TemporaryDirectory(prefix="gckd-") as empty:
        rules = [f"--exclude={pattern}" for pattern in excluded]
        rules += [f"--filter=dir-merge,- {name}" for name in filters]
        path = f"{source}/" if source.is_dir() else str(source)
        command = ["rsync", "-an", "--stats", "--no-human-readable", *rules, "--", path, empty]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  # no shell
    files = re.search(r"files transferred: (\d+)", output)
    size = re.search(r"Total file size: (\d+)", output)
    assert files is not None, output
    assert size is not None, output
    return _Sent(int(files.group(1)), int(size.group(1)) / 2**20)
