"""Stage 1: source pre-training, once for every run that shares its digest."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F

from gckd.config import digest
from gckd.config.schema import Config
from gckd.data.augment import scaled
from gckd.model.albef import AlbefModel
from gckd.model.losses import identity_targets, soft_cross_entropy
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
    shared = [config.backbone, config.augment, config.pretrain, config.seed, config.data.height, config.data.width]
    weights = [config.weights.source_contrastive, config.weights.source_matching, config.weights.source_mlm]
    names = [datasets.source.digest, datasets.tokenizer.digest, config.data.max_tokens]
    return digest(*shared, *weights, *names)


class Pretraining:
    """Contrastive (identity-aware, in-batch), matching and MLM terms on strong views of source batches."""

    def __init__(self, config: Config, feed: Feed, model: AlbefModel) -> None:
        self.config, self.feed, self.model = config, feed, model

    def terms(self, step: int) -> dict[str, Tensor]:
        """Loss terms of step `step` (from 0), each a scalar."""
        batch, model, plan = self.feed.source.batch(step), self.model, self.config.pretrain
        strength = min(1.0, step / max(1.0, plan.ramp * plan.steps))
        feed = dataclasses.replace(self.feed, augment=scaled(self.config.augment, strength))
        view = feed.views(batch.images, batch.tokens, "pretrain", step)
        image, text = model.encode_image(view.images), model.encode_text(view.tokens)
        wanted = identity_targets(batch.identities, batch.identities)
        similarity = self._space(image.embedding) @ self._space(text.embedding).T / model.tau
        contrastive = (soft_cross_entropy(similarity, wanted) + soft_cross_entropy(similarity.T, wanted)) / 2
        terms = {"source_contrastive": contrastive}
        if step % plan.fusion_every == 0:
            random = generator(self.config.seed, "pretrain/fusion", step)
            matching = source_matching(model, image, text, view.tokens, batch.identities, random)
            mlm = source_mlm(model, image, batch.tokens, feed.tokenizer, random)
            terms |= {"source_matching": plan.fusion_every * matching, "source_mlm": plan.fusion_every * mlm}
        return terms

    def _space(self, z: Tensor) -> Tensor:
        """Unit embeddings [B, d] without their batch mean, if so configured.

        From random weights the common part of all embeddings is nearly all there is, and the quickest way down is to
        make it everything (all similarities equal, loss ln B): a plateau of hundreds of steps. Without it there is none.
        """
        return F.normalize(z - z.mean(0), dim=-1) if self.config.pretrain.centre else z


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
    feed = datasets.feed(config, config.pretrain.batch)
    model = build_model(config, datasets.tokenizer)
    val = datasets.labelled(datasets.source, "val", config.data)

    def monitor(step: int) -> dict[str, float]:
        found = Retriever(model, config.evaluate).metrics(val)
        return {"source_val_rank_1": found["rank_1"], "source_val_map": found["map"]}

    Stage(
        name="pretrain",
        digest=name,
        seed=config.seed,
        schedule=config.pretrain,
        modules={"model": model},
        terms=Pretraining(config, feed, model).terms,
        weights={name: float(value) for name, value in dataclasses.asdict(config.weights).items()},
        monitor=monitor,
        report=report,
    ).run(path)


def flatness(curve: list[Point]) -> str:
    """The source val Rank-1 over pre-training, in words, so that a table shows whether it was flat at the end."""
    values = [f"{float(p['value']):.1f}" for p in curve if p["name"] == "source_val_rank_1"]
    return "source val Rank-1 over pre-training (evenly spread): " + ", ".join(values)
