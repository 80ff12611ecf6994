"""Audit of pseudo labels by labels of the target's train split: to understand them, never to choose a setting."""

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
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.checkpoint_data import check_datasets, with_tokenizer_of
from gckd.training.pretrain import source_checkpoint

BLOCK = 256  # queries whose pseudo labels are in memory at a time
GROUPS = 4  # equal groups by entropy
DIRECTIONS = ("image to caption", "caption to image")


@dataclass(frozen=True)
class LabelPrecision:
    """Precision of the pseudo labels of all entries of a target bank; shares in [0, 1]."""

    graph: str
    direction: str
    precision: float  # share of the queries whose most probable key has their identity
    mass: float  # mean probability of the right identity
    entropy: float  # mean, in nats
    by_entropy: tuple[float, ...]  # precision of GROUPS groups, those with the lowest entropy first


@on_config_device
def audit_pseudo_labels(
    config: Config, *, cache: Path | CachePath, report: ProgressCallback, checkpoint: Path | StoragePath | None = None
) -> list[LabelPrecision]:
    """Audit pseudo labels of one teacher without a graph, with propagated embeddings and with diffused similarities.

    Args:
        checkpoint: of a run of this config, whose teacher and banks are used; None: the source model.

    Raises:
        InputError: the config has no pseudo labels, or the checkpoint is not of this config.
    """
    if not config.distill.targets.pseudo_labels:
        raise InputError(f"distill.targets: {config.distill.targets.kind!r} has no pseudo labels; choose another kind")
    datasets, state = open_datasets(check(config), cache, as_progress(report)), None
    if checkpoint:
        content = load_checkpoint(checkpoint, STAGE_FIELDS)
        check_datasets(checkpoint, content, datasets)
        datasets, state = with_tokenizer_of(checkpoint, content, datasets), content["modules"]
    feed = datasets.feed(config, config.adapt.batch)
    student = build_model(config, datasets.tokenizer.vocabulary)
    if state is None:
        student.load_state_dict(source_checkpoint(config, datasets, cache, report)["modules"]["model"])
        mask_unseen_words(config.tokenizer, student, feed)
    variants = {name: build_parts(variant, feed, student) for name, variant in graph_variants(config)}
    first = next(iter(variants.values()))
    _fill_banks(first, state, checkpoint)
    for parts in variants.values():
        parts.banks.load_state_dict(first.banks.state_dict())
    return [precision for name, parts in variants.items() for precision in _precisions(name, parts, datasets)]


def graph_variants(config: Config) -> Iterator[tuple[str, Config]]:
    """The config with no graph, with `gnn`, with `diffusion`, and as it is. K is that of the config; other kinds have
    their defaults otherwise.
    """
    propagate = config.graph.propagate
    k = propagate.neighbours or Gnn().k
    nodes = {node.kind: node for node in (NoPropagation(), Gnn(k=k), Diffusion(k=k), propagate)}
    for kind, node in nodes.items():
        yield kind, config if kind == propagate.kind else apply(config, {"graph.propagate": node})


def _fill_banks(parts: Parts, state: dict[str, Any] | None, checkpoint: Path | StoragePath | None) -> None:
    """Load the banks of the checkpoint, or fill them with embeddings of the source model."""
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
def _precisions(graph: str, parts: Parts, datasets: DatasetPair) -> Iterator[LabelPrecision]:
    labels = datasets.target.labelled("train")
    banks, views = parts.banks, parts.banks.space(parts.config.centre).banks
    image = torch.tensor(labels.image_identities)[banks.target_image.rows[: len(views.target_image)]]
    text = torch.tensor(labels.caption_identities)[banks.target_text.rows[: len(views.target_text)]]
    pair = BankPair(views.target_image, views.target_text)
    cases = ((TARGET_IMAGE, pair, image, text), (TARGET_TEXT, pair.reversed(), text, image))
    for name, (bank, bank_pair, query_identities, key_identities) in zip(DIRECTIONS, cases, strict=True):
        columns = []
        for positions in torch.arange(len(bank_pair.query_bank)).split(BLOCK):
            queries = propagate_bank(parts.propagate, views, bank, positions)
            direction = RetrievalDirection(queries, positions, bank_pair)
            is_right = query_identities[positions][:, None] == key_identities[None, :]
            columns.append(_label_statistics(parts.labeller, direction, float(parts.student.tau), is_right))
        yield _summary(graph, name, torch.cat(columns, 1))


def _label_statistics(labeller: PseudoLabeller, direction: RetrievalDirection, tau: float, is_right: Tensor) -> Tensor:
    """Per query: 1 if the most probable key is right, probability of the right identity, entropy. [3, B].

    Args:
        is_right: [B, N], whether a key has the identity of the query.
    """
    labels = labeller.labels(direction, tau)
    labels = labels / labels.sum(1, keepdim=True).clamp(min=torch.finfo(labels.dtype).tiny)
    right = is_right.to(labels.dtype)
    best = labels.argmax(1, keepdim=True)
    return torch.stack((right.gather(1, best).squeeze(1), (labels * right).sum(1), entropies(labels)))


def _summary(graph: str, direction: str, statistics: Tensor) -> LabelPrecision:
    precision, mass, entropy = (float(x) for x in statistics.mean(1))
    groups = statistics[0][statistics[2].argsort()].chunk(GROUPS)
    return LabelPrecision(graph, direction, precision, mass, entropy, tuple(float(group.mean()) for group in groups))
