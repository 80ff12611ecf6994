"""Every registered component, and every option with a list of values, trains and evaluates on pretended CUDA."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gckd.ablations.components import drop_edits
from gckd.config import Config, apply
from gckd.config.backbone import Albef, Blip, Clip, Tower
from gckd.config.component import Component
from gckd.config.data import PretrainedTokenizer
from gckd.config.distill import NoMatching, SoftTargets
from gckd.config.graph import Diffusion
from gckd.config.stages import MomentumDistillation
from gckd.method.build import build_parts
from gckd.pretended_cuda.device import pretended_cuda
from gckd.training.run import train_run
from tests.pretended_cuda.conftest import SHORT
from tests.pretended_cuda.covering import Case, Edit, component_edits, covering_cases, option_edits
from tests.pretended_cuda.marks import needs_pretended_cuda
from tests.training.micro import micro

assert build_parts and train_run  # their modules register the built-in components

pytestmark = needs_pretended_cuda

FULL = apply(micro(Path("source"), Path("target")), SHORT)
TOWER = Tower(width=16, depth=1, heads=2, mlp_ratio=2.0)
SIZES: dict[str, Any] = {"patch": 8, "vision": TOWER, "text": TOWER, "embed_dim": 8}
FIELDS: dict[type[Component], dict[str, Any]] = {Albef: vars(FULL.backbone), Blip: SIZES, Clip: SIZES}
BASES: list[dict[str, Any]] = [
    drop_edits(frozenset(("gmp", "cmkd")), FULL),
    {"distill.matching": NoMatching()},
    {"pretrain.objective": MomentumDistillation(queue=9)},
]
# torch.compile cannot trace pretended tensors, and faiss cannot read them; the options of published weights do nothing
# without such weights.
UNTESTED = ("compute.compile=", "search=faiss", "albef.strict=", "albef.positions=", "device=")
# Numbers that turn a part on.
NUMBERS = (
    Edit("re-ranking", "evaluate.k_test", 3),
    Edit("two batches in a step", "adapt.accumulate", 2),
    Edit("two batches in a step of pre-training", "pretrain.accumulate", 2),
    Edit("two rounds", "adapt.rounds", 2),
    Edit("average of weights", "adapt.source_share", 0.4),
    Edit("confident targets", "distill.targets", SoftTargets(confidence=0.5)),
    Edit("confident edges", "graph.propagate", Diffusion(k=2, confidence=0.5)),
    Edit("no fusion", "backbone", Clip(**SIZES, fusion_depth=0)),
)


def parameters(cases: list[Case], *marks: pytest.MarkDecorator) -> list[Any]:
    return [pytest.param(case, id=", ".join(case.names), marks=marks) for case in cases]


def runnable(edits: Iterable[Edit]) -> list[Edit]:
    return [edit for edit in edits if not any(part in edit.name for part in UNTESTED)]


COMPONENTS = list(covering_cases(FULL, runnable(component_edits(FULL, FIELDS)), BASES))
OPTIONS = list(covering_cases(FULL, [*runnable(option_edits(FULL, FIELDS)), *NUMBERS], BASES))


@pytest.mark.parametrize("case", parameters(COMPONENTS) + parameters(OPTIONS, pytest.mark.slow))
def test_a_run_is_placed_well(config: Config, cache: Path, vocabulary_folder: Path, tmp_path: Path, case: Case) -> None:
    edits = dict(case.edits)
    if isinstance(edits.get("tokenizer"), PretrainedTokenizer):
        edits["tokenizer"] = PretrainedTokenizer(str(vocabulary_folder))
    with pretended_cuda():
        result = train_run(apply(config, edits), cache=cache, out=tmp_path)
    assert all(math.isfinite(value) for value in result.metrics.values())
    assert all(math.isfinite(float(point["value"])) for point in result.curves)
