"""Monitoring of a run at each evaluation. It reads labels of both val splits; nothing that trains or selects reads it.

`target_rank_me`: effective rank of the student's target embeddings, the smaller of both modalities. They are not
centred: centring would enlarge the small differences that a collapse leaves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gckd.config import digest
from gckd.evaluation.retrieval import val_metrics
from gckd.graph.statistics import effective_rank
from gckd.method.banks import means_of, train_means, train_sample
from gckd.models.base import Backbone
from gckd.storage import atomic
from gckd.storage.cache import CachePath
from gckd.storage.json_file import read_json
from gckd.storage.shared_file import create_once
from gckd.training.adapt import Adaptation
from gckd.training.curves import method_statistics
from gckd.training.label_curves import label_monitor
from gckd.training.trainer import Values


class Monitor:
    """Values of the curves at one evaluation: val metrics, effective rank, and statistics of graph and targets."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.adaptation, config, datasets = adaptation, adaptation.config, adaptation.datasets
        # Source-free adaptation does not open source val either. Labelled target data has no mean of the source.
        has_samples = config.adapt.source == "samples" and config.adapt.labels == "source"
        self.source_val = datasets.labelled(datasets.source, "val", config.data) if has_samples else None
        self.target_val = datasets.labelled(datasets.target, "val", config.data)
        self.audit: Callable[[], Values] = dict
        if config.evaluate.audit and config.adapt.steps:
            self.audit = label_monitor(datasets, adaptation.parts)

    def __call__(self, step: int) -> Values:
        parts, config = self.adaptation.parts, self.adaptation.config
        values: Values = {}
        with parts.evaluated():
            if self.source_val is not None:
                means = train_means(parts.student, parts.feed.source, config.centre)
                values |= val_metrics("source_val", parts.student, means, config.evaluate, self.source_val)
            values |= self._on_target("", parts.student)
        values |= self._on_target("teacher_", parts.teacher.model())
        # Without adaptation the banks are empty, and no target is made.
        statistics = method_statistics(parts) if config.adapt.steps else {}
        return values | statistics | self.audit()

    def source_model_values(self, cache: Path | CachePath) -> Values:
        """Target metrics of the source model, computed once for all rows of a seed while other processes wait."""
        adaptation, config = self.adaptation, self.adaptation.config
        depends = (config.tokenizer, config.centre, config.device, config.evaluate, adaptation.datasets.target.digest)
        cached = CachePath.at(cache) / "source-model" / f"{digest(str(adaptation.source['digest']), *depends)}.json"
        values: Values = create_once(
            cached, lambda: self._on_target("", adaptation.parts.student), _save_json, _load_json
        )
        return values

    def _on_target(self, prefix: str, model: Backbone) -> Values:
        config = self.adaptation.config
        sample = train_sample(model, self.adaptation.parts.feed.target)
        means = means_of(sample, config.centre)
        values = val_metrics(f"{prefix}target_val", model, means, config.evaluate, self.target_val)
        rank_me = min(effective_rank(embeddings) for embeddings in sample)
        return values if prefix else values | {"target_rank_me": rank_me}


def _load_json(path: Path) -> Any:
    return read_json(path, {"type": "object", "additionalProperties": {"type": "number"}}, "delete it")


def _save_json(path: Path, values: Values) -> None:
    atomic.write(path, json.dumps(values))
