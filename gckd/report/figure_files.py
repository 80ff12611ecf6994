"""Figures as files: PNG for the screen, SVG and PDF for papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gckd.storage import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_DPI = 150
_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # or each write would give another file


def save_figure(figure: Figure, path: Path) -> None:
    """Writes `path` with the suffixes .png, .svg and .pdf. Equal figures give equal files.

    Args:
        path: without a suffix.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": path.name, "pdf.fonttype": 42}):
        for suffix in ("png", "svg", "pdf"):
            with atomic.writing(path.with_name(f"{path.name}.{suffix}")) as file:
                figure.savefig(file, format=suffix, dpi=_DPI, metadata=_DATES.get(suffix))
