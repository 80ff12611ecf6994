"""Every dependency has a licence that lets anybody use gckd."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires

from packaging.requirements import Requirement

PERMISSIVE = re.compile(
    r"Apache|DFSG approved|BSD|MIT|ISC|PSF|Python Software Foundation|Zlib|CC0|BSL-1\.0|CNRI-Python|LLVM-exception"
)
# Copyleft of the files or the library alone: it does not reach code that imports them.
WEAK_COPYLEFT = {"certifi", "hypothesis", "pathspec", "psycopg", "psycopg-binary", "tqdm"}


def dependencies(root: str, extras: frozenset[str]) -> set[str]:
    """Installed distributions that `root` with these extras needs, directly or indirectly."""
    names: set[str] = set()
    pending = [(root, extras)]
    while pending:
        name, wanted_extras = pending.pop()
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # needed on another platform, or by an extra of a dependency
            continue
        names.add(metadata(name)["Name"])
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *wanted_extras}):
                following = (requirement.name, frozenset(requirement.extras))
                if metadata_name(requirement.name) not in names:
                    pending.append(following)
    return names - {root}


def metadata_name(name: str) -> str:
    try:
        return metadata(name)["Name"]
    except PackageNotFoundError:
        return name


def licences() -> dict[str, str]:
    command = [sys.executable, "-m", "piplicenses", "--format=json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {row["Name"]: row["License"] for row in listed}


def test_no_dependency_forbids_use() -> None:
    by_name = licences()
    needed = dependencies("gckd", frozenset({"cpu", "dev"})) & set(by_name)
    assert len(needed) > 80
    restrictive = {
        name: by_name[name]
        for name in needed - WEAK_COPYLEFT
        if not all(PERMISSIVE.search(part) for part in re.split(r" AND |; ", by_name[name]))
    }
    assert restrictive == {}
