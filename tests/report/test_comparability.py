"""What may not stand in one table, and which rows are marked when it does."""

from __future__ import annotations

import json

from gckd.config import apply, preset
from gckd.report.comparability import budget, mixtures
from tests.report.records import failed, record

CONFIG = apply(preset("tiny"), {"adapt.steps": 100, "adapt.batch": 32, "adapt.accumulate": 2, "pretrain.steps": 50})


def test_a_budget_is_what_the_steps_see() -> None:
    assert budget(CONFIG) == {"budget of adaptation": "6,400 pairs", "budget of pre-training": "3,200 pairs"}


def test_another_budget_is_a_mixture_and_the_same_in_other_steps_is_none() -> None:
    runs = [
        record("full", 0, 70, edits="{}"),
        record("same", 0, 70, edits=json.dumps({"adapt.steps": 200, "adapt.accumulate": 1})),
        record("-gmp", 0, 70, edits=json.dumps({"graph.propagate": {"kind": "none"}})),
        record("long", 0, 70, edits=json.dumps({"adapt.steps": 200})),
        record("much", 0, 70, edits=json.dumps({"pretrain.batch": 128})),
        failed("broken", 0) | {"edits": json.dumps({"adapt.steps": 300})},
    ]
    adapt, pretrain = mixtures(runs, CONFIG)
    assert str(adapt) == "budget of adaptation: 6,400 pairs (full, same, -gmp, much); 12,800 pairs (long)"
    assert str(pretrain) == "budget of pre-training: 3,200 pairs (full, same, -gmp, long); 6,400 pairs (much)"
    assert (adapt.marked, pretrain.marked) == ({"long"}, {"much"})
    assert mixtures(runs[:3], CONFIG) == []


def test_the_marked_are_those_unlike_the_full_method() -> None:
    code = {"full": "b", "-gmp": "a", "-cmkd": "b"}
    (found,) = mixtures([record(row, 0, 70, git_revision=code[row]) for row in ("-gmp", "full", "-cmkd")], CONFIG)
    assert (str(found), found.marked) == ("code: a (-gmp); b (full, -cmkd)", {"-gmp"})
    (found,) = mixtures([record(row, 0, 70, git_revision=code[row]) for row in ("-gmp", "-cmkd")], CONFIG)
    assert found.marked == {"-cmkd"}
    (found,) = mixtures([record("full", s, 70, git_revision=str(s)) for s in (0, 1)], CONFIG)
    assert found.marked == {"full"}


def test_a_row_that_is_not_adapted_is_no_other_budget() -> None:
    still = record("source-model", 0, 60) | {"edits": '{"adapt.steps": 0}'}
    assert mixtures([record("full", 0, 70), still], CONFIG) == []
