"""`gckd embed`: embeddings of images in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gckd.cli.gallery_options import check_gallery, gallery_options, open_gallery
from gckd.cli.options import cache_option, echo_plugin_notes, plugin_option, set_option, threads_for_torch
from gckd.cli.parameter_types import LocalPath
from gckd.config import parse_edits
from gckd.errors import InputError, reason_of
from gckd.printable import echo

if TYPE_CHECKING:
    from gckd.storage.cache import CachePath
    from gckd.training.model import Gallery

_PATHS = ".paths.json"
_OUT_HELP = f"FILE.parquet with the columns path and embedding, or FILE.npy beside FILE{_PATHS}."


@click.command()
@click.argument("checkpoint")
@gallery_options
@click.option("--out", "file", metavar="FILE", type=LocalPath(), required=True, help=_OUT_HELP)
@plugin_option
@set_option
@cache_option
def embed(
    checkpoint: str,
    folder: Path | None,
    split: str | None,
    file: Path,
    assignments: tuple[str, ...],
    cache: CachePath,
) -> None:
    """Export the embeddings of images, with their paths.

    Embeddings are unit vectors of 32-bit numbers; their dot product is the score of `gckd find`. CHECKPOINT is a
    checkpoint.pt, or the output folder of one run. Embeddings are kept in the cache, as in `gckd find`.

    \b
    Examples:
      gckd embed runs/demo --out test.parquet
      gckd embed runs/demo --gallery photos --out photos.npy
    """
    import torch

    from gckd.training.load import checkpoint_file
    from gckd.training.model import load_model

    if file.suffix not in (".parquet", ".npy"):
        raise InputError(f"--out {file}: expected a name that ends with .parquet or .npy")
    check_gallery(folder, split)
    torch.set_num_threads(threads_for_torch())
    path = checkpoint_file(checkpoint)
    model = load_model(path, cache, parse_edits(assignments))
    echo_plugin_notes(path)
    gallery = open_gallery(model, folder, split)
    try:
        write_embeddings(file, gallery)
    except OSError as error:
        raise InputError(f"--out {file}: cannot be written ({reason_of(error)})") from error
    count, width = gallery.embeddings.shape
    echo(f"{file}: {count:,} images, {width} dimensions")


def write_embeddings(file: Path, gallery: Gallery) -> None:
    """Write embeddings [N, d] and paths as Parquet, or as NumPy array with a JSON list of paths beside it.

    Raises:
        OSError: a file cannot be written.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from gckd.storage import atomic

    embeddings = gallery.embeddings.numpy().astype(np.float32)
    if file.suffix == ".npy":
        with atomic.writing(file) as partial, partial.open("wb") as opened:
            np.save(opened, embeddings, allow_pickle=False)
        atomic.write(file.with_suffix(_PATHS), json.dumps(gallery.paths, indent=0, ensure_ascii=False))
        return
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), embeddings.shape[1])
    with atomic.writing(file) as partial:
        pq.write_table(pa.table({"path": gallery.paths, "embedding": vectors}), partial)
