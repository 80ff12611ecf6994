"""Driver time per trial as a study grows, without Ray: searcher, study, storage and report."""

from __future__ import annotations

import functools
import io
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import optuna
from ray.tune.search import Searcher
from rich.console import Console
from rich.table import Table

from benchmarks.hollow import NAME, config, hollow_study, results
from gckd.cluster.trial import score_names
from gckd.report.console import wide_console
from gckd.storage.mirror import Mirror
from gckd.storage.path import StoragePath
from gckd.tune.report.search_report import write_search_report
from gckd.tune.samplers import SAMPLERS
from gckd.tune.searcher import StudySearcher
from gckd.tune.space.space import load_space
from gckd.tune.storage import FILE, open_storage

_LAST = 20  # trials behind each median
_MIB = 2**20
OWNER = "growth"


@dataclass
class Spent:
    """CPU seconds that the driver spends on one trial: its proposal, its results, its end."""

    suggest: float
    results: float
    end: float


@click.command()
@click.option("--trials", default=(50, 200, 500, 1000), show_default=True, multiple=True, type=click.IntRange(min=1))
@click.option("--concurrent", default=64, show_default=True, type=click.IntRange(min=1), help="Concurrent trials.")
@click.option("--sampler", default="tpe", show_default=True, type=click.Choice([n for n in SAMPLERS if n != "nsga2"]))
@click.option("--storage", help="Storage URI, as for tune/search.py.  [default: a journal, whose copies are timed too]")
@click.option("--report/--no-report", default=True, show_default=True, help="Also time the report at each size.")
def main(trials: tuple[int, ...], concurrent: int, sampler: str, storage: str | None, report: bool) -> None:
    """Measure the driver's CPU time per trial while a study grows.

    The study grows through the search's own searcher. Trials report random scores; nothing is trained and Ray is not
    started. Times are CPU times, medians of the last 20 trials before each size. A real driver also waits for the disk
    at each write to the journal, and for the object store at each copy.

    \b
    python benchmarks/growth.py
    python benchmarks/growth.py --sampler random
    python benchmarks/growth.py --storage sqlite:///study.db
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = Table("trials", "suggest, ms", "results, ms", "end, ms", "copied, MiB")
    for name in ("journal, MiB", "writes", "reopened, s", "snapshot, MiB", "snapshot, s", "report, s"):
        table.add_column(name)
    table.caption = (
        f"Sampler {sampler}, {concurrent} trials at a time, storage {storage or 'journal'}. Copied: in total to an "
        "object store, here a local folder. Writes: journal entries per trial. Snapshot: the searcher's part of Tune's."
    )
    with tempfile.TemporaryDirectory() as temporary:
        grown = Growth(Path(temporary), max(trials), concurrent, sampler, storage)
        for wanted in sorted(trials):
            grown.grow(wanted)
            table.add_row(str(wanted), *grown.row(report))
    wide_console().print(table)


class Counted(Mirror):
    """Mirror that counts the bytes it copies."""

    copied = 0

    def upload(self) -> None:
        before = dict(self._uploaded)
        super().upload()
        self.copied += sum(version[1] for file, version in self._uploaded.items() if before.get(file) != version)


class Growth:
    """Growing study, with the CPU seconds of each of its trials."""

    def __init__(self, folder: Path, budget: int, concurrent: int, sampler: str, storage: str | None) -> None:
        self.folder, self.concurrent, self.storage = folder / "driver", concurrent, storage
        self.folder.mkdir()
        base = config()
        space, _ = load_space().check(base, 65536)
        self.study = hollow_study(self.folder, base, sampler, storage)
        self.study.set_user_attr("start", dict.fromkeys(score_names(), 0.5))
        self.searcher = StudySearcher(
            self.study, space, base, owner="growth", budget=budget, folder="out", objectives={"score": "max"}
        )
        store = folder / "store"
        store.mkdir()
        self.mirror = Counted(self.folder, StoragePath.at(store.as_uri()))
        self.spent: list[Spent] = []
        self._running: deque[tuple[str, int, float]] = deque()  # Tune's id, trial number, seconds of the proposal
        self._drawn = 0

    def grow(self, wanted: int) -> None:
        """Propose trials and end the oldest running ones until `wanted` trials have ended."""
        while len(self.spent) < wanted:
            while len(self._running) < self.concurrent and self._draw():
                continue
            self.spent.append(self._end(*self._running.popleft()))

    def _draw(self) -> bool:
        """Propose a trial; False once the budget is used up."""
        name = f"trial-{self._drawn}"
        begun = time.process_time()
        suggestion: Any = self.searcher.suggest(name)
        if suggestion == Searcher.FINISHED:
            return False
        self._running.append((name, suggestion["number"], time.process_time() - begun))
        self._drawn += 1
        return True

    def _end(self, name: str, number: int, suggest: float) -> Spent:
        *firsts, last = [_flat(result) for result in results(number, 0.0)]
        reported = sum(cpu_of(functools.partial(self.searcher.on_trial_result, name, result)) for result in firsts)
        end = cpu_of(lambda: self.searcher.on_trial_complete(name, last))
        self.mirror.upload_if_due()
        return Spent(suggest, reported, end)

    def row(self, report: bool) -> list[str]:
        """Cells of the table, from the latest trials and the current study."""
        latest = [astuple(spent) for spent in self.spent[-_LAST:]]
        snapshot = self.folder.parent / "searcher"
        saved = cpu_of(lambda: self.searcher.save(str(snapshot)))
        return [
            *(f"{1000 * statistics.median(values):.1f}" for values in zip(*latest, strict=True)),
            f"{self.mirror.copied / _MIB:.0f}",
            *self._journal(),
            f"{cpu_of(self._open_again):.2f}",
            f"{snapshot.stat().st_size / _MIB:.1f}",
            f"{saved:.2f}",
            f"{cpu_of(self._report):.1f}" if report else "",
        ]

    def _journal(self) -> tuple[str, str]:
        """Size in MiB, and entries per trial."""
        file = self.folder / FILE
        if not file.exists():
            return "", ""
        return f"{file.stat().st_size / _MIB:.1f}", f"{len(file.read_bytes().splitlines()) / self._drawn:.0f}"

    def _open_again(self) -> None:
        optuna.load_study(study_name=NAME, storage=open_storage(self.storage, self.folder)).get_trials(deepcopy=False)

    def _report(self) -> None:
        folder = self.folder.parent / "report"
        folder.mkdir(exist_ok=True)
        write_search_report(self.study, folder, Console(file=io.StringIO()))


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    """Result as Tune passes it to a searcher: nested keys joined by slashes."""
    scores = {f"scores/{name}": value for name, value in result["scores"].items()}
    return {**{key: value for key, value in result.items() if key != "scores"}, **scores}


if __name__ == "__main__":
    main()
