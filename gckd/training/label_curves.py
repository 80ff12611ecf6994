"""How right graph and targets are at each evaluation. Reads the labels of the target's train split: to understand a
run by (`evaluate.audit`), never to train, choose or stop by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.data.dataset_pair import DatasetPair
from gckd.method.parts import Parts
from gckd.training.curves import Direction, confidence, directions

PREFIX = "audit_"  # of the names of curves that need these labels


def audit_monitor(datasets: DatasetPair, parts: Parts) -> Callable[[], dict[str, float]]:
    """What finds, at a point of the run, by name, in [0, 1]:

    `audit_same_identity_image`, `..._text`: of the edges from target node to target node, those that join one person.
    `audit_target_precision`: targets whose most probable key is the right person. `audit_accepted_precision`: pairs
    above delta that are one person. What there is none of is left out; nothing is found without target terms.
    """
    labels = datasets.target.labelled("train")
    image, text = torch.tensor(labels.image_identities), torch.tensor(labels.caption_identities)

    @torch.no_grad()
    def find() -> dict[str, float]:
        if not parts.opens_target:
            return {}
        banks, hits = parts.banks, dict[str, list[Tensor]]()
        held = {
            TARGET_IMAGE: image[banks.target_image.rows[: len(banks.target_image)]],
            TARGET_TEXT: text[banks.target_text.rows[: len(banks.target_text)]],
        }
        for direction, bank, other in zip(directions(parts), held, reversed(held), strict=True):
            for name, right in _hits(parts, direction, held[bank], held[other], held):
                hits.setdefault(PREFIX + name, []).append(right.flatten())
        joined = {name: torch.cat(right).float() for name, right in hits.items()}
        return {name: float(right.mean()) for name, right in joined.items() if len(right)}

    return find


def _hits(
    parts: Parts, direction: Direction, own: Tensor, keys: Tensor, held: Mapping[int, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """What is right and what wrong, by name; own, keys: identities of the entries of the queries' and keys' banks.

    held: the same of each target bank, for a graph may be over both.
    """
    side, graph = direction.side, direction.graph
    asked = own[side.positions]
    wanted = parts.labeller.labels(side, float(parts.student.tau))
    taught = wanted.sum(1) > 0
    yield "target_precision", (asked == keys[wanted.argmax(1)])[taught]
    least_cosine = parts.config.distill.matching.least_cosine
    if least_cosine is not None:
        cosine, best = confidence(direction)
        yield "accepted_precision", (asked == keys[best])[cosine > least_cosine]
    if graph is not None:
        receivers, edges = graph.of_target()
        within = edges >= graph.source
        known = torch.cat([held[bank] for bank in graph.banks if bank in held])
        same = known[receivers - graph.source][:, None] == known[(edges - graph.source).clamp(min=0)]
        yield f"same_identity_{direction.modality}", same[within]
