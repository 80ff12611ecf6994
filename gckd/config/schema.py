"""The whole config: what a run is. Symbols (K, C, delta, m, tau) as in the paper; see PAPER.md for each decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gckd.config.backbone import Albef, Blip, Clip
from gckd.config.data import Augment, Data, FolderTokenizer, RandAugment, TrainedTokenizer
from gckd.config.distill import CrossDomainMatching, Distill, MutualNeighbours, NoTargets, NoTeacher, SoftTargets
from gckd.config.fields import option, section
from gckd.config.graph import Gnn, Graph, NoPropagation, graphs, per_bank
from gckd.config.losses import Adversarial, Mmd, MultiSimilarity, NoAlignment, NoMetric, Triplet
from gckd.config.train import Adapt, CrossBatchMemory, Evaluate, Pretrain, Weights


@dataclass(frozen=True)
class Config:
    """One run. A search trial and an ablation row are this plus edits `{path: value}`."""

    seed: int = option(0, "seed of weights, batches and augmentation", ge=0, le=2**31 - 1)
    device: str = option("auto", "where to compute; auto: the GPU where there is one", choices=("auto", "cpu", "cuda"))
    centre: bool = option(
        True, "compare embeddings without the mean of their domain and modality, in training and evaluation"
    )
    data: Data = section(Data, "datasets")
    tokenizer: TrainedTokenizer | FolderTokenizer = section(TrainedTokenizer, "vocabulary")
    augment: Augment | RandAugment = section(
        Augment, "strong view, seen by the student; the teacher sees the clean one"
    )
    backbone: Albef | Clip | Blip = section(Albef, "retriever")
    graph: Graph = section(Graph, "memory and propagation (GMP)")
    distill: Distill = section(Distill, "teacher and targets (CMKD)")
    align: Mmd | Adversarial | NoAlignment = section(NoAlignment, "what makes the domains look alike, if anything")
    metric: Triplet | MultiSimilarity | NoMetric = section(
        NoMetric, "metric learning on the source in adaptation, beside the contrastive loss"
    )
    weights: Weights = section(Weights, "loss weights")
    pretrain: Pretrain = section(Pretrain, "source pre-training")
    adapt: Adapt = section(Adapt, "adaptation")
    evaluate: Evaluate = section(Evaluate, "evaluation")

    def cross_problems(self) -> Iterator[str]:
        """Limits that involve several fields."""
        capacity, batch = self.graph.memory.capacity, self.adapt.batch
        if capacity < batch:
            yield f"graph.memory.capacity: C = {capacity} is below its limit: adapt.batch = {batch}"
        yield from self._pretrain_problems()
        yield from self._fusion_problems()
        yield from self._source_free_problems()
        yield from self._graph_problems()
        yield from self._inference_problems()
        yield from self.backbone.problems(self.data.height, self.data.width)
        if isinstance(self.distill.targets, SoftTargets) and isinstance(self.distill.teacher, NoTeacher):
            yield "distill.targets: 'soft' needs a teacher, and distill.teacher is 'none'"
        if isinstance(self.distill.targets, MutualNeighbours) and isinstance(self.graph.propagate, NoPropagation):
            yield "distill.targets: 'mutual' needs the graph, and graph.propagate is 'none'"

    def _graph_problems(self) -> Iterator[str]:
        """There is a graph, and K is below the nodes of each of them in the first step."""
        gnn, memory, batch = self.graph.propagate, self.graph.memory, self.adapt.batch
        if isinstance(gnn, NoPropagation):
            return
        if not (gnn.images or gnn.texts):
            yield "graph.propagate: neither images nor texts have a graph; use graph.propagate=none"
            return
        if isinstance(gnn, Gnn) and gnn.joint and not (gnn.images and gnn.texts):
            yield "graph.propagate.joint: true is one graph of images and texts, and one of the two is off"
        filled = memory.capacities(batch) if memory.warm_start else (batch, batch)
        least = min(graphs(gnn), key=lambda graph: graph.total(per_bank(filled)))
        nodes = least.total(per_bank(filled))
        if gnn.k >= nodes:
            held = per_bank((self._held(memory.source), self._held(memory.target)))
            what = "; ".join(dict.fromkeys(held[bank] for bank in least.banks))
            yield f"graph.propagate.k: K = {gnn.k} is outside its limit: < {nodes} nodes ({what})"

    def _held(self, remembered: bool) -> str:
        """What a bank holds in the first step, in words."""
        if not remembered:
            return f"the batch alone, B = {self.adapt.batch}"
        if not self.graph.memory.warm_start:
            return f"first batches in cold banks, B = {self.adapt.batch}"
        return f"of C = {self.graph.memory.capacity}"

    def _pretrain_problems(self) -> Iterator[str]:
        plan = self.pretrain
        name, limit = ("size", "0, or >=") if isinstance(plan.objective, CrossBatchMemory) else ("queue", ">=")
        size = getattr(plan.objective, name)
        if size < plan.batch and not (size == 0 and name == "size"):
            yield f"pretrain.objective.{name}: {size} is outside its limit: {limit} pretrain.batch = {plan.batch}"
        start = getattr(self.distill.teacher, "start", "student")
        if start == "momentum" and plan.objective.kind != "momentum":
            yield f"distill.teacher.start: 'momentum' needs pretrain.objective = momentum, not {plan.objective.kind}"
        if plan.steps == 0 and not self.backbone.weights:
            yield "pretrain.steps: 0 is outside its limit: >= 1 where backbone.weights is empty"

    def _source_free_problems(self) -> Iterator[str]:
        kind, gnn = self.adapt.source, self.graph.propagate
        if kind == "samples":
            return
        if isinstance(self.distill.targets, NoTargets):
            yield f"adapt.source: {kind!r} leaves nothing to learn from, distill.targets is 'none'"
        if isinstance(self.distill.matching, CrossDomainMatching):
            yield f"distill.matching: 'cross' has negatives of adapt.source = samples, not of {kind}; set it to none"
        if kind != "none" and not isinstance(gnn, Gnn):
            yield f"adapt.source: {kind!r} needs graph.propagate = gnn, which alone reads it, not {gnn.kind}"
        for name, node in (("align", self.align), ("metric", self.metric)):
            if node.kind != "none":
                yield f"{name}: {node.kind!r} needs adapt.source = samples, not {kind}"
        for name in ("source", "warm_start"):
            if kind != "none" and not getattr(self.graph.memory, name):
                yield f"graph.memory.{name}: false leaves nothing to freeze, and adapt.source is {kind!r}"
        if isinstance(gnn, Gnn) and gnn.conv != "smooth":
            yield f"graph.propagate.conv: {gnn.conv!r} needs adapt.source = samples to learn from, not {kind}"

    def _inference_problems(self) -> Iterator[str]:
        if not self.evaluate.propagate:
            return
        if not isinstance(self.graph.propagate, Gnn):
            yield f"evaluate.propagate: true needs graph.propagate = gnn, and it is {self.graph.propagate.kind}"
        if isinstance(self.distill.targets, NoTargets):
            yield "evaluate.propagate: true needs the target's banks, and with distill.targets = none they stay empty"

    def _fusion_problems(self) -> Iterator[str]:
        if isinstance(self.backbone, Clip) and not self.backbone.fusion_depth:
            if isinstance(self.distill.matching, CrossDomainMatching):
                yield "distill.matching: 'cross' needs a fusion encoder, and backbone.fusion_depth is 0; set it to none"
            if self.evaluate.k_test:
                yield f"evaluate.k_test: {self.evaluate.k_test} needs a fusion encoder, and backbone.fusion_depth is 0"
