"""Table of the trials of a study, one row per epoch: plain rows and `trials.parquet`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gckd.config import Config, ConfigError, decode, digest
from gckd.config.edit import configure
from gckd.storage import atomic
from gckd.storage.parquet_file import write_parquet
from gckd.tune.study import DUPLICATE_OF, EDITS, EPOCH, FOLDER, MEMORY, OWNER, REASON, REFUSED, SECONDS, SEEDS

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study
    from optuna.trial import FrozenTrial

Row = dict[str, Any]
Scores = dict[str, float]
EpochResult = dict[str, Any]  # scores (None: not finite), seconds, value

_EPOCH = "epoch/"  # user_attrs["epoch/<n>"]: an EpochResult; its keys beside the scores:
_SECONDS, _VALUE = "seconds", "value"


def epochs(trial: FrozenTrial) -> dict[int, EpochResult]:
    """Epoch -> its reported result, in order of epochs."""
    results = {int(key.removeprefix(_EPOCH)): body for key, body in trial.user_attrs.items() if key.startswith(_EPOCH)}
    return dict(sorted(results.items()))


def scores_at(trial: FrozenTrial, epoch: int) -> Scores:
    """The finite label-free scores that a trial reported after `epoch`."""
    return _scores(epochs(trial)[epoch])


def _scores(result: EpochResult) -> Scores:
    return {name: score for name, score in result.items() if name not in (_SECONDS, _VALUE) and score is not None}


def objectives(study: Study) -> list[str]:
    """Names of the objectives, in the order of a trial's values."""
    return list(study.user_attrs.get("objectives", ["score"]))


def config_of(study: Study, edits: Mapping[str, Any]) -> Config:
    """The config of a trial: the base config of the search with the trial's edits.

    Raises:
        ConfigError: the base refuses the edits, or the study is from a version of the code with other config fields.
    """
    return configure(decode(Config, study.user_attrs["base"]), edits)


def rows(study: Study) -> list[Row]:
    """One row per trial and epoch, in order of number and epoch; a trial without epochs has one row, with epoch None.

    Values of the trial (state, edits, reason, ...) are repeated in each of its rows. A key that a row lacks is None.
    """
    return [row for trial in study.get_trials(deepcopy=False) for row in _rows(trial, study)]


def _rows(trial: FrozenTrial, study: Study) -> list[Row]:
    common = _trial_columns(trial, study)
    epoch_rows = [
        {
            **common,
            "epoch": epoch,
            "selected": epoch == trial.user_attrs.get(EPOCH),
            "value": result.get(_VALUE),
            "seconds": result.get(_SECONDS),
            **{f"score:{name}": score for name, score in _scores(result).items()},
        }
        for epoch, result in epochs(trial).items()
    ]
    return epoch_rows or [{**common, "epoch": None, "selected": False}]


def _trial_columns(trial: FrozenTrial, study: Study) -> Row:
    attrs, edits = trial.user_attrs, trial.user_attrs.get(EDITS)
    return {
        "trial": trial.number,
        "state": trial.state.name,
        **{f"objective:{name}": value for name, value in zip(objectives(study), trial.values or [], strict=False)},
        **{f"edit:{path}": value for path, value in (edits or {}).items()},
        "edits": None if edits is None else json.dumps(edits, sort_keys=True),
        "trial_seconds": attrs.get(SECONDS),
        "memory_gib": attrs.get(MEMORY),
        "reason": attrs.get(REASON),
        "refused": attrs.get(REFUSED, False),
        "duplicate_of": attrs.get(DUPLICATE_OF),
        "owner": attrs.get(OWNER),
        "folder": attrs.get(FOLDER),
        "seeds": attrs.get(SEEDS),
        "config_digest": None if edits is None else _digest(study, edits),
        "revision": study.user_attrs.get("revision"),
    }


def _digest(study: Study, edits: Mapping[str, Any]) -> str | None:
    """Digest of a trial's config; None if the base refuses the edits."""
    with contextlib.suppress(ConfigError):
        return digest(config_of(study, edits))
    return None


def schema(study: Study, table: Iterable[Row]) -> pa.Schema:
    """Columns of `trials.parquet`: fixed ones, and one for each objective, score and edited path of the rows.

    The column of an edit has the type of its values: integer, float, bool or string; components given as mappings, and
    values of several types, are JSON strings.
    """
    columns: dict[str, list[Any]] = {}
    for row in table:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    scores, edits = (sorted(name for name in columns if name.startswith(head)) for head in ("score:", "edit:"))
    return pa.schema(
        [
            ("trial", pa.int64()),
            ("state", pa.string()),  # COMPLETE, PRUNED (stopped by the scheduler), FAIL, RUNNING or WAITING
            ("epoch", pa.int64()),
            ("selected", pa.bool_()),  # the epoch with the kept checkpoint
            ("value", pa.float64()),  # first objective after this epoch
            ("seconds", pa.float64()),  # of adaptation since the trial began, over all resumes
            *((name, pa.float64()) for name in scores),
            *((f"objective:{name}", pa.float64()) for name in objectives(study)),  # Optuna's values of the trial
            *((name, _edit_type(columns[name])) for name in edits),
            ("edits", pa.string()),  # JSON, relative to the base config
            ("trial_seconds", pa.float64()),
            ("memory_gib", pa.float64()),  # peak of the trial
            ("reason", pa.string()),  # why it failed
            ("refused", pa.bool_()),  # drawn, but never run
            ("duplicate_of", pa.int64()),  # trial with the same edits and values; this one never ran
            ("owner", pa.string()),
            ("folder", pa.string()),
            ("seeds", pa.list_(pa.int64())),
            ("config_digest", pa.string()),  # with the seed of the base config
            ("revision", pa.string()),
        ]
    )


def _edit_type(values: Iterable[Any]) -> pa.DataType:
    types = {type(value) for value in values if value is not None}
    for accepted, column in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())):
        if types and types <= accepted:
            return column
    return pa.string()


def write_trials(study: Study, path: Path) -> None:
    """Replaces `path` with the Parquet file of `rows(study)`."""
    trial_rows = rows(study)
    columns = schema(study, trial_rows)
    texts = {field.name for field in columns if field.name.startswith("edit:") and field.type == pa.string()}
    table = [{name: _text(v) if name in texts else v for name, v in row.items()} for row in trial_rows]
    buffer = pa.BufferOutputStream()
    write_parquet(pa.Table.from_pylist(table, schema=columns), buffer)
    atomic.write(path, buffer.getvalue().to_pybytes())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)
