"""trials.parquet and best.yaml of a study, compared with tables written by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optuna import Study

from gckd.cli.options import resolve
from gckd.config import apply, digest, preset, value_at
from gckd.tune.best import best, best_config, candidates, caption, front, ranked, train_command, write_best
from gckd.tune.report.trial_values import last_value
from gckd.tune.study import DUPLICATE_OF
from gckd.tune.trial_table import config_of, rows, write_trials
from gckd.validators import choose, epoch_score
from tests.tune.studies import START, add, make_study, scores


def three() -> Study:
    """A finished trial of two epochs, one stopped after the first epoch, one that failed before it."""
    study = make_study()
    whole = {"distill.matching.delta": 0.5, "graph.memory.capacity": 10}
    epoch_scores = [{"bnm": 0.4, "cycle": 41.0}, {"bnm": 0.5, "cycle": None}]
    add(study, "COMPLETE", [0.1, 0.2], whole, epoch_scores, memory_gib=1.5, owner="me", folder="out/trials/0")
    add(study, "PRUNED", [-0.3], {"distill.matching.delta": 0.9}, [{"bnm": 0.3, "cycle": 20.0}], owner="me")
    add(study, "FAIL", [], {"graph.propagate": "none"}, reason="OutOfMemoryError: no", owner="you")
    return study


def base() -> dict[str, Any]:
    return {"data.source": "a/SOURCE", "data.target": "a/TARGET", "adapt.steps": 90}


def test_the_table_equals_one_written_by_hand(tmp_path: Path) -> None:
    write_trials(three(), tmp_path / "trials.parquet")
    digests = [
        digest(apply(preset("tiny"), base() | {"distill.matching.delta": 0.5, "graph.memory.capacity": 1024})),
        digest(apply(preset("tiny"), base() | {"distill.matching.delta": 0.9})),
        digest(apply(preset("tiny"), base() | {"graph.propagate": "none"})),
    ]
    texts = [
        '{"distill.matching.delta": 0.5, "graph.memory.capacity": 1024}',
        '{"distill.matching.delta": 0.9}',
        '{"graph.propagate": "none"}',
    ]
    nan = math.nan
    expected = pd.DataFrame(
        {
            "trial": [0, 0, 1, 2],
            "state": ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"],
            "epoch": [1, 2, 1, nan],
            "selected": [False, True, True, False],
            "value": [0.1, 0.2, -0.3, nan],
            "seconds": [10.0, 20.0, 10.0, nan],
            "score:bnm": [0.4, 0.5, 0.3, nan],
            "score:cycle": [41.0, nan, 20.0, nan],
            "objective:score": [0.2, 0.2, nan, nan],
            "edit:distill.matching.delta": [0.5, 0.5, 0.9, nan],
            "edit:graph.memory.capacity": [1024, 1024, nan, nan],
            "edit:graph.propagate": [None, None, None, "none"],
            "edits": [texts[0], texts[0], texts[1], texts[2]],
            "trial_seconds": [20.0, 20.0, 10.0, nan],
            "memory_gib": [1.5, 1.5, nan, nan],
            "reason": [None, None, None, "OutOfMemoryError: no"],
            "refused": [False] * 4,
            "duplicate_of": [nan] * 4,
            "owner": ["me", "me", "me", "you"],
            "folder": ["out/trials/0", "out/trials/0", None, None],
            "seeds": [[0]] * 4,
            "config_digest": [digests[0], digests[0], digests[1], digests[2]],
            "revision": ["abc123"] * 4,
        }
    )
    table = pd.read_parquet(tmp_path / "trials.parquet")
    table["seeds"] = [list(seeds) for seeds in table["seeds"]]
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_columns_have_the_types_of_their_values(tmp_path: Path) -> None:
    study, mixed = three(), [7, {"kind": "gnn", "k": 3}, True]
    for value in mixed:
        add(study, "FAIL", [], edits={"odd": value, "flag": True})
    write_trials(study, tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.field("edit:graph.memory.capacity").type == pa.int64()
    assert schema.field("edit:distill.matching.delta").type == pa.float64()
    assert schema.field("edit:graph.propagate").type == pa.string()
    assert schema.field("edit:flag").type == pa.bool_()
    column = pq.read_table(tmp_path / "t.parquet").column("edit:odd").to_pylist()[-3:]
    assert [json.loads(text) for text in column] == mixed


def test_a_study_without_trials_has_an_empty_table(tmp_path: Path) -> None:
    write_trials(make_study(), tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 0
    assert not list(tmp_path.glob(".*"))


def test_refused_edits_have_no_digest() -> None:
    study = make_study()
    add(study, "FAIL", [], {"distill.matching.delta": 0.5}, reason="refused", edits={"graph.memory.capacity": 1})
    add(study, "WAITING", [], edits=None)
    assert [row["config_digest"] for row in rows(study)] == [None, None]
    assert rows(study)[1]["edits"] is None


def test_outer_edits_apply_before_inner_ones_and_may_repeat_base_values() -> None:
    config = config_of(make_study(), {"graph.propagate.k": 7, "graph.propagate": "gnn", "adapt.steps": 90})
    assert (value_at(config, "graph.propagate").kind, value_at(config, "graph.propagate.k")) == ("gnn", 7)
    assert value_at(config, "adapt.steps") == 90


def test_last_value_by_state() -> None:
    study = make_study(directions=["maximize", "minimize"], objectives=["score", "seconds"])
    add(study, "COMPLETE", [0.5, 0.1], several=[0.5, 10.0])
    add(study, "PRUNED", [0.5, 0.3], **{"values/1": [0.5, 10.0], "values/2": [0.3, 20.0]})
    add(study, "FAIL", [])
    assert [[last_value(trial, place) for place in (0, 1)] for trial in study.trials] == [
        [0.5, 10.0],
        [0.3, 20.0],
        [None] * 2,
    ]


PARAMS = {"graph.propagate": "gnn", "graph.propagate.k": 7}


def candidate_scores() -> list[dict[str, float]]:
    """The default picks the second, bnm the third; the fourth collapsed."""
    return [
        scores(source_val_map=62.0, bnm=0.41, im=0.51),
        scores(source_val_map=61.0, bnm=0.42, im=0.53),
        scores(source_val_map=60.0, bnm=0.43, im=0.52),
        scores(source_val_map=99.0, bnm=0.99, im=0.99, rank_me=5.0),
    ]


def searched(**attrs: Any) -> Study:
    """A stopped trial with the best bnm, the four candidates, and a duplicate of the first."""
    true = {f"audit/{number}": {"rank_1": truth} for number, truth in enumerate((99.0, 50.0, 45.0, 40.0, 10.0))}
    study, select = make_study(**{**true, **attrs}), attrs.get("select", "default")
    add(study, "PRUNED", [9.0], epoch_scores=[scores(bnm=0.9)])
    for trial_scores in candidate_scores():
        value = epoch_score(trial_scores, START, select) if select != "oracle" else 0.0
        add(study, "COMPLETE", [value], PARAMS, epoch_scores=[trial_scores], folder="out/trials/n")
    add(study, "COMPLETE", [], PARAMS, several=[7.0], **{DUPLICATE_OF: 1})
    return study


@pytest.mark.parametrize(("select", "order"), [("default", [2, 3, 1, 4]), ("bnm", [3, 2, 1, 4])])
def test_the_best_trial_equals_one_found_by_hand(select: str, order: list[int]) -> None:
    study = searched(select=select)
    assert [candidate.trial.number for candidate in ranked(study)] == order
    chosen = best(study)
    assert chosen is not None and chosen.trial.number == order[0]
    assert choose(candidate_scores(), START, select) == order[0] - 1
    copy = optuna.create_study(direction="maximize")  # without the duplicate
    copy.add_trials([trial for trial in study.trials if DUPLICATE_OF not in trial.user_attrs])
    assert copy.best_trial.number == order[0]


def test_only_finished_trials_that_ran_are_candidates() -> None:
    assert [candidate.trial.number for candidate in candidates(searched())] == [1, 2, 3, 4]


def test_oracle_chooses_by_the_true_rank_1() -> None:
    study = make_study(select="oracle")
    for value in (40.0, 42.0, 41.0):
        add(study, "COMPLETE", [value], epoch_scores=[scores()])
    assert [candidate.trial.number for candidate in ranked(study)] == [1, 2, 0]


def test_without_a_finished_trial_there_is_no_best_yaml(tmp_path: Path) -> None:
    study = make_study()
    add(study, "PRUNED", [0.0], epoch_scores=[scores()])
    assert best(study) is None and write_best(study, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_first_of_several_objectives_chooses_from_the_front() -> None:
    study = make_study(directions=["minimize", "maximize"], objectives=["seconds", "score"])
    for values in ([9.0, 0.9], [5.0, 0.5], [6.0, 0.4], [7.0, 0.7]):
        add(study, "COMPLETE", [values[0]], epoch_scores=[scores()], several=values)
    assert [candidate.trial.number for candidate in front(study)] == [0, 1, 3]  # trial 2 is worse than 1 in both
    assert [candidate.trial.number for candidate in ranked(study)] == [1, 3, 0]


def test_gckd_train_reads_best_yaml(tmp_path: Path) -> None:
    study = searched()
    chosen = best(study)
    assert chosen is not None
    path = write_best(study, tmp_path)
    assert path == tmp_path / "best.yaml"
    expected = apply(preset("tiny"), base() | {"graph.propagate": {"kind": "gnn", "k": 7}})
    assert resolve(path, None, None, None, ()) == expected == best_config(study, chosen)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "Study s, trial 2, epoch 1" in head[0]
    assert "selected without target labels: by default, among 4 finished trials" in head[1]
    assert "bnm 0.42" in head[3]


@pytest.mark.parametrize(("epoch", "stop_after"), [(1, 23), (2, 45), (3, 68), (4, 0)])
def test_best_yaml_stops_after_the_chosen_epoch(epoch: int, stop_after: int) -> None:
    """With 4 evaluations in 90 steps, an evaluation follows the first step that completes each quarter."""
    base = {**make_study().user_attrs["base"]}
    base["adapt"] = {**base["adapt"], "evaluations": 4}
    study = make_study(base=base)
    values = [1.0 if number == epoch else 0.0 for number in range(1, 5)]
    add(study, "COMPLETE", values, epoch_scores=[scores()] * 4)
    chosen = best(study)
    assert chosen is not None and best_config(study, chosen).adapt.stop_after == stop_after


def test_best_yaml_names_the_checkpoint(tmp_path: Path) -> None:
    path = write_best(searched(), tmp_path)
    assert path is not None and "# Checkpoint of this epoch: out/trials/n/seed-0/best.pt" in path.read_text()


def test_the_training_command_has_the_threads_of_the_trials(tmp_path: Path) -> None:
    """Sums over other numbers of threads round differently, and the model is then another one."""
    study = make_study()
    add(study, "COMPLETE", [0.5], PARAMS, epoch_scores=[scores()], folder="out/trials/n", threads=3)
    path = write_best(study, tmp_path)
    assert path is not None and "# OMP_NUM_THREADS=3 gckd train --config best.yaml trains" in path.read_text()
    assert train_command(study.trials[0], "a b/best.yaml") == "OMP_NUM_THREADS=3 gckd train --config 'a b/best.yaml'"


def test_best_yaml_states_the_use_of_target_labels(tmp_path: Path) -> None:
    path = write_best(searched(select="oracle"), tmp_path)
    assert path is not None and "selected with target labels: by oracle" in path.read_text()


def test_a_study_name_with_a_line_break_stays_in_its_comment(tmp_path: Path) -> None:
    path = write_best(searched(name="a\nseed: 5"), tmp_path)
    assert path is not None and resolve(path, None, None, None, ()).seed == 0


def test_the_caption_states_the_use_of_labels() -> None:
    study = make_study()
    add(study, "COMPLETE", [0.0], epoch_scores=[scores()])
    assert "Target val labels: not read. Target test labels: not read." in caption(study)
    audited = searched(best_test={"number": 2, "rank_1": 1.0, "map": 1.0})
    assert caption(audited).startswith("Selected without target labels: by the score 'default'")
    assert "read by the audit after the search, not by the choice." in caption(audited)
    assert "Target test labels: read for the metrics of trial 2." in caption(audited)
    assert caption(searched(select="oracle")).startswith("Selected with target labels: by the true Rank-1")
