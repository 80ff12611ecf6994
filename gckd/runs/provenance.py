"""Which code made a number."""

from __future__ import annotations

import subprocess
from pathlib import Path

import gckd

_SECONDS = 30


def git_revision(folder: Path | None = None) -> str:
    """Commit hash of the code that runs, with `-dirty` for uncommitted changes; `unknown` outside a git checkout.

    Args:
        folder: where to look; by default where the package `gckd` lies. A package installed into some other
            project's checkout is not tracked there, and so is `unknown`.
    """
    folder = folder or Path(gckd.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        revision = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return revision + ("-dirty" if changes else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)  # noqa: S603
    return done.stdout.strip()
