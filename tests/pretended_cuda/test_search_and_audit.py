"""Search trials, their true metrics, and the audit of pseudo labels on pretended CUDA."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gckd.cluster.trial import BEST, Search, results, source_model
from gckd.cluster.trial_audit import true_metrics
from gckd.config import Config, apply
from gckd.pretended_cuda.device import pretended_cuda
from gckd.storage.checkpoint import load_checkpoint
from gckd.training.label_audit import audit_pseudo_labels
from tests.pretended_cuda.marks import needs_pretended_cuda
from tests.training.micro import trained

pytestmark = needs_pretended_cuda


def test_a_search_trial_trains_scores_and_is_evaluated(config: Config, tmp_path: Path) -> None:
    base = apply(config, {"adapt.evaluations": 2})
    trial = {
        "edits": {"graph.propagate.k": 2, "distill.teacher.m": 0.5},
        "number": 0,
        "folder": str(tmp_path / "trial"),
        "seeds": [3],
    }
    with pretended_cuda():
        bare = Search(base, tmp_path / "cache", "default", threads=1, start={})
        search = Search(base, bare.cache, "default", threads=1, start={3: source_model(bare, 3).scores})
        epochs = list(results(search, trial))
        metrics = true_metrics(search, trial, "test")
    assert [epoch["done_all"] for epoch in epochs] == [False, True]
    assert all(math.isfinite(epoch["score"]) for epoch in epochs)
    assert load_checkpoint(tmp_path / "trial" / "seed-3" / BEST)["step"] in (1, 2)
    # The trained weights score the same on the CPU.
    assert metrics == pytest.approx(true_metrics(search, trial, "test"))


@pytest.mark.parametrize("of_run", [False, True])
def test_the_audit_on_a_gpu_equals_that_on_the_cpu(config: Config, cache: Path, tmp_path: Path, of_run: bool) -> None:
    checkpoint = tmp_path / "checkpoint.pt" if of_run else None
    trained(config, cache, tmp_path)

    def audit() -> list[tuple[str, str, float, float, float]]:
        rows = audit_pseudo_labels(config, cache=cache, report=lambda progress: None, checkpoint=checkpoint)
        return [(row.graph, row.direction, row.precision, row.mass, row.entropy) for row in rows]

    expected = audit()
    with pretended_cuda():
        result = audit()
    assert [row[:2] for row in result] == [row[:2] for row in expected]
    for row, other in zip(result, expected, strict=True):
        assert row[2:] == pytest.approx(other[2:], abs=1e-4)
