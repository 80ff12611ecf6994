"""`gckd demo`: a local page to search images by sentences, with one or two checkpoints."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gckd.cli.gallery_options import check_gallery, gallery_options, open_gallery
from gckd.cli.options import cache_option, echo_plugin_notes, plugin_option, set_option, threads_for_torch
from gckd.cli.parameter_types import WholeNumber
from gckd.config import parse_edits
from gckd.errors import InputError
from gckd.printable import echo

if TYPE_CHECKING:
    from gckd.demo.site import SearchedModel, Site
    from gckd.storage.cache import CachePath
    from gckd.storage.path import StoragePath

_PORT_HELP = "Port of the page on this machine.  [default: any free port]"


@click.command()
@click.argument("checkpoints", metavar="CHECKPOINT [CHECKPOINT]", nargs=-1, required=True)
@gallery_options
@click.option("--port", type=WholeNumber(0), default=0, help=_PORT_HELP)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser.")
@plugin_option
@set_option
@cache_option
def demo(
    checkpoints: tuple[str, ...],
    folder: Path | None,
    split: str | None,
    port: int,
    browser: bool,
    assignments: tuple[str, ...],
    cache: CachePath,
) -> None:
    """Open a local page that searches images by a sentence.

    With two checkpoints, for example with and without the graph, the page shows their results beside each other. A
    click on an image shows its neighbours in the graph. CHECKPOINT is a checkpoint.pt, or the output folder of one run.

    The page is served on this machine only (127.0.0.1) and loads nothing from a network. Its address holds a secret, so
    that other users of the machine cannot open it. For a remote machine, forward the port:
    ssh -L 8000:127.0.0.1:8000 HOST, with --port 8000. Ctrl-C ends it.

    \b
    Examples:
      gckd demo runs/demo
      gckd demo runs/table/full/seed-0 runs/table/without-gmp/seed-0
      gckd demo runs/demo --gallery photos
    """
    import torch

    from gckd.demo.server import DemoServer
    from gckd.training.load import checkpoint_file

    if len(checkpoints) > 2:
        raise InputError(f"CHECKPOINT: {len(checkpoints)} are given; the limit is 2")
    check_gallery(folder, split)
    torch.set_num_threads(threads_for_torch())
    site = open_site([checkpoint_file(name) for name in checkpoints], folder, split, assignments, cache)
    with DemoServer(site, port) as server:
        echo(f"{server.url}\nCtrl-C ends the demo.")
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("demo ended", err=True)


def open_site(
    paths: list[StoragePath], folder: Path | None, split: str | None, assignments: tuple[str, ...], cache: CachePath
) -> Site:
    """Site of one or two checkpoints.

    Raises:
        InputError: a checkpoint cannot be loaded, or two checkpoints do not have the same gallery.
    """
    from gckd.demo.site import Site

    names = _distinct_names(paths)
    models = [
        _searched_model(name, path, folder, split, assignments, cache) for name, path in zip(names, paths, strict=True)
    ]
    first, last = models[0], models[-1]
    targets = [model.model.student.datasets.target.digest for model in models]
    same = first.gallery.paths == last.gallery.paths and (folder is not None or len(set(targets)) == 1)
    if not same:
        raise InputError(f"CHECKPOINT: {paths[0]} and {paths[-1]} have other targets; give one gallery with --gallery")
    title = str(folder) if folder else f"{first.model.student.datasets.target_name}, split {split or 'test'}"
    return Site(models, title, train=folder is None and split == "train")


def _distinct_names(paths: list[StoragePath]) -> list[str]:
    """Last parts of the folders of checkpoints: two, or as many as make the names differ."""
    parts = [str(path.parent).split("/") for path in paths]
    names = [["/".join(path[-length:]) for path in parts] for length in range(2, max(map(len, parts)) + 1)]
    return next((candidates for candidates in names if len(set(candidates)) == len(paths)), names[0])


def _searched_model(
    name: str, path: StoragePath, folder: Path | None, split: str | None, assignments: tuple[str, ...], cache: CachePath
) -> SearchedModel:
    from gckd.data.dataset_pair import shared_datasets
    from gckd.demo.graph_view import GraphView
    from gckd.demo.site import SearchedModel
    from gckd.training.load import checkpoint_config
    from gckd.training.model import load_model

    edits = parse_edits(assignments)
    echo_plugin_notes(path)
    model = load_model(path, cache, edits, shared_datasets(checkpoint_config(path, edits), cache))
    return SearchedModel(name, model, open_gallery(model, folder, split), GraphView(model))
