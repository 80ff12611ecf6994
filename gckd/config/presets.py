"""Presets: functions that return a config. Everything else is an edit of one."""

from __future__ import annotations

from collections.abc import Callable

from gckd.config.backbone import Albef, Compute, Text, Vision
from gckd.config.data import Augment, Data, TrainedTokenizer
from gckd.config.distill import Distill, Ema, SoftTargets
from gckd.config.graph import Diffusion, Graph, Memory
from gckd.config.neighbour_search import TorchSearch
from gckd.config.optimizers import Muon
from gckd.config.schema import Config
from gckd.config.stages import Adapt, CrossBatchMemory, Pretrain, Weights
from gckd.errors import InputError, unknown_choice


def tiny() -> Config:
    """A run of minutes on two CPU cores: 64 x 32 images, 0.6 M parameters.

    Message passing acts on pseudo similarities over the graphs of images and captions. Only neighbours about as near as
    the nearest count, and an edge between images, which are often other persons who look alike, needs common reciprocal
    neighbours. The evaluated weights are 40 % source model and 60 % student: where most pseudo labels are wrong, the
    student alone is no better than the source model. K, C, m and alpha differ from the paper's: identities have few
    images, and a run has hundreds of steps instead of tens of thousands, which leave a teacher of m = 0.999 where it
    began. These values were chosen with target labels of development datasets (LOG.md).
    """
    return Config(
        centre=True,
        data=Data(height=64, width=32),
        tokenizer=TrainedTokenizer(),
        augment=Augment(),
        backbone=Albef(
            vision=Vision(patch=8, stem="conv", width=64, depth=3, heads=2, pixels="half"),
            text=Text(width=64, depth=2, fusion_depth=1, heads=2, dropout=0.0),
            embed_dim=96,
        ),
        graph=Graph(
            memory=Memory(capacity=4096, mean_every=32),
            propagate=Diffusion(
                k=5,
                temperature=1.0,
                relative=True,
                residual=0.4,
                image_overlap=0.6,
                search=TorchSearch(update_above=1024),
            ),
        ),
        distill=Distill(teacher=Ema(m=0.97), targets=SoftTargets(agree=True, confidence=0.5), alpha=0.0),
        weights=Weights(
            source_intra=1.0, source_matching=0.5, source_mlm=0.1, target_contrastive=2.0, target_matching=0.2
        ),
        pretrain=Pretrain(
            steps=1400,
            batch=64,
            optimizer=Muon(),
            lr=3e-3,
            ramp=0.4,
            objective=CrossBatchMemory(),
            per_identity=2,
            fusion_every=32,
        ),
        adapt=Adapt(steps=240, batch=48, optimizer=Muon(), lr=3e-3, source_share=0.4, evaluations=1, fusion_every=8),
    )


def base() -> Config:
    """The paper's setting: published ALBEF (ViT-B/16, 6 + 6 BERT layers) at 384 x 384, C = 65,536, m = 0.999, K = 10.

    These are the defaults of every config node, in bfloat16, with captions in the form of ALBEF's training. For person
    crops set `data.width` to 128.
    """
    return Config(
        data=Data(caption_form="albef"),
        backbone=Albef(compute=Compute(precision="bf16")),
        weights=Weights(source_intra=1.0),  # without effect: only CrossBatchMemory has this term
    )


PRESETS: dict[str, Callable[[], Config]] = {"tiny": tiny, "base": base}


def preset(name: str) -> Config:
    """The preset called `name`.

    Raises:
        InputError: there is none; the message lists them.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: {unknown_choice('preset', name, PRESETS)}")
    return PRESETS[name]()
