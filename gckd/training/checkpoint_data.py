"""Data that a checkpoint depends on: its tokenizer, and the datasets whose rows its memory banks name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gckd.data.dataset_pair import DatasetPair
from gckd.errors import InputError
from gckd.storage.path import StoragePath


def checkpoint_data(datasets: DatasetPair) -> dict[str, str]:
    """Tokenizer and digests of the datasets of a run, for its checkpoint."""
    digests = {"source": datasets.source.digest, "target": datasets.target.digest}
    return {"tokenizer": datasets.tokenizer.serialized, **digests}


def with_tokenizer_of(checkpoint: Path | StoragePath, content: Mapping[str, Any], datasets: DatasetPair) -> DatasetPair:
    """The datasets, with the tokenizer of a checkpoint.

    A trained vocabulary is made of the captions of both datasets. Other or changed datasets would give the words other
    ids, to which the weights fit all the same.

    Raises:
        InputError: the checkpoint holds no usable tokenizer.
    """
    data = _data(checkpoint, content)
    if data is None:
        return datasets
    try:
        return dataclasses.replace(datasets, tokenizer=datasets.tokenizer.from_serialized(data["tokenizer"]))
    except InputError as error:
        raise InputError(f"{checkpoint}: damaged ({error})") from error


def check_datasets(checkpoint: Path | StoragePath, content: Mapping[str, Any], datasets: DatasetPair) -> None:
    """Refuse other datasets than those whose rows the memory banks of a checkpoint name.

    Raises:
        InputError: a dataset is another one, or was changed since the run.
    """
    if role := other_dataset(checkpoint, content, datasets):
        raise InputError(
            f"data.{role}: not the dataset of the run of {checkpoint}, or changed since; the memory banks of the "
            "checkpoint name images and captions by their rows"
        )


def other_dataset(checkpoint: Path | StoragePath, content: Mapping[str, Any], datasets: DatasetPair) -> str:
    """`source` or `target`, where the dataset is not that of the run of the checkpoint; empty if both are."""
    data = _data(checkpoint, content)
    digests = {"source": datasets.source.digest, "target": datasets.target.digest}
    return "" if data is None else next((role for role, digest in digests.items() if data[role] != digest), "")


def _data(checkpoint: Path | StoragePath, content: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The entry `data` of a checkpoint; None for checkpoints of earlier versions, which have none."""
    data = content.get("data")
    names = "tokenizer", "source", "target"
    if data is not None and not (isinstance(data, dict) and all(isinstance(data.get(name), str) for name in names)):
        raise InputError(f"{checkpoint}: damaged (its entry data has no {', '.join(names)})")
    return data
