"""Readable names and units of curves."""

from __future__ import annotations

from typing import NamedTuple

from gckd.report.summary import METRICS

STAGES = {"pretrain": "Pre-training", "adapt": "Adaptation"}
_SPLITS = {
    "source_val": "source val",
    "target_val": "target val",
    "teacher_target_val": "target val, teacher",
}
_LOSSES = {
    "align": "domain alignment",
    "graph": "graph",
    "source_contrastive": "source contrastive",
    "source_intra": "source, within a modality",
    "source_matching": "source matching",
    "source_metric": "source metric",
    "source_mlm": "source MLM",
    "target_contrastive": "target contrastive",
    "target_matching": "cross-domain matching",
    "target_mlm": "target MLM",
    "target_views": "target views",
}
_STATISTICS = {
    "target_rank_me": ("effective rank of target embeddings", "dimensions"),
    "target_entropy": ("entropy of the pseudo targets", "nats"),
    "bank_entropy": ("entropy of the student's distribution", "nats"),
    "accepted_share": ("target pairs above delta", "share"),
    "confidence_10": ("confidence, lowest tenth", "cosine"),
    "confidence_50": ("confidence, median", "cosine"),
    "confidence_90": ("confidence, highest tenth", "cosine"),
}
_OF_MODALITY = {
    "propagation_change": ("change by message passing", "share"),
    "cross_edges": ("edges that cross the domains", "share"),
    "neighbour_recall": ("recall of the neighbour search", "share"),
    "hubness": ("hubness of the graph", "skewness"),
    "components": ("components of the graph", "number"),
}


class CurveName(NamedTuple):
    """title: of its plot. unit: of its values."""

    title: str
    unit: str


def curve_name(stage: str, name: str) -> CurveName:
    """`Adaptation: Rank-1 on target val` in `%`; the name with spaces where nothing better is known."""
    title, unit = _name(name)
    return CurveName(f"{STAGES.get(stage, stage)}: {title}", unit)


def _name(name: str) -> tuple[str, str]:
    for metric, text in METRICS.items():
        split = name.removesuffix(f"_{metric}")
        if split != name and split in _SPLITS:
            return f"{text} on {_SPLITS[split]}", "%"
    if name in _LOSSES:
        return f"loss, {_LOSSES[name]}", "loss"
    if name in _STATISTICS:
        return _STATISTICS[name]
    start, _, modality = name.rpartition("_")
    if start in _OF_MODALITY:
        text, unit = _OF_MODALITY[start]
        return f"{text} ({modality})", unit
    return name.replace("_", " "), "value"
