"""Rows of the baseline specs: they train, and differ from the baseline only in their loss terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gckd.ablations.spec import load_spec
from gckd.config import Config, apply
from gckd.config.distill import PropagatedLabels, TransportCost
from gckd.config.losses import Adversarial, Captions, Mmd, MultiSimilarity, Triplet, Views
from gckd.data.loaders import TargetLoader
from gckd.errors import InputError
from gckd.training.label_audit import audit_pseudo_labels
from tests.training.micro import differences, row, trained

Train = Callable[[Config], dict[str, Any]]
SPECS = ("baselines", "metric_learning", "adversarial")
ROWS = [(spec, name) for spec in SPECS for name in load_spec(spec).rows]
TARGET = {"target_contrastive", "target_matching", "align"}
TERMS: dict[str, set[str]] = {
    "baseline": set(),
    "baseline-text-norms": set(),
    "mean-teacher": {"target_contrastive"},
    "transport": {"target_contrastive"},
    "labels": {"target_contrastive"},
    "mmd": {"align"},
    "adversarial": {"align"},
    "entropy": {"target_contrastive"},
}


@pytest.fixture(scope="session")
def short(config: Config) -> Config:
    """Two steps."""
    return apply(config, {"adapt.steps": 2, "adapt.evaluations": 1})


def row_of(full: Config, spec: str, name: str) -> Config:
    return apply(full, load_spec(spec).all_rows(full)[name])


def values(saved: dict[str, Any]) -> dict[str, list[float]]:
    result: dict[str, list[float]] = {}
    for point in saved["curve"]:
        result.setdefault(str(point["name"]), []).append(float(point["value"]))
    return result


def assert_within(more: dict[str, list[float]], less: dict[str, list[float]]) -> None:
    """Every curve of `less` has the same values in `more`."""
    for name, result in less.items():
        assert more[name] == pytest.approx(result, rel=1e-5), name


@pytest.mark.parametrize(("spec", "name"), ROWS, ids=[f"{spec}: {name}" for spec, name in ROWS])
def test_every_row_trains(short: Config, finished: Train, spec: str, name: str) -> None:
    config = row_of(short, spec, name)
    saved = finished(config)
    curve = values(saved)
    assert saved["step"] == config.adapt.steps == 2
    assert all(math.isfinite(value) for result in curve.values() for value in result)
    if spec == "baselines":
        assert set(curve) & TARGET == TERMS[name]
    assert ("source_metric" in curve) == (spec == "metric_learning" and name != "baseline")


@pytest.mark.parametrize("name", ["transport", "labels", "mmd", "adversarial"])
def test_at_weight_0_a_baseline_is_source_only(short: Config, finished: Train, name: str) -> None:
    """Source terms, batches and steps are equal, so that a baseline differs only by its target term."""
    config = apply(short, {"backbone.text.dropout": 0.0})
    weight = f"weights.{next(iter(TERMS[name]))}"
    one = values(finished(apply(row_of(config, "baselines", name), {weight: 0.0})))
    two = values(finished(row_of(config, "baselines", "baseline")))
    assert {"source_contrastive", "source_matching", "source_mlm"} <= set(two)
    # Means over both steps: the second one's terms are those of the student that the first one made.
    assert_within(one, two)


def test_only_the_text_norms_are_trained(short: Config, finished: Train) -> None:
    config = row_of(short, "baselines", "entropy")
    before, after = (finished(c)["modules"]["student"] for c in (apply(config, {"adapt.lr": 1e-12}), config))
    moved = {name for name in before if float((before[name] - after[name]).abs().max()) > 1e-6}
    assert moved and all("LayerNorm" in name and "text_encoder" in name for name in moved)
    assert not any("layer.1." in name for name in moved)  # the fusion layer


@pytest.mark.parametrize("kind", ["transport", "entropy", "none"])
def test_curves_have_no_target_statistics_without_pseudo_labels(
    short: Config, cache: Path, finished: Train, kind: str
) -> None:
    config = apply(row_of(short, "baselines", "mmd"), {"distill.targets": kind} if kind != "none" else {})
    assert "bank_entropy" in values(finished(config)) and "target_entropy" not in values(finished(config))
    with pytest.raises(InputError, match=f"distill.targets: '{kind}' has no pseudo labels"):
        audit_pseudo_labels(config, cache=cache, report=lambda progress: None)


def test_propagated_labels_can_be_audited(config: Config, cache: Path) -> None:
    result = audit_pseudo_labels(
        apply(config, {"distill.targets": "labels"}), cache=cache, report=lambda progress: None
    )
    assert {f.entropy for f in result} == {0.0}  # one-hot


@pytest.mark.parametrize("term", ["distill.matching", "align", "selfsup"])
def test_any_target_term_opens_the_target(
    config: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a target batch was opened")

    base = row(config, "gmp", "cmkd")
    trained(base, cache, tmp_path / "shared")
    monkeypatch.setattr(TargetLoader, "batch", refuse)
    with pytest.raises(AssertionError, match="target batch"):
        trained(
            apply(base, {term: {"align": "mmd", "distill.matching": "cross", "selfsup": "captions"}[term]}),
            cache,
            tmp_path / "own",
        )


FIELDS: list[tuple[dict[str, Any], str, Any]] = [
    ({"distill.targets": TransportCost()}, "distill.targets.information", 0.0),
    ({"distill.targets": PropagatedLabels()}, "distill.targets.k", 1),
    ({"distill.targets": PropagatedLabels(k=3)}, "distill.targets.alpha", 0.1),
    ({"distill.targets": PropagatedLabels()}, "distill.targets.rank", 1),
    ({"align": Mmd()}, "align.kernels", 1),
    ({"align": Adversarial()}, "align.modality", "text"),
    ({"align": Adversarial()}, "align.hidden", 3),
    ({"align": Adversarial()}, "align.gamma", 1.0),
    ({"align": Adversarial()}, "weights.align", 0.1),
    ({"metric": Triplet()}, "metric.margin", 0.7),
    ({"metric": MultiSimilarity()}, "metric.alpha", 9.0),
    ({"metric": MultiSimilarity()}, "metric.beta", 9.0),
    ({"metric": MultiSimilarity()}, "metric.base", 0.1),
    ({"metric": Triplet()}, "weights.source_metric", 0.1),
    ({"selfsup": Captions()}, "selfsup.rate", 0.5),
    ({"selfsup": Captions()}, "weights.target_mlm", 0.1),
    ({"selfsup": Views(neighbours=0)}, "selfsup.neighbours", 3),
    ({"selfsup": Views(neighbours=2)}, "weights.target_views", 0.1),
]


@pytest.mark.parametrize(("base", "path", "value"), FIELDS, ids=[path for _, path, _ in FIELDS])
def test_every_field_changes_the_numbers(
    short: Config, finished: Train, base: dict[str, Any], path: str, value: Any
) -> None:
    config = apply(short, base)
    one, two = (finished(c)["modules"]["student"] for c in (config, apply(config, {path: value})))
    assert differences(one, two)


OFF = [
    {"align": Mmd(), "weights.align": 0.0},
    {"align": Adversarial(), "weights.align": 0.0},
    {"metric": Triplet(), "weights.source_metric": 0.0},
    {"metric": MultiSimilarity(), "weights.source_metric": 0.0},
    {"selfsup": Captions(), "weights.target_mlm": 0.0},
    {"selfsup": Views(neighbours=2), "weights.target_views": 0.0},
]


@pytest.mark.parametrize("edits", OFF, ids=["mmd", "adversarial", "triplet", "multi-similarity", "captions", "views"])
def test_weight_0_equals_the_switched_off_component(short: Config, finished: Train, edits: dict[str, Any]) -> None:
    assert_within(values(finished(apply(short, edits))), values(finished(short)))


def test_the_discriminators_are_saved_and_learn(short: Config, finished: Train) -> None:
    config = apply(short, {"align": Adversarial(hidden=4)})
    one, two = (finished(c)["modules"]["align"] for c in (config, apply(config, {"weights.align": 0.0})))
    assert len(one) == 2 * 6
    assert any("image" in place for place in differences(one, two))
    assert any("text" in place for place in differences(one, two))
