"""Does the graph connect the domains, and do its edges join equal identities?"""

from __future__ import annotations

from collections.abc import Iterator

from gckd.report.checks.finding import Finding, Results, draw_curve, mean, panels, row_legend
from gckd.report.checks.picture import graph_picture
from gckd.report.summary import FULL
from gckd.report.warnings import AUDIT

_PANELS = (
    ("cross_edges_image", "image edges from the source, %", 100),
    ("cross_edges_text", "caption edges from the source, %", 100),
    (f"{AUDIT}same_identity_image", "image edges to the same person, %", 100),
    (f"{AUDIT}same_identity_text", "caption edges to the same person, %", 100),
    ("hubness_image", "hubs among images (skewness)", 1),
    ("hubness_text", "hubs among captions (skewness)", 1),
    ("components_image", "components of the image graph", 1),
    ("components_text", "components of the caption graph", 1),
    ("propagation_change_image", "change by message passing, images", 1),
    ("propagation_change_text", "change by message passing, captions", 1),
    (f"{AUDIT}target_precision", "targets of the right person, %", 100),
    ("target_val_rank_1", "Rank-1 on target val, %", 1),
)


def graph_connectivity(results: Results) -> Iterator[Finding]:
    """The curves of the graph, a line for each row; and pictures of parts of it, where the folder has any."""
    figure, axes = panels(3, 4)
    for axis, (name, title, scale) in zip(axes, _PANELS, strict=True):
        draw_curve(axis, results, name, title, scale)
    row_legend(figure, results, axes)
    words = _crossing(results), _identities(results), _best(results)
    title = "Does the graph connect the domains, and do its edges join the same person?"
    title += "   (line: mean over seeds; band: their range; *: reads target labels)"
    yield Finding("graph_connectivity", title, words, True, figure)
    yield from graph_picture(results)


def _crossing(results: Results) -> str:
    shares = [results.last(f"cross_edges_{modality}", FULL) for modality in ("image", "text")]
    if not all(shares):
        return "The graph of row full holds no source node, so none of its edges crosses the domains."
    image, text = (100 * mean(share.values()) for share in shares)
    parts = [mean(results.last(f"components_{m}", FULL).values()) for m in ("image", "text")]
    counted = (
        f"its image graph has {parts[0]:.3g} and its caption graph {parts[1]:.3g} connected components"
        if parts[0] == parts[0]
        else "its components were not counted, for the graph is too large"
    )
    return (
        f"At the last step of row full {image:.1f} % of the edges of target images and {text:.1f} % of those of target "
        f"captions come from the source (mean over seeds, n = {len(shares[0])}); {counted}."
    )


def _identities(results: Results) -> str:
    told = []
    for row in results.rows:
        image, text = (results.last(f"{AUDIT}same_identity_{m}", row) for m in ("image", "text"))
        if image and text:
            told.append(f"{100 * mean(image.values()):.0f} % and {100 * mean(text.values()):.0f} % in row {row}")
    if not told:
        return "Whether edges join the same person was not measured: evaluate.audit is off, or no row has a graph."
    return "Of the edges between target images, and of those between target captions, these join the same person: " + (
        "; ".join(told) + "."
    )


def _best(results: Results) -> str:
    reached = results.rank_1()
    means = {row: mean(v for (name, _), v in reached.items() if name == row) for row in results.rows}
    best = max(means, key=lambda row: means[row])
    hubs = {row: mean(results.last("hubness_image", row).values()) for row in results.rows}
    hubby = [row for row in results.rows if hubs[row] == hubs[row]]
    own = f" (full: {means[FULL]:.1f})" if best != FULL and FULL in means else ""
    said = f"Row {best} has the highest Rank-1 on target test, {means[best]:.1f}{own}"
    if not hubby:
        return f"{said}; hubs were not measured."
    most, least = max(hubby, key=lambda row: hubs[row]), min(hubby, key=lambda row: hubs[row])
    return (
        f"{said}; the in-degrees of the image graph are most skewed in row {most} ({hubs[most]:.1f}) and least in row "
        f"{least} ({hubs[least]:.1f}; 0 is none)."
    )
