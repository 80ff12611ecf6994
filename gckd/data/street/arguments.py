"""Checks of the arguments of `make_street` and of the folder that it is to write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gckd.data.street.domains import DOMAINS
from gckd.errors import InputError, unknown_choice
from gckd.printable import brief
from gckd.storage.json_file import read_json

METADATA = "street.json"  # arguments and counts of a street, in its folder
MIN_IDS = 8
_SEED_END = 2**32
_COUNTS = {"type": "object", "required": ["ids", "images", "captions"], "additionalProperties": {"type": "integer"}}
_SCHEMA = {
    "type": "object",
    "required": ["counts"],
    "properties": {
        "counts": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": _COUNTS},
        }
    },
}


def check_arguments(*, ids: int, shift: float, seed: int, domains: Sequence[str], workers: int) -> None:
    """Check each argument against its limits.

    Raises:
        InputError: naming the first argument out of range, its value and its limit.
    """
    if ids < MIN_IDS:
        raise InputError(f"ids: {ids} is outside its limit: >= {MIN_IDS}")
    if not 0.0 <= shift <= 1.0:
        raise InputError(f"shift: {shift} is outside its limit: >= 0 and <= 1")
    if not 0 <= seed < _SEED_END:
        raise InputError(f"seed: {seed} is outside its limit: >= 0 and < {_SEED_END:,}")
    if workers < 1:
        raise InputError(f"workers: {workers} is outside its limit: >= 1")
    if isinstance(domains, str) or not domains:
        raise InputError(f"domains: {domains!r} is not a list of datasets; choose from {', '.join(DOMAINS)}")
    for name in domains:
        if name not in DOMAINS:
            raise InputError(f"domains: {unknown_choice('dataset', name, DOMAINS)}")


def existing_counts(root: Path, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Counts of the street in `root` if it was made with these arguments; None if `root` is absent or empty.

    Raises:
        InputError: `root` holds anything else.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    file = root / METADATA
    if not file.is_file():
        raise InputError(f"{root}: holds other files than a street; choose an absent or empty folder")
    metadata: dict[str, Any] = read_json(file, _SCHEMA, f"delete the folder {root}; it is then drawn again")
    counts: dict[str, Any] = metadata.pop("counts", {})
    for field, value in arguments.items():
        if metadata.get(field) != value:
            raise InputError(
                f"{root}: holds a street with {field} = {brief(metadata.get(field))}, not {value}; "
                "choose an absent or empty folder"
            )
    return counts
