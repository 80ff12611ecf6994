"""Options of `gckd ablate`, except those that describe the full config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.ablations.reference_rows import with_reference_rows
from gckd.ablations.rows import Rows, add_rows, combinations, drop_rows, factorial_rows, merge_rows, sweep_rows
from gckd.cluster.connect import default_concurrency
from gckd.device import cores
from gckd.errors import InputError
from gckd.report.question import Question
from gckd.runs.plan import FULL
from gckd.storage.label import check_distinct

if TYPE_CHECKING:
    from gckd.ablations.spec import Spec
    from gckd.cluster.tasks import RunFunctions
    from gckd.config import Config
    from gckd.storage.cache import CachePath


@dataclass(frozen=True)
class AblationOptions:
    """See `gckd ablate --help`.

    name: of the default output of a spec with several subtables. seeds: number of seeds of each row. workers: runs at a
    time; None: by the number of cores. threads, gpus: of each worker of a run; None: one GPU if there is any.
    gpu: name of the GPU that a dry run estimates for; None: this machine.
    spec_changes: edits that the user adds to a spec. track: see `gckd.runs.tracker`.
    """

    spec: Spec
    name: str
    drops: tuple[str, ...]
    adds: tuple[str, ...]
    factorial: str | None
    sweeps: tuple[str, ...]
    ceiling: bool
    tuned_rows: bool
    datasets: tuple[str, ...]
    seeds: int
    out: str | None
    resume: bool
    dry_run: bool
    gpu: str | None
    mixed: bool
    workers: int | None
    workers_per_run: int
    gpus: float | None
    threads: int
    cache: CachePath
    functions: RunFunctions
    spec_changes: tuple[str, ...] = ()
    track: tuple[str, ...] = ()

    @property
    def concurrent(self) -> int:
        """Runs at a time on this machine."""
        return self.workers or default_concurrency(cores(), self.workers_per_run)

    def rows(self, config: Config) -> Rows:
        """Every row except the full one, around the full config.

        Raises:
            InputError: a row is refused, two have the same name or folder, one is called `full`, or
                `with_reference_rows` refuses the config.
        """
        parts = [self.spec.all_rows(config), add_rows(self.adds, config), drop_rows(self.drops, config)]
        parts += [factorial_rows(self.factorial, config)] if self.factorial else []
        rows = merge_rows(*parts, *(sweep_rows(text, config) for text in self.sweeps))
        rows = with_reference_rows(rows, config, ceiling=self.ceiling or self.spec.ceiling)
        if FULL in rows:
            raise InputError(f"row {FULL}: the name is reserved for the full method; rename the row")
        check_distinct([FULL, *rows])
        return rows

    def question(self, config: Config) -> Question:
        """Question of the table, which is saved for its report."""
        factorial = self.factorial or self.spec.factorial
        dropped = combinations(factorial, config) if factorial else {}
        return Question(self.spec.question, dropped, self.spec.checks, self.spec_changes)
