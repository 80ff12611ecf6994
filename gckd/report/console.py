"""Console of the commands."""

from __future__ import annotations

import sys

from rich.console import Console

_FILE_WIDTH = 200


def wide_console() -> Console:
    """Standard output. In a file or pipe it is 200 columns wide, so that tables are not folded."""
    return Console() if sys.stdout.isatty() else Console(width=_FILE_WIDTH)
