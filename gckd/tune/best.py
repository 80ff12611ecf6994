"""Which trial a study chooses, and its config as `best.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.study import StudyDirection
from optuna.trial import TrialState

from gckd.cluster.trial import ORACLE
from gckd.config import Config, config_text
from gckd.tune.study import EDITS, EPOCH, FOLDER, SEEDS
from gckd.tune.trial_table import Scores, config_of, objectives, scores_at, write_whole
from gckd.validators.choose import merits

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study
    from optuna.trial import FrozenTrial

WITHOUT_LABELS = "selected without target labels"
WITH_LABELS = "selected with target labels"


@dataclass(frozen=True)
class Candidate:
    """A finished trial with its label-free scores at its selected epoch, whose checkpoint was kept."""

    trial: FrozenTrial
    epoch: int
    scores: Scores
    true_rank_1: float | None  # percent on the target's val split, which the audit measured; None before it has


def candidates(study: Study) -> list[Candidate]:
    """What may be chosen: the COMPLETE trials that ran. One that the scheduler stopped had less training than they."""
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    selected = ((trial, trial.user_attrs[EPOCH]) for trial in finished if EPOCH in trial.user_attrs)
    return [
        Candidate(
            trial, epoch, scores_at(trial, epoch), study.user_attrs.get(audit_key(trial.number), {}).get("rank_1")
        )
        for trial, epoch in selected
    ]


def audit_key(number: int) -> str:
    """Where the audit notes the true metrics of a trial: in the study, as a finished trial cannot be changed."""
    return f"audit/{number}"


def front(study: Study) -> list[Candidate]:
    """The candidates no other is better than in every objective; with one objective all of them."""
    found = candidates(study)
    if len(study.directions) == 1:
        return found
    best_numbers = {trial.number for trial in study.best_trials}
    return [candidate for candidate in found if candidate.trial.number in best_numbers]


def ranked(study: Study) -> list[Candidate]:
    """The front, the best first: by what `gckd.validators.choose` compares, or with `oracle` by the true Rank-1 told.

    Where the first of several objectives is another than "score", that objective alone decides.
    """
    found = front(study)
    if selector(study) == ORACLE or objectives(study)[0] != "score":
        sign = 1 if study.directions[0] == StudyDirection.MAXIMIZE else -1
        worth = [sign * candidate.trial.values[0] for candidate in found]
    else:
        worth = merits([c.scores for c in found], study.user_attrs["start"], selector(study)) if found else []
    order = sorted(range(len(found)), key=lambda place: -worth[place])
    return [found[place] for place in order]


def best(study: Study) -> Candidate | None:
    """The chosen trial; None where no trial has finished."""
    return next(iter(ranked(study)), None)


def selector(study: Study) -> str:
    """The score that selects, or `oracle`."""
    return str(study.user_attrs.get("select", "default"))


def labels_used(study: Study) -> str:
    """What every table of this study must carry."""
    return WITH_LABELS if selector(study) == ORACLE else WITHOUT_LABELS


def caption(study: Study) -> str:
    """Which labels were used by what."""
    read = any(candidate.true_rank_1 is not None for candidate in candidates(study))
    if labels_used(study) == WITH_LABELS:
        how = "by the true Rank-1 on the target's val split, which no search without labels could do"
    else:
        audit = "only the audit read them, after the search" if read else "nothing read them"
        score = f"by the score {selector(study)!r}, from labelled source and unlabelled target data"
        how = f"{score}. Target val labels: {audit}"
    test = study.user_attrs.get("best_test")
    final = f"read for trial {test['number']} alone" if test else "nothing read them"
    return f"{labels_used(study).capitalize()}: {how}. Target test labels: {final}."


def best_config(study: Study, candidate: Candidate) -> Config:
    """The config of a candidate. Raises ConfigError: see `gckd.tune.trial_table.config_of`."""
    return config_of(study, candidate.trial.user_attrs.get(EDITS, {}))


def write_best(study: Study, folder: Path) -> Path | None:
    """Writes best.yaml, which `gckd train --config` reads, and says on top of it how it was chosen.

    Returns:
        its path; None, and no file is touched, where there is nothing to choose from.
    """
    chosen = best(study)
    if chosen is None:
        return None
    head = "".join(f"# {' '.join(line.split())}\n" for line in _head(study, chosen))
    path = folder / "best.yaml"
    write_whole(path, (head + config_text(best_config(study, chosen))).encode())
    return path


def _head(study: Study, chosen: Candidate) -> list[str]:
    trial, pool = chosen.trial, front(study)
    among = f"{len(pool)} finished trials" if len(study.directions) == 1 else f"{len(pool)} trials of the Pareto front"
    values = zip(objectives(study), trial.values, strict=False)
    return [
        f"Study {study.study_name}, trial {trial.number}, epoch {chosen.epoch}, seeds {trial.user_attrs.get(SEEDS)}",
        f"{labels_used(study)}: by {selector(study)}, among {among}",
        "Told to the sampler: " + ", ".join(f"{name} {value:.6g}" for name, value in values),
        "Scores of that epoch: " + ", ".join(f"{name} {value:.6g}" for name, value in chosen.scores.items()),
        f"Its checkpoint is in {trial.user_attrs.get(FOLDER, 'no folder that the study knows of')}",
        "gckd train --config best.yaml trains all steps and keeps the last; the search kept that of the epoch above",
    ]
