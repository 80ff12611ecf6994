"""Step 0 of the curves: metrics of the source model on the target, computed once for all rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gckd.config import Config, apply
from gckd.data.dataset_pair import open_datasets
from gckd.evaluation.retrieval import Retriever
from gckd.graph.statistics import effective_rank
from gckd.method.banks import train_means, train_sample
from gckd.method.unseen_words import mask_unseen_words
from gckd.models.build import build_model
from gckd.training.monitor import Monitor
from gckd.training.pretrain import source_checkpoint
from tests.training.micro import Interruption, differences, row, stop_at, trained

Finished = Callable[[Config], dict[str, Any]]


def start(checkpoint: dict[str, Any]) -> dict[str, float]:
    return {str(p["name"]): float(p["value"]) for p in checkpoint["curve"] if p["step"] == 0}


def test_step_0_of_the_curves_is_the_source_model(config: Config, cache: Path, finished: Finished) -> None:
    datasets = open_datasets(config, cache)
    feed, model = datasets.feed(config, 4), build_model(config, datasets.tokenizer.vocabulary)
    model.load_state_dict(source_checkpoint(config, datasets, cache, lambda progress: None)["modules"]["model"])
    mask_unseen_words(config.tokenizer, model, feed)
    means = train_means(model, feed.target, config.centre)
    data = datasets.labelled(datasets.target, "val", config.data)
    metrics = Retriever(model, config.evaluate, means).ranking(data).metrics()
    ranks = [effective_rank(embeddings) for embeddings in train_sample(model, feed.target)]
    result = start(finished(config))
    assert result == pytest.approx(
        {"target_val_rank_1": metrics["rank_1"], "target_val_map": metrics["map"], "target_rank_me": min(ranks)}
    )


def test_the_source_model_is_measured_once_for_all_rows(
    config: Config, cache: Path, tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, steps = start(finished(config)), []
    original = Monitor._on_target

    def spy(self: Any, whose: str, model: Any) -> dict[str, float]:
        steps.append(whose)
        return original(self, whose, model)

    monkeypatch.setattr(Monitor, "_on_target", spy)
    assert start(trained(row(config, "gmp"), cache, tmp_path)) == first
    assert steps == ["", "teacher_"] * config.adapt.evaluations


def test_a_resumed_run_has_the_source_model_once(
    config: Config, cache: Path, tmp_path: Path, finished: Finished
) -> None:
    with pytest.raises(Interruption):
        trained(config, cache, tmp_path, stop_at("adapt", 3))
    assert trained(config, cache, tmp_path)["curve"] == finished(config)["curve"]


def test_without_steps_the_result_is_the_source_model(config: Config, cache: Path, finished: Finished) -> None:
    """Weights and curve equal the start of an adapted run."""
    still = finished(apply(config, {"adapt.steps": 0}))
    datasets = open_datasets(config, cache)
    feed, model = datasets.feed(config, 4), build_model(config, datasets.tokenizer.vocabulary)
    model.load_state_dict(source_checkpoint(config, datasets, cache, lambda progress: None)["modules"]["model"])
    mask_unseen_words(config.tokenizer, model, feed)
    assert differences(still["modules"]["student"], model.state_dict()) == []
    assert {point["step"] for point in still["curve"]} == {0}
    assert start(still).items() >= start(finished(config)).items()
