"""Time of propagation over the two-hop neighbourhood, and over the whole graph."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import torch
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.neighbour_searches import Sizes, compare_searches
from benchmarks.timing import interleaved, timed
from gckd.config.graph import Diffusion, Gnn
from gckd.graph.edges import weighted_edges
from gckd.graph.knn import KnnIndex
from gckd.graph.propagation import GraphPropagation
from gckd.graph.similarity import BankPair, DiffusedSimilarity, RetrievalDirection
from gckd.graph.subgraph import neighbourhood
from gckd.report.console import wide_console

AT_LEAST_ONE = click.IntRange(min=1)
TOLERANCE = 1e-5
T = 0.05  # temperature of the similarities
PER_IDENTITY = 5  # nodes around a common centre, like images of one person


def clustered(count: int, width: int, random: torch.Generator) -> Tensor:
    """Unit vectors [count, width] in groups of PER_IDENTITY."""
    centres = torch.randn(-(-count // PER_IDENTITY), width, generator=random).repeat_interleave(PER_IDENTITY, 0)
    return F.normalize(centres[:count] + 0.7 * torch.randn(count, width, generator=random), dim=1)


Routes = dict[str, Callable[[], Tensor]]


def dense_graph(nodes: Tensor, config: Gnn | Diffusion) -> Tensor:
    """Eq. 3 as written: N x N similarities, and the N x N weights of the K nearest."""
    cosine = nodes @ nodes.T
    cosine.fill_diagonal_(-torch.inf)
    values, index = cosine.topk(config.k, dim=1)
    return torch.zeros_like(cosine).scatter_(1, index, F.softmax(values / config.temperature, 1))


def of_embeddings(capacity: int, batch: int, width: int, k: int, layers: int) -> tuple[Routes, int]:
    """Routes for 2 B inputs in one graph of 2 C nodes, and the number of nodes they depend on."""
    random = torch.Generator().manual_seed(0)
    nodes = clustered(2 * capacity, width, random)
    inputs = torch.randperm(2 * capacity, generator=random)[: 2 * batch]
    config = Gnn(k=k, layers=layers, conv="smooth", residual=0.5, temperature=0.1)
    module = GraphPropagation(k, layers, residual=config.residual, temperature=config.temperature)

    def matrices() -> Tensor:
        weights, x = dense_graph(nodes, config), nodes
        for _ in range(layers):
            x = F.normalize(config.residual * x + (1 - config.residual) * weights @ x, dim=1)
        return x[inputs]

    routes: Routes = {
        "two-hop": lambda: module(nodes, inputs),
        "lists": lambda: module(nodes)[inputs],
        "matrices": matrices,
    }
    return routes, computed_nodes(nodes, inputs, config)


def of_similarities(capacity: int, batch: int, width: int, k: int, layers: int) -> tuple[Routes, int]:
    """Routes for B queries of a bank of C entries and C keys, and the number of rows that are computed."""
    random = torch.Generator().manual_seed(0)
    own = clustered(capacity, width, random)
    keys = F.normalize(own + 0.1 * torch.randn(own.shape, generator=random), dim=1)
    place = torch.randperm(capacity, generator=random)[:batch]
    config, everyone = Diffusion(k=k, layers=layers, residual=0.5, temperature=0.1), torch.arange(capacity)
    diffused = DiffusedSimilarity(config)

    def matrices() -> Tensor:
        own_graph, keys_graph, signal = (
            dense_graph(own, config),
            dense_graph(keys, config),
            (own @ keys.T / T).softmax(1),
        )
        for _ in range(layers):
            signal = config.residual * signal + (1 - config.residual) * own_graph @ signal
        for _ in range(layers):
            signal = config.residual * signal + (1 - config.residual) * signal @ keys_graph.T
        return signal[place]

    routes: Routes = {
        "two-hop": lambda: diffused(RetrievalDirection(own[place], place, BankPair(own, keys)), T, agree=False),
        "lists": lambda: diffused(RetrievalDirection(own, everyone, BankPair(own, keys)), T, agree=False)[place],
        "matrices": matrices,
    }
    return routes, computed_nodes(own, place, config)


def computed_nodes(nodes: Tensor, inputs: Tensor, config: Gnn | Diffusion) -> int:
    """Number of nodes in the L-hop neighbourhood of the inputs."""
    edges_of = partial(weighted_edges, KnnIndex(nodes), rule=config.edge_rule)
    return len(neighbourhood(len(nodes), edges_of, inputs, config.layers).nodes)


def compare(capacity: int, routes: Routes, touched: int, rounds: int) -> list[str]:
    """Row of the table."""
    results = {name: work() for name, work in routes.items()}
    for name, result in results.items():
        gap = float((result - results["two-hop"]).abs().max())
        if gap > TOLERANCE:
            raise click.ClickException(f"C = {capacity}: two-hop and {name} differ by {gap:.1e}, more than {TOLERANCE}")
    seconds = interleaved({name: timed(work) for name, work in routes.items()}, rounds)
    cells = [f"{capacity:,}", f"{touched:,}", f"{seconds['two-hop']:.4f}"]
    for name in ("lists", "matrices"):
        measured = name in seconds
        cells += [f"{seconds[name]:.3f}", f"{seconds[name] / seconds['two-hop']:.1f} x"] if measured else ["-", "-"]
    return cells


@click.command()
@click.option(
    "--signal",
    type=click.Choice(["embedding", "similarity"]),
    default="embedding",
    show_default=True,
    help="Propagated signal: graph.propagate gnn or diffusion.",
)
@click.option(
    "--capacity",
    "capacities",
    multiple=True,
    type=AT_LEAST_ONE,
    help="Bank capacity C; repeatable.  [default: 256 ... 16384; 1024 ... 262144 with --searches]",
)
@click.option(
    "--batch", default=32, show_default=True, type=AT_LEAST_ONE, help="Batch size B per domain: 2 B input nodes."
)
@click.option("--width", default=96, show_default=True, type=AT_LEAST_ONE, help="Embedding width d.")
@click.option("--k", default=10, show_default=True, type=AT_LEAST_ONE, help="Neighbours per node K.")
@click.option("--layers", default=2, show_default=True, type=click.IntRange(1, 3), help="Layers L.")
@click.option(
    "--dense-limit", default=4096, show_default=True, help="Largest C with N x N matrices (3 x 16 C^2 bytes)."
)
@click.option("--searches", is_flag=True, help="Compare the neighbour searches of one bank instead.")
@click.option(
    "--full-limit",
    default=16_384,
    show_default=True,
    type=AT_LEAST_ONE,
    help="With --searches: largest C at which all pairs are compared in each step.",
)
@click.option("--rounds", default=5, show_default=True, type=AT_LEAST_ONE, help="Rounds behind each median.")
@click.option("--threads", default=1, show_default=True, type=AT_LEAST_ONE, help="Threads of PyTorch.")
def main(
    signal: str,
    capacities: tuple[int, ...],
    batch: int,
    width: int,
    k: int,
    layers: int,
    dense_limit: int,
    searches: bool,
    full_limit: int,
    rounds: int,
    threads: int,
) -> None:
    """Measure the seconds of propagating a batch's input nodes by three equivalent implementations.

    Embeddings: 2 B inputs in a graph of 2 C nodes. Similarities: B queries of one bank and the C keys of another.

    \b
    two-hop   as in training: neighbours and layers for the neighbourhood of the inputs only
    lists     whole graph as neighbour lists: KNN of all N nodes, all layers on all nodes, same code
    matrices  whole graph, naive: N x N similarities and weights, all layers on all nodes

    The results must agree within 1e-5 before anything is timed. Nodes are unit vectors in groups of five, inputs are
    random nodes, and the convolution is parameter-free smoothing. With --signal similarity, every implementation
    propagates over all keys.

    With --searches, the neighbours of all C entries of one bank are searched after each step, which replaces B entries
    and so moves the mean that is subtracted: in full, by updates of the lists of the step before, and with faiss, exact
    and approximate. The exact ones must agree with a full search of 256 entries. Memory is the growth of the process
    from before the first search to its peak. The table ends with the exponent e of CPU time ~ C^e (least squares).

    \b
    python benchmarks/propagation.py --capacity 4096
    python benchmarks/propagation.py --signal similarity --capacity 4096
    python benchmarks/propagation.py --searches
    """
    torch.set_num_threads(threads)
    if searches:
        compare_searches(capacities, Sizes(batch, width, k, rounds, full_limit))
        return
    make = of_embeddings if signal == "embedding" else of_similarities
    table = Table("C", "nodes touched", "two-hop s", "lists s", "ratio", "matrices s", "ratio")
    chosen = capacities or (256, 1024, 4096, 16_384)
    console = wide_console()
    with torch.no_grad():
        for capacity in track(chosen, "measuring", console=console, transient=True):
            if not max(batch, k + 1) <= capacity:
                raise click.BadParameter(
                    f"{capacity} is below its limit: B = {batch} and K + 1", param_hint="--capacity"
                )
            routes, touched = make(capacity, batch, width, k, layers)
            if capacity > dense_limit:
                del routes["matrices"]
            table.add_row(*compare(capacity, routes, touched, rounds))
    console.print(table)


if __name__ == "__main__":
    main()
