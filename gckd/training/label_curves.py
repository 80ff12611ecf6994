"""Precision of graph and targets at each evaluation, by labels of the target's train split (`evaluate.audit`).

The values help to understand a run. Nothing trains, selects or stops by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.data.dataset_pair import DatasetPair
from gckd.method.parts import Parts
from gckd.training.target_graph import DirectionSample, direction_samples

PREFIX = "audit_"  # of the names of these curves


def label_monitor(datasets: DatasetPair, parts: Parts) -> Callable[[], dict[str, float]]:
    """Function that computes precisions in [0, 1] from the current state of a run.

    `audit_same_identity_image`, `..._text`: share of the edges between target nodes that connect one person.
    `audit_target_precision`: share of the targets whose most probable key is the right person.
    `audit_accepted_precision`: share of the pairs above delta that are one person. A value is missing if there are no
    such edges, targets or pairs; all are missing if no loss term reads the target.
    """
    labels = datasets.target.labelled("train")
    image, text = torch.tensor(labels.image_identities), torch.tensor(labels.caption_identities)

    @torch.no_grad()
    def precisions() -> dict[str, float]:
        if not parts.opens_target:
            return {}
        banks, hits = parts.banks, dict[str, list[Tensor]]()
        identities = {
            TARGET_IMAGE: image[banks.target_image.rows[: len(banks.target_image)]],
            TARGET_TEXT: text[banks.target_text.rows[: len(banks.target_text)]],
        }
        samples = direction_samples(parts)
        for sample, query_bank, key_bank in zip(samples, identities, reversed(identities), strict=True):
            for name, is_right in _hits(parts, sample, identities, query_bank, key_bank):
                hits.setdefault(PREFIX + name, []).append(is_right.flatten())
        all_hits = {name: torch.cat(tensors).float() for name, tensors in hits.items()}
        return {name: float(tensor.mean()) for name, tensor in all_hits.items() if len(tensor)}

    return precisions


def _hits(
    parts: Parts, sample: DirectionSample, identities: Mapping[int, Tensor], query_bank: int, key_bank: int
) -> Iterator[tuple[str, Tensor]]:
    """Whether each target, accepted pair and edge is right, by name.

    Args:
        identities: of the entries of each target bank.
        query_bank, key_bank: numbers of these banks.
    """
    queries, keys, graph = identities[query_bank][sample.direction.positions], identities[key_bank], sample.graph
    targets = parts.labeller.labels(sample.direction, float(parts.student.tau))
    has_target = targets.sum(1) > 0
    yield "target_precision", (queries == keys[targets.argmax(1)])[has_target]
    least_cosine = parts.config.distill.matching.least_cosine
    if least_cosine is not None:
        cosine, position = sample.best_keys()
        yield "accepted_precision", (queries == keys[position])[cosine > least_cosine]
    if graph is not None:
        receivers, edges = graph.target_edges()
        from_target = edges >= graph.source_count
        nodes = torch.cat([identities[bank] for bank in graph.banks if bank in identities])
        senders = nodes[(edges - graph.source_count).clamp(min=0)]
        same = nodes[receivers - graph.source_count][:, None] == senders
        yield f"same_identity_{sample.modality}", same[from_target]
