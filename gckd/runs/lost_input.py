"""Input that disappears after a table or a search has started."""

from __future__ import annotations

from pathlib import Path

from gckd.config import Config
from gckd.data.datasets import find_dataset
from gckd.errors import InputError


def lost_input(config: Config) -> str:
    """Problem of the first dataset or file of a config that cannot be read any more; empty if all can be read.

    Call it when a run has failed: every other run would then fail in the same way.

    Args:
        config: of the run, with absolute paths. Files that the config names by their name on a hub are not checked.
    """
    for field in ("source", "target"):
        spec = getattr(config.data, field)
        try:
            if spec:
                find_dataset(spec)
        except InputError as error:
            return f"data.{field}: lost after the start: {error}"
    files = {"backbone.weights": config.backbone.weights, "tokenizer.name": config.tokenizer.pretrained}
    for name, file in files.items():
        if file and Path(file).is_absolute() and not Path(file).exists():
            return f"{name}: lost after the start: {file} does not exist"
    return ""
