"""Input that disappears after a table or a search has started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from gckd.config import Config
from gckd.data.datasets import find_dataset
from gckd.errors import InputError, reason_of


def lost_input(config: Config) -> str:
    """Problem of the first dataset or file of a config that cannot be read any more; empty if all can be read.

    Call it when a run has failed: every other run would then fail in the same way.

    Args:
        config: of the run, with absolute paths. Files that the config names by their name on a hub are not checked.
    """
    for field, check in _checks(config):
        try:
            check()
        except InputError as error:
            return f"{field}: lost after the start: {error}"
        except OSError as error:  # such as a network file system that is gone
            return f"{field}: lost after the start: {error.filename or 'it'}: {reason_of(error)}"
    return ""


def _checks(config: Config) -> Iterator[tuple[str, Callable[[], object]]]:
    """Field and check of each dataset and file. A check raises InputError or OSError."""
    for field in ("source", "target"):
        if spec := getattr(config.data, field):
            yield f"data.{field}", partial(find_dataset, spec)
    files = {"backbone.weights": config.backbone.weights, "tokenizer.name": config.tokenizer.pretrained}
    for field, file in files.items():
        if file and Path(file).is_absolute():
            yield field, Path(file).stat
