"""Refusing what `make_street` cannot make, in one line that names the field, the value and the limit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gckd.data.street.domains import DOMAINS
from gckd.errors import InputError

MIN_IDS = 8
_SEED_END = 2**32


def check_arguments(*, ids: int, shift: float, seed: int, domains: Sequence[str], workers: int) -> None:
    """Raises InputError for the first argument out of range."""
    if ids < MIN_IDS:
        raise InputError(f"ids is {ids}; it must be at least {MIN_IDS}")
    if not 0.0 <= shift <= 1.0:
        raise InputError(f"shift is {shift}; it must lie in [0, 1]")
    if not 0 <= seed < _SEED_END:
        raise InputError(f"seed is {seed}; it must lie in [0, 2**32)")
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1")
    if isinstance(domains, str) or not domains:
        raise InputError(f"domains is {domains!r}; it must list at least one of {', '.join(DOMAINS)}")
    for name in domains:
        if name not in DOMAINS:
            raise InputError(f"domains has {name!r}; it must be one of {', '.join(DOMAINS)}")


def holds_same_street(root: Path, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The counts of the street at `root` if it was made with `arguments`; None if `root` is free.

    Raises InputError if `root` holds anything else.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    note = root / "street.json"
    if not note.is_file():
        raise InputError(f"root is {root}, which holds something that is no street; it must be absent or empty")
    held: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
    counts: dict[str, Any] = held.pop("counts", {})
    for field, value in arguments.items():
        if held.get(field) != value:
            raise InputError(
                f"root is {root}, which holds a street with {field} {held.get(field)}; it must be absent or {value}"
            )
    return counts
