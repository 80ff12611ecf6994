"""A picture of the graph: a sample of its nodes in two dimensions, those of each domain in a colour of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gckd.report.checks.finding import SOURCE_COLOUR, TARGET_COLOUR, Finding, Results, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

FILE = "graph.npz"
_MODALITIES = {"image": "images", "text": "captions"}
_MOST_ROWS = 4
_ROUNDS = 60  # of the spring layout
_WITHIN, _ACROSS = "#b8b8b8", "#c01515"  # colours of edges

Arrays = Mapping[str, Any]


def graph_picture(results: Results) -> Iterator[Finding]:
    """A panel for each modality and row of which a part of the graph was kept; nothing without any."""
    kept = dict(_kept(results))
    if not kept:
        return
    figure, axes = panels(len(kept), 2, width=5.6, height=4.6)
    crossing = {}
    for place, (row, (seed, arrays)) in enumerate(kept.items()):
        for column, (modality, plural) in enumerate(_MODALITIES.items()):
            axis = axes[2 * place + column]
            across, edges = _draw(axis, arrays, modality)
            crossing[row, plural] = (across, edges)
            axis.set_title(f"row {row}, seed {seed}, {plural}: {across} of {edges} edges cross", fontsize=9)
    figure.legend(*_key(), loc="outside lower center", ncols=4, fontsize=8)
    title = "Parts of the graph after adaptation: springs pull neighbours together"
    yield Finding("graph_picture", title, _words(crossing, next(iter(kept.values()))[1]), False, figure)


def _kept(results: Results) -> Iterator[tuple[str, tuple[int, Arrays]]]:
    """Row -> seed and arrays, of the first seed of which there are any."""
    found = 0
    for row in results.rows:
        for seed in sorted(int(r["seed"]) for r in results.done if r["row"] == row):
            file = results.folder / row / f"seed-{seed}" / FILE
            if found < _MOST_ROWS and file.exists():
                found += 1
                yield row, (seed, _arrays(file))
                break


def _arrays(file: Path) -> Arrays:
    with np.load(file, allow_pickle=False) as held:
        return dict(held)


def layout(nodes: NDArray[np.float32], edges: NDArray[np.int32]) -> NDArray[np.float64]:
    """Places [n, 2]: springs along the edges (Fruchterman and Reingold, 1991), from the two principal components."""
    import networkx

    centred = nodes.astype(np.float64) - nodes.mean(0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    flat /= np.abs(flat).max() or 1.0
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from(edges.tolist())
    begin = dict(enumerate(flat))
    reached = networkx.spring_layout(graph, pos=begin, iterations=_ROUNDS, seed=0)
    return np.array([reached[node] for node in range(len(nodes))])


def _draw(axis: Axes, arrays: Arrays, modality: str) -> tuple[int, int]:
    """Draws one graph; how many edges cross the domains, and how many there are."""
    from matplotlib.collections import LineCollection

    nodes, target, edges = (arrays[f"{modality}_{name}"] for name in ("nodes", "target", "edges"))
    places = layout(nodes, edges)
    across = target[edges[:, 0]] != target[edges[:, 1]]
    for which, colour, width in ((~across, _WITHIN, 0.5), (across, _ACROSS, 0.8)):
        lines = LineCollection(list(places[edges[which]]), colors=colour, linewidths=width, alpha=0.7)
        axis.add_collection(lines)
    for which, colour, marker in ((~target, SOURCE_COLOUR, "s"), (target, TARGET_COLOUR, "o")):
        x, y = places[which].T
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
        Line2D([], [], color=_WITHIN),
        Line2D([], [], color=_ACROSS),
    ]
    return handles, ["source", "target", "edge within a domain", "edge across"]


def _words(crossing: Mapping[tuple[str, str], tuple[int, int]], arrays: Arrays) -> tuple[str, str, str]:
    told = [
        f"{a} of {n} ({100 * a / max(n, 1):.0f} %) in row {row}, {what}" for (row, what), (a, n) in crossing.items()
    ]
    target = arrays["image_target"]
    return (
        f"Each panel shows some nodes of one graph, their nearest neighbours, and all edges among these: in the first "
        f"{int((~target).sum())} source and {int(target.sum())} target nodes.",
        "Edges that cross the domains: " + "; ".join(told) + ".",
        "The part shown begins with as many source as target nodes and is small: shares of the whole graph are in the "
        "curves.",
    )
