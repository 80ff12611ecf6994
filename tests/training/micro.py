"""Config of a run of a few seconds: toy datasets, a backbone of a few thousand weights, and explicit settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gckd.ablations.components import drop_edits
from gckd.config import Config, apply, check
from gckd.config.backbone import Albef, Text, Vision
from gckd.config.data import Augment, Data, TrainedTokenizer
from gckd.config.distill import CrossDomainMatching, Distill, Ema, SoftTargets
from gckd.config.graph import Gnn, Graph, Memory
from gckd.config.stages import Adapt, CrossBatchMemory, Evaluate, Pretrain, Weights
from gckd.progress import Progress, ProgressCallback
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.run import train_run

STEPS = 4


def micro(source: Path, target: Path) -> Config:
    """Config with every setting that the tests rely on, independent of the defaults."""
    stage: dict[str, Any] = {
        "steps": STEPS,
        "batch": 4,
        "lr": 1e-3,
        "warmup": 0.25,
        "evaluations": 2,
        "fusion_every": 2,
    }
    return check(
        Config(
            seed=3,
            centre=True,
            data=Data(source=str(source), target=str(target), height=16, width=8, max_words=12, max_tokens=16),
            tokenizer=TrainedTokenizer(vocab_size=90),
            augment=Augment(channel_gain=0.2, noise=0.05, erase=0.3, shift=0.05, word_dropout=0.1),
            backbone=Albef(
                vision=Vision(patch=8, stem="linear", width=16, depth=1, heads=2, mlp_ratio=2.0, pixels="half"),
                text=Text(width=16, depth=1, fusion_depth=1, heads=2, mlp_ratio=2.0, dropout=0.1),
                embed_dim=8,
            ),
            graph=Graph(
                Memory(capacity=7, warm_start=True),
                Gnn(k=3, layers=2, conv="smooth", residual=0.5, temperature=0.1),
            ),
            distill=Distill(
                teacher=Ema(m=0.9),
                targets=SoftTargets(sharpen=0.5, agree=True, confidence=0.5),
                matching=CrossDomainMatching(delta=-1.0),
                alpha=0.4,
            ),
            weights=Weights(
                source_contrastive=1.0,
                source_intra=0.5,
                source_matching=0.5,
                source_mlm=0.1,
                target_contrastive=1.0,
                graph=1.0,
                target_matching=0.2,
            ),
            pretrain=Pretrain(**stage, ramp=0.5, objective=CrossBatchMemory(size=8), per_identity=2),
            adapt=Adapt(**stage),
            evaluate=Evaluate(batch=8, k_test=0),
        )
    )


def row(config: Config, *dropped: str) -> Config:
    """Config of a row that drops components, as `--drop`."""
    return apply(config, drop_edits(frozenset(dropped), config)) if dropped else config


def trained(config: Config, cache: Path, out: Path, report: ProgressCallback = lambda progress: None) -> dict[str, Any]:
    """Train a config and return its last checkpoint."""
    train_run(config, cache=cache, out=out, report=report)
    result: dict[str, Any] = load_checkpoint(out / "checkpoint.pt")
    return result


def differences(one: Any, two: Any, path: str = "") -> list[str]:
    """Paths at which two checkpoints (nested dicts, lists, tensors, values) are not identical."""
    if isinstance(one, dict) and isinstance(two, dict):
        keys = sorted({*one, *two}, key=str)
        return [d for key in keys for d in differences(one.get(key), two.get(key), f"{path}/{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [d for i, pair in enumerate(zip(one, two, strict=True)) for d in differences(*pair, f"{path}/{i}")]
    if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        return [] if torch.equal(one, two) else [path]
    return [] if type(one) is type(two) and one == two else [path]


class Interruption(Exception):
    """Simulated crash."""


def stop_at(stage: str, step: int) -> ProgressCallback:
    """Progress callback that interrupts the run at a step (from 1) of a stage."""

    def report(progress: Progress) -> None:
        if (progress.stage, progress.step) == (stage, step):
            raise Interruption

    return report
