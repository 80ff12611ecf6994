"""How right pseudo labels are. Reads the labels of the target's train split: for understanding, never for choosing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gckd.config import apply, check
from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.config.graph import Diffusion, Gnn, NoPropagation
from gckd.config.schema import Config
from gckd.data.dataset_pair import DatasetPair, as_progress, open_datasets
from gckd.device import on_config_device
from gckd.errors import InputError
from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.method.build import build_parts
from gckd.method.parts import Parts
from gckd.method.propagation import propagate_bank
from gckd.method.pseudo_labels import PseudoLabeller, entropies
from gckd.method.unseen_words import mask_unseen_words
from gckd.method.warm_start import WarmStart
from gckd.models.build import build_model
from gckd.progress import ProgressCallback
from gckd.storage.cache import CachePath
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.pretrain import source_checkpoint

QUERIES = 256  # bank entries whose targets exist at a time
GROUPS = 4  # equal groups by entropy
DIRECTIONS = ("image to caption", "caption to image")


@dataclass(frozen=True)
class Finding:
    """Targets of all entries of a target bank; shares in [0, 1]."""

    graph: str
    direction: str
    precision: float  # of the most probable key: same identity as the query
    mass: float  # mean probability on the right identity
    entropy: float  # mean, nats
    by_entropy: tuple[float, ...]  # precision of the GROUPS, the sharpest targets first


@on_config_device
def audit(
    config: Config, *, cache: Path | CachePath, report: ProgressCallback, checkpoint: Path | StoragePath | None = None
) -> list[Finding]:
    """Targets without a graph, from propagated embeddings and from diffused similarities, of one and the same teacher.

    Args:
        checkpoint: of a run of this config: its teacher and banks. Else the source model that adaptation starts from.

    Raises:
        InputError: the config has no pseudo labels, or the checkpoint is not of this config.
    """
    if not config.distill.targets.pseudo_labels:
        raise InputError(f"distill.targets: {config.distill.targets.kind!r} has no targets to look at")
    datasets = open_datasets(check(config), cache, as_progress(report))
    feed = datasets.feed(config, config.adapt.batch)
    student = build_model(config, datasets.tokenizer.vocabulary)
    state = load_checkpoint(checkpoint)["modules"] if checkpoint else None
    if state is None:
        student.load_state_dict(source_checkpoint(config, datasets, cache, report)["modules"]["model"])
        mask_unseen_words(config.tokenizer, student, feed)
    every = {name: build_parts(variant, feed, student) for name, variant in variants(config)}
    first = next(iter(every.values()))
    _fill(first, state, checkpoint)
    for parts in every.values():
        parts.banks.load_state_dict(first.banks.state_dict())
    return [finding for name, parts in every.items() for finding in _findings(name, parts, datasets)]


def variants(config: Config) -> Iterator[tuple[str, Config]]:
    """The config with each kind of graph; K is the config's own, the rest of another kind its defaults."""
    own = config.graph.propagate
    k = own.neighbours or Gnn().k
    for other in (NoPropagation(), Gnn(k=k), Diffusion(k=k)):
        same = type(other) is type(own)
        yield other.kind, config if same else apply(config, {"graph.propagate": other})


def _fill(parts: Parts, state: dict[str, Any] | None, checkpoint: Path | StoragePath | None) -> None:
    """Banks of the checkpoint, or of its teacher or the source model."""
    if state is None:
        model = parts.teacher.model()
        parts.banks.warm_start_source(model, parts.feed.source, parts.config.seed, WarmStart())
        parts.banks.warm_start_target(model, parts.feed.target, parts.config.seed, WarmStart())
        return
    try:
        parts.student.load_state_dict(state["student"])
        parts.banks.load_state_dict(state["banks"])
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{checkpoint}: does not hold the banks of this config ({error})") from error


@torch.no_grad()
def _findings(name: str, parts: Parts, datasets: DatasetPair) -> Iterator[Finding]:
    labels = datasets.target.labelled("train")
    banks, views = parts.banks, parts.banks.space(parts.config.centre).banks
    image = torch.tensor(labels.image_identities)[banks.target_image.rows[: len(views.target_image)]]
    text = torch.tensor(labels.caption_identities)[banks.target_text.rows[: len(views.target_text)]]
    target = BankPair(views.target_image, views.target_text)
    sides = ((TARGET_IMAGE, target, image, text), (TARGET_TEXT, target.reversed(), text, image))
    for direction, (bank, faced, own_labels, key_labels) in zip(DIRECTIONS, sides, strict=True):
        rows = []
        for place in torch.arange(len(faced.query_bank)).split(QUERIES):
            side = RetrievalDirection(propagate_bank(parts.propagate, views, bank, place), place, faced)
            rows.append(_look(parts.labeller, side, float(parts.student.tau), own_labels[place], key_labels))
        yield _summary(name, direction, torch.cat(rows, 1))


def _look(labeller: PseudoLabeller, side: RetrievalDirection, tau: float, own: Tensor, keys: Tensor) -> Tensor:
    """Right or not, mass on the right identity and entropy of each query: [3, B]."""
    wanted = labeller.labels(side, tau)
    wanted = wanted / wanted.sum(1, keepdim=True).clamp(min=torch.finfo(wanted.dtype).tiny)
    right = (own[:, None] == keys[None, :]).to(wanted.dtype)
    best = wanted.argmax(1, keepdim=True)
    return torch.stack((right.gather(1, best).squeeze(1), (wanted * right).sum(1), entropies(wanted)))


def _summary(name: str, direction: str, seen: Tensor) -> Finding:
    precision, mass, entropy = (float(x) for x in seen.mean(1))
    groups = seen[0][seen[2].argsort()].chunk(GROUPS)
    return Finding(name, direction, precision, mass, entropy, tuple(float(group.mean()) for group in groups))
