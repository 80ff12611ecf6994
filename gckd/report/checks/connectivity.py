"""Connectivity check: does the graph connect the domains, and do its edges join the same identity?"""

from __future__ import annotations

from collections.abc import Iterator

from gckd.report.checks.check_input import CheckInput, mean
from gckd.report.checks.check_result import CheckResult
from gckd.report.checks.graph_picture import graph_picture
from gckd.report.checks.panels import CURVE_KEY, draw_curve, panels, row_legend
from gckd.report.curves import AUDIT_PREFIX
from gckd.report.summary import FULL

_PANELS = (  # curve, title, scale
    ("cross_edges_image", "image edges from the source, %", 100),
    ("cross_edges_text", "caption edges from the source, %", 100),
    (f"{AUDIT_PREFIX}same_identity_image", "image edges to the same person, %", 100),
    (f"{AUDIT_PREFIX}same_identity_text", "caption edges to the same person, %", 100),
    ("hubness_image", "hubness of images (skewness)", 1),
    ("hubness_text", "hubness of captions (skewness)", 1),
    ("components_image", "components of the image graph", 1),
    ("components_text", "components of the caption graph", 1),
    ("propagation_change_image", "change by propagation, images", 1),
    ("propagation_change_text", "change by propagation, captions", 1),
    (f"{AUDIT_PREFIX}target_precision", "correct pseudo targets, %", 100),
    ("target_val_rank_1", "Rank-1 on target val, %", 1),
)


def check_connectivity(given: CheckInput) -> Iterator[CheckResult]:
    """Curves of the graph with a line for each row; and pictures of graph samples, if the folder has any."""
    figure, axes = panels(3, 4)
    for axis, (name, title, scale) in zip(axes, _PANELS, strict=True):
        draw_curve(axis, given, name, title, scale)
    row_legend(figure, given, axes)
    sentences = _cross_edges(given), _same_identity(given), _best_row(given)
    title = "Does the graph connect the domains, and do its edges join the same person?"
    yield CheckResult("graph_connectivity", title, CURVE_KEY, sentences, True, figure)
    yield from graph_picture(given)


def _cross_edges(given: CheckInput) -> str:
    shares = [given.last(f"cross_edges_{modality}", FULL) for modality in ("image", "text")]
    if not all(shares):
        return "The graph of row full has no source nodes, so no edge crosses the domains."
    image, text = (100 * mean(share.values()) for share in shares)
    components = [mean(given.last(f"components_{m}", FULL).values()) for m in ("image", "text")]
    counted = (
        f"the image graph has {components[0]:.3g} connected components, the caption graph {components[1]:.3g}"
        if components[0] == components[0]
        else "connected components were not counted because the graph is too large"
    )
    return (
        f"At the last step of row full, {image:.1f} % of the edges of target images and {text:.1f} % of the edges of "
        f"target captions come from the source (mean over seeds, n = {len(shares[0])}); {counted}."
    )


def _same_identity(given: CheckInput) -> str:
    shares = []
    for row in given.rows:
        image, text = (given.last(f"{AUDIT_PREFIX}same_identity_{m}", row) for m in ("image", "text"))
        if image and text:
            values = f"{100 * mean(image.values()):.0f} % and {100 * mean(text.values()):.0f} %"
            shares.append(f"{values} in row {row}")
    if not shares:
        return (
            "The share of edges between images or captions of the same person was not measured: evaluate.audit is off, "
            "or no row has a graph."
        )
    return (
        "Share of the edges between target images, and between target captions, that join the same person: "
        f"{'; '.join(shares)}."
    )


def _best_row(given: CheckInput) -> str:
    rank_1 = given.rank_1()
    means = {row: mean(v for (name, _), v in rank_1.items() if name == row) for row in given.rows}
    best = max(means, key=lambda row: means[row])
    hubness = {row: mean(given.last("hubness_image", row).values()) for row in given.rows}
    measured = [row for row in given.rows if hubness[row] == hubness[row]]
    full = f" (full: {means[FULL]:.1f})" if best != FULL and FULL in means else ""
    sentence = f"Row {best} has the highest Rank-1 on target test, {means[best]:.1f}{full}"
    if not measured:
        return f"{sentence}; hubness was not measured."
    most, least = max(measured, key=lambda row: hubness[row]), min(measured, key=lambda row: hubness[row])
    return (
        f"{sentence}; hubness of the image graph (skewness of the in-degrees) is highest in row {most} "
        f"({hubness[most]:.1f}) and lowest in row {least} ({hubness[least]:.1f}; 0: no hubs)."
    )
