"""Curves that read target labels: equal to loops, and without effect on training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, apply
from gckd.config.banks import TARGET_IMAGE, TARGET_TEXT
from gckd.method.propagation import propagate_bank
from gckd.training.adapt import prepare_adaptation
from gckd.training.label_curves import PREFIX, label_monitor
from tests.toy import make_toy, shuffle_labels
from tests.training.micro import differences, row
from tests.training.test_curves import neighbours

Finished = Callable[[Config], dict[str, Any]]
NAMES = {f"{PREFIX}{name}" for name in ("same_identity_image", "same_identity_text", "target_precision")}
NAMES |= {f"{PREFIX}accepted_precision"}


@pytest.fixture
def audited(config: Config) -> Config:
    return apply(config, {"evaluate.audit": True, "graph.memory.capacity": 100})


def test_label_curves_equal_loops_over_the_banks(audited: Config, cache: Path) -> None:
    config = apply(audited, {"distill.targets.agree": False, "distill.matching.delta": 0.2})
    adaptation = prepare_adaptation(config, cache, lambda progress: None)
    adaptation.step.warm_start(adaptation.warm_start)
    parts, labels = adaptation.parts, adaptation.datasets.target.labelled("train")
    seen = label_monitor(adaptation.datasets, parts)()
    banks, views = parts.banks, parts.banks.space(centre=True).banks
    own = {
        "image": [int(labels.image_identities[i]) for i in banks.target_image.rows.tolist()],
        "text": [int(labels.caption_identities[i]) for i in banks.target_text.rows.tolist()],
    }
    near: dict[str, list[bool]] = {}
    best, accepted = [], []
    for modality, other, bank in (("image", "text", TARGET_IMAGE), ("text", "image", TARGET_TEXT)):
        source, target = getattr(views, f"source_{modality}"), getattr(views, f"target_{modality}")
        nodes, first = torch.cat((source, target)), len(source)
        for i, edges in enumerate(neighbours(nodes, 3)[first:]):
            near.setdefault(modality, []).extend(
                own[modality][i] == own[modality][j - first] for j in edges if j >= first
            )
        queries = propagate_bank(parts.propagate, views, bank, torch.arange(len(target)))
        for i, cosines in enumerate((queries @ getattr(views, f"target_{other}").T).tolist()):
            place = max(range(len(cosines)), key=cosines.__getitem__)
            best.append(own[modality][i] == own[other][place])
            if cosines[place] > 0.2:
                accepted.append(best[-1])
    assert len(accepted) > 0
    assert seen == pytest.approx(
        {
            f"{PREFIX}same_identity_image": sum(near["image"]) / len(near["image"]),
            f"{PREFIX}same_identity_text": sum(near["text"]) / len(near["text"]),
            f"{PREFIX}target_precision": sum(best) / len(best),
            f"{PREFIX}accepted_precision": sum(accepted) / len(accepted),
        }
    )


def test_label_curves_change_no_weight(audited: Config, finished: Finished) -> None:
    with_it, without = finished(audited), finished(apply(audited, {"evaluate.audit": False}))
    assert differences(with_it["modules"], without["modules"]) == []
    assert differences(with_it["optimizer"], without["optimizer"]) == []
    extra = [point for point in with_it["curve"] if point["name"] in NAMES]
    assert {point["name"] for point in extra} == NAMES
    assert [point for point in with_it["curve"] if point not in extra] == without["curve"]


def test_shuffled_target_labels_change_only_the_label_curves(
    audited: Config, tmp_path: Path, finished: Finished
) -> None:
    other = shuffle_labels(make_toy(tmp_path / "shuffled", shade=120), ["train"])
    one, two = finished(audited), finished(apply(audited, {"data.target": str(other)}))
    assert differences(one["modules"], two["modules"]) == []
    assert [p for p in one["curve"] if p["name"] not in NAMES] == [p for p in two["curve"] if p["name"] not in NAMES]
    assert [p for p in one["curve"] if p["name"] in NAMES] != [p for p in two["curve"] if p["name"] in NAMES]


def test_label_curves_are_missing_without_target_terms_or_graph(audited: Config, finished: Finished) -> None:
    baseline, no_graph = finished(row(audited, "gmp", "cmkd")), finished(row(audited, "gmp"))
    assert not NAMES & {point["name"] for point in baseline["curve"]}
    assert NAMES & {point["name"] for point in no_graph["curve"]} == {
        f"{PREFIX}target_precision",
        f"{PREFIX}accepted_precision",
    }
