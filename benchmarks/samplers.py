"""TPE against random search on a surrogate of finished searches."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script: this checkout before an installed copy
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table
from sklearn.ensemble import RandomForestRegressor

from gckd.report.console import wide_console
from gckd.report.statistics import estimate, paired, paired_p, written_p
from gckd.tune.samplers import SAMPLERS, make_sampler
from gckd.tune.storage import open_storage

BUDGETS = (16, 32, 64)  # trials; the first ten of TPE are random
RANDOM = "random"
POINTS = 2048  # random configurations whose best is taken for the optimum of a surrogate
TREES, LEAF = 300, 2
MIN_TRIALS = 4
LEAST_R2 = 0.5  # below, the order of the samplers may be that of another function


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(min=2), help="Searches per sampler.")
@click.option(
    "--sampler",
    default="tpe",
    show_default=True,
    type=click.Choice(sorted(set(SAMPLERS) - {RANDOM, "nsga2"})),
    help="Sampler that is compared with random search.",
)
def main(folders: tuple[Path, ...], repeats: int, sampler: str) -> None:
    """Compare a sampler with random search on a surrogate of each of FOLDERS, the outputs of searches.

    The surrogate is a random forest of the score of each finished trial over its configuration. The score is the one
    that the search maximised. Both samplers have the same budget and the same seeds. The best score of a search is in
    percent of the way from the median configuration to the best one of the surrogate.

    A surrogate is smoother than a search, in which the score also depends on the noise of training.

    \b
    python benchmarks/samplers.py runs/search-0123abcd
    """
    for folder in folders:
        trials = finished_trials(folder)
        surrogate = Surrogate(trials)
        title = f"{folder.name}: surrogate of {len(trials)} trials, out-of-bag R2 {surrogate.r2:.2f}"
        columns = ("trials", f"{sampler}, %", f"{RANDOM}, %", f"{sampler} - {RANDOM}", "p")
        table = Table(*columns, title=title, caption=f"mean ± 95 % over {repeats} searches, paired by seed")
        names = sampler, RANDOM
        scores = {name: [surrogate.search(name, seed) for seed in range(repeats)] for name in names}
        for budget in BUDGETS:
            best = {name: {seed: max(values[:budget]) for seed, values in enumerate(scores[name])} for name in names}
            difference = paired(best[sampler], best[RANDOM])
            assert difference is not None  # both have all seeds
            rows = [estimate(list(best[name].values())) for name in names]
            cells = [f"{value.mean:.1f} ± {value.half_width:.1f}" for value in (*rows, difference)]
            p = paired_p(best[sampler], best[RANDOM])
            table.add_row(str(budget), *cells, "" if p is None else written_p(p))
        wide_console().print(table)
        if surrogate.r2 < LEAST_R2:
            reason = f"the surrogate of {len(trials)} trials explains their scores badly (R2 {surrogate.r2:.2f})"
            click.echo(f"warning: {folder}: {reason}; search with more trials and --scheduler none", err=True)


def finished_trials(folder: Path) -> list[FrozenTrial]:
    """Finished trials of a search that have a score."""
    study = optuna.load_study(storage=open_storage(None, folder), study_name=folder.name)
    trials = [trial for trial in study.get_trials(states=(TrialState.COMPLETE,)) if trial.values]
    if len(trials) < MIN_TRIALS:
        reason = f"{len(trials)} finished trials are too few for a surrogate; limit: >= {MIN_TRIALS}"
        raise click.ClickException(f"{folder}: {reason}")
    if any(trial.distributions != trials[0].distributions for trial in trials):
        raise click.ClickException(f"{folder}: the trials differ in their hyperparameters; expected the same in all")
    if len({trial.values[0] for trial in trials}) == 1:
        raise click.ClickException(f"{folder}: all trials have the same score; expected several")
    return trials


class Surrogate:
    """Random forest of the score over configurations.

    Source: Eggensperger et al., "Efficient benchmarking of hyperparameter optimizers via surrogates", AAAI 2015.

    Args:
        trials: finished trials of one search space without conditions.

    Attributes:
        r2: coefficient of determination of the trials that a tree did not see.
    """

    def __init__(self, trials: list[FrozenTrial]) -> None:
        self.space: Mapping[str, BaseDistribution] = trials[0].distributions
        self.forest = RandomForestRegressor(TREES, min_samples_leaf=LEAF, oob_score=True, random_state=0)
        scores = [trial.values[0] for trial in trials]
        self.forest.fit([self.features(trial.params) for trial in trials], scores)
        self.r2: float = self.forest.oob_score_
        drawn = self._scores([self.features(params) for params in self._random(POINTS)])
        self.middle, self.best = float(np.median(drawn)), float(drawn.max())

    def features(self, params: Mapping[str, Any]) -> list[float]:
        """A number per parameter: choices by position, numbers searched on a logarithmic scale by their logarithm."""
        return [_feature(distribution, params[name]) for name, distribution in sorted(self.space.items())]

    def search(self, sampler: str, seed: int) -> list[float]:
        """Scores of the trials of a search, in percent of the way from the median configuration to the best."""
        study = optuna.create_study(direction="maximize", sampler=make_sampler(sampler, seed))
        for _ in range(max(BUDGETS)):
            trial = study.ask(dict(self.space))
            study.tell(trial, float(self._scores([self.features(trial.params)])[0]))
        return [100 * (trial.values[0] - self.middle) / (self.best - self.middle) for trial in study.trials]

    def _scores(self, features: list[list[float]]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self.forest.predict(features)
        return scores

    def _random(self, count: int) -> list[dict[str, Any]]:
        study = optuna.create_study(sampler=make_sampler(RANDOM, 0))
        return [study.ask(dict(self.space)).params for _ in range(count)]


def _feature(distribution: BaseDistribution, value: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.choices.index(value))
    logarithmic = getattr(distribution, "log", False)
    return float(np.log(value) if logarithmic else value)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    main()
