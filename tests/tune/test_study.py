"""Storages, samplers, and the check that a study belongs to a search."""

from __future__ import annotations

import json
import pickle
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from gckd.config import apply, encode, preset
from gckd.errors import InputError
from gckd.tune import storage as storage_module
from gckd.tune.samplers import SAMPLERS, make_sampler
from gckd.tune.storage import open_storage
from gckd.tune.study import DUPLICATE_OF, OWNER, REFUSED, claim, counts, open_study

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study
    from optuna.storages import BaseStorage

optuna.logging.set_verbosity(optuna.logging.WARNING)
ATTRS = {"base": encode(preset("tiny")), "space": {"seed": {"int": [0, 9]}}, "select": "default", "revision": "a1"}


def opened(folder: Path, uri: str | None = None, **changes: Any) -> Study:
    arguments: dict[str, Any] = {"name": "s", "directions": ["maximize"], "attrs": ATTRS, "points": [], **changes}
    return open_study(open_storage(uri, folder), sampler=make_sampler("random", 0), **arguments)


def refusal(uri: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_storage(uri, folder)
    return str(caught.value)


# Storages


@pytest.fixture(params=[None, "journal:{}/j.log", "sqlite:///{}/s.db"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return request.param and str(request.param).format(tmp_path)


def test_one_process_reads_trials_of_another(uri: str | None, tmp_path: Path) -> None:
    opened(tmp_path, uri).enqueue_trial({"x": 3})
    (trial,) = opened(tmp_path, uri).trials
    assert (trial.state, trial.system_attrs) == (TrialState.WAITING, {"fixed_params": {"x": 3}})


def test_a_storage_can_be_pickled(uri: str | None, tmp_path: Path) -> None:
    copy: BaseStorage = pickle.loads(pickle.dumps(open_storage(uri, tmp_path)))
    opened(tmp_path, uri).enqueue_trial({"x": 3})
    assert len(optuna.load_study(storage=copy, study_name="s").trials) == 1


@pytest.mark.parametrize("pickled", [False, True])
def test_a_queued_trial_is_taken_once(uri: str | None, pickled: bool, tmp_path: Path) -> None:
    queued = 40
    study = opened(tmp_path, uri, points=[{"seed": n} for n in range(queued)])
    ids = [trial._trial_id for trial in study.trials]
    together, taken = threading.Barrier(2), []

    def take(storage: BaseStorage) -> None:
        for trial_id in ids:
            together.wait()
            if storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                taken.append(trial_id)

    storages = [open_storage(uri, tmp_path) for _ in range(2)]
    both: list[BaseStorage] = [pickle.loads(pickle.dumps(storage)) if pickled else storage for storage in storages]
    threads = [threading.Thread(target=take, args=(storage,)) for storage in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == ids and len(ids) == queued


def test_the_default_storage_is_a_journal_in_the_folder(tmp_path: Path) -> None:
    opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.journal"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("study", "--storage: 'study' is neither journal:PATH nor a database URL such as sqlite:///study.db"),
        ("journal:{}/no/j.log", "--storage: {}/no/j.log cannot be written (No such file or directory)"),
        ("journal:{}", "--storage: {} cannot be written (Is a directory)"),
        ("sqlite:///{}/no/s.db", "--storage: sqlite:///{}/no/s.db: unable to open database file"),
        (
            "nosuch://host/name",
            "--storage: nosuch://host/name: unknown database 'nosuch'; choose from sqlite, postgresql, mysql",
        ),
        ("postgresql://host:x/name", "--storage: 'postgresql://host:x/name' is not a database URL"),
        ("postgresql://host/\udcff", "--storage: 'postgresql://host/\\udcff' is not text in UTF-8"),
    ],
)
def test_invalid_storages_are_refused_in_one_line(uri: str, message: str, tmp_path: Path) -> None:
    assert refusal(uri.format(tmp_path), tmp_path) == message.format(tmp_path)


@pytest.mark.parametrize("name", ["a{b", "{}", "{SCHEMA_VERSION}", "a}b{{"])
def test_braces_in_a_url_are_kept(name: str, tmp_path: Path) -> None:
    open_storage(f"sqlite:///{tmp_path}/{name}.db", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.db"]


def test_a_missing_driver_is_refused_in_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for uri, module, package in (
        ("postgresql+psycopg://me:secret@127.0.0.1/name", "psycopg", "'psycopg[binary]'"),
        ("mysql://me:secret@127.0.0.1/name", "MySQLdb", "mysqlclient"),
        ("mysql+pymysql://me:secret@127.0.0.1/name", "pymysql", "pymysql"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        message = refusal(uri, tmp_path)
        head = f"--storage: {uri.replace('secret', '***')}: its driver is not installed ("
        assert message.startswith(head) and message.endswith(f"; pip install {package}")
        assert "secret" not in message and "\n" not in message


def test_a_missing_server_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    message = refusal("postgresql+psycopg://me@127.0.0.1:1/name", tmp_path)  # nothing listens at port 1
    assert message.startswith("--storage: postgresql+psycopg://me@127.0.0.1:1/name: ")
    assert "refused" in message and "\n" not in message


@pytest.mark.parametrize("content", ["a text of mine\nand more", '{"op_code":', "{}\n"])
def test_a_file_that_is_no_journal_is_refused_and_not_changed(content: str, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text(content)
    if content == '{"op_code":':  # left by a process that was killed during its first line
        open_storage(f"journal:{file}", tmp_path)
        return
    assert refusal(f"journal:{file}", tmp_path) == f"--storage: {file} is not an Optuna journal"
    assert file.read_text() == content


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_removed(cut: int, tmp_path: Path) -> None:
    study = opened(tmp_path)
    for number in range(3):
        study.enqueue_trial({"x": number})
    file = tmp_path / "study.journal"
    torn = file.read_bytes()[:-cut]

    file.write_bytes(torn)
    plain = JournalFileBackend(str(file))
    plain.append_logs([{"op_code": 2}])
    plain.append_logs([{"op_code": 2}])
    with pytest.raises(json.JSONDecodeError):  # Optuna's error: it cannot read the study any more
        JournalStorage(plain)

    file.write_bytes(torn)
    mended = opened(tmp_path)
    mended.enqueue_trial({"x": 3})
    queued = [trial.system_attrs["fixed_params"]["x"] for trial in opened(tmp_path).trials]
    assert queued == [0, 1, 3]


@pytest.mark.slow
def test_the_lock_of_a_dead_process_expires(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage_module, "_GRACE_S", 3)
    opened(tmp_path)
    (tmp_path / "study.journal.lock").touch()
    opened(tmp_path).enqueue_trial({"x": 1})
    assert len(opened(tmp_path).trials) == 1


# Samplers


def drawn(sampler: BaseSampler, folder: Path, count: int, name: str = "s") -> list[float]:
    """Values of the study after a process has opened it, drawn `count` trials and ended."""
    study = optuna.create_study(
        storage=open_storage(None, folder), study_name=name, sampler=sampler, load_if_exists=True, direction="maximize"
    )
    for _ in range(count):
        trial = study.ask()
        study.tell(trial, -((trial.suggest_float("x", 0, 1) - 0.3) ** 2))
    return [trial.params["x"] for trial in study.trials]


def test_a_resumed_search_draws_new_configurations(tmp_path: Path) -> None:
    drawn(RandomSampler(seed=0), tmp_path, 3, "plain")
    plain = drawn(RandomSampler(seed=0), tmp_path, 3, "plain")
    assert plain[:3] == plain[3:]  # Optuna's error
    drawn(make_sampler("random", 0), tmp_path, 3, "mended")
    mended = drawn(make_sampler("random", 0), tmp_path, 3, "mended")
    assert len(set(mended)) == 6


@pytest.mark.parametrize("name", ["tpe", "gp", "random"])
def test_an_interrupted_search_draws_like_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    whole = drawn(make_sampler(name, 7), tmp_path, 14, "whole")
    drawn(make_sampler(name, 7), tmp_path, 11, "parts")
    assert drawn(make_sampler(name, 7), tmp_path, 3, "parts") == whole
    assert drawn(make_sampler(name, 8), tmp_path, 1, "other")[0] != whole[0]


@pytest.mark.parametrize(
    ("name", "objectives"), [("tpe", 1), ("tpe", 2), ("gp", 1), ("gp", 2), ("random", 2), ("nsga2", 2)]
)
def test_every_sampler_works_after_its_random_start(name: str, objectives: int) -> None:
    sampler = pickle.loads(pickle.dumps(make_sampler(name, 0, objectives)))
    study = optuna.create_study(sampler=sampler, directions=["maximize"] * objectives)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            trial = study.ask()
            kind = trial.suggest_categorical("kind", ["a", "b"])
            x = trial.suggest_float("x", 0, 1)
            k = trial.suggest_int("k", 1, 64, log=True) if kind == "a" else 8
            study.tell(trial, [-((x - 0.5) ** 2) - abs(k - 8) / 64, x][:objectives])
    assert len({trial.params["x"] for trial in study.trials}) > 16  # nsga2 may repeat a value of a parent
    if (name, objectives) in (("tpe", 1), ("gp", 1)):
        late = [abs(trial.params["x"] - 0.5) for trial in study.trials[12:]]
        assert sum(late) / len(late) < 0.25  # 0.25 for random draws


@pytest.mark.parametrize(
    ("name", "objectives", "message"),
    [
        ("cma", 1, "--sampler: unknown sampler 'cma'; choose from tpe, gp, random, nsga2"),
        ("nsga2", 1, "--sampler: nsga2 needs several objectives; choose from tpe, gp, random, or add --objective"),
    ],
)
def test_invalid_samplers_are_refused(name: str, objectives: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_sampler(name, 0, objectives)
    assert str(caught.value) == message
    assert list(SAMPLERS) == ["tpe", "gp", "random", "nsga2"]


# Studies


def test_attrs_are_set_and_points_queued_once(uri: str | None, tmp_path: Path) -> None:
    for _ in range(3):
        study = opened(tmp_path, uri, points=[{"seed": 3}, {"seed": 4}])
    assert {key: study.user_attrs[key] for key in ATTRS} == ATTRS
    assert [trial.system_attrs["fixed_params"] for trial in study.trials] == [{"seed": 3}, {"seed": 4}]


def test_the_dashboard_gets_the_names_of_the_objectives() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    claim(study, {"select": "bnm", "objectives": ["score", "seconds"]}, wait_s=0.0)
    assert study.metric_names == ["score: bnm", "seconds"]


def test_another_revision_may_resume(tmp_path: Path) -> None:
    opened(tmp_path)
    assert opened(tmp_path, attrs={**ATTRS, "revision": "b2"}).user_attrs["revision"] == "a1"


def test_another_search_is_refused_with_the_fields_that_differ(tmp_path: Path) -> None:
    opened(tmp_path)
    base = encode(apply(preset("tiny"), {"adapt.steps": 9, "graph.propagate": "none"}))
    with pytest.raises(InputError) as caught:
        opened(tmp_path, attrs={**ATTRS, "base": base, "select": "bnm", "objectives": ["score"]})
    assert str(caught.value).splitlines() == [
        "--study: 's' belongs to another search; choose another --study, or undo these changes:",
        "  base.graph.propagate.kind: 'diffusion' -> 'none'",
        "  base.graph.propagate.k: 5 -> None",
        "  base.graph.propagate.layers: 2 -> None",
        "  base.graph.propagate.temperature: 1.0 -> None",
        "  base.graph.propagate.relative: True -> None",
        "  base.graph.propagate.reciprocal: False -> None",
        "  base.graph.propagate.threshold: -1.0 -> None",
        "  base.graph.propagate.self_edge: False -> None",
        "  base.graph.propagate.search: {'kind': 'torch', 'update_above': 1024} -> None",
        "  base.graph.propagate.residual: 0.4 -> None",
        "  base.graph.propagate.confidence: 0.0 -> None",
        "  base.graph.propagate.images: True -> None",
        "  base.graph.propagate.texts: True -> None",
        "  base.graph.propagate.image_overlap: 0.6 -> None",
        "  base.adapt.steps: 240 -> 9",
        "  select: 'default' -> 'bnm'",
        "  objectives: None -> ['score']",
    ]


@pytest.mark.parametrize("directions", [["minimize"], ["maximize", "minimize"]])
def test_a_study_with_other_directions_is_refused(directions: list[str], tmp_path: Path) -> None:
    opened(tmp_path)
    plain = optuna.create_study(
        storage=open_storage(None, tmp_path), study_name="s", directions=directions, load_if_exists=True
    )
    assert len(plain.directions) == 1  # Optuna's error: it returns the study although the directions differ
    with pytest.raises(InputError) as caught:
        opened(tmp_path, directions=directions)
    text = f"its directions are maximize; this search has {', '.join(directions)}"
    assert str(caught.value) == f"--study: 's' belongs to another search: {text}"


def test_one_of_several_processes_prepares_a_new_study(uri: str | None, tmp_path: Path) -> None:
    opened(tmp_path, uri, name="other")  # creates the tables
    gate, failures = threading.Barrier(4), []

    def search(number: int) -> None:
        storage = open_storage(uri, tmp_path)
        gate.wait()
        attrs = {**ATTRS, "select": f"score {number}"}
        try:
            open_study(storage, "s", make_sampler("random", 0), ["maximize"], attrs, [{"seed": number}, {"seed": 9}])
        except InputError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = optuna.load_study(storage=open_storage(uri, tmp_path), study_name="s")
    winner = int(study.user_attrs["select"].split()[1])
    assert [trial.system_attrs["fixed_params"] for trial in study.trials] == [{"seed": winner}, {"seed": 9}]
    assert sorted(line.splitlines()[1] for line in failures) == sorted(
        f"  select: 'score {winner}' -> 'score {n}'" for n in range(4) if n != winner
    )


def test_an_unfinished_preparation_is_completed(tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(None, tmp_path), study_name="s", direction="maximize")
    study.set_user_attr("base", ATTRS["base"])
    study.enqueue_trial({"seed": 3})
    claim(study, ATTRS, [{"seed": 3}, {"seed": 4}], wait_s=0.0)
    assert {key: study.user_attrs[key] for key in ATTRS} == ATTRS
    assert [trial.system_attrs["fixed_params"] for trial in study.trials] == [{"seed": 3}, {"seed": 4}]


@pytest.mark.parametrize(
    ("state", "attrs", "counted"),
    [
        (TrialState.COMPLETE, {}, True),
        (TrialState.PRUNED, {}, True),
        (TrialState.FAIL, {}, True),
        (TrialState.RUNNING, {OWNER: "x"}, True),
        (TrialState.RUNNING, {}, False),
        (TrialState.WAITING, {}, False),
        (TrialState.COMPLETE, {DUPLICATE_OF: 0}, False),
        (TrialState.FAIL, {REFUSED: True}, False),
    ],
)
def test_trials_that_ran_or_run_count_towards_the_number_of_trials(
    state: TrialState, attrs: dict[str, Any], counted: bool
) -> None:
    value = 1.0 if state == TrialState.COMPLETE else None
    assert counts(create_trial(state=state, value=value, user_attrs=attrs)) is counted


def test_a_journal_name_too_long_for_its_lock_file_is_refused(tmp_path: Path) -> None:
    open_storage(f"journal:{tmp_path}/{'a' * 200}", tmp_path)
    with pytest.raises(InputError, match="the file name .* has 201 bytes; the limit is 200"):
        open_storage(f"journal:{tmp_path}/{'a' * 201}", tmp_path)
