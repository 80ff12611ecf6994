"""Mismatches between the runs of a table, and the rows that are marked for them."""

from __future__ import annotations

import json

from gckd.config import apply, preset
from gckd.report.comparability import budget, mismatches, short_revision
from tests.report.records import failed, record

CONFIG = apply(preset("tiny"), {"adapt.steps": 100, "adapt.batch": 32, "adapt.accumulate": 2, "pretrain.steps": 50})


def test_the_budget_is_the_number_of_pairs_in_all_steps() -> None:
    assert budget(CONFIG) == {"budget of adaptation": "6,400 pairs", "budget of pre-training": "3,200 pairs"}


def test_a_different_budget_is_a_mismatch_however_it_is_split_into_steps() -> None:
    runs = [
        record("full", 0, 70, edits="{}"),
        record("same", 0, 70, edits=json.dumps({"adapt.steps": 200, "adapt.accumulate": 1})),
        record("-gmp", 0, 70, edits=json.dumps({"graph.propagate": {"kind": "none"}})),
        record("long", 0, 70, edits=json.dumps({"adapt.steps": 200})),
        record("much", 0, 70, edits=json.dumps({"pretrain.batch": 128})),
        failed("broken", 0) | {"edits": json.dumps({"adapt.steps": 300})},
    ]
    adapt, pretrain = mismatches(runs, CONFIG)
    assert str(adapt) == "budget of adaptation: 6,400 pairs (full, same, -gmp, much); 12,800 pairs (long)"
    assert str(pretrain) == "budget of pre-training: 3,200 pairs (full, same, -gmp, long); 6,400 pairs (much)"
    assert (adapt.differing_rows, pretrain.differing_rows) == ({"long"}, {"much"})
    assert mismatches(runs[:3], CONFIG) == []


def test_rows_that_differ_from_the_full_method_are_marked() -> None:
    code = {"full": "b", "-gmp": "a", "-cmkd": "b"}
    (mismatch,) = mismatches([record(row, 0, 70, git_revision=code[row]) for row in ("-gmp", "full", "-cmkd")], CONFIG)
    assert (str(mismatch), mismatch.differing_rows) == ("code: a (-gmp); b (full, -cmkd)", {"-gmp"})
    (mismatch,) = mismatches([record(row, 0, 70, git_revision=code[row]) for row in ("-gmp", "-cmkd")], CONFIG)
    assert mismatch.differing_rows == {"-cmkd"}
    (mismatch,) = mismatches([record("full", s, 70, git_revision=str(s)) for s in (0, 1)], CONFIG)
    assert mismatch.differing_rows == {"full"}


def test_the_source_model_without_adaptation_is_no_mismatch() -> None:
    unadapted = record("source-model", 0, 60) | {"edits": '{"adapt.steps": 0}'}
    assert mismatches([record("full", 0, 70), unadapted], CONFIG) == []


def test_one_plugin_file_with_two_texts_is_a_mismatch() -> None:
    """A run without the plugin can be compared with runs that loaded it."""
    texts = {"full": '{"my_losses.py": "aaaa"}', "-gmp": "{}", "huber": '{"my_losses.py": "bbbb"}'}
    runs = [record(row, 0, 70, plugins=text) for row, text in texts.items()]
    (mismatch,) = mismatches(runs, CONFIG)
    assert str(mismatch) == "plugin my_losses.py: aaaa (full); bbbb (huber)"
    assert mismatches(runs[:2], CONFIG) == []


def test_revisions_are_shortened_but_versions_are_not() -> None:
    assert short_revision("1a2b" * 10 + "-dirty") == "1a2b1a2b1a2b-dirty"
    assert short_revision("gckd 10.20.30rc1") == "gckd 10.20.30rc1"


def test_records_of_a_plugin_are_compared_without_the_plugin() -> None:
    edits = {"align": {"kind": "of-a-plugin", "power": 2.0}, "adapt": {"steps": 200, "batch": 16}}
    runs = [record("full", 0, 70), record("other", 0, 70, edits=json.dumps(edits))]
    assert mismatches(runs, CONFIG) == []  # 200 x 2 x 16 pairs, as 100 x 2 x 32
