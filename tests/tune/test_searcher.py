"""StudySearcher compared with Ray's OptunaSearch, called as Tune calls a searcher, without starting Ray."""

from __future__ import annotations

import itertools
import math
import pickle
import traceback
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from gckd.config import ConfigError, encode, preset
from gckd.errors import InputError
from gckd.tune import searcher as searcher_module
from gckd.tune.failure_reasons import FailureReasons
from gckd.tune.samplers import make_sampler
from gckd.tune.searcher import DRAWS, StudySearcher
from gckd.tune.space.space import Space, read_space
from gckd.tune.storage import open_storage
from gckd.tune.study import DUPLICATE_OF, OWNER, counts, open_study
from tests.tune.together import check_kill_of_one, check_two_at_once

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

optuna.logging.set_verbosity(optuna.logging.WARNING)
BASE = preset("tiny")
WIDE = "distill.matching.delta: {float: [0.0, 1.0]}\ngraph.propagate.k: {int: [2, 50]}"
NARROW = "graph.propagate.k: {choice: [3, 4, 5]}"
COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING
IDS = itertools.count()


def space_of(text: str) -> Space:
    return read_space(text).check(BASE, 4096)[0]


def searcher_on(folder: Path, uri: str | None = None, **changes: Any) -> StudySearcher:
    """A searcher that shares only the storage with others, like one in another process."""
    space = space_of(changes.pop("text", WIDE))
    objectives = changes.setdefault("objectives", {"score": "max"})
    study = open_study(
        open_storage(uri, folder),
        "s",
        make_sampler(changes.pop("sampler", "random"), 0, len(objectives)),
        ["maximize" if mode == "max" else "minimize" for mode in objectives.values()],
        {"base": encode(BASE), "space": space.encode()},
        changes.pop("points", ()),
    )
    return StudySearcher(study, space, BASE, **{"owner": "us", "budget": 8, "folder": "/out", **changes})


def study_in(folder: Path, uri: str | None = None) -> Study:
    return optuna.load_study(storage=open_storage(uri, folder), study_name="s")


def trials_in(folder: Path) -> list[FrozenTrial]:
    return study_in(folder).trials


def next_trial(searcher: StudySearcher) -> tuple[str, dict[str, Any]]:
    trial_id = f"t{next(IDS)}"
    config: Any = searcher.suggest(trial_id)
    assert config != Searcher.FINISHED, searcher.end_reason
    return trial_id, config


def result(epoch: int, score: Any, last: bool = False, **more: Any) -> dict[str, Any]:
    head = {"epoch": epoch, "score": score, "scores/bnm": 0.5, "seconds": 10.0 * epoch, "training_iteration": epoch}
    return {**head, "done_all": last, **more}


def finish(searcher: StudySearcher, trial_id: str, scores: list[float], **more: Any) -> None:
    """Calls of Tune for a trainable that returns: on_trial_complete gets the last result again."""
    for epoch, score in enumerate(scores, 1):
        last_result = result(epoch, score, last=epoch == len(scores), **more)
        searcher.on_trial_result(trial_id, last_result)
    searcher.on_trial_complete(trial_id, last_result)


def stop(searcher: Any, trial_id: str, scores: list[float]) -> None:
    """Calls of Tune for a trial that the scheduler stops: only on_trial_complete gets the last result."""
    for epoch, score in enumerate(scores[:-1], 1):
        searcher.on_trial_result(trial_id, result(epoch, score))
    searcher.on_trial_complete(trial_id, result(len(scores), scores[-1]))


def run_all(searcher: StudySearcher, score: Any = lambda config: 0.0) -> list[int]:
    """Runs trials one after the other until the search ends; their numbers."""
    numbers = []
    while True:
        trial_id = f"t{next(IDS)}"
        config: Any = searcher.suggest(trial_id)
        if config == Searcher.FINISHED:
            return numbers
        finish(searcher, trial_id, [score(config)])
        numbers.append(config["number"])


@pytest.fixture
def rays_searcher(tmp_path: Path) -> OptunaSearch:
    """Ray's OptunaSearch on its own study."""

    def space(trial: optuna.Trial) -> None:
        trial.suggest_float("x", 0, 1)

    return OptunaSearch(space, metric="score", mode="max", storage=open_storage(None, tmp_path), study_name="rays")


def rays_last_trial(folder: Path) -> FrozenTrial:
    return optuna.load_study(storage=open_storage(None, folder), study_name="rays").trials[-1]


# Errors of Ray's searcher


def test_a_stopped_trial_is_pruned(rays_searcher: OptunaSearch, tmp_path: Path) -> None:
    rays_searcher.suggest("a")
    stop(rays_searcher, "a", [0.1, 0.4, 0.3])
    assert (rays_last_trial(tmp_path).state, rays_last_trial(tmp_path).value) == (COMPLETE, 0.3)  # Ray's error

    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    stop(searcher, trial_id, [0.1, 0.4, 0.3])
    (trial,) = trials_in(tmp_path)
    assert (trial.state, trial.intermediate_values) == (PRUNED, {1: 0.1, 2: 0.4, 3: 0.3})
    assert (trial.user_attrs["epoch"], trial.user_attrs["seconds"]) == (2, 30.0)


def test_steps_are_epochs_also_after_a_resume(rays_searcher: OptunaSearch, tmp_path: Path) -> None:
    def report(searcher: Any, trial_id: str) -> None:
        for epoch, iteration in ((1, 1), (2, 2), (3, 1), (4, 2)):  # resumed after epoch 2
            searcher.on_trial_result(trial_id, result(epoch, epoch / 10, training_iteration=iteration))

    rays_searcher.suggest("a")
    with pytest.warns(UserWarning, match="is already reported"):
        report(rays_searcher, "a")
    assert rays_last_trial(tmp_path).intermediate_values == {1: 0.1, 2: 0.2}  # Ray's error

    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    report(searcher, trial_id)
    assert trials_in(tmp_path)[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (math.nan, "epoch 2: score is nan"),
        (math.inf, "epoch 2: score is inf"),
        (None, "epoch 2: score is None"),
        ("high", "epoch 2: score is 'high'"),
    ],
)
def test_a_value_that_is_not_finite_fails_the_trial(bad: Any, reason: str, tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    searcher.on_trial_result(trial_id, result(1, 0.5))
    searcher.on_trial_result(trial_id, result(2, bad))
    searcher.on_trial_complete(trial_id, result(3, 0.7, last=True))
    (trial,) = trials_in(tmp_path)
    assert (trial.state, trial.user_attrs["reason"]) == (FAIL, reason)
    assert trial.intermediate_values == {1: 0.5, 3: 0.7}


def test_rays_searcher_leaves_a_trial_with_nan_running(rays_searcher: OptunaSearch, tmp_path: Path) -> None:
    rays_searcher.suggest("a")
    rays_searcher.on_trial_complete("a", result(1, math.nan, last=True))
    assert rays_last_trial(tmp_path).state == RUNNING  # Ray's error of the test above


def test_a_missing_metric_fails_the_trial(rays_searcher: OptunaSearch, tmp_path: Path) -> None:
    rays_searcher.suggest("a")
    with pytest.raises(KeyError):  # Ray's error: it ends Tune's loop
        rays_searcher.on_trial_result("a", {"epoch": 1, "training_iteration": 1})

    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    searcher.on_trial_result(trial_id, {"epoch": 1, "training_iteration": 1})
    searcher.on_trial_complete(trial_id, {"epoch": 1, "training_iteration": 1})
    assert trials_in(tmp_path)[0].user_attrs["reason"] == "epoch 1: score is None"


def test_the_value_is_that_of_the_selected_epoch(rays_searcher: OptunaSearch, tmp_path: Path) -> None:
    rays_searcher.suggest("a")
    rays_searcher.on_trial_result("a", result(1, 0.9))
    rays_searcher.on_trial_complete("a", result(2, 0.2, last=True))
    assert rays_last_trial(tmp_path).value == 0.2  # Ray's error

    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    finish(searcher, trial_id, [0.1, 0.9, 0.9, 0.2])
    (trial,) = trials_in(tmp_path)
    assert (trial.state, trial.value, trial.user_attrs["epoch"]) == (COMPLETE, 0.9, 2)


def test_starting_points_are_queued_once(tmp_path: Path) -> None:
    def space(trial: optuna.Trial) -> None:
        trial.suggest_float("x", 0, 1)

    for _ in range(3):
        OptunaSearch(
            space,
            metric="score",
            mode="max",
            storage=open_storage(None, tmp_path),
            study_name="rays",
            points_to_evaluate=[{"x": 0.5}],
        )
    queued = optuna.load_study(storage=open_storage(None, tmp_path), study_name="rays").trials
    assert len(queued) == 3  # Ray's error

    point = {"distill.matching.delta": 0.5, "graph.propagate.k": 7}
    for number in range(3):
        searcher = searcher_on(tmp_path, points=[point])
        trial_id, config = next_trial(searcher)
        assert (config["edits"] == point) == (number == 0)
        finish(searcher, trial_id, [0.1])
    assert len(trials_in(tmp_path)) == 3


def test_rays_searcher_loses_the_trials_of_a_dead_driver(tmp_path: Path) -> None:
    def space(trial: optuna.Trial) -> None:
        trial.suggest_float("x", 0, 1)

    def searcher() -> OptunaSearch:
        return OptunaSearch(space, metric="score", mode="max", storage=open_storage(None, tmp_path), study_name="rays")

    first = searcher().suggest("a")
    assert searcher().suggest("a") != first
    states = [t.state for t in optuna.load_study(storage=open_storage(None, tmp_path), study_name="rays").trials]
    assert states == [RUNNING, RUNNING]  # Ray's error of the tests below


# Attributes of trials


def test_a_finished_trial_has_all_attributes(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, seeds=(3, 4))
    trial_id, config = next_trial(searcher)
    assert set(config) == {"edits", "number", "folder", "seeds"}
    assert (config["number"], config["folder"], config["seeds"]) == (0, "/out/trials/0", [3, 4])
    searcher.on_trial_result(trial_id, result(1, np.float32(0.5), memory_gib=2.5))
    searcher.on_trial_complete(trial_id, result(2, 0.25, last=True, memory_gib=1.5, **{"scores/snd": math.nan}))
    (trial,) = trials_in(tmp_path)
    assert trial.params == config["edits"]
    assert trial.user_attrs == {
        "owner": "us",
        "edits": config["edits"],
        "folder": "/out/trials/0",
        "seeds": [3, 4],
        "epoch/1": {"bnm": 0.5, "seconds": 10.0, "value": 0.5},
        "epoch/2": {"bnm": 0.5, "snd": None, "seconds": 20.0, "value": 0.25},
        "epoch": 1,
        "seconds": 20.0,
        "memory_gib": 2.5,
    }


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=6), low=st.booleans(), stopped=st.booleans()
)
@settings(max_examples=30, deadline=None)
def test_the_earliest_best_epoch_is_selected(scores: list[float], low: bool, stopped: bool) -> None:
    study = optuna.create_study(direction="minimize" if low else "maximize")
    objectives = {"score": "min" if low else "max"}
    searcher = StudySearcher(study, space_of(WIDE), BASE, owner="us", budget=1, folder="", objectives=objectives)
    trial_id, _ = next_trial(searcher)
    (stop if stopped else finish)(searcher, trial_id, scores)
    (trial,) = study.trials
    best = min(scores) if low else max(scores)
    assert trial.user_attrs["epoch"] == scores.index(best) + 1
    assert trial.intermediate_values == dict(enumerate(scores, 1))
    assert (trial.state, trial.value) == ((PRUNED, scores[-1]) if stopped else (COMPLETE, best))


def test_an_epoch_that_is_reported_again_is_ignored(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    for epoch, score in ((1, 0.1), (2, 0.2), (1, 0.7), (2, 0.8)):
        searcher.on_trial_result(trial_id, result(epoch, score))
    searcher.on_trial_complete(trial_id, result(3, 0.15, last=True))
    (trial,) = trials_in(tmp_path)
    assert (trial.intermediate_values, trial.value) == ({1: 0.1, 2: 0.2, 3: 0.15}, 0.2)


def test_the_first_of_several_objectives_selects_the_epoch(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, objectives={"score": "max", "seconds": "min"}, sampler="nsga2")
    trial_id, _ = next_trial(searcher)
    finish(searcher, trial_id, [0.1, 0.9, 0.3])
    other_id, _ = next_trial(searcher)
    stop(searcher, other_id, [0.5, 0.4])
    failed_id, _ = next_trial(searcher)
    searcher.on_trial_complete(failed_id, {**result(1, 0.5, last=True), "seconds": math.nan})
    done, stopped, failed = trials_in(tmp_path)
    assert (done.state, done.values, done.user_attrs["epoch"]) == (COMPLETE, [0.9, 20.0], 2)
    assert (stopped.state, stopped.user_attrs["epoch"]) == (PRUNED, 1)
    assert failed.user_attrs["reason"] == "epoch 1: seconds is nan"
    assert [done.user_attrs[f"epoch/{n}"]["value"] for n in (1, 2, 3)] == [0.1, 0.9, 0.3]


# Failures


class TuneTrial:
    """The part of Tune's trial that `FailureReasons` reads, with an error file as `Trial.handle_error` writes it."""

    def __init__(self, trial_id: str, folder: Path, error: BaseException | None) -> None:
        self.trial_id, self.local_path = trial_id, str(folder)
        self.error_file = str(folder / "error.txt") if error else None
        if error:
            earlier = "Failure # 1 (occurred at 2026-11-29_10-00-00)\nOSError: an earlier attempt\n"
            text = f"Failure # 2 (occurred at 2026-11-29_10-01-00)\n{error}\n"
            (folder / "error.txt").write_text(earlier + text)


def task_error(cause: Exception) -> RayTaskError:
    """Exception that Ray raises for one in a task."""
    try:
        raise cause
    except Exception as error:
        return RayTaskError("train", traceback.format_exc(), error)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (task_error(ValueError("lr: 3 is\nabove its limit")), "ValueError: lr: 3 is above its limit"),
        (task_error(InputError("train.json: damaged")), "InputError: train.json: damaged"),
        (task_error(KeyError("lr")), "KeyError: 'lr'"),
        (RayActorError(error_msg="The actor died."), "The actor died."),
        (None, "unknown error; see {}"),
    ],
)
def test_a_trial_that_raises_or_dies_fails_with_its_reason(
    error: BaseException | None, reason: str, tmp_path: Path
) -> None:
    failures = FailureReasons()
    searcher = searcher_on(tmp_path, failure_reason=failures)
    trial_id, _ = next_trial(searcher)
    searcher.on_trial_result(trial_id, result(1, 0.5))
    failures.on_step_begin(0, [TuneTrial("another", tmp_path, None), TuneTrial(trial_id, tmp_path, error)])
    searcher.on_trial_complete(trial_id, error=True)
    (trial,) = trials_in(tmp_path)
    assert (trial.state, trial.user_attrs["reason"]) == (FAIL, reason.format(tmp_path))
    assert (trial.user_attrs["epoch"], trial.user_attrs["seconds"]) == (1, 10.0)


def test_reasons_come_from_the_trial_if_tune_has_none(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path)
    ids = [next_trial(searcher)[0] for _ in range(5)]
    searcher.on_trial_complete(ids[0], error=True)
    searcher.on_trial_complete(ids[1])  # Tune removes a trial that never started
    searcher.on_trial_complete(ids[2], {"training_iteration": 1, "done": True})  # it returned without a report
    searcher.on_trial_complete(ids[3], {**result(1, 0.5), "reason": "out of memory"})
    searcher.on_trial_result(ids[4], {**result(1, 0.5), "reason": "out of memory"})
    searcher.on_trial_complete(ids[4], result(2, 0.5, last=True))  # it was started again, and got through
    assert [trial.user_attrs.get("reason") for trial in trials_in(tmp_path)] == [
        "unknown error",
        "it ended before its first epoch",
        "it ended before its first epoch",
        "out of memory",
        None,
    ]
    assert [trial.state for trial in trials_in(tmp_path)] == [FAIL] * 4 + [COMPLETE]


def test_results_of_finished_and_unknown_trials_are_ignored(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path)
    trial_id, _ = next_trial(searcher)
    finish(searcher, trial_id, [0.1])
    before = trials_in(tmp_path)[0]
    finish(searcher, trial_id, [0.9, 0.9])
    searcher.on_trial_complete(trial_id, error=True)
    finish(searcher, "unknown", [0.9])
    assert trials_in(tmp_path) == [before]


# Number of trials


def test_a_search_ends_at_its_budget_and_can_be_extended(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, budget=3)
    assert run_all(searcher) == [0, 1, 2]
    assert searcher.end_reason == "the study has all 3 trials"
    assert run_all(searcher_on(tmp_path, budget=3)) == []
    assert run_all(searcher_on(tmp_path, budget=5)) == [3, 4]


def test_pruned_failed_and_running_trials_count_towards_the_budget(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, budget=4)
    finish(searcher, next_trial(searcher)[0], [0.1])
    stop(searcher, next_trial(searcher)[0], [0.1])
    searcher.on_trial_complete(next_trial(searcher)[0], error=True)
    next_trial(searcher)
    assert searcher.suggest("x") == Searcher.FINISHED


def test_of_two_searchers_that_draw_the_last_trial_at_once_one_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = searcher_on(tmp_path, owner="one", budget=1), searcher_on(tmp_path, owner="two", budget=1)
    create = one._study._storage.create_new_trial

    def late(*args: Any) -> int:
        next_trial(two)  # after `one` has counted the trials, before it creates its own
        return create(*args)

    monkeypatch.setattr(one._study._storage, "create_new_trial", late)
    assert one.suggest("a") == Searcher.FINISHED
    counted, withdrawn = trials_in(tmp_path)
    assert (counted.state, counted.user_attrs["owner"]) == (RUNNING, "two")
    assert (withdrawn.state, counts(withdrawn)) == (FAIL, False)
    assert withdrawn.user_attrs["reason"] == "another search on this study drew the last of 1 trials at the same time"


# Resumed and shared studies


@pytest.fixture(params=[None, "sqlite:///{}/s.db"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return request.param and str(request.param).format(tmp_path)


def test_trials_of_a_dead_driver_are_resumed_first(uri: str | None, tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, uri)
    ids, configs = zip(*(next_trial(searcher) for _ in range(4)), strict=True)
    finish(searcher, ids[1], [0.3])
    searcher.on_trial_result(ids[2], result(1, 0.8))
    del searcher  # kill -9

    again = searcher_on(tmp_path, uri)
    started = [next_trial(again) for _ in range(4)]
    assert [config for _, config in started[:3]] == [configs[0], configs[2], configs[3]]
    assert started[3][1]["number"] == 4
    resumed = started[1][0]
    again.on_trial_result(resumed, result(1, 0.1))  # from its checkpoint before: known
    again.on_trial_complete(resumed, result(2, 0.4, last=True))
    trial = study_in(tmp_path, uri).trials[2]
    assert (trial.state, trial.value, trial.intermediate_values) == (COMPLETE, 0.8, {1: 0.8, 2: 0.4})


def test_an_unfinished_draw_of_a_dead_driver_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = searcher_on(tmp_path)
    for method in ("create_new_trial", "set_trial_param", "set_trial_user_attr"):
        with monkeypatch.context() as patched:
            done = getattr(searcher._study._storage, method)

            def die_after(*args: Any, done: Any = done, **more: Any) -> None:
                done(*args, **more)
                raise KeyboardInterrupt

            patched.setattr(searcher._study._storage, method, die_after)
            with pytest.raises(KeyboardInterrupt):
                searcher.suggest("a")
        left = trials_in(tmp_path)[-1]
        searcher = searcher_on(tmp_path)
        trial_id, config = next_trial(searcher)
        assert config["number"] == left.number
        assert left.params.items() <= config["edits"].items() and len(config["edits"]) == 2
        finish(searcher, trial_id, [0.1])
    assert [trial.number for trial in trials_in(tmp_path)] == [0, 1, 2]


def test_trials_of_other_owners_are_never_touched(uri: str | None, tmp_path: Path) -> None:
    one, two = searcher_on(tmp_path, uri, owner="one"), searcher_on(tmp_path, uri, owner="two")
    started = {
        owner: [next_trial(searcher)[1]["number"] for _ in range(2)] for owner, searcher in (("one", one), ("two", two))
    }
    foreign = study_in(tmp_path, uri).ask().number  # from another program on the same study
    del one
    rebuilt = searcher_on(tmp_path, uri, owner="one")
    assert [next_trial(rebuilt)[1]["number"] for _ in range(3)] == [*started["one"], foreign + 1]
    assert [next_trial(two)[1]["number"]] == [foreign + 2]
    owners = [trial.user_attrs.get("owner") for trial in study_in(tmp_path, uri).trials]
    assert owners == ["one", "one", "two", "two", None, "one", "two"]


def test_two_searchers_share_the_budget(uri: str | None, tmp_path: Path) -> None:
    searchers = [searcher_on(tmp_path, uri, owner=name, budget=9, sampler="tpe") for name in ("one", "two")]
    numbers: list[int] = []
    for searcher in itertools.cycle(searchers):
        trial_id = f"t{next(IDS)}"
        config: Any = searcher.suggest(trial_id)
        if config == Searcher.FINISHED:
            break
        finish(searcher, trial_id, [0.5])
        numbers.append(config["number"])
    assert numbers == list(range(9))
    assert all(searcher.suggest("x") == Searcher.FINISHED for searcher in searchers)


def test_a_draw_that_another_search_refuses_takes_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two searches draw the last trial at once: one draw is one too many, the other one is refused by the config.

    The second search looks at the study while the first has not yet refused its own draw. It must not end there, or
    the study would have one trial less than its budget.
    """
    one = searcher_on(tmp_path, owner="one", budget=1)
    two = searcher_on(tmp_path, owner="two", budget=1)
    storage = one._study._storage
    create, refuse, configure_ = storage.create_new_trial, one._refuse, searcher_module.configure
    answers: list[Any] = []

    def create_after_two(study_id: int, template: FrozenTrial) -> int:
        monkeypatch.setattr(storage, "create_new_trial", create)
        by_two = optuna.trial.create_trial(state=RUNNING, user_attrs={OWNER: "two"})
        two._study._storage.create_new_trial(two._study._study_id, by_two)
        return create(study_id, template)

    def ask_two_and_refuse(trial: optuna.Trial, reason: str) -> None:
        answers.append(two.suggest("a"))
        refuse(trial, reason)

    def refuse_once(*words: Any) -> Any:
        monkeypatch.setattr(searcher_module, "configure", configure_)
        raise ConfigError(["refused"])

    monkeypatch.setattr(storage, "create_new_trial", create_after_two)
    monkeypatch.setattr(one, "_refuse", ask_two_and_refuse)
    monkeypatch.setattr(searcher_module, "configure", refuse_once)
    assert one.suggest("b") is None
    assert answers == [None]
    finish(two, next_trial(two)[0], [0.1])
    assert one.suggest("c") == Searcher.FINISHED
    assert sum(map(counts, trials_in(tmp_path))) == 1


def test_a_draw_of_a_dead_driver_takes_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its owner can finish it; others do not wait for ever."""
    one = searcher_on(tmp_path, owner="one", budget=1)
    by_two = optuna.trial.create_trial(state=RUNNING, user_attrs={OWNER: "two"})
    one._study._storage.create_new_trial(one._study._study_id, by_two)
    assert one.suggest("a") is None
    monkeypatch.setattr(searcher_module, "_DRAW_TIME", timedelta(0))
    assert one.suggest("a") == Searcher.FINISHED
    assert next_trial(searcher_on(tmp_path, owner="two", budget=1))[1]["number"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_two_at_once, check_kill_of_one])
@pytest.mark.parametrize("uri_template", ["journal:{}/s.journal", "sqlite:///{}/s.db"])
def test_two_processes_on_one_study(check: Any, uri_template: str, tmp_path: Path) -> None:
    check(uri_template.format(tmp_path), "s")


def test_a_searcher_can_be_pickled(uri: str | None, tmp_path: Path) -> None:
    """Ray moves it to its workers."""
    searcher = searcher_on(tmp_path, uri, failure_reason=lambda trial_id: "a closure, which cannot be pickled")
    trial_id, _ = next_trial(searcher)
    searcher.on_trial_result(trial_id, result(1, 0.6))
    copy: StudySearcher = pickle.loads(pickle.dumps(searcher))
    assert next_trial(copy)[1]["number"] == 1  # trial 0 is running
    finish(copy, trial_id, [0.6, 0.2])
    done, _ = study_in(tmp_path, uri).trials
    assert (done.state, done.value, done.user_attrs["epoch"]) == (COMPLETE, 0.6, 1)


def test_files_of_tune_hold_no_state(tmp_path: Path) -> None:
    """A pickle file in a shared folder could run code of somebody else."""
    searcher = searcher_on(tmp_path)
    searcher.save(str(tmp_path / "saved.pkl"))
    assert (tmp_path / "saved.pkl").read_bytes() == b""
    with pytest.raises(NotImplementedError, match="resumes from its study"):
        searcher.restore(str(tmp_path / "saved.pkl"))


# Draws without a run


def test_refused_edits_fail_and_are_drawn_again(tmp_path: Path) -> None:
    text = "adapt.batch: {powers_of_two: [32, 256]}\ngraph.memory.capacity: {powers_of_two: [32, 256]}"
    searcher = searcher_on(tmp_path, text=text, budget=6)
    numbers = run_all(searcher)
    trials = trials_in(tmp_path)
    refused = [trial for trial in trials if trial.user_attrs.get("refused")]
    assert len(numbers) == sum(map(counts, trials)) == 6
    assert refused and all(trial.state == FAIL for trial in refused)
    for trial in trials:
        edits = trial.user_attrs["edits"]
        fits = edits["graph.memory.capacity"] >= edits["adapt.batch"]
        assert fits == (trial not in refused)
        if not fits:
            capacity, batch = edits["graph.memory.capacity"], edits["adapt.batch"]
            line = f"graph.memory.capacity: C = {capacity} is below its limit: adapt.batch = {batch}"
            assert trial.user_attrs["reason"] == line


def test_a_duplicate_gets_its_values_at_once_and_does_not_count(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, text=NARROW, budget=3)
    scores = {3: 0.1, 4: 0.5, 5: 0.2}
    numbers = run_all(searcher, lambda config: scores[config["edits"]["graph.propagate.k"]])
    trials = trials_in(tmp_path)
    ran = {trials[number].params["graph.propagate.k"]: number for number in numbers}
    duplicates = [trial for trial in trials if DUPLICATE_OF in trial.user_attrs]
    assert set(ran) == {3, 4, 5} and len(numbers) == 3
    assert duplicates and len(trials) == 3 + len(duplicates)
    for duplicate in duplicates:
        assert duplicate.user_attrs[DUPLICATE_OF] == ran[duplicate.params["graph.propagate.k"]] < duplicate.number
        assert (duplicate.state, duplicate.value) == (COMPLETE, scores[duplicate.params["graph.propagate.k"]])
    assert study_in(tmp_path).best_trial.number == ran[4]


def test_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, text=NARROW, budget=10)
    assert len(run_all(searcher)) == 3
    assert searcher.end_reason == f"the last {DRAWS} draws were duplicates or refused: the space is exhausted"
    assert sum(DUPLICATE_OF in trial.user_attrs for trial in trials_in(tmp_path)) >= DRAWS


def test_a_duplicate_of_a_stopped_or_failed_trial_is_run(tmp_path: Path) -> None:
    points = [{"graph.propagate.k": 3}] * 2
    searcher = searcher_on(tmp_path, text=NARROW, budget=9)
    for point in (*points, *points):
        searcher._study.enqueue_trial(point)
    stop(searcher, next_trial(searcher)[0], [0.1])
    searcher.on_trial_complete(next_trial(searcher)[0], error=True)
    finish(searcher, next_trial(searcher)[0], [0.3])
    next_trial(searcher)
    assert [DUPLICATE_OF in trial.user_attrs for trial in trials_in(tmp_path)][:4] == [False, False, False, True]


@pytest.mark.filterwarnings("ignore:Fixed parameter")
def test_queued_values_outside_the_space_fail_unless_the_config_accepts_them(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path, text=NARROW + "\ndistill.matching.delta: {float: [0.5, 0.9]}", budget=2)
    searcher._study.enqueue_trial({"graph.propagate.k": 99})
    searcher._study.enqueue_trial({"distill.matching.delta": 7.0})
    searcher._study.enqueue_trial({"distill.matching.delta": "high"})
    searcher._study.enqueue_trial({"distill.matching.delta": 0.25})
    assert next_trial(searcher)[1]["edits"]["distill.matching.delta"] == 0.25  # outside, but the config accepts it
    reasons = [trial.user_attrs["reason"] for trial in trials_in(tmp_path)[:3]]
    assert reasons[1] == "distill.matching.delta: 7.0 is outside its limit: >= -1 and <= 1"
    assert "99" in reasons[0] and "high" in reasons[2] and "\n" not in "".join(reasons)


def test_tune_cannot_change_metric_and_mode(tmp_path: Path) -> None:
    searcher = searcher_on(tmp_path)
    assert (searcher.metric, searcher.mode) == ("score", "max")
    assert not searcher.set_search_properties("other", "min", {"x": 1})
    assert (searcher.metric, searcher.mode) == ("score", "max")


def test_a_trial_that_lost_its_dataset_is_resumed_and_no_other_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset that is gone makes every trial fail: it would use up the budget of the search."""
    problem = "data.target: lost after the start: no folder /data"
    first = searcher_on(tmp_path)
    monkeypatch.setattr(searcher_module, "lost_input", lambda config: problem)
    trial_id, given_up = next_trial(first)
    finished, _ = next_trial(first)
    finish(first, finished, [0.5])  # a trial that does not fail is not asked for its input
    first.on_trial_complete(trial_id, {"reason": "InputError: no folder /data", "done_all": False})
    assert first.suggest("next") == Searcher.FINISHED
    assert first.lost_input == first.end_reason == problem
    assert [trial.state for trial in trials_in(tmp_path)] == [RUNNING, COMPLETE]

    monkeypatch.setattr(searcher_module, "lost_input", lambda config: "")
    second = searcher_on(tmp_path)
    again, resumed = next_trial(second)
    assert resumed == given_up
    second.on_trial_complete(again, {"reason": "InputError: too many neighbours", "done_all": False})
    assert [trial.state for trial in trials_in(tmp_path)] == [FAIL, COMPLETE]
