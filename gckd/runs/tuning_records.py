"""Records of tuning runs in `tuning.parquet`: one row per run, with label-free scores instead of metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa

from gckd.runs.records import Record, finished_record, identity, without, write_table
from gckd.storage.run_tables import DONE, TUNING, TUNING_FILE, read_tuning
from gckd.validators.choose import DEFAULT_NEEDS, GATE_SCORE

if TYPE_CHECKING:
    from pathlib import Path

    from gckd.runs.plan import Run
    from gckd.runs.provenance import Provenance
    from gckd.training.scored_run import ScoredRun

# Scores of one model, as JSON: name -> value. The choice among candidates needs the required ones.
_SCORES = {
    "type": "object",
    "required": sorted(DEFAULT_NEEDS),
    "properties": {GATE_SCORE: {"type": "number", "exclusiveMinimum": 0}},
    "additionalProperties": {"type": "number"},
}


class TuningRecords:
    """The tuning runs of one output folder, in memory and on disk."""

    def __init__(self, folder: Path) -> None:
        """Read the existing records of `folder`, which need not exist.

        Raises:
            InputError: the record file cannot be read, or is damaged.
        """
        self.folder = folder
        self.runs: list[Record] = read_tuning(folder / TUNING_FILE, _SCORES) if (folder / TUNING_FILE).exists() else []

    def finished(self, run: Run) -> bool:
        """Whether `run` has a record as finished, with the same config."""
        return finished_record(self.runs, run) is not None

    def scores(self, run: Run) -> tuple[dict[str, float], dict[str, float]] | None:
        """Scores of a finished run, of the source model and after the last step; None for another run."""
        record = finished_record(self.runs, run)
        return (json.loads(record["start"]), json.loads(record["last"])) if record else None

    def finish(self, run: Run, result: ScoredRun, provenance: Provenance) -> None:
        """Add a finished run."""
        scores = {"start": json.dumps(dict(result.start)), "last": json.dumps(dict(result.last))}
        self.add({**identity(run, provenance), **scores, "seconds": result.seconds, "status": DONE})

    def add(self, record: Record) -> None:
        """Add a run in place of an older record of the same row and seed, and write the file."""
        key = {"row": record["row"], "seed": record["seed"]}
        self.runs = [*without(self.runs, key), record]
        write_table(self.folder / TUNING_FILE, pa.Table.from_pylist(self.runs, schema=TUNING))
