"""Edits of `--drop`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from gckd.ablations.components import COMPONENTS, drop_edits, label, parse_names
from gckd.ablations.rows import drop_rows, sweep_rows
from gckd.ablations.spec import load_spec
from gckd.config import apply, digest, encode, preset
from gckd.config.component import AlignmentConfig, PropagationConfig
from gckd.config.distill import MutualNeighbours, NoMatching, NoTargets, NoTeacher
from gckd.config.fields import option
from gckd.config.graph import Diffusion, NoPropagation
from gckd.config.losses import NoAlignment
from gckd.errors import InputError

FULL = preset("tiny")
SLOTS = ("graph.propagate", "distill.teacher", "distill.targets", "distill.matching", "align", "metric", "selfsup")
UNKNOWN_GNN = f"--drop: unknown component 'gnn'; choose from {', '.join((*COMPONENTS, *SLOTS))}"


def test_dropping_gmp_removes_only_the_graph() -> None:
    config = apply(FULL, drop_edits(frozenset({"gmp"}), FULL))
    assert config.graph.propagate == NoPropagation()
    assert (config.distill, config.graph.memory) == (FULL.distill, FULL.graph.memory)


def test_without_cmkd_targets_are_mutual_neighbours() -> None:
    config = apply(FULL, drop_edits(frozenset({"cmkd"}), FULL))
    distill = config.distill
    assert (distill.teacher, distill.targets, distill.matching) == (NoTeacher(), MutualNeighbours(), NoMatching())
    assert config.graph == FULL.graph


def test_without_gmp_and_cmkd_nothing_is_learned_from_the_target() -> None:
    config = apply(FULL, drop_edits(frozenset({"cmkd", "gmp"}), FULL))
    distill = config.distill
    assert config.graph.propagate == NoPropagation()
    assert (distill.teacher, distill.targets, distill.matching) == (NoTeacher(), NoTargets(), NoMatching())


@pytest.mark.parametrize("names", [{"gmp"}, {"cmkd"}, {"gmp", "cmkd"}])
def test_rows_share_steps_seeds_and_batches_with_full(names: set[str]) -> None:
    config = apply(FULL, drop_edits(frozenset(names), FULL))
    for part in ("seed", "data", "tokenizer", "augment", "backbone", "weights", "pretrain", "adapt", "evaluate"):
        assert getattr(config, part) == getattr(FULL, part), part
    assert digest(config) != digest(FULL)


def test_labels_have_a_fixed_order() -> None:
    assert [label(n) for n in ([], ["gmp"], ["cmkd"], ["cmkd", "gmp"])] == ["full", "-gmp", "-cmkd", "-gmp-cmkd"]


def test_rows_keep_the_order_of_the_options() -> None:
    assert list(drop_rows(["cmkd", "cmkd, gmp", "gmp"], FULL)) == ["-cmkd", "-gmp-cmkd", "-gmp"]


@pytest.mark.parametrize(
    ("drops", "message"),
    [
        (["gnn"], UNKNOWN_GNN),
        (["gmp,gnn"], UNKNOWN_GNN),
        (["gmp", "gmp"], "row -gmp: given twice; remove one of the two"),
        (["gmp,cmkd", "cmkd,gmp"], "row -gmp-cmkd: given twice; remove one of the two"),
        (["gmp,gmp"], "--drop: 'gmp,gmp' has a component twice"),
        ([""], "--drop: '' has an empty name; write NAME or NAME,NAME"),
        (["gmp,"], "--drop: 'gmp,' has an empty name; write NAME or NAME,NAME"),
    ],
)
def test_refused_drops(drops: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        drop_rows(drops, FULL)
    assert str(caught.value) == message


def test_a_component_that_the_full_config_lacks_cannot_be_dropped() -> None:
    config = apply(FULL, {"graph.propagate": "none"})
    for drop in ("gmp", "gmp,cmkd"):
        with pytest.raises(InputError, match="'gmp' changes nothing"):
            drop_rows([drop], config)


def test_parts_that_are_off_already_are_not_edited() -> None:
    config = apply(FULL, {"distill.matching": "none"})
    assert set(drop_edits(frozenset({"cmkd"}), config)) == {"distill.teacher", "distill.targets"}


def test_every_component_has_a_text_and_edits() -> None:
    assert all(removal.doc and removal.edits for removal in COMPONENTS.values())


def test_names_are_separated_by_commas() -> None:
    assert parse_names(" gmp , cmkd") == {"gmp", "cmkd"}


def test_a_slot_is_dropped_by_its_path_whatever_fills_it() -> None:
    config = apply(FULL, {"align": "mmd"})
    assert drop_edits(frozenset({"align"}), config) == {"align": NoAlignment()}
    assert drop_edits(frozenset({"align", "gmp"}), config) == {
        "graph.propagate": NoPropagation(),
        "align": NoAlignment(),
    }
    assert list(drop_rows(["align,gmp"], config)) == ["-gmp-align"]
    with pytest.raises(InputError, match="'align' changes nothing; the full config does not have it"):
        drop_edits(frozenset({"align"}), FULL)
    with pytest.raises(InputError, match=r"'distill\.matching' is part of 'cmkd'"):
        drop_edits(frozenset({"cmkd", "distill.matching"}), FULL)


def test_a_component_without_the_field_is_refused_with_the_kinds_that_have_it() -> None:
    with pytest.raises(InputError) as caught:
        drop_edits(frozenset({"cross-edges"}), apply(FULL, {"graph.propagate": Diffusion(k=3)}))
    assert str(caught.value) == (
        "--drop: 'cross-edges' edits graph.propagate.cross_edges, and graph.propagate = diffusion has no field "
        "'cross_edges'; set graph.propagate to gnn"
    )


@pytest.fixture
def plugin_alignment() -> Iterator[None]:
    """An alignment loss and a propagation with a field `images`, as a plugin would define them."""

    @dataclass(frozen=True)
    class Coral(AlignmentConfig):
        """Second moments of the domains."""

        kind: ClassVar[str] = "coral"
        power: float = option(2.0, "exponent of the distance", gt=0, le=8)

    @dataclass(frozen=True)
    class Sheaf(PropagationConfig):
        """Sheaf diffusion."""

        kind: ClassVar[str] = "sheaf"
        images: bool = option(True, "whether there is a graph of images")

    yield
    del AlignmentConfig._choices["coral"], PropagationConfig._choices["sheaf"]


@pytest.mark.usefixtures("plugin_alignment")
def test_components_of_plugins_are_dropped_swept_and_used_in_specs(tmp_path: Path) -> None:
    config = apply(FULL, {"align": "coral", "graph.propagate": "sheaf"})
    assert drop_edits(frozenset({"align"}), config) == {"align": NoAlignment()}
    assert drop_edits(frozenset({"image-graph"}), config) == {"graph.propagate.images": False}
    assert sweep_rows("align.power=2,4", config) == {"align.power=4": {"align.power": 4}}
    assert [apply(FULL, edits).align.kind for edits in sweep_rows("align=coral,mmd", FULL).values()] == ["coral", "mmd"]
    (tmp_path / "spec.yaml").write_text("rows:\n  coral: {align: {kind: coral, power: 3}}\n")
    (edits,) = load_spec(str(tmp_path / "spec.yaml")).all_rows(FULL).values()
    assert encode(apply(FULL, edits).align) == {"kind": "coral", "power": 3.0}
