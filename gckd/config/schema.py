"""Config of a run. Symbols (K, C, delta, m, tau) are the paper's; PAPER.md explains each decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gckd.config.backbone import Albef
from gckd.config.banks import per_bank
from gckd.config.component import (
    AlignmentConfig,
    AugmentationConfig,
    BackboneConfig,
    Component,
    MetricLossConfig,
    SelfSupervisionConfig,
    TokenizerConfig,
)
from gckd.config.data import Data, PretrainedTokenizer, RandAugment
from gckd.config.distill import Distill
from gckd.config.fields import option, section
from gckd.config.graph import Graph
from gckd.config.losses import NoAlignment, NoMetric, NoSelfSupervision
from gckd.config.stages import Adapt, Evaluate, Pretrain, Weights
from gckd.config.tree import slots, value_at

_SOURCE_SLOTS = ("metric",)  # slots that can be none, but learn from labels


@dataclass(frozen=True)
class Config:
    """Config of a run. The defaults are the paper's setting where it states one; see `presets` for smaller runs."""

    seed: int = option(0, "seed of initial weights, batches and augmentation", ge=0, le=2**31 - 1)
    device: str = option("auto", "device to compute on; auto: the GPU if there is one", choices=("auto", "cpu", "cuda"))
    checkpoint_minutes: float = option(
        5.0,
        "training time after which a checkpoint is saved, beside those at evaluations; no result depends on it",
        unit="min",
        gt=0,
        in_digest=False,
    )
    centre: bool = option(False, "subtract the mean of domain and modality from embeddings, in training and evaluation")
    data: Data = section(Data, "datasets")
    tokenizer: TokenizerConfig = section(PretrainedTokenizer, "tokenizer of the captions")
    augment: AugmentationConfig = section(
        RandAugment, "augmentation of the student's view; the teacher sees clean images and captions"
    )
    backbone: BackboneConfig = section(Albef, "image, text and fusion encoder")
    graph: Graph = section(Graph, "memory banks and message passing (GMP)")
    distill: Distill = section(Distill, "teacher, targets and matching (CMKD)")
    align: AlignmentConfig = section(NoAlignment, "loss that aligns source and target embeddings")
    metric: MetricLossConfig = section(NoMetric, "metric loss on the source in adaptation, beside the contrastive loss")
    selfsup: SelfSupervisionConfig = section(NoSelfSupervision, "self-supervised loss on the target in adaptation")
    weights: Weights = section(Weights, "weights of the loss terms")
    pretrain: Pretrain = section(Pretrain, "source pre-training")
    adapt: Adapt = section(Adapt, "adaptation")
    evaluate: Evaluate = section(Evaluate, "evaluation")

    @property
    def caption_form(self) -> str:
        """Form in which captions are tokenized, `written` or `albef`; `auto` in `data.caption_form` is resolved."""
        form = self.data.caption_form
        return self.backbone.caption_form if form == "auto" else form

    def components(self) -> tuple[Component, ...]:
        """Every component of the config."""
        distill, graph, pretrain = self.distill, self.graph, self.pretrain
        nodes = [self.tokenizer, self.augment, self.backbone, pretrain.objective, pretrain.optimizer]
        nodes += [graph.propagate, distill.teacher, distill.targets, distill.matching]
        if graph.propagate.neighbour_search is not None:
            nodes.append(graph.propagate.neighbour_search)
        return *nodes, self.align, self.metric, self.selfsup, self.adapt.optimizer

    def off_without_labels(self) -> dict[str, Component]:
        """Path of each slot that adapts to the target without labels -> the component that turns it off."""
        off = {path: choice() for path, slot in slots(self) for choice in slot.choices() if choice.off}
        return {path: component for path, component in off.items() if path not in _SOURCE_SLOTS}

    def cross_problems(self) -> Iterator[str]:
        """Problems that involve several fields, one line each."""
        capacity, batch = self.graph.memory.capacity, self.adapt.batch
        if capacity < batch:
            yield f"graph.memory.capacity: C = {capacity} is below its limit: adapt.batch = {batch}"
        steps, rounds = self.adapt.steps, self.adapt.rounds
        if 0 < steps < rounds:
            yield f"adapt.rounds: {rounds} is outside its limit: <= adapt.steps = {steps}"
        if 0 < steps < self.adapt.stop_after:
            yield f"adapt.stop_after: {self.adapt.stop_after} is outside its limit: <= adapt.steps = {steps}"
        for component in self.components():
            yield from component.problems(self)
        yield from self._pretrain_problems()
        yield from self._fusion_problems()
        yield from self._source_free_problems()
        yield from self._label_problems()
        yield from self._node_problems()
        yield from self._inference_problems()
        yield from self._target_problems()

    def _pretrain_problems(self) -> Iterator[str]:
        objective = self.pretrain.objective
        if self.distill.teacher.starts_from_momentum and not objective.momentum_model:
            yield f"distill.teacher.start: 'momentum' needs pretrain.objective = momentum, not {objective.kind}"
        if self.pretrain.steps == 0 and not self.backbone.weights:
            yield "pretrain.steps: 0 is outside its limit: >= 1 where backbone.weights is empty"

    def _fusion_problems(self) -> Iterator[str]:
        if self.backbone.has_fusion:
            return
        reason = "needs a fusion encoder, but this backbone has none"
        if not self.distill.matching.off:
            yield f"distill.matching: {self.distill.matching.kind!r} {reason}; set it to none"
        if self.evaluate.k_test:
            yield f"evaluate.k_test: {self.evaluate.k_test} {reason}; set it to 0"

    def _source_free_problems(self) -> Iterator[str]:
        source, propagate, matching = self.adapt.source, self.graph.propagate, self.distill.matching
        if source == "samples":
            return
        if self.distill.targets.off:
            yield f"adapt.source: {source!r} leaves nothing to learn from; set distill.targets, which is none"
        if matching.needs_source:
            yield f"distill.matching: {matching.kind!r} needs adapt.source = samples, not {source}; set it to none"
        if source != "none" and not propagate.reads_source:
            yield (
                f"adapt.source: {source!r} needs a graph over the source banks, such as graph.propagate = gnn, "
                f"not {propagate.kind}"
            )
        for name, node in (("align", self.align), ("metric", self.metric)):
            if not node.off:
                yield f"{name}: {node.kind!r} needs adapt.source = samples, not {source}"
        for name in ("source", "warm_start"):
            if source != "none" and not getattr(self.graph.memory, name):
                yield f"graph.memory.{name}: false leaves the source banks empty, which adapt.source = {source} reads"
        if propagate.learns:
            yield f"graph.propagate: a learned convolution needs adapt.source = samples to learn from, not {source}"

    def _label_problems(self) -> Iterator[str]:
        """A model that trains with target labels is the upper reference, so nothing else may adapt it."""
        if self.adapt.labels == "source":
            return
        for path in self.off_without_labels():
            component: Component = value_at(self, path)
            if not component.off:
                yield f"{path}: {component.kind!r} needs adapt.labels = source, not {self.adapt.labels}; set it to none"
        if self.adapt.source != "samples":
            yield f"adapt.source: {self.adapt.source!r} needs adapt.labels = source, not {self.adapt.labels}"

    def _node_problems(self) -> Iterator[str]:
        """K is below the number of nodes of every graph in the first step."""
        memory, batch, k = self.graph.memory, self.adapt.batch, self.graph.propagate.neighbours
        sizes = per_bank(memory.capacities(batch) if memory.warm_start else (batch, batch))
        smallest = min(self.graph.propagate.graphs(), key=lambda graph: graph.total(sizes), default=None)
        if smallest is not None and k >= smallest.total(sizes):
            contents = per_bank((self._first_entries(memory.source), self._first_entries(memory.target)))
            reason = "; ".join(dict.fromkeys(contents[bank] for bank in smallest.banks))
            yield f"graph.propagate.k: K = {k} is outside its limit: < {smallest.total(sizes)} nodes ({reason})"

    def _first_entries(self, remembered: bool) -> str:
        """Entries of a bank in the first step, in words."""
        if not remembered:
            return f"the batch alone, B = {self.adapt.batch}"
        if not self.graph.memory.warm_start:
            return f"no warm start, B = {self.adapt.batch}"
        return f"banks of C = {self.graph.memory.capacity}"

    def _inference_problems(self) -> Iterator[str]:
        if not self.evaluate.propagate:
            return
        if not self.graph.propagate.joins_items:
            yield f"evaluate.propagate: true needs graph.propagate = gnn, not {self.graph.propagate.kind}"
        if self.distill.targets.off:
            yield "evaluate.propagate: true needs target banks, which stay empty with distill.targets = none"

    def _target_problems(self) -> Iterator[str]:
        targets = self.distill.targets
        if targets.needs_teacher and self.distill.teacher.off:
            yield f"distill.targets: {targets.kind!r} needs a teacher, but distill.teacher is none"
        if targets.needs_graph and self.graph.propagate.off:
            yield f"distill.targets: {targets.kind!r} needs a graph, but graph.propagate is none"
