"""A study -> plain rows and `trials.parquet`. The study alone is read, never an output folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gckd.config import Config, ConfigError, decode, digest
from gckd.config.edit import configure
from gckd.storage.path import StoragePath
from gckd.tune.study import EDITS, EPOCH, FOLDER, MEMORY, OWNER, REASON, REFUSED, SECONDS, SEEDS, TWIN

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study
    from optuna.trial import FrozenTrial

Row = dict[str, Any]
Scores = dict[str, float]
Said = dict[str, Any]  # scores (None where not finite), seconds, value

_EPOCH = "epoch/"  # user_attrs["epoch/<n>"]: scores, and
_SECONDS, _VALUE = "seconds", "value"


def epochs(trial: FrozenTrial) -> dict[int, Said]:
    """Epoch -> what the trial said after it (scores, `seconds`, `value`), in order of epochs."""
    said = {int(key.removeprefix(_EPOCH)): body for key, body in trial.user_attrs.items() if key.startswith(_EPOCH)}
    return dict(sorted(said.items()))


def scores_at(trial: FrozenTrial, epoch: int) -> Scores:
    """The label-free scores after an epoch that the trial reported; without those that were not finite."""
    return _scores(epochs(trial)[epoch])


def _scores(said: Said) -> Scores:
    return {name: score for name, score in said.items() if name not in (_SECONDS, _VALUE) and score is not None}


def objectives(study: Study) -> list[str]:
    """Names of the objectives, one for each value of a trial."""
    return list(study.user_attrs.get("objectives", ["score"]))


def config_of(study: Study, edits: Mapping[str, Any]) -> Config:
    """The config of a trial: that of the whole search with the trial's edits.

    Raises:
        ConfigError: they do not fit, or the study was made by code whose config had other fields.
    """
    return configure(decode(Config, study.user_attrs["base"]), edits)


def rows(study: Study) -> list[Row]:
    """One row a trial and epoch, in order of number and epoch; a trial without epochs has one, its epoch None.

    What belongs to the trial (state, edits, reason, ...) stands in each of its rows, what belongs to the epoch (scores,
    `value`, `seconds`, `selected`) in that epoch's. A key that a row does not have is None.
    """
    return [row for trial in study.get_trials(deepcopy=False) for row in _rows(trial, study)]


def _rows(trial: FrozenTrial, study: Study) -> list[Row]:
    common = _of_trial(trial, study)
    found = [
        {
            **common,
            "epoch": epoch,
            "selected": epoch == trial.user_attrs.get(EPOCH),
            "value": said.get(_VALUE),
            "seconds": said.get(_SECONDS),
            **{f"score:{name}": score for name, score in _scores(said).items()},
        }
        for epoch, said in epochs(trial).items()
    ]
    return found or [{**common, "epoch": None, "selected": False}]


def _of_trial(trial: FrozenTrial, study: Study) -> Row:
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
        "twin": attrs.get(TWIN),
        "owner": attrs.get(OWNER),
        "folder": attrs.get(FOLDER),
        "seeds": attrs.get(SEEDS),
        "config_digest": None if edits is None else _digest(study, edits),
        "revision": study.user_attrs.get("revision"),
    }


def _digest(study: Study, edits: Mapping[str, Any]) -> str | None:
    """None for a trial whose edits make no sound config: its reason says so."""
    with contextlib.suppress(ConfigError):
        return digest(config_of(study, edits))
    return None


def schema(study: Study, found: Iterable[Row]) -> pa.Schema:
    """Columns of `trials.parquet`: fixed ones, and one for each objective, and each score and edited path of the rows.

    The column of an edit has the type of its values: whole numbers, numbers, true or false, or text; components that
    are given as mappings, and values of several types, are JSON texts.
    """
    columns: dict[str, list[Any]] = {}
    for row in found:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    scores, edits = (sorted(name for name in columns if name.startswith(head)) for head in ("score:", "edit:"))
    return pa.schema(
        [
            ("trial", pa.int64()),
            ("state", pa.string()),  # COMPLETE, PRUNED (stopped by the scheduler), FAIL, RUNNING or WAITING
            ("epoch", pa.int64()),
            ("selected", pa.bool_()),  # the epoch whose checkpoint was kept
            ("value", pa.float64()),  # what the scheduler and the sampler were told after this epoch
            ("seconds", pa.float64()),  # of adaptation since the trial began, sums over resumes
            *((name, pa.float64()) for name in scores),
            *((f"objective:{name}", pa.float64()) for name in objectives(study)),  # Optuna's values of the trial
            *((name, _edit_type(columns[name])) for name in edits),
            ("edits", pa.string()),  # JSON, relative to the search's config
            ("trial_seconds", pa.float64()),
            ("memory_gib", pa.float64()),  # peak of the trial
            ("reason", pa.string()),  # why it failed
            ("refused", pa.bool_()),  # drawn and never run
            ("twin", pa.int64()),  # the trial with the same edits whose values it has; it never ran
            ("owner", pa.string()),
            ("folder", pa.string()),
            ("seeds", pa.list_(pa.int64())),
            ("config_digest", pa.string()),  # with the seed of the search's config
            ("revision", pa.string()),
        ]
    )


def _edit_type(values: Iterable[Any]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    for plain, column in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())):
        if kinds and kinds <= plain:
            return column
    return pa.string()


def write_trials(study: Study, path: Path) -> None:
    """Replaces `path` by the parquet file of `rows(study)`."""
    found = rows(study)
    columns = schema(study, found)
    texts = {field.name for field in columns if field.name.startswith("edit:") and field.type == pa.string()}
    table = [{name: _text(v) if name in texts else v for name, v in row.items()} for row in found]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table, schema=columns), buffer)
    write_whole(path, buffer.getvalue().to_pybytes())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)


def write_whole(path: Path, content: bytes) -> None:
    """Replaces `path` so that a reader, or a power cut, sees the old file or the new one and nothing between."""
    with StoragePath.at(path).writing() as file:
        file.write_bytes(content)
