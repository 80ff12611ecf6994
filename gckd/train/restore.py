"""A run's checkpoint, opened: its student as it is evaluated, and what that makes of images and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gckd.cache import Cached
from gckd.config import check, digest
from gckd.config.schema import Config
from gckd.data.splits import Images
from gckd.errors import InputError
from gckd.model.backbone import Backbone
from gckd.place import Place
from gckd.train.banks import train_means
from gckd.train.data import Datasets, open_datasets
from gckd.train.device import on_its_device
from gckd.train.evaluate import Join, Retriever, as_they_are
from gckd.train.feed import Feed
from gckd.train.inductive import joined
from gckd.train.loop import load_checkpoint
from gckd.train.once import made_once
from gckd.train.parts import Parts, build_model, build_parts
from gckd.train.start import file_digest


class Restored(NamedTuple):
    """The datasets of a run, its student, and what test embeddings go through."""

    datasets: Datasets
    student: Backbone
    feed: Feed
    join: Join


class Searchable(NamedTuple):
    """A split's images and some captions as a run's student compares them: unit embeddings [N, d] and [M, d]."""

    images: Tensor
    captions: Tensor
    files: Images  # of the N images


def restored(config: Config, checkpoint: Path | Place, cache: Path | Cached) -> Restored:
    """The student of a checkpoint of a run of this config.

    Raises:
        InputError: the checkpoint is not one, or does not fit the config.
    """
    datasets = open_datasets(check(config), cache, lambda progress: None)
    feed = datasets.feed(config, config.adapt.batch)
    student = build_model(config, datasets.tokenizer.vocabulary)
    modules = load_checkpoint(checkpoint)["modules"]
    try:
        student.load_state_dict(modules["student"])
        join = _graph(build_parts(config, feed, student), modules) if config.evaluate.propagate else as_they_are
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{checkpoint}: does not hold the student of this config ({error})") from error
    return Restored(datasets, student, feed, join)


def _graph(parts: Parts, modules: Mapping[str, Any]) -> Join:
    """The graph of a checkpoint, over its banks."""
    parts.banks.load_state_dict(modules["banks"])
    parts.propagate.load_state_dict(modules["propagate"])
    return joined(parts)


@on_its_device
def searchable(
    config: Config, checkpoint: Path | Place, cache: Path | Cached, split: str, captions: Sequence[str]
) -> Searchable:
    """Embeds the images of a split of the target, once for all calls, and captions that anyone may have written.

    No label is opened.

    Raises:
        InputError: the checkpoint is not one, or does not fit the config; there is no such split.
    """
    datasets, student, feed, join = restored(config, checkpoint, cache)
    files, student = datasets.target.unlabelled(split).images, student.eval()
    retriever = Retriever(student, config.evaluate, train_means(student, feed.target, config.centre), join)
    tokens = datasets.tokenizer.encode(list(captions)).to(torch.get_default_device())
    with Place.at(checkpoint).reading() as file:
        content = file_digest(file)
    name = digest(config, content, split, datasets.target.digest, datasets.tokenizer.digest)

    def embed() -> dict[str, Tensor]:
        pixels = files.decoded(config.data.height, config.data.width)
        return {"images": retriever.images(torch.from_numpy(pixels)).cpu()}

    kept = made_once(Cached.at(cache) / "galleries" / f"{name}.pt", embed)
    return Searchable(load_checkpoint(kept)["images"], retriever.captions(tokens).cpu(), files)
