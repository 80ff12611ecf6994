"""Search speed and recall of IVF-PQ against exact search, by gallery size."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import numpy as np
from rich.progress import track
from rich.table import Table

from gckd.evaluation.faiss_index import Exact, FaissGallery, IvfPq, SearchResult, Vectors, ivf_pq, recall
from gckd.report.console import wide_console

K = 10
PER_CENTRE = 100  # vectors around a centre, on average
SPREAD = 0.75  # length of the noise added to a centre; the mean cosine with the centre is then 0.8


class Measured(NamedTuple):
    """Seconds to build and to search an index, and the search results."""

    build_seconds: float
    search_seconds: float
    nearest: SearchResult


def clustered(count: int, queries: int, width: int, seed: int) -> tuple[Vectors, Vectors]:
    """Unit vectors [N, d] around N / 100 random centres, and query vectors of the same distribution."""
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
    gallery.search(queries[:1], K)  # the first search may allocate memory
    ready = time.perf_counter()
    nearest = gallery.search(queries, K)
    return Measured(built - begun, time.perf_counter() - ready, nearest)


def rows(count: int, queries: int, width: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Two rows of the table: exact search, then IVF-PQ."""
    vectors, query_vectors = clustered(count, queries, width, seed)
    exact = measure(vectors, query_vectors, Exact())
    kind = ivf_pq(count, width)
    for name, result in (("exact", exact), (str(kind), measure(vectors, query_vectors, kind))):
        recall_at_k = recall(result.nearest, exact.nearest)
        speed = queries / result.search_seconds
        yield f"{count:,}", name, f"{result.build_seconds:.1f}", f"{recall_at_k:.3f}", f"{speed:,.0f}"


@click.command()
@click.option("--count", "counts", multiple=True, type=int, help="Gallery size; repeatable.  [default: 10^4 to 10^6]")
@click.option("--queries", default=500, show_default=True, type=click.IntRange(min=1), help="Queries in one search.")
@click.option("--width", default=256, show_default=True, type=click.IntRange(min=4), help="Embedding width d.")
@click.option("--threads", default=2, show_default=True, type=click.IntRange(min=1), help="Threads of faiss.")
@click.option("--seed", default=0, show_default=True, help="Seed of the vectors.")
def main(counts: tuple[int, ...], queries: int, width: int, threads: int, seed: int) -> None:
    """Measure recall@10 against exact search, and queries per second, on vectors in clusters of about a hundred.

    Within a cluster, vectors differ equally in every dimension, which is the hardest case for product quantisation.

    \b
    python benchmarks/gallery.py
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    console = wide_console()
    device = f"{gpus} GPUs" if (gpus := faiss.get_num_gpus()) else f"{threads} threads"
    table = Table("vectors", "index", "build, s", f"recall@{K}", "queries/s", caption=f"d = {width}, {device}")
    for count in track(counts or (10_000, 100_000, 1_000_000), "measuring", console=console, transient=True):
        for row in rows(count, queries, width, seed):
            table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
