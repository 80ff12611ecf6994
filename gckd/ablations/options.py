"""Options of `gckd ablate`, except those that describe the full config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.ablations.rows import Rows, add_rows, combinations, drop_rows, factorial_rows, merge_rows, sweep_rows
from gckd.report.question import Question

if TYPE_CHECKING:
    from gckd.ablations.spec import Spec
    from gckd.cluster.tasks import RunFunctions
    from gckd.config import Config
    from gckd.storage.cache import CachePath


@dataclass(frozen=True)
class AblationOptions:
    """See `gckd ablate --help`.

    name: of the default output of a spec with several subtables. seeds: number of seeds of each row. workers, threads:
    None: chosen by the number of cores.
    """

    spec: Spec
    name: str
    drops: tuple[str, ...]
    adds: tuple[str, ...]
    factorial: str | None
    sweeps: tuple[str, ...]
    datasets: tuple[str, ...]
    seeds: int
    out: str | None
    resume: bool
    mixed: bool
    workers: int | None
    threads: int | None
    cache: CachePath
    functions: RunFunctions

    def rows(self, config: Config) -> Rows:
        """Every row except the full one, around the full config.

        Raises:
            InputError: a row is refused, or two have the same name.
        """
        rows = [self.spec.all_rows(config), add_rows(self.adds, config), drop_rows(self.drops, config)]
        rows += [factorial_rows(self.factorial, config)] if self.factorial else []
        return merge_rows(*rows, *(sweep_rows(text, config) for text in self.sweeps))

    def question(self, config: Config) -> Question:
        """Question of the table, which is saved for its report."""
        factorial = self.factorial or self.spec.factorial
        dropped = combinations(factorial, config) if factorial else {}
        return Question(self.spec.question, dropped, self.spec.checks)
