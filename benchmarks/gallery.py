"""Searching galleries of generated unit vectors: IVF-PQ against exact, by size."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # run as a script: the checkout it lies in, before any installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import numpy as np
from rich.progress import track
from rich.table import Table

from gckd.evaluation.faiss_index import Exact, FaissGallery, IvfPq, SearchResult, Vectors, ivf_pq, recall
from gckd.report.console import wide_console

K = 10
PER_CENTRE = 100  # vectors around a centre, on average
SPREAD = 0.75  # length of what is added to a centre: a mean cosine of 0.8 with it


class Measured(NamedTuple):
    """An index of a gallery: seconds to build it, seconds to search it, and what was found."""

    built: float
    searched: float
    found: SearchResult


def clustered(count: int, queries: int, width: int, seed: int) -> tuple[Vectors, Vectors]:
    """Unit vectors [N, d] around N / 100 random centres, and as many queries drawn alike, none of them among them."""
    random = np.random.default_rng(seed)
    centres = _unit(random.standard_normal((max(1, count // PER_CENTRE), width), dtype=np.float32))

    def drawn(number: int) -> Vectors:
        around = random.standard_normal((number, width), dtype=np.float32)
        around *= SPREAD / np.sqrt(width)
        around += centres[random.integers(len(centres), size=number)]
        return _unit(around)

    return drawn(count), drawn(queries)


def _unit(vectors: Vectors) -> Vectors:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def measure(vectors: Vectors, queries: Vectors, kind: Exact | IvfPq) -> Measured:
    begun = time.perf_counter()
    gallery = FaissGallery(vectors, kind)
    built = time.perf_counter()
    gallery.search(queries[:1], K)  # the first one may allocate
    ready = time.perf_counter()
    found = gallery.search(queries, K)
    return Measured(built - begun, time.perf_counter() - ready, found)


def rows(count: int, queries: int, width: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Of the table: exact, then IVF-PQ."""
    vectors, asked = clustered(count, queries, width, seed)
    exact = measure(vectors, asked, Exact())
    kind = ivf_pq(count, width)
    for name, each in (("exact", exact), (str(kind), measure(vectors, asked, kind))):
        speed = queries / each.searched
        yield f"{count:,}", name, f"{each.built:.1f}", f"{recall(each.found, exact.found):.3f}", f"{speed:,.0f}"


@click.command()
@click.option("--count", "counts", multiple=True, type=int, help="Vectors; may be repeated.  [default: 10^4 to 10^6]")
@click.option("--queries", default=500, show_default=True, type=click.IntRange(min=1), help="Searched at once.")
@click.option("--width", default=256, show_default=True, type=click.IntRange(min=4), help="d.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Of faiss.")
@click.option("--seed", default=0, show_default=True, help="Of the vectors.")
def main(counts: tuple[int, ...], queries: int, width: int, threads: int, seed: int) -> None:
    """recall@10 against exact and queries a second, of vectors in clusters of a hundred.

    Within a cluster vectors differ in every dimension alike, which leaves a product quantiser nothing to exploit.

    \b
    python benchmarks/gallery.py
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    console = wide_console()
    where = f"{gpus} GPUs" if (gpus := faiss.get_num_gpus()) else f"{threads} threads"
    table = Table("vectors", "index", "built in s", f"recall@{K}", "queries/s", caption=f"d = {width}, {where}")
    for count in track(counts or (10_000, 100_000, 1_000_000), "measuring", console=console, transient=True):
        for row in rows(count, queries, width, seed):
            table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
