"""Source-free adaptation: no source sample is opened, and the summary of the source is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.config import Config, ConfigError, apply
from gckd.config.distill import NoMatching, NoTargets
from gckd.config.graph import Diffusion
from gckd.config.losses import CaptionsAndViews
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.loaders import SourceLoader
from gckd.method.banks import embed_clean
from gckd.models.build import build_model
from gckd.training.pretrain import source_checkpoint
from tests.training.micro import Interruption, differences, stop_at, trained

KINDS = ("banks", "prototypes", "none")
by_kind = pytest.mark.parametrize("kind", KINDS)
Train = Callable[[Config], dict[str, Any]]


def source_free(config: Config, kind: str) -> Config:
    return apply(config, {"adapt.source": kind, "distill.matching": NoMatching()})


@by_kind
def test_nothing_of_the_source_is_opened(
    config: Config, cache: Path, tmp_path: Path, finished: Train, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With a cached source model, results are equal even if opening a labelled source split fails."""
    config = source_free(config, kind)
    before = finished(config)
    labelled = DatasetPair.labelled

    def target_alone(self: DatasetPair, which: Any, *rest: Any) -> Any:
        assert which is self.target, "a source split was opened"
        return labelled(self, which, *rest)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the source was opened")

    monkeypatch.setattr(SourceLoader, "__init__", refuse)
    monkeypatch.setattr(DatasetPair, "labelled", target_alone)
    after = trained(config, cache, tmp_path / kind)
    assert differences(before["modules"], after["modules"]) == []


@by_kind
def test_self_supervision_works_without_the_source(config: Config, finished: Train, kind: str) -> None:
    plain = source_free(config, kind)
    selfsup = apply(plain, {"selfsup": CaptionsAndViews(neighbours=2)})
    assert {"target_mlm", "target_views"} <= {str(point["name"]) for point in finished(selfsup)["curve"]}
    assert differences(finished(plain)["modules"]["student"], finished(selfsup)["modules"]["student"])


@by_kind
def test_source_banks_hold_the_summary_of_the_source(config: Config, cache: Path, finished: Train, kind: str) -> None:
    """Embeddings by the source model, single or averaged per identity; training changes none."""
    config = apply(source_free(config, kind), {"graph.memory.capacity": 999})
    datasets = open_datasets(config, cache)
    loader = datasets.source_loader(config, config.adapt.batch)
    model = build_model(config, datasets.tokenizer.vocabulary)
    model.load_state_dict(source_checkpoint(config, datasets, cache, lambda progress: None)["modules"]["model"])
    bank = finished(config)["modules"]["banks"]
    by_identity: dict[int, list[torch.Tensor]] = {}
    for row in range(loader.image_count):
        identity = int(loader.identities_at(torch.tensor([row]), "image"))
        by_identity.setdefault(identity, []).append(
            embed_clean(model, images=loader.images_at(torch.tensor([row])))[0][0]
        )
    if kind == "banks":
        wanted = [(i, z) for i, several in by_identity.items() for z in several]
    else:
        wanted = [(i, torch.stack(several).sum(0)) for i, several in by_identity.items()] if kind != "none" else []
    count = int(bank["source_image.count"])
    held = list(zip(bank["source_image.identities"].tolist(), bank["source_image.embeddings"], strict=True))[:count]
    assert count == len(wanted)
    for identity, z in wanted:
        unit = z / z.norm()
        assert any(i == identity and torch.allclose(own, unit, atol=1e-5) for i, own in held)


def test_each_source_summary_gives_different_weights(config: Config, finished: Train) -> None:
    students = [finished(source_free(config, kind))["modules"]["student"] for kind in KINDS]
    students.append(finished(apply(config, {"distill.matching": NoMatching()}))["modules"]["student"])
    assert all(differences(one, two) for i, one in enumerate(students) for two in students[:i])


def test_source_free_adaptation_resumes_with_identical_results(
    config: Config, cache: Path, tmp_path: Path, finished: Train
) -> None:
    config = source_free(config, "banks")
    with pytest.raises(Interruption):
        trained(config, cache, tmp_path, stop_at("adapt", 3))
    assert differences(trained(config, cache, tmp_path)["modules"], finished(config)["modules"]) == []


def test_source_free_curves_are_of_the_target_alone(config: Config, finished: Train) -> None:
    names = {str(point["name"]) for point in finished(source_free(config, "banks"))["curve"]}
    assert "target_val_rank_1" in names
    assert not [name for name in names if name.startswith("source_")]


REFUSED = [
    ({"adapt.source": "banks"}, "distill.matching: 'cross' needs adapt.source = samples"),
    ({"adapt.source": "banks", "graph.propagate": Diffusion(k=3)}, "needs a graph over the source banks"),
    ({"adapt.source": "none", "distill.targets": NoTargets()}, "leaves nothing to learn from"),
    ({"adapt.source": "banks", "graph.propagate.conv": "sage"}, "needs adapt.source = samples to learn from"),
    (
        {"adapt.source": "prototypes", "graph.memory.warm_start": False},
        "warm_start: false leaves the source banks empty",
    ),
    (
        {"adapt.source": "banks", "graph.memory.source": False},
        "graph.memory.source: false leaves the source banks empty",
    ),
]


@pytest.mark.parametrize(("edits", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_combinations_that_need_source_samples_are_refused(config: Config, edits: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        apply(config, edits)
