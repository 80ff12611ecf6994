"""Figures of a search as files, and as pictures of its page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from gckd.report.figure_files import FOR_PAPERS, save_figure
from gckd.report.html.page import Picture, data_uri
from gckd.storage import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.figure import Figure

_DOTS_PER_INCH = 144


def save_pictures(drawn: Iterable[Figure | None], folder: Path, name: str) -> list[Picture]:
    """Writes NAME.png with the figures below each other, and NAME.svg, NAME.pdf, NAME-2.svg and so on for each.

    Those of an earlier report are removed.
    """
    for file in (*folder.glob(f"{name}.*"), *folder.glob(f"{name}-[0-9]*.*")):
        if file.suffix[1:] in ("png", *FOR_PAPERS):
            file.unlink()
    images = []
    for figure in filter(None, drawn):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
        images.append(Image.open(buffer))
        save_figure(figure, folder / (name if len(images) == 1 else f"{name}-{len(images)}"), FOR_PAPERS)
    if not images:
        return []
    whole = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), "white")
    for place, image in enumerate(images):
        whole.paste(image, (0, sum(above.height for above in images[:place])))
    buffer = io.BytesIO()
    whole.save(buffer, format="png")
    atomic.write(folder / f"{name}.png", buffer.getvalue())
    return [Picture(data_uri(buffer.getvalue(), "png"))]
