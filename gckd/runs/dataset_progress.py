"""Progress of storing a dataset, on a terminal or in a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from gckd.data.types import DatasetProgress

_SECONDS_BETWEEN_COUNTS = 0.1


def dataset_progress(stream: TextIO | None = None) -> DatasetProgress:
    """Callback that writes `name: done/total images`: in place on a terminal, else one line per complete dataset."""
    stream = stream or sys.stderr
    last = time.monotonic()

    def show(dataset: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and (not stream.isatty() or now - last < _SECONDS_BETWEEN_COUNTS):
            return
        last = now
        start, end = ("\r", "" if done < total else "\n") if stream.isatty() else ("", "\n")
        stream.write(f"{start}{dataset}: {done}/{total} images{end}")
        stream.flush()

    return show
