"""Chosen trial of a study, and its config as `best.yaml`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.cluster.trial import BEST, ORACLE
from gckd.config import Config, config_text
from gckd.config.edit import configure
from gckd.storage import atomic
from gckd.tune.plan import SCORE
from gckd.tune.progress import below_source_model
from gckd.tune.study import EDITS, EPOCH, FOLDER, SEEDS, THREADS
from gckd.tune.trial_table import Scores, config_of, objectives, scores_at
from gckd.validators.choose import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optuna import Study
    from optuna.trial import FrozenTrial

CONFIRMED = "confirmed"  # user_attr of a study: true once a confirmation has begun
WITHOUT_LABELS = "selected without target labels"
WITH_LABELS = "selected with target labels"


@dataclass(frozen=True)
class Candidate:
    """A finished trial with the label-free scores of its selected epoch, whose checkpoint was kept."""

    trial: FrozenTrial
    epoch: int
    scores: Scores
    true: Mapping[str, float]  # metrics on the target's val split in percent, from the audit; empty: not audited


def candidates(study: Study) -> list[Candidate]:
    """The COMPLETE trials that ran. PRUNED trials are no candidates, as they had less training."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    selected = ((trial, trial.user_attrs[EPOCH]) for trial in finished if EPOCH in trial.user_attrs)
    return [
        Candidate(trial, epoch, scores_at(trial, epoch), study.user_attrs.get(audit_key(trial.number), {}))
        for trial, epoch in selected
    ]


def audit_key(number: int) -> str:
    """user_attr of the study with the true metrics of a trial; Optuna does not let a finished trial change."""
    return f"audit/{number}"


def front(study: Study) -> list[Candidate]:
    """The candidates on the Pareto front; with one objective all of them."""
    finished = candidates(study)
    if len(study.directions) == 1:
        return finished
    best_numbers = {trial.number for trial in study.best_trials}
    return [candidate for candidate in finished if candidate.trial.number in best_numbers]


def ranked(study: Study) -> list[Candidate]:
    """The front, best first by the first objective: the order of Optuna and its dashboard; earlier ones of equals."""
    sign = 1 if study.directions[0] == StudyDirection.MAXIMIZE else -1
    return sorted(front(study), key=lambda candidate: -sign * candidate.trial.values[0])


def best(study: Study) -> Candidate | None:
    """The chosen trial; None if no trial has finished."""
    return next(iter(ranked(study)), None)


def selector(study: Study) -> str:
    """Name of the score that selects, or `oracle`."""
    return str(study.user_attrs.get("select", "default"))


def criterion(study: Study) -> str:
    """The first objective in words, by which the best trial is chosen."""
    select = selector(study)
    if objectives(study)[0] != SCORE:
        return objectives(study)[0]
    if select == DEFAULT:
        return "'default', the gain log(im / that of the source model)"
    return "'oracle', the true Rank-1 on target val" if select == ORACLE else repr(select)


def source_value(study: Study) -> float | None:
    """The first objective of the source model; None if it is unknown, as `oracle` needs target labels."""
    select, start = selector(study), study.user_attrs.get("start", {})
    if objectives(study)[0] != SCORE:
        return None
    return 0.0 if select == DEFAULT else start.get(select)


def warning(study: Study) -> str:
    """Warning that no finished trial reaches the source model; empty if one does, or if it is unknown."""
    chosen, source = best(study), source_value(study)
    if chosen is None or source is None or chosen.trial.values[0] >= source:
        return ""
    return below_source_model(len(candidates(study)), chosen.trial.values[0], source)


def labels_used(study: Study) -> str:
    """Statement about target labels that every table of the study must have."""
    return WITH_LABELS if selector(study) == ORACLE else WITHOUT_LABELS


def caption(study: Study) -> str:
    """Statement about the use of val and test labels, in sentences."""
    if labels_used(study) == WITH_LABELS:
        selection = "by the true Rank-1 on the target's val split, which needs target labels"
    else:
        audited = any(candidate.true for candidate in candidates(study))
        use = "read by the audit after the search, not by the choice" if audited else "not read"
        scores = f"by the score {selector(study)!r}, from labelled source data and unlabelled target data"
        selection = f"{scores}. Target val labels: {use}"
    test = study.user_attrs.get("best_test")
    confirmed = "the confirmation" if study.user_attrs.get(CONFIRMED) else ""
    uses = " and ".join(filter(None, (f"the metrics of trial {test['number']}" if test else "", confirmed)))
    test_use = f"read for {uses}" if uses else "not read"
    return f"{labels_used(study).capitalize()}: {selection}. Target test labels: {test_use}."


def best_config(study: Study, candidate: Candidate) -> Config:
    """Config that trains the model of a candidate: that of its trial, stopped after the selected epoch.

    Raises:
        ConfigError: see `gckd.tune.trial_table.config_of`.
    """
    config = config_of(study, candidate.trial.user_attrs.get(EDITS, {}))
    last = -(-candidate.epoch * config.adapt.steps // config.adapt.evaluations)  # evaluations are evenly spaced
    return configure(config, {"adapt.stop_after": last if last < config.adapt.steps else 0})


def checkpoints(candidate: Candidate) -> list[str]:
    """Paths of the checkpoints of a candidate's selected epoch, one for each seed."""
    attrs = candidate.trial.user_attrs
    return [f"{attrs[FOLDER]}/seed-{seed}/{BEST}" for seed in attrs.get(SEEDS) or []] if FOLDER in attrs else []


def write_best(study: Study, folder: Path) -> Path | None:
    """Writes best.yaml for `gckd train --config`, with comments on how it was chosen.

    Returns:
        its path; None, without a change of files, if no trial has finished.
    """
    chosen = best(study)
    if chosen is None:
        return None
    comments = "".join(f"# {' '.join(line.split())}\n" for line in _comments(study, chosen))
    path = folder / "best.yaml"
    atomic.write(path, comments + config_text(best_config(study, chosen)))
    return path


def _comments(study: Study, chosen: Candidate) -> list[str]:
    trial, pool = chosen.trial, front(study)
    single = len(study.directions) == 1
    pool_text = f"{len(pool)} finished trials" if single else f"the {len(pool)} trials of the Pareto front"
    values = zip(objectives(study), trial.values, strict=False)
    return [
        f"Study {study.study_name}, trial {trial.number}, epoch {chosen.epoch}, seeds {trial.user_attrs.get(SEEDS)}",
        f"{labels_used(study)}: by {selector(study)}, among {pool_text}",
        "Objectives: " + ", ".join(f"{name} {value:.6g}" for name, value in values),
        "Scores of this epoch: " + ", ".join(f"{name} {value:.6g}" for name, value in chosen.scores.items()),
        f"Checkpoint of this epoch: {', '.join(checkpoints(chosen)) or 'unknown'}",
        f"{train_command(trial, 'best.yaml')} trains the same model: adapt.stop_after is the step of this epoch. "
        "With other numbers of threads or workers than the trial's, sums round differently",
    ]


def train_command(trial: FrozenTrial, path: str) -> str:
    """Command that trains the model of a trial again, with the number of threads that it had.

    Args:
        path: of best.yaml.
    """
    threads = f"OMP_NUM_THREADS={trial.user_attrs[THREADS]} " if THREADS in trial.user_attrs else ""
    return f"{threads}gckd train --config {shlex.quote(path)}"
