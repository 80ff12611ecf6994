"""Options that choose the images of `gckd find`, `gckd embed` and `gckd demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gckd.cli.parameter_types import LocalPath, OneOf
from gckd.errors import InputError
from gckd.printable import echo

if TYPE_CHECKING:
    from gckd.training.model import Gallery, Model

_GALLERY_HELP = "Folder of images to search, with its sub-folders, instead of a split of the target."
_SPLIT_HELP = "Split of the target to search.  [default: test]"


def gallery_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options --gallery and --split, as `folder` and `split` for `open_gallery`."""
    splits = ("train", "val", "test")
    split = click.option("--split", type=OneOf("split", splits), metavar="|".join(splits), help=_SPLIT_HELP)
    folder = click.option("--gallery", "folder", metavar="FOLDER", type=LocalPath(), help=_GALLERY_HELP)
    return folder(split(command))


def check_gallery(folder: Path | None, split: str | None) -> None:
    """Refuse two galleries, and a folder without images, before a model is loaded.

    Raises:
        InputError: naming the option.
    """
    from gckd.data.image_folder import list_images
    from gckd.storage.path import expanded

    if folder is not None and split is not None:
        raise InputError("--split: conflicts with --gallery; give one of the two")
    if folder is not None:
        list_images(expanded(folder))


def open_gallery(model: Model, folder: Path | None, split: str | None) -> Gallery:
    """Images that the options choose, embedded by a model. Notes are printed on standard error."""
    from gckd.cli.data import progress_bar

    if folder is None:
        return model.embed_split(split or "test")
    with progress_bar("embedding images") as progress:
        gallery = model.embed_folder(folder, progress)
    for note in gallery.notes:
        echo(f"note: {note}", err=True)
    return gallery
