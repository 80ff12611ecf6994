"""Stage 1: source pre-training, once for every run that shares its digest."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from gckd.config import digest
from gckd.config.schema import Config
from gckd.data.augment import scaled
from gckd.data.records import SourceBatch
from gckd.graph.memory import MemoryBank, centred
from gckd.model.albef import AlbefModel
from gckd.model.losses import identity_targets, soft_cross_entropy
from gckd.train.banks import train_means
from gckd.train.data import Datasets
from gckd.train.evaluate import Retriever
from gckd.train.feed import Feed
from gckd.train.loop import Point, Stage, load_checkpoint
from gckd.train.parts import build_model
from gckd.train.progress import Report
from gckd.train.randomness import generator
from gckd.train.source import source_matching, source_mlm


def pretrain_digest(config: Config, datasets: Datasets) -> str:
    """Names all that source pre-training depends on: neither K, delta, C nor m, nor anything of the adaptation."""
    shared = [config.backbone, config.augment, config.pretrain, config.seed, config.centre]
    sizes = [config.data.height, config.data.width, config.data.max_tokens]
    weights = [value for name, value in dataclasses.asdict(config.weights).items() if name.startswith("source_")]
    return digest(*shared, *sizes, *weights, datasets.source.digest, datasets.tokenizer.digest)


class Pretraining:
    """Contrastive (identity-aware), matching and MLM terms on strong views of source batches.

    Beside the batch, the contrastive terms see the student's own recent embeddings: cross-batch memory (Wang et al.,
    CVPR 2020). It starts after the warm-up, once embeddings no longer drift too fast to be compared.
    """

    def __init__(self, config: Config, feed: Feed, model: AlbefModel) -> None:
        self.config, self.feed, self.model = config, feed, model
        width = config.backbone.embed_dim
        self.images = MemoryBank(config.pretrain.memory, width)
        self.texts = MemoryBank(config.pretrain.memory, width)

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of step `step` (from 0), each a scalar."""
        batch, model, plan = self.feed.source.batch(step), self.model, self.config.pretrain
        strength = min(1.0, step / max(1.0, plan.ramp * plan.steps))
        feed = dataclasses.replace(self.feed, augment=scaled(self.config.augment, strength))
        view = feed.views(batch.images, batch.tokens, "pretrain", step)
        image, text = model.encode_image(view.images), model.encode_text(view.tokens)
        z_image, z_text = self._space(image.embedding), self._space(text.embedding)
        contrastive = (
            self._contrast(z_image, z_text, self.texts, batch) + self._contrast(z_text, z_image, self.images, batch)
        ) / 2
        self._remember(z_image, z_text, batch, step)
        intra = (self._intra(z_image, batch.identities) + self._intra(z_text, batch.identities)) / 2
        terms = {"source_contrastive": contrastive, "source_intra": intra}
        if step % plan.fusion_every == 0:
            random = generator(self.config.seed, "pretrain/fusion", step)
            matching = source_matching(model, image, text, view.tokens, batch.identities, random)
            mlm = source_mlm(model, image, batch.tokens, feed.tokenizer, random)
            terms |= {"source_matching": plan.fusion_every * matching, "source_mlm": plan.fusion_every * mlm}
        return terms

    def _space(self, z: Tensor) -> Tensor:
        """Unit embeddings [B, d] without their batch mean, if so configured.

        From random weights the common part of all embeddings is nearly all there is, and the quickest way down is to
        make it everything (all similarities equal, loss ln B): a plateau of hundreds of steps. Without it there is
        none.
        """
        return centred(z, z.mean(0)) if self.config.centre else z

    def _contrast(self, queries: Tensor, keys: Tensor, memory: MemoryBank, batch: SourceBatch) -> Tensor:
        """Queries [B, d] against the batch's keys [B, d] and what is remembered of their modality.

        The two memories differ in length where an image came again with another of its captions.
        """
        identities = torch.cat((batch.identities, memory.identities[: len(memory)]))
        logits = queries @ torch.cat((keys, memory.filled())).T / self.model.tau
        return soft_cross_entropy(logits, identity_targets(batch.identities, identities))

    def _remember(self, z_image: Tensor, z_text: Tensor, batch: SourceBatch, step: int) -> None:
        plan = self.config.pretrain
        if plan.memory and step >= plan.warmup * plan.steps:
            self.images.push(z_image.detach(), batch.image_rows, batch.identities)
            self.texts.push(z_text.detach(), batch.caption_rows, batch.identities)

    def _intra(self, z: Tensor, identities: Tensor) -> Tensor:
        """Contrastive loss within a modality: the other examples [B, d] of the same identity are the positives.

        Ours, after TCL (Yang et al., CVPR 2022), which contrasts two views where this contrasts two photographs.
        """
        others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
        positive = (identities[:, None] == identities[None, :]) & others
        has_positive = positive.any(1)
        if not bool(has_positive.any()):
            return z.sum() * 0.0
        wanted = positive[has_positive].float()
        similarity = (z @ z.T / self.model.tau).masked_fill(~others, -1e4)[has_positive]
        return soft_cross_entropy(similarity, wanted / wanted.sum(1, keepdim=True))


def pretrained(config: Config, datasets: Datasets, cache: Path, report: Report) -> dict[str, Any]:
    """The source-trained checkpoint of a config, trained now unless the cache has it; a second process waits.

    Returns:
        The final checkpoint: `modules["model"]` (state dict), `curve`, `seconds`.
    """
    name = pretrain_digest(config, datasets)
    folder = cache / "pretrain" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    with FileLock(folder / "lock"):
        if not (path.exists() and load_checkpoint(path)["step"] == config.pretrain.steps):
            _train(config, datasets, name, path, report)
        found: dict[str, Any] = load_checkpoint(path)
    return found


def _train(config: Config, datasets: Datasets, name: str, path: Path, report: Report) -> None:
    feed = datasets.feed(config, config.pretrain.batch, config.pretrain.per_identity)
    model = build_model(config, datasets.tokenizer)
    val = datasets.labelled(datasets.source, "val", config.data)
    plain = dataclasses.replace(config.evaluate, k_test=0)

    def monitor(step: int) -> dict[str, float]:
        found = Retriever(model, plain, train_means(model, feed.source, config.centre)).metrics(val)
        return {"source_val_rank_1": found["rank_1"], "source_val_map": found["map"]}

    pretraining = Pretraining(config, feed, model)
    Stage(
        name="pretrain",
        digest=name,
        seed=config.seed,
        schedule=config.pretrain,
        modules={"model": model, "images": pretraining.images, "texts": pretraining.texts},
        terms=pretraining.terms,
        weights={name: float(value) for name, value in dataclasses.asdict(config.weights).items()},
        monitor=monitor,
        report=report,
    ).run(path)


def flatness(curve: list[Point]) -> str:
    """The source val Rank-1 over pre-training, in words, so that a table shows whether it was flat at the end."""
    values = [f"{float(p['value']):.1f}" for p in curve if p["name"] == "source_val_rank_1"]
    return "source val Rank-1 over pre-training (evenly spread): " + ", ".join(values)
