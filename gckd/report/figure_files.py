"""Figures as files: PNG for the screen, SVG and PDF for papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.storage import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.figure import Figure

FOR_PAPERS = ("svg", "pdf")
_DPI = 150
_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # or each write would give another file


def save_figure(figure: Figure, path: Path, suffixes: Iterable[str] = ("png", *FOR_PAPERS)) -> None:
    """Writes `path` with each of the suffixes. Equal figures give equal files.

    Args:
        path: without a suffix.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": path.name, "pdf.fonttype": 42}):
        for suffix in suffixes:
            with atomic.writing(path.with_name(f"{path.name}.{suffix}")) as file:
                figure.savefig(file, format=suffix, dpi=_DPI, metadata=_DATES.get(suffix))
