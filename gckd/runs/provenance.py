"""Provenance of a result: revision of the code, datasets and plugins."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gckd
from gckd.plugins import loaded_plugins

_SECONDS = 30


def plugin_digests() -> dict[str, str]:
    """File name -> digest of the source text, for every loaded plugin."""
    return {plugin.name: plugin.digest for plugin in loaded_plugins()}


@dataclass(frozen=True)
class Provenance:
    """Code and datasets that all runs of a table share."""

    revision: str
    source: str  # dataset names
    target: str
    published: str  # `icfg-pedes -> rstpreid` if both match the published datasets by their counts; else ""
    plugins: Mapping[str, str] = field(default_factory=plugin_digests)


def git_revision(folder: Path | None = None) -> str:
    """Commit hash of the running code, with `-dirty` for uncommitted changes; outside a git checkout `gckd <version>`.

    Args:
        folder: folder of the code; by default that of the package. A package that was installed inside the checkout
            of another project is not tracked there, and counts as outside.
    """
    folder = folder or Path(gckd.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        revision = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return f"gckd {gckd.__version__}"
    return revision + ("-dirty" if changes else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)  # noqa: S603
    return done.stdout.strip()
