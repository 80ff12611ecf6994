"""Neighbours of a gallery image in the graph of a run, whose nodes are the entries of its memory banks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from gckd.config.banks import SOURCE_IMAGE, TARGET_IMAGE, TARGET_TEXT, GraphNodes
from gckd.errors import InputError
from gckd.graph.memory import centred
from gckd.method.banks import PerBank
from gckd.storage.checkpoint import STAGE_FIELDS, load_checkpoint
from gckd.training.checkpoint_data import other_dataset
from gckd.training.model import Model

NO_GRAPH = "This model has no graph (graph.propagate=none)."
OTHER_DATASET = "The graph of this model names images and captions of other datasets than those of this page."


class Node(NamedTuple):
    """An entry of a memory bank: an image or a caption of a train split."""

    bank: int  # number of the bank
    row: int  # in its split; -1 if unknown
    cosine: float  # to the image, or to the caption, whose neighbour it is

    @property
    def is_image(self) -> bool:
        return self.bank in (SOURCE_IMAGE, TARGET_IMAGE)

    @property
    def domain(self) -> str:
        return "source" if self.bank < TARGET_IMAGE else "target"


class Neighbourhood(NamedTuple):
    """Nodes that are near an image in the graph, nearest first, and a sentence on them."""

    sentence: str
    nodes: list[Node]
    anchor: Node | None = None  # caption whose neighbours the nodes are, where images are not in the graph


class GraphView:
    """Graph of a checkpoint, as an image of the gallery sees it.

    A gallery image is in no bank. Where the graph has images, its neighbours are the K nearest nodes, from which it
    would receive messages (as with evaluate.propagate). Where only captions are in the graph, the caption that is most
    similar to the image stands for it.
    """

    def __init__(self, model: Model) -> None:
        self._graphs, self._without_graph = model.config.graph.propagate.graphs(), NO_GRAPH
        self._k = model.config.graph.propagate.neighbours
        self.splits = (
            model.student.datasets.source.unlabelled("train"),
            model.student.datasets.target.unlabelled("train"),
        )
        if not self._graphs:
            return
        with model.checkpoint.reading() as file:
            content = load_checkpoint(file, STAGE_FIELDS)
        modules = content["modules"]
        if other_dataset(model.checkpoint, content, model.student.datasets):
            self._graphs, self._without_graph = [], OTHER_DATASET
            return
        if "banks" not in modules:
            raise InputError(f"{model.checkpoint}: does not hold memory banks; give the checkpoint of a finished run")
        banks: Mapping[str, Tensor] = modules["banks"]
        counts = {name: int(banks[f"{name}.count"]) for name in PerBank._fields}
        filled = [banks[f"{name}.embeddings"][: counts[name]] for name in PerBank._fields]
        self._views = [
            centred(bank, bank.mean(0) * float(model.config.centre)) if len(bank) else bank for bank in filled
        ]
        self._rows = [banks[f"{name}.rows"][: counts[name]] for name in PerBank._fields]

    def around(self, image: Tensor, row_in_train: int | None = None) -> Neighbourhood:
        """Neighbours of an image.

        Args:
            image: [d], its unit embedding.
            row_in_train: its row in the target's train split, if it is of that split: it is not its own neighbour.
        """
        graph = next((graph for graph in self._graphs if TARGET_IMAGE in graph.banks), None)
        if graph is not None:
            nodes = self._nearest(graph, image, None if row_in_train is None else (TARGET_IMAGE, row_in_train))
            return Neighbourhood(f"The {len(nodes)} nodes nearest to the image, which would send it messages.", nodes)
        graph = next((graph for graph in self._graphs if TARGET_TEXT in graph.banks), None)
        if graph is None or not len(self._views[TARGET_TEXT]):
            return Neighbourhood(self._without_graph, [])
        cosines = self._views[TARGET_TEXT] @ image
        position = int(cosines.argmax())
        anchor = Node(TARGET_TEXT, int(self._rows[TARGET_TEXT][position]), float(cosines[position]))
        nodes = self._nearest(graph, self._views[TARGET_TEXT][position], (TARGET_TEXT, anchor.row))
        sentence = (
            "Only captions are in the graph of this model. The caption most similar to the image stands for it; these "
            f"are its {len(nodes)} neighbours."
        )
        return Neighbourhood(sentence, nodes, anchor)

    def _nearest(self, graph: GraphNodes, query: Tensor, itself: tuple[int, int] | None) -> list[Node]:
        """The K nearest nodes of a graph, without the query itself."""
        nodes = []
        for bank in graph.banks:
            best = (self._views[bank] @ query).topk(min(self._k + 1, len(self._views[bank])))
            rows = self._rows[bank][best.indices].tolist()
            nodes += [Node(bank, row, cosine) for row, cosine in zip(rows, best.values.tolist(), strict=True)]
        others = [node for node in nodes if (node.bank, node.row) != itself]
        return sorted(others, key=lambda node: -node.cosine)[: self._k]
