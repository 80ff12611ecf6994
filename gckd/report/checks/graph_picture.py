"""Picture of the graph: a sample of its nodes in two dimensions, coloured by domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gckd.errors import InputError, reason_of
from gckd.report.checks.check_input import CheckInput
from gckd.report.checks.check_result import CheckResult
from gckd.report.checks.panels import SOURCE_COLOUR, TARGET_COLOUR, panels
from gckd.storage.label import run_folder
from gckd.storage.zip_size import unpacked_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

FILE = "graph.npz"
_MODALITIES = {"image": "images", "text": "captions"}
_MAX_ROWS = 4
_MAX_BYTES = 2**26  # of all arrays of a file
_ITERATIONS = 60  # of the spring layout
_WITHIN_COLOUR, _ACROSS_COLOUR = "#b8b8b8", "#c01515"  # of edges within a domain and across

Arrays = Mapping[str, Any]


def graph_picture(given: CheckInput) -> Iterator[CheckResult]:
    """A panel for each modality and row with a graph sample; no result without samples."""
    samples = dict(_samples(given))
    if not samples:
        return
    figure, axes = panels(len(samples), 2, width=5.6, height=4.6)
    crossing = {}
    for place, (row, (seed, arrays)) in enumerate(samples.items()):
        for column, (modality, plural) in enumerate(_MODALITIES.items()):
            axis = axes[2 * place + column]
            across, edges = _draw(axis, arrays, modality)
            crossing[row, plural] = (across, edges)
            axis.set_title(f"row {row}, seed {seed}, {plural}: {across} of {edges} edges cross domains", fontsize=9)
    figure.legend(*_key(), loc="outside lower center", ncols=4, fontsize=8)
    title = "Samples of the graph after adaptation"
    key = "Spring layout: edges pull their nodes together."
    _, first_sample = next(iter(samples.values()))
    yield CheckResult("graph_picture", title, key, _sentences(crossing, first_sample), False, figure)


def _samples(given: CheckInput) -> Iterator[tuple[str, tuple[int, Arrays]]]:
    """Row -> first seed with a graph sample, and its arrays; of the first rows that have one."""
    count = 0
    for row in given.rows:
        for seed in sorted(int(r["seed"]) for r in given.done if r["row"] == row):
            file = run_folder(given.folder, row, seed) / FILE
            if count < _MAX_ROWS and file.exists():
                count += 1
                yield row, (seed, graph_arrays(file))
                break


def graph_arrays(file: Path) -> Arrays:
    """Arrays of a graph sample.

    Raises:
        InputError: the file cannot be read, is damaged, or unpacks to more than `_MAX_BYTES`.
    """
    remedy = "delete it; the report then lacks the picture"
    try:
        if (size := unpacked_size(file)) > _MAX_BYTES:
            raise ValueError(f"{size:,} bytes of arrays; the limit is {_MAX_BYTES:,}")
        with np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:  # damaged archives make NumPy raise almost every exception type
        raise InputError(f"{file}: cannot be read ({reason_of(error)}); {remedy}") from error
    if not all(_is_sample(arrays, modality) for modality in _MODALITIES):
        raise InputError(f"{file}: damaged; {remedy}")
    return arrays


def _is_sample(arrays: Arrays, modality: str) -> bool:
    """Whether the arrays of one modality belong together."""
    nodes, target, edges = (arrays.get(f"{modality}_{name}", np.empty(0)) for name in ("nodes", "target", "edges"))
    shapes_fit = nodes.ndim == 2 and target.shape == (len(nodes),) and edges.ndim == 2 and edges.shape[1] == 2
    types_fit = (nodes.dtype.kind, target.dtype.kind, edges.dtype.kind) == ("f", "b", "i")
    return bool(shapes_fit and types_fit and np.isfinite(nodes).all() and ((edges >= 0) & (edges < len(nodes))).all())


def layout(nodes: NDArray[np.float32], edges: NDArray[np.int32]) -> NDArray[np.float64]:
    """Positions [n, 2] by a spring layout (Fruchterman and Reingold, 1991), started at the two principal components.

    Args:
        nodes: [n, d], embeddings.
        edges: [E, 2], numbers of nodes.
    """
    import networkx

    centred = nodes.astype(np.float64) - nodes.mean(0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    flat /= np.abs(flat).max() or 1.0
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from(edges.tolist())
    positions = networkx.spring_layout(graph, pos=dict(enumerate(flat)), iterations=_ITERATIONS, seed=0)
    return np.array([positions[node] for node in range(len(nodes))])


def _draw(axis: Axes, arrays: Arrays, modality: str) -> tuple[int, int]:
    """Draws one graph; returns its number of edges across domains, and of all edges."""
    from matplotlib.collections import LineCollection

    nodes, target, edges = (arrays[f"{modality}_{name}"] for name in ("nodes", "target", "edges"))
    places = layout(nodes, edges)
    across = target[edges[:, 0]] != target[edges[:, 1]]
    for chosen, colour, width in ((~across, _WITHIN_COLOUR, 0.5), (across, _ACROSS_COLOUR, 0.8)):
        lines = LineCollection(list(places[edges[chosen]]), colors=colour, linewidths=width, alpha=0.7)
        axis.add_collection(lines)
    for chosen, colour, marker in ((~target, SOURCE_COLOUR, "s"), (target, TARGET_COLOUR, "o")):
        x, y = places[chosen].T
        axis.scatter(x, y, s=16, color=colour, marker=marker, linewidths=0.3, edgecolors="white", zorder=3)
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.spines[["left", "bottom"]].set_visible(False)
    return int(across.sum()), len(edges)


def _key() -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "", "markersize": 6}
    handles = [
        Line2D([], [], color=SOURCE_COLOUR, marker="s", **dot),
        Line2D([], [], color=TARGET_COLOUR, marker="o", **dot),
        Line2D([], [], color=_WITHIN_COLOUR),
        Line2D([], [], color=_ACROSS_COLOUR),
    ]
    return handles, ["source", "target", "edge within a domain", "edge across domains"]


def _sentences(crossing: Mapping[tuple[str, str], tuple[int, int]], arrays: Arrays) -> tuple[str, str, str]:
    shares = [
        f"{across} of {edges} ({100 * across / max(edges, 1):.0f} %) in row {row}, {plural}"
        for (row, plural), (across, edges) in crossing.items()
    ]
    target = arrays["image_target"]
    return (
        "Each panel shows some nodes of one graph with their nearest neighbours and all edges among these; the first "
        f"panel has {int((~target).sum())} source and {int(target.sum())} target nodes.",
        f"Edges across domains: {'; '.join(shares)}.",
        "A sample is small and is grown from equal numbers of source and target nodes; the shares of the whole graph "
        "are in the curves.",
    )
