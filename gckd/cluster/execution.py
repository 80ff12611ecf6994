"""Settings of the execution of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from gckd.cluster.tasks import RunFunctions
from gckd.runs.run_outcome import OutcomeT, RunRecords
from gckd.runs.tracker import Trackers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gckd.runs.progress_display import Display
    from gckd.runs.provenance import Provenance
    from gckd.storage.cache import CachePath
    from gckd.storage.path import StoragePath


@dataclass
class Execution(Generic[OutcomeT]):
    """Settings of the execution of a plan.

    records: of the results that `functions.run` returns. concurrent: runs at a time on the embedded Ray. limit: most
    runs of several workers at a time; None: as many as the cluster fits. workers: of each run. threads, gpus: of each
    worker; None GPUs: see `worker_resources`. out: output for checkpoints; None: the folder of the records. after_run:
    called after each recorded run. tracked_rows: row -> its name in the trackers, where that is another one.
    """

    records: RunRecords[OutcomeT]
    provenance: Provenance
    cache: Path | CachePath
    display: Display
    concurrent: int = 1
    limit: int | None = None
    workers: int = 1
    threads: int = 1
    gpus: float | None = None
    functions: RunFunctions = field(default_factory=RunFunctions)
    out: StoragePath | None = None
    after_run: Callable[[], None] = lambda: None
    trackers: Trackers = field(default_factory=Trackers)
    tracked_rows: Mapping[str, str] = field(default_factory=dict)
