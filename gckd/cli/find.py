"""`gckd find`: images of the target that match a sentence, by a trained checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from gckd.cli.options import cache_option, echo_plugin_notes, plugin_option, set_option, threads_for_torch
from gckd.cli.parameter_types import AT_LEAST_ONE, OneOf
from gckd.config import parse_edits
from gckd.errors import InputError
from gckd.report.console import wide_console
from gckd.storage.path import StoragePath

if TYPE_CHECKING:
    from gckd.evaluation.faiss_index import SearchResult, Vectors
    from gckd.storage.cache import CachePath

_NOTE = "image: number of the image in the split (ordered by a hash of the content)"


@click.command()
@click.argument("checkpoint")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--split",
    type=OneOf("split", ("train", "val", "test")),
    metavar="train|val|test",
    default="test",
    show_default=True,
    help="Split of the target.",
)
@click.option("-k", "count", type=AT_LEAST_ONE, default=5, show_default=True, help="Number of images per TEXT.")
@click.option(
    "--index",
    type=OneOf("index", ("exact", "ivf-pq")),
    metavar="exact|ivf-pq",
    default="exact",
    show_default=True,
    help="FAISS index; ivf-pq is approximate, for large galleries, and its recall is printed.",
)
@click.option(
    "--sheet", metavar="FILE", type=click.Path(path_type=Path), help="Also write the images to this PNG file."
)
@plugin_option
@set_option
@cache_option
def find(
    checkpoint: str,
    texts: tuple[str, ...],
    split: str,
    count: int,
    index: str,
    sheet: Path | None,
    assignments: tuple[str, ...],
    cache: CachePath,
) -> None:
    """Find the images that match a sentence.

    The model in CHECKPOINT ranks the images of the target for each TEXT. No label is read. CHECKPOINT is a file or
    URI; its config.yaml is read from the same folder.

    \b
    Example:
      gckd find runs/demo/full/seed-0/checkpoint.pt \\
        "a woman in a red coat" "a man with a blue bag" --sheet matches.png
    """
    import torch

    from gckd.training.model import load_model

    if sheet is not None and (sheet.is_dir() or not sheet.absolute().parent.is_dir()):
        raise InputError(f"--sheet {sheet}: is not a file in a folder that exists")
    if not all(text.strip() for text in texts):
        raise InputError("TEXT: is empty; give a sentence")
    torch.set_num_threads(threads_for_torch())
    path = StoragePath.at(checkpoint)
    model = load_model(path, cache, parse_edits(assignments))
    echo_plugin_notes(path)
    gallery, captions = model.embed_split(split), model.embed_texts(texts)
    nearest, note = _searched(gallery.embeddings.numpy(), captions.numpy(), count, index)
    table = Table("text", "rank", "image", "cosine")
    for text, cosines, rows in zip(texts, *nearest, strict=True):
        for rank, (cosine, row) in enumerate(zip(cosines, rows, strict=True), 1):
            table.add_row(escape(text) if rank == 1 else "", str(rank), str(row), f"{cosine:.3f}")
    wide_console().print(table)
    click.echo(note)
    if sheet is not None:
        from gckd.cli.sheet import draw_sheet

        images = ([gallery.files.encoded(row) for row in rows if row >= 0] for rows in nearest.rows.tolist())
        draw_sheet(sheet, list(zip(texts, images, strict=True)))
        click.echo(sheet)


def _searched(images: Vectors, captions: Vectors, count: int, index: str) -> tuple[SearchResult, str]:
    """Nearest images of each caption, and a note on the table."""
    from gckd.evaluation.faiss_index import Exact, FaissGallery, ivf_pq, recall

    exact = FaissGallery(images, Exact()).search(captions, count)
    if index == "exact":
        return exact, f"{len(images)} images. {_NOTE}"
    kind = ivf_pq(*images.shape)
    approximate = FaissGallery(images, kind).search(captions, count)
    return approximate, f"{len(images)} images; {kind}: recall@{count} {recall(approximate, exact):.2f}. {_NOTE}"
