"""Callback of Ray Tune that follows the trials of a search for its display."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from gckd.errors import LostInputError
from gckd.runs.tracker import parameters_of
from gckd.tune.progress import FAILED, FINISHED, STOPPED
from gckd.tune.search_display import edits_text
from gckd.tune.trial_results import LAST, SCORES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gckd.interruption import Interruption
    from gckd.runs.tracker import Trackers
    from gckd.tune.progress import SearchProgress
    from gckd.tune.search_display import SearchDisplay

_SECONDS_BETWEEN_UPDATES = 0.5


class ProgressCallback(Callback):
    """Records results and ends of trials in a `SearchProgress`, updates the display, and stops Tune at Ctrl-C."""

    def __init__(
        self,
        progress: SearchProgress,
        display: SearchDisplay,
        interruption: Interruption,
        lost_input: Callable[[], str],
        save: Callable[[list[dict[str, Any]]], None],
        after_trial: Callable[[], None],
        trackers: Trackers,
    ) -> None:
        """
        Args:
            lost_input: gives the problem of data or weights that have disappeared, which ends the search.
            save: called at Ctrl-C, and before this end, with the configs of the running trials; returns once their
                checkpoints are saved.
            after_trial: called after each trial.
        """
        self._trackers, self._tracked = trackers, set[str]()
        self._progress, self._display, self._interruption = progress, display, interruption
        self._lost_input = lost_input
        self._save, self._after_trial = save, after_trial
        self._next_update = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks, a terminal cannot be pickled, and no search restores them."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        problem = self._lost_input()
        if self._interruption.received or problem:
            self._save([trial.config for trial in trials if trial.status == Trial.RUNNING])
        self._interruption.check()
        if problem:
            raise LostInputError(problem)
        now = time.monotonic()
        if now >= self._next_update:
            self._next_update = now + _SECONDS_BETWEEN_UPDATES
            self._display.show_search(self._progress)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._progress.start(trial.config["number"], trial.config["edits"])
        self._track(trial.config)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if result.get("epoch") is not None and result.get("score") is not None:
            self._progress.report(trial.config["number"], trial.config["edits"], result["epoch"], result["score"])

            self._trackers.log(self._track(trial.config), "search", result["epoch"], _scores(result))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = trial.last_result or {}
        self._end(trial, FAILED if result.get("reason") else FINISHED if result.get(LAST) else STOPPED)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, FAILED)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Shows the trials that have ended since the last update."""
        self._display.show_search(self._progress)

    def _end(self, trial: Any, state: str) -> None:
        self._progress.start(trial.config["number"], trial.config["edits"])
        self._progress.end(trial.config["number"], state)
        name, best = self._track(trial.config), self._progress.trials[trial.config["number"]].value
        self._trackers.end(name, {} if best is None else {"search/best score": best})
        self._tracked.discard(name)
        self._after_trial()

    def _track(self, config: dict[str, Any]) -> str:
        """Name of a trial in the trackers, opened there if it is new: a trial may end before Tune reports its start."""
        name = f"trial {config['number']} {edits_text(config['edits'])}"
        if name not in self._tracked:
            self._tracked.add(name)
            self._trackers.start(name, parameters_of(config["edits"]))
        return name


def _scores(result: dict[str, Any]) -> dict[str, float]:
    """Score and label-free scores of a result; Tune passes it nested or flat."""
    scores = {name.removeprefix(f"{SCORES}/"): v for name, v in result.items() if name.startswith(f"{SCORES}/")}
    return {"score": result["score"], **scores, **(result.get(SCORES) or {})}
