"""Public functions of the library: train a retriever, load one, evaluate one."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gckd.config import Config
from gckd.runs.local import RecordedRun, train_single
from gckd.runs.progress_bar import progress_bar
from gckd.storage.cache import USER_CACHE, CachePath
from gckd.storage.path import StoragePath
from gckd.storage.run_tables import METRICS
from gckd.training.load import CHECKPOINT, checkpoint_file
from gckd.training.model import Model, load_model
from gckd.training.run import train_run
from gckd.training.target_evaluation import Evaluation

Location = str | Path  # a local path, or a URI of an object store (s3://, gs://, abfs://)


@dataclass(frozen=True)
class TrainingResult:
    """A finished run: its metrics, its curves and its model."""

    metrics: dict[str, float]  # rank_1, rank_5, rank_10, map and minp on the target test split, in percent
    curves: list[dict[str, Any]]  # rows of stage, step, name and value: losses, val metrics, graph statistics
    notes: tuple[str, ...]  # remarks on the data and the run that belong beside the metrics
    checkpoint: str  # path or URI
    _run: RecordedRun
    _cache: CachePath

    @functools.cached_property
    def model(self) -> Model:
        """The trained model, loaded at first use."""
        return load_model(StoragePath.at(self.checkpoint), self._cache, datasets=self._run.datasets)


def train(
    config: Config, out: Location | None = None, *, cache: Location | None = None, progress: bool = True
) -> TrainingResult:
    """Train on the source, adapt to the unlabelled target, and evaluate on the target test split.

    An interrupted training resumes from its last checkpoint if it is called again with the same config and `out`. A
    finished one returns its result at once.

    Args:
        config: `data.source` and `data.target` name the datasets.
        out: folder or URI for checkpoint and records; None: a folder below runs/, named by datasets and config.
        cache: folder or URI of what runs share: stored datasets, vocabularies and source models. None: the folder in
            the variable GCKD_CACHE, else the user's cache folder.
        progress: show a progress bar on a terminal or in a notebook. Nothing is written to standard output.

    Raises:
        InputError: the config, a dataset, `out` or `cache` cannot be used; `out` holds a run of another config.
        DivergenceError: a loss became infinite or NaN.
    """
    shared = _cache(cache)
    run = train_single(
        config,
        train_run,
        cache=shared,
        out=None if out is None else StoragePath.at(out),
        resume=True,
        display=progress_bar(enabled=progress),
    )
    run.mirror.upload()
    record = run.record
    return TrainingResult(
        metrics={name: float(record[name]) for name in METRICS},
        curves=run.curves,
        notes=tuple(json.loads(record["notes"])),
        checkpoint=str(run.planned.checkpoint_folder(run.mirror.out) / CHECKPOINT),
        _run=run,
        _cache=shared,
    )


def load(checkpoint: Location, *, cache: Location | None = None, edits: Mapping[str, Any] | None = None) -> Model:
    """Model of a finished run.

    The config beside the checkpoint names the datasets, which must be in reach: the mean of the target's embeddings is
    subtracted from all embeddings.

    Args:
        checkpoint: checkpoint file, the folder that holds it, or the `out` of a training.
        cache: as in `train`.
        edits: changes of the config, for example `{"evaluate.k_test": 128}`.

    Raises:
        InputError: there is no checkpoint or no config beside it, or the two do not fit.
    """
    return load_model(checkpoint_file(checkpoint), _cache(cache), edits)


def evaluate(model: Model | Location, split: str = "test", *, cache: Location | None = None) -> Evaluation:
    """Retrieval metrics of a model on a labelled split ("val" or "test") of its target.

    Args:
        model: a `Model`, or what `load` takes.
        cache: as in `train`.

    Raises:
        InputError: there is no such checkpoint or split.
    """
    return (model if isinstance(model, Model) else load(model, cache=cache)).evaluate(split)


def _cache(cache: Location | None) -> CachePath:
    return CachePath.at(cache or os.environ.get("GCKD_CACHE") or USER_CACHE)
