"""What a `--drop` means."""

from __future__ import annotations

import pytest

from gckd.ablations.components import COMPONENTS, drop_edits, label, parse_names
from gckd.ablations.rows import drop_rows
from gckd.config import apply, digest, preset
from gckd.config.distill import MutualNeighbours, NoMatching, NoTargets, NoTeacher
from gckd.config.graph import NoPropagation
from gckd.errors import InputError

FULL = preset("tiny")


def test_without_gmp_the_graph_alone_is_gone() -> None:
    config = apply(FULL, drop_edits(frozenset({"gmp"}), FULL))
    assert config.graph.propagate == NoPropagation()
    assert (config.distill, config.graph.memory) == (FULL.distill, FULL.graph.memory)


def test_without_cmkd_the_graph_learns_from_mutual_neighbours() -> None:
    config = apply(FULL, drop_edits(frozenset({"cmkd"}), FULL))
    distill = config.distill
    assert (distill.teacher, distill.targets, distill.matching) == (NoTeacher(), MutualNeighbours(), NoMatching())
    assert config.graph == FULL.graph


def test_without_both_nothing_is_learned_from_the_target() -> None:
    config = apply(FULL, drop_edits(frozenset({"cmkd", "gmp"}), FULL))
    distill = config.distill
    assert config.graph.propagate == NoPropagation()
    assert (distill.teacher, distill.targets, distill.matching) == (NoTeacher(), NoTargets(), NoMatching())


@pytest.mark.parametrize("names", [{"gmp"}, {"cmkd"}, {"gmp", "cmkd"}])
def test_rows_have_the_steps_seeds_and_batches_of_full(names: set[str]) -> None:
    config = apply(FULL, drop_edits(frozenset(names), FULL))
    for part in ("seed", "data", "tokenizer", "augment", "backbone", "weights", "pretrain", "adapt", "evaluate"):
        assert getattr(config, part) == getattr(FULL, part), part
    assert digest(config) != digest(FULL)


def test_labels_are_in_one_order() -> None:
    assert [label(n) for n in ([], ["gmp"], ["cmkd"], ["cmkd", "gmp"])] == ["full", "-gmp", "-cmkd", "-gmp-cmkd"]


def test_rows_come_in_the_order_asked_for() -> None:
    assert list(drop_rows(["cmkd", "cmkd, gmp", "gmp"], FULL)) == ["-cmkd", "-gmp-cmkd", "-gmp"]


@pytest.mark.parametrize(
    ("drops", "message"),
    [
        (["gnn"], "--drop: 'gnn' is no component; the components are " + ", ".join(COMPONENTS)),
        (["gmp,gnn"], "--drop: 'gnn' is no component; the components are " + ", ".join(COMPONENTS)),
        (["gmp", "gmp"], "row -gmp: it is asked for twice"),
        (["gmp,cmkd", "cmkd,gmp"], "row -gmp-cmkd: it is asked for twice"),
        (["gmp,gmp"], "--drop: 'gmp,gmp' names a component twice"),
        ([""], "--drop: '' has an empty name; write it as NAME or NAME,NAME"),
        (["gmp,"], "--drop: 'gmp,' has an empty name; write it as NAME or NAME,NAME"),
    ],
)
def test_refused_drops(drops: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        drop_rows(drops, FULL)
    assert str(caught.value) == message


def test_a_component_that_is_off_already_cannot_be_dropped() -> None:
    config = apply(FULL, {"graph.propagate": "none"})
    for drop in ("gmp", "gmp,cmkd"):
        with pytest.raises(InputError, match="'gmp' changes nothing"):
            drop_rows([drop], config)


def test_a_part_that_is_off_already_is_no_edit() -> None:
    config = apply(FULL, {"distill.matching": "none"})
    assert set(drop_edits(frozenset({"cmkd"}), config)) == {"distill.teacher", "distill.targets"}


def test_every_component_is_documented() -> None:
    assert all(component.doc and component.edits for component in COMPONENTS.values())


def test_parse_names() -> None:
    assert parse_names(" gmp , cmkd") == {"gmp", "cmkd"}
