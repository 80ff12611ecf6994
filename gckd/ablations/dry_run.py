"""Plan and estimate of an ablation, which `--dry-run` prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

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
    from collections.abc import Iterator, Sequence

    from gckd.ablations.table import AblationTable
    from gckd.runs.plan import Run
    from gckd.training.timing import StepSeconds

_GIB = 2**30


def dry_run_lines(table: AblationTable) -> Iterator[str]:
    """The plan of a table, one fact per line, then an estimate from a few steps that are timed on this machine."""
    runs, tuning = table.plan(), [run for runs in table.candidates().values() for run in runs]
    unfinished = _unfinished(table, runs, tuning)
    first = preparations(unfinished)
    untrained = [run for run in first.values() if not is_pretrained(run.config, table.datasets, table.options.cache)]
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
    if unfinished:
        yield from _estimate_lines(table, unfinished, untrained, resources)


def _estimate_lines(
    table: AblationTable, unfinished: Sequence[Run], untrained: Sequence[Run], resources: WorkerResources
) -> Iterator[str]:
    options = table.options
    if options.gpu:
        pretrained = is_pretrained(table.config, table.datasets, options.cache)
        seconds, memory = dry_run_estimate(table.config, options.gpu, pretrained, "run")
        yield estimate(unfinished, untrained, seconds, options.workers or 1)
        yield memory
    else:
        seconds = step_seconds(table.config, table.datasets, options.cache, resources.threads)
        yield estimate(unfinished, untrained, seconds, options.concurrent)
        yield _memory()


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
    source = sum(run.config.pretrain.steps * run.config.pretrain.accumulate * seconds.pretrain for run in untrained)
    adaptation = sum(run.config.adapt.steps * run.config.adapt.accumulate * seconds.adapt for run in runs)
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
