"""The whole config: what a run is. Symbols (K, C, delta, m, tau) as in the paper; see PAPER.md for each decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from gckd.config.fields import knob, part

# -- data ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Which datasets, and how an example reaches the model."""

    source: str = knob("", "labelled source dataset: a folder, or FORMAT:FOLDER")
    target: str = knob("", "unlabelled target dataset: a folder, or FORMAT:FOLDER")
    height: int = knob(64, "image height after resizing", unit="pixels", ge=8, le=1024)
    width: int = knob(32, "image width after resizing", unit="pixels", ge=8, le=1024)
    max_words: int = knob(50, "captions are cut after this many words", unit="words", ge=1, le=512)
    max_tokens: int = knob(64, "and after this many tokens, [CLS] and [SEP] included", unit="tokens", ge=4, le=512)
    skip_broken: bool = knob(False, "leave out images that cannot be read (and count them) instead of stopping")


@dataclass(frozen=True)
class TrainedTokenizer:
    """WordPiece vocabulary trained on the train captions of both domains (texts only, no pairing)."""

    kind: ClassVar[str] = "trained"
    vocab_size: int = knob(1500, "at most this many word pieces", unit="tokens", ge=32, le=200_000)
    unseen: str = knob(
        "mask",
        "what a word that the source never showed means when adaptation starts: what [MASK] means, or what its random "
        "initial weights happen to mean",
        choices=("mask", "keep"),
    )


@dataclass(frozen=True)
class FolderTokenizer:
    """A pretrained tokenizer (bert-base-uncased layout) from a folder or hub name."""

    kind: ClassVar[str] = "pretrained"
    name: str = knob("bert-base-uncased", "local folder or hub name")


@dataclass(frozen=True)
class Augment:
    """The strong view, seen by the student. The teacher sees the clean view. Each strength 0 turns its part off."""

    channel_gain: float = knob(0.25, "each colour channel is scaled by exp(uniform(-g, g))", ge=0, le=2)
    brightness: float = knob(0.15, "an offset of uniform(-b, b) is added to all channels", ge=0, le=1)
    contrast: float = knob(0.25, "contrast about the image mean is scaled by exp(uniform(-c, c))", ge=0, le=2)
    noise: float = knob(0.05, "standard deviation of pixel noise, drawn per image in [0, n]", ge=0, le=1)
    blur: float = knob(0.3, "share of images that are blurred (3 x 3 binomial)", ge=0, le=1)
    shift: float = knob(0.08, "largest translation, as a share of height and width", ge=0, le=0.5)
    flip: bool = knob(True, "mirror half of the images")
    erase: float = knob(0.3, "share of images with one rectangle erased (random erasing)", ge=0, le=1)
    word_dropout: float = knob(0.1, "share of caption tokens replaced by [MASK]", ge=0, lt=1)


# -- model -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vision:
    """Vision transformer (pre-norm, class token)."""

    patch: int = knob(8, "side of a square patch", unit="pixels", ge=2, le=64)
    stem: str = knob(
        "conv", "how a patch becomes a token: one linear map, or stride-2 convolutions", choices=("linear", "conv")
    )
    width: int = knob(64, "token width", ge=8, le=4096)
    depth: int = knob(3, "blocks", ge=1, le=64)
    heads: int = knob(2, "attention heads", ge=1, le=64)
    mlp_ratio: float = knob(4.0, "hidden width of the MLP / token width", gt=0, le=16)


@dataclass(frozen=True)
class Text:
    """BERT-style text transformer; its last `fusion_depth` layers also attend to the image tokens."""

    width: int = knob(64, "token width", ge=8, le=4096)
    depth: int = knob(2, "text-only layers", ge=1, le=64)
    fusion_depth: int = knob(1, "layers with cross-attention to the image", ge=1, le=64)
    heads: int = knob(2, "attention heads", ge=1, le=64)
    mlp_ratio: float = knob(4.0, "hidden width of the MLP / token width", gt=0, le=16)
    dropout: float = knob(0.0, "dropout in the text layers", ge=0, lt=1)


@dataclass(frozen=True)
class Albef:
    """ALBEF: image, text and fusion encoders, projections to the joint space, matching head and MLM head."""

    kind: ClassVar[str] = "albef"
    vision: Vision = part(Vision, "image encoder")
    text: Text = part(Text, "text and fusion encoder")
    embed_dim: int = knob(96, "d: width of the joint embedding", ge=4, le=4096)
    tau: float = knob(0.07, "initial temperature, learned", gt=0, le=1)


# -- graph -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """The four FIFO banks of teacher embeddings (eq. 1-2)."""

    capacity: int = knob(
        4096, "C: entries of each bank; never more than the dataset has", unit="entries", ge=1, le=2**22
    )
    warm_start: bool = knob(True, "fill the banks with teacher embeddings before the first step")


@dataclass(frozen=True)
class Gnn:
    """Graph-based message passing (eq. 3-4) over KNN graphs of the banks, one graph per modality."""

    kind: ClassVar[str] = "gnn"
    k: int = knob(10, "K: neighbours per node", unit="nodes", ge=1, le=1024)
    layers: int = knob(2, "L: propagation layers", ge=1, le=3)
    conv: str = knob("smooth", "the convolution", choices=("smooth", "sage", "gatv2"))
    residual: float = knob(0.5, "weight of a node's own embedding against its neighbourhood, per layer", ge=0, le=1)
    temperature: float = knob(0.05, "edge weights are softmax(cosine / temperature) over a node's K edges", gt=0, le=10)


@dataclass(frozen=True)
class Diffusion:
    """Message passing on pseudo similarities instead of embeddings, over the KNN graphs of the two target banks."""

    kind: ClassVar[str] = "diffusion"
    k: int = knob(10, "K: neighbours per node", unit="nodes", ge=1, le=1024)
    layers: int = knob(2, "L: propagation layers", ge=1, le=3)
    residual: float = knob(0.4, "weight of a node's own similarities against its neighbours', per layer", ge=0, le=1)
    temperature: float = knob(0.05, "edge weights are softmax(cosine / temperature) over a node's K edges", gt=0, le=10)


@dataclass(frozen=True)
class NoPropagation:
    """No graph: embeddings pass through unchanged."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class Graph:
    """What is remembered and how it is propagated."""

    memory: Memory = part(Memory, "embedding memory")
    propagate: Gnn | Diffusion | NoPropagation = part(
        Gnn, "GMP: of embeddings (gnn), of pseudo similarities (diffusion), or none"
    )


# -- distillation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ema:
    """EMA teacher (eq. 5): parameters and buffers."""

    kind: ClassVar[str] = "ema"
    m: float = knob(0.999, "momentum of the teacher", ge=0, lt=1)


@dataclass(frozen=True)
class NoTeacher:
    """No teacher: the banks hold detached embeddings of the student itself."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class SoftTargets:
    """Pseudo similarity targets of the teacher (eq. 6-8)."""

    kind: ClassVar[str] = "soft"
    sharpen: float = knob(0.5, "targets use temperature sharpen x tau", gt=0, le=4)
    agree: bool = knob(True, "multiply p(key | query) by p(query | key): both directions must agree")
    confidence: float = knob(0.5, "a row weighs exp(-confidence x its entropy in nats); 0 = all alike", ge=0, le=10)


@dataclass(frozen=True)
class MutualNeighbours:
    """Targets without a teacher: mutual nearest neighbours between propagated target images and captions."""

    kind: ClassVar[str] = "mutual"


@dataclass(frozen=True)
class NoTargets:
    """Nothing is learned from the target."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class CrossDomainMatching:
    """Binary matching of target images and captions (eq. 9)."""

    kind: ClassVar[str] = "cross"
    delta: float = knob(0.8, "least cosine of an accepted positive pair", ge=-1, le=1)


@dataclass(frozen=True)
class NoMatching:
    """No cross-domain matching."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class Distill:
    """Cross-modal knowledge distillation (CMKD)."""

    teacher: Ema | NoTeacher = part(Ema, "the teacher, or none")
    targets: SoftTargets | MutualNeighbours | NoTargets = part(
        SoftTargets, "what the student's target distributions follow"
    )
    matching: CrossDomainMatching | NoMatching = part(CrossDomainMatching, "cross-domain matching, or none")
    alpha: float = knob(
        0.4, "weight of soft targets against identity targets on the source, ramped over the first epoch", ge=0, le=1
    )


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms (eq. 10)."""

    source_contrastive: float = knob(1.0, "image-text contrastive loss on the source", ge=0, le=100)
    source_intra: float = knob(1.0, "image-image and text-text contrastive loss of pre-training", ge=0, le=100)
    source_matching: float = knob(0.5, "image-text matching on the source", ge=0, le=100)
    source_mlm: float = knob(0.1, "masked language modelling on the source", ge=0, le=100)
    target_contrastive: float = knob(2.0, "pseudo similarity targets on the target", ge=0, le=100)
    graph: float = knob(
        1.0, "source identities told by propagated embeddings: what a learned convolution learns from", ge=0, le=100
    )
    target_matching: float = knob(0.2, "cross-domain matching", ge=0, le=100)


# -- training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pretrain:
    """Stage 1: source pre-training, shared by every row and trial under its digest."""

    steps: int = knob(800, "optimiser steps", unit="steps", ge=1, le=10_000_000)
    batch: int = knob(64, "pairs per step", unit="pairs", ge=2, le=65_536)
    lr: float = knob(3e-3, "peak learning rate", gt=0, le=1)
    warmup: float = knob(0.1, "share of the steps with rising learning rate", ge=0, lt=1)
    weight_decay: float = knob(0.02, "AdamW weight decay, not on 1-D parameters", ge=0, le=10)
    clip: float = knob(1.0, "gradients are clipped to this norm", gt=0, le=1e6)
    ramp: float = knob(0.4, "share of the steps over which the augmentation grows to full strength", ge=0, le=1)
    memory: int = knob(
        1024, "recent embeddings that are negatives beside the batch, after the warm-up; 0 = none", ge=0, le=2**20
    )
    per_identity: int = knob(2, "images of one identity that stand together in a batch", unit="images", ge=1, le=64)
    evaluations: int = knob(5, "evaluations on source val, evenly spread", ge=1, le=1000)
    fusion_every: int = knob(
        8, "matching and MLM are computed at every n-th step, weighted n-fold", unit="steps", ge=1, le=1000
    )


@dataclass(frozen=True)
class Adapt:
    """Stage 3: adaptation; equal for every row."""

    steps: int = knob(120, "optimiser steps", unit="steps", ge=1, le=10_000_000)
    batch: int = knob(64, "B: examples per domain and step", unit="pairs", ge=2, le=65_536)
    lr: float = knob(3e-3, "peak learning rate", gt=0, le=1)
    warmup: float = knob(0.1, "share of the steps with rising learning rate", ge=0, lt=1)
    weight_decay: float = knob(0.02, "AdamW weight decay, not on 1-D parameters", ge=0, le=10)
    clip: float = knob(1.0, "gradients are clipped to this norm", gt=0, le=1e6)
    evaluations: int = knob(2, "points of the curves, evenly spread (target val, for monitoring only)", ge=1, le=1000)
    fusion_every: int = knob(
        8, "matching and MLM are computed at every n-th step, weighted n-fold", unit="steps", ge=1, le=1000
    )


@dataclass(frozen=True)
class Evaluate:
    """Retrieval on the target test split: captions are queries, images the gallery."""

    batch: int = knob(256, "examples per forward pass", ge=1, le=65_536)
    k_test: int = knob(0, "re-rank the top k_test by the matching head; 0 = off", unit="images", ge=0, le=100_000)
    below: str = knob("contrastive", "order below the re-ranked top", choices=("contrastive", "constant"))


@dataclass(frozen=True)
class Config:
    """One run. A search trial and an ablation row are this plus edits `{path: value}`."""

    seed: int = knob(0, "seed of weights, batches and augmentation", ge=0, le=2**31 - 1)
    centre: bool = knob(
        True, "compare embeddings without the mean of their domain and modality, in training and evaluation"
    )
    data: Data = part(Data, "datasets")
    tokenizer: TrainedTokenizer | FolderTokenizer = part(TrainedTokenizer, "vocabulary")
    augment: Augment = part(Augment, "strong view")
    backbone: Albef = part(Albef, "retriever")
    graph: Graph = part(Graph, "memory and propagation (GMP)")
    distill: Distill = part(Distill, "teacher and targets (CMKD)")
    weights: Weights = part(Weights, "loss weights")
    pretrain: Pretrain = part(Pretrain, "source pre-training")
    adapt: Adapt = part(Adapt, "adaptation")
    evaluate: Evaluate = part(Evaluate, "evaluation")

    def cross_problems(self) -> Iterator[str]:
        """Limits that involve several fields."""
        capacity, batch = self.graph.memory.capacity, self.adapt.batch
        if capacity < batch:
            yield f"graph.memory.capacity: C = {capacity} is below its limit: adapt.batch = {batch}"
        if 0 < self.pretrain.memory < self.pretrain.batch:
            yield f"pretrain.memory: {self.pretrain.memory} is outside its limit: 0, or >= {self.pretrain.batch}"
        gnn = self.graph.propagate
        filled, what = (capacity, "of C") if self.graph.memory.warm_start else (batch, "first batches in cold banks, B")
        nodes = node_count(gnn, filled, filled)
        if not isinstance(gnn, NoPropagation) and gnn.k >= nodes:
            yield f"graph.propagate.k: K = {gnn.k} is outside its limit: < {nodes} nodes ({what} = {filled})"
        patch = self.backbone.vision.patch
        if self.backbone.vision.stem == "conv" and patch & (patch - 1):
            yield f"backbone.vision.patch: {patch} is outside its limit: a power of 2 where backbone.vision.stem = conv"
        for axis, size in (("height", self.data.height), ("width", self.data.width)):
            if size % self.backbone.vision.patch:
                yield f"data.{axis}: {size} is not a multiple of backbone.vision.patch = {self.backbone.vision.patch}"
        for name, width, heads in (
            ("vision", self.backbone.vision.width, self.backbone.vision.heads),
            ("text", self.backbone.text.width, self.backbone.text.heads),
        ):
            if width % heads:
                yield f"backbone.{name}.width: {width} is not a multiple of backbone.{name}.heads = {heads}"
        if isinstance(self.distill.targets, SoftTargets) and isinstance(self.distill.teacher, NoTeacher):
            yield "distill.targets: 'soft' needs a teacher, and distill.teacher is 'none'"
        if isinstance(self.distill.targets, MutualNeighbours) and isinstance(gnn, NoPropagation):
            yield "distill.targets: 'mutual' needs the graph, and graph.propagate is 'none'"


def node_count(propagate: Gnn | Diffusion | NoPropagation, source: int, target: int) -> int:
    """Nodes of a graph over a source bank and a target bank of one modality with so many entries."""
    return source + target if isinstance(propagate, Gnn) else target
