"""Plan and estimate of an ablation, which `--dry-run` prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NamedTuple

import torch

from gckd.cluster.worker_resources import WorkerResources, worker_resources
from gckd.device import cores
from gckd.estimate.run_estimate import dry_run_estimate
from gckd.runs.plan import preparations
from gckd.runs.records import Records
from gckd.runs.run_state import clock_text
from gckd.runs.tuning_records import TuningRecords
from gckd.training.pretrain import is_pretrained
from gckd.training.timing import step_seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from gckd.ablations.table import AblationTable
    from gckd.runs.plan import Run
    from gckd.training.timing import StepSeconds

_GIB = 2**30


class _Work(NamedTuple):
    """Unfinished work of a table: its runs, the seconds of their rows, and those of each source model to train."""

    runs: int = 0
    rows: float = 0.0
    source_models: Mapping[str, float] = {}


def dry_run_lines(tables: Sequence[AblationTable]) -> Iterator[str]:
    """The plan of each table, one fact per line, then an estimate from a few steps that are timed on this machine.

    Several tables end with a line for all of them, in which a source model that they share counts once.
    """
    works = [_Work() for _ in tables]
    for place, table in enumerate(tables):
        works[place] = yield from _table_lines(table)
    if len(works) > 1:
        runs, rows = sum(work.runs for work in works), sum(work.rows for work in works)
        models = dict(pair for work in works for pair in work.source_models.items())
        time = clock_text(rows + sum(models.values()))
        yield (
            f"total of {len(works)} subtables: {runs} runs and {len(models)} source models to train, "
            f"about {time} without evaluations"
        )


def _table_lines(table: AblationTable) -> Generator[str, None, _Work]:
    runs, tuning = table.plan(), [run for runs in table.candidates().values() for run in runs]
    unfinished = _unfinished(table, runs, tuning)
    first = preparations(unfinished)
    untrained = {
        key: run for key, run in first.items() if not is_pretrained(run.config, table.datasets, table.options.cache)
    }
    resources, concurrent = resources_here(table, runs), table.options.concurrent
    if table.name:
        yield f"subtable {table.name}:"
    yield f"source: {table.datasets.source_name} (labelled), target: {table.datasets.target_name} (unlabelled)"
    yield from _row_lines(runs)
    yield f"seeds: {', '.join(map(str, dict.fromkeys(run.seed for run in runs)))}"
    total = len(runs) + len(tuning)
    tuned = f", {len(tuning)} of them to choose learning rates" if tuning else ""
    yield f"runs: {total}{tuned}; {total - len(unfinished)} finished in the output, {len(unfinished)} to run"
    yield f"source models: {len(first)} needed, {len(first) - len(untrained)} in the cache"
    yield f"resources per run: {resources.text()}; on this machine {concurrent} run{'s' * (concurrent != 1)} at a time"
    yield f"output: {table.out}"
    return (yield from _estimate_lines(table, unfinished, untrained, resources)) if unfinished else _Work()


def _estimate_lines(
    table: AblationTable, unfinished: Sequence[Run], untrained: Mapping[str, Run], resources: WorkerResources
) -> Generator[str, None, _Work]:
    options = table.options
    if options.gpu:
        pretrained = is_pretrained(table.config, table.datasets, options.cache)
        seconds, memory = dry_run_estimate(table.config, options.gpu, pretrained, "run")
        concurrent = options.workers or 1
    else:
        seconds = step_seconds(table.config, table.datasets, options.cache, resources.threads)
        memory, concurrent = "", options.concurrent
    yield estimate(unfinished, list(untrained.values()), seconds, concurrent)
    yield memory or _memory()
    models = {key: _source_seconds([run], seconds) / concurrent for key, run in untrained.items()}
    return _Work(len(unfinished), _row_seconds(unfinished, seconds) / concurrent, models)


def _source_seconds(untrained: Sequence[Run], seconds: StepSeconds) -> float:
    return sum(run.config.pretrain.steps * run.config.pretrain.accumulate * seconds.pretrain for run in untrained)


def _row_seconds(runs: Sequence[Run], seconds: StepSeconds) -> float:
    return sum(run.config.adapt.steps * run.config.adapt.accumulate * seconds.adapt for run in runs)


def resources_here(table: AblationTable, runs: Sequence[Run]) -> WorkerResources:
    """Resources of each run on this machine."""
    available, options = {"CPU": float(cores()), "GPU": float(torch.cuda.device_count())}, table.options
    devices = [run.config.device for run in runs]
    return worker_resources(
        available, devices, workers=options.workers_per_run, threads=options.threads, gpus=options.gpus
    )


def _unfinished(table: AblationTable, runs: Sequence[Run], tuning: Sequence[Run]) -> list[Run]:
    records, tuning_records = Records(table.folder), TuningRecords(table.folder)
    return [
        *(run for run in tuning if not tuning_records.finished(run)),
        *(run for run in runs if not records.finished(run)),
    ]


def _row_lines(runs: Sequence[Run]) -> Iterator[str]:
    """The rows, each with its edits of the full config."""
    rows = {run.row: json.loads(run.edits_text) for run in runs}
    yield f"rows: {len(rows)}"
    for row, edits in rows.items():
        values = (
            f"{path}={value['kind'] if isinstance(value, dict) and 'kind' in value else json.dumps(value)}"
            for path, value in edits.items()
        )
        yield f"  {row}: {', '.join(values) or 'the full config'}"


def estimate(runs: Sequence[Run], untrained: Sequence[Run], seconds: StepSeconds, concurrent: int) -> str:
    """Time estimate in words, without evaluations and start-up.

    Args:
        runs: unfinished ones. A row without adaptation takes no time.
        untrained: a run for each source model that the cache lacks.
        seconds: per step of the full config; other rows may be faster or slower.
        concurrent: runs at a time.
    """
    source, adaptation = _source_seconds(untrained, seconds), _row_seconds(runs, seconds)
    total, of_source, of_rows = (clock_text(work / concurrent) for work in (source + adaptation, source, adaptation))
    return (
        f"estimate: about {total} without evaluations: source models {of_source}, rows {of_rows} "
        f"({seconds.origin} with the full row on one worker: "
        f"{1000 * seconds.pretrain:.0f} ms per pre-training step, {1000 * seconds.adapt:.0f} ms per adaptation step)"
    )


def _memory() -> str:
    """Peak memory of this process, which has just done the timed steps."""
    if sys.platform == "win32":
        return "memory: not measured on this system"
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"memory: about {peak / _GIB:.1f} GiB per run (peak of this process, which timed the steps)"
