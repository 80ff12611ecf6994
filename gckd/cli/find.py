"""`gckd find`: images that match a sentence, by a trained checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from gckd.cli.gallery_options import check_gallery, gallery_options, open_gallery
from gckd.cli.options import cache_option, echo_plugin_notes, plugin_option, set_option, threads_for_torch
from gckd.cli.parameter_types import AT_LEAST_ONE, LocalPath, OneOf
from gckd.config import parse_edits
from gckd.errors import InputError
from gckd.printable import echo

if TYPE_CHECKING:
    from gckd.evaluation.faiss_index import SearchResult, Vectors
    from gckd.storage.cache import CachePath
    from gckd.training.model import Gallery

_COUNT = 5
_INDEX_HELP = "FAISS index; ivf-pq is approximate, for large galleries, and its recall is printed."


@click.command()
@click.argument("checkpoint")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@gallery_options
@click.option("-k", "count", type=AT_LEAST_ONE, help=f"Number of images per TEXT.  [default: {_COUNT}]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--sheet", metavar="FILE", type=LocalPath(), help="Also draw the images in this PNG file.")
@click.option(
    "--index",
    type=OneOf("index", ("exact", "ivf-pq")),
    metavar="exact|ivf-pq",
    default="exact",
    show_default=True,
    help=_INDEX_HELP,
)
@plugin_option
@set_option
@cache_option
def find(
    checkpoint: str,
    texts: tuple[str, ...],
    folder: Path | None,
    split: str | None,
    count: int | None,
    as_json: bool,
    sheet: Path | None,
    index: str,
    assignments: tuple[str, ...],
    cache: CachePath,
) -> None:
    """Find the images that match a sentence.

    The model in CHECKPOINT ranks images for each TEXT, and prints the rank, the score (cosine similarity, at most 1)
    and the path of the best. No label is read. CHECKPOINT is a checkpoint.pt, or the output folder of one run; the
    run's config.yaml is read from beside it. Embeddings of the images are kept in the cache, so that the next search
    is fast; in a --gallery, changed images are embedded again.

    \b
    Examples:
      gckd find runs/demo "a woman in a red coat" "a man with a blue bag"
      gckd find runs/demo "a red coat" --gallery photos --sheet matches.png
    """
    import torch

    from gckd.training.load import checkpoint_file
    from gckd.training.model import load_model

    if sheet is not None and (sheet.is_dir() or not sheet.absolute().parent.is_dir()):
        raise InputError(f"--sheet {sheet}: is not a file in a folder that exists")
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise InputError(f"--sheet {sheet}: expected a name that ends with .png")
    if not all(text.strip() for text in texts):
        raise InputError("TEXT: is empty; give a sentence")
    check_gallery(folder, split)
    torch.set_num_threads(threads_for_torch())
    path = checkpoint_file(checkpoint)
    model = load_model(path, cache, parse_edits(assignments))
    echo_plugin_notes(path)
    gallery, captions = open_gallery(model, folder, split), model.embed_texts(texts)
    images = gallery.embeddings.numpy()
    nearest, recall = _searched(images, captions.numpy(), count or min(_COUNT, len(images)), index)
    answers = [
        Answer(text=text, matches=_matches(gallery.paths, scores.tolist(), rows.tolist()))
        for text, scores, rows in zip(texts, *nearest, strict=True)
    ]
    if as_json:
        about = {"checkpoint": str(path), "images": len(images), "recall": recall, "queries": answers}
        click.echo(json.dumps(about, indent=2, ensure_ascii=False))
    else:
        _print(answers, len(images), recall)
    if sheet is not None:
        _draw(sheet, answers, gallery)


class Match(TypedDict):
    """One image of an answer."""

    rank: int  # from 1
    score: float  # cosine
    path: str
    row: int  # of the gallery


class Answer(TypedDict):
    """Images of one sentence, best first."""

    text: str
    matches: list[Match]


def _matches(paths: list[str], scores: list[float], rows: list[int]) -> list[Match]:
    """Images of one sentence, best first. An approximate index may return fewer than were asked for."""
    pairs = [(score, row) for score, row in zip(scores, rows, strict=True) if row >= 0]
    return [
        Match(rank=rank, score=round(score, 4), path=paths[row], row=row) for rank, (score, row) in enumerate(pairs, 1)
    ]


def _draw(file: Path, answers: list[Answer], gallery: Gallery) -> None:
    """Draw the images of the answers in a PNG file."""
    from gckd.cli.sheet import SheetImage, SheetRow, draw_sheet

    rows = []
    for answer in answers:
        images = [
            SheetImage(gallery.files.encoded(match["row"]), match["rank"], match["score"], match["path"])
            for match in answer["matches"]
        ]
        rows.append(SheetRow(answer["text"], images))
    draw_sheet(file, rows)
    echo(f"sheet: {file}", err=True)


def _print(answers: list[Answer], images: int, recall: float | None) -> None:
    for answer in answers:
        echo(answer["text"])
        for match in answer["matches"]:
            echo(f"{match['rank']:>4}  {match['score']:6.3f}  {match['path']}")
    quality = "" if recall is None else f"; ivf-pq, recall {recall:.2f}"
    echo(f"{images:,} images searched{quality}. Columns: rank, score (cosine), path", err=True)


def _searched(images: Vectors, captions: Vectors, count: int, index: str) -> tuple[SearchResult, float | None]:
    """Nearest images of each caption, and the recall of an approximate index."""
    from gckd.evaluation.faiss_index import Exact, FaissGallery, ivf_pq, recall

    exact = FaissGallery(images, Exact()).search(captions, count)
    if index == "exact":
        return exact, None
    approximate = FaissGallery(images, ivf_pq(*images.shape)).search(captions, count)
    return approximate, recall(approximate, exact)
