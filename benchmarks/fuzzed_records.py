"""Readers of the files of an output folder, as `benchmarks/fuzz.py` calls them: content and scratch folder in."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.scratch_files import InvalidSeedError, Reader, bytes_of, json_value, write_file
from gckd.config import config_text, encode, preset
from gckd.data.street.arguments import METADATA, existing_counts
from gckd.report.checks.graph_picture import graph_arrays
from gckd.report.html import examples as html_examples
from gckd.report.table_report import make_report
from gckd.storage.examples_table import ABOUT, EXAMPLES_FILE
from gckd.storage.run_tables import CURVES, RUNS, read_curves, read_queries_table, read_runs
from gckd.tune.best import write_best
from gckd.tune.storage import open_storage
from gckd.tune.study import open_study
from gckd.tune.trial_attributes import check_trials
from gckd.tune.trial_table import write_trials

_ABOUT = {"seed": 0, "against": "-gmp", "random": 4, "each": 2, "queries": 9, "better": 1, "worse": 1}  # examples


def street(content: bytes, folder: Path) -> None:
    """street.json of a generated benchmark."""
    (folder / "street").mkdir(exist_ok=True)
    write_file(folder / "street" / METADATA, content)
    existing_counts(folder / "street", {"ids": 24, "seed": 1})


def table_seeds(schema: pa.Schema) -> list[bytes]:
    """Two rows of a table of records, and none, as JSON."""
    filled = {"status": "done", "edits": "{}", "notes": "[]", "plugins": "{}", "row": "full", "top": [1, 2]}
    values = {pa.string(): "a", pa.list_(pa.int32()): [1], pa.list_(pa.binary()): ["x"], pa.list_(pa.bool_()): [True]}
    row = {field.name: filled.get(field.name, values.get(field.type, 1)) for field in schema}
    return [json.dumps([row, row | {"row": "-gmp", "edits": '{"seed": 5}', "seed": 2}]).encode(), b"[]"]


def table_bytes(schema: pa.Schema) -> list[bytes]:
    """The same tables in Parquet."""
    return [_parquet(json.loads(content), schema) for content in table_seeds(schema)]


def examples(content: bytes, folder: Path) -> None:
    """examples.parquet, and its section of the report."""
    write_file(folder / EXAMPLES_FILE, content)
    html_examples.examples(folder)


def runs(content: bytes, folder: Path) -> None:
    """runs.parquet, and the table of its rows."""
    write_file(folder / "config.yaml", config_text(preset("tiny")).encode())
    read_runs(write_file(folder / "runs.parquet", content))
    if not (folder / "curves.parquet").exists():
        write_file(folder / "curves.parquet", table_bytes(CURVES)[0])
    make_report([folder], Console(file=io.StringIO()), out=None, mixed=True)


def curves(content: bytes, folder: Path) -> None:
    """curves.parquet, and the warnings of its rows."""
    read_curves(write_file(folder / "curves.parquet", content))
    runs(table_bytes(RUNS)[0], folder)


def queries(content: bytes, folder: Path) -> None:
    """queries.parquet of a run, and its intervals."""
    (folder / "full" / "seed-1").mkdir(parents=True, exist_ok=True)
    read_queries_table(write_file(folder / "full" / "seed-1" / "queries.parquet", content))
    runs(table_bytes(RUNS)[0], folder)


def of_values(read: Reader, schema: pa.Schema) -> Reader:
    """Reader of a table whose rows are given as JSON."""
    return lambda content, folder: read(_parquet(json_value(content), schema), folder)


def _parquet(rows: Any, schema: pa.Schema) -> bytes:
    """Rows in Parquet, in the types of the schema where they fit it."""
    schema = schema.with_metadata({ABOUT: json.dumps(_ABOUT)})
    buffer = pa.BufferOutputStream()
    try:
        try:
            table = pa.Table.from_pylist(rows, schema=schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
            table = pa.Table.from_pylist(rows)
        pq.write_table(table, buffer)
    except Exception as error:  # what Arrow cannot write cannot be read
        raise InvalidSeedError from error
    return bytes(buffer.getvalue())


def graph_samples() -> list[bytes]:
    """graph.npz of a run."""
    arrays = {"nodes": np.eye(4, dtype=np.float32), "target": np.arange(4) > 1, "edges": np.array([[0, 1]], np.int32)}
    named = {f"{modality}_{name}": array for modality in ("image", "text") for name, array in arrays.items()}
    return [bytes_of(lambda file: np.savez(file, allow_pickle=False, **named))]


def graph_sample(content: bytes, folder: Path) -> None:
    """graph.npz of a run."""
    graph_arrays(write_file(folder / "graph.npz", content))


def journals() -> list[bytes]:
    """Journal of a study with one finished trial."""
    with TemporaryDirectory() as name:
        study = _open_study(Path(name))
        trial = study.ask()
        trial.suggest_float("distill.teacher.m", 0.001, 0.1)
        attrs = {"edits": {"distill.teacher.m": 0.99}, "epoch": 1, "seconds": 3.0, "owner": "a", "seeds": [0]}
        for key, value in {**attrs, "epoch/1": {"score": 0.5, "seconds": 1.0, "value": 0.5}}.items():
            trial.set_user_attr(key, value)
        study.tell(trial, 0.5)
        content = (Path(name) / "study.journal").read_bytes()
    # Fixed names and times, so that the same seed gives the same inputs.
    content = re.sub(rb'"worker_id":"[^"]+"', b'"worker_id":"worker"', content)
    return [re.sub(rb'("datetime_\w+":)"[^"]+"', rb'\1"2026-01-01T00:00:00.000000"', content)]


def journal(content: bytes, folder: Path) -> None:
    """study.journal, and the table and the choice of its trials."""
    (folder / "study.journal.lock").unlink(missing_ok=True)
    write_file(folder / "study.journal", content)
    study = _open_study(folder)
    check_trials(study)
    write_trials(study, folder / "trials.parquet")
    write_best(study, folder)


def _open_study(folder: Path) -> optuna.Study:
    attrs = {"select": "score", "objectives": ["score"], "base": encode(preset("tiny")), "start": {"score": 0.1}}
    sampler = optuna.samplers.RandomSampler(0)
    return open_study(open_storage(None, folder), "s", sampler, ["maximize"], attrs)
