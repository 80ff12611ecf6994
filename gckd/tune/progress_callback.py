"""Progress display of a running search: the running trials and the latest that ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from gckd.runs.run_state import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from gckd.interruption import Interruption
    from gckd.runs.progress_display import Display

_SECONDS_BETWEEN_UPDATES = 0.5
_ENDED_SHOWN = 8  # latest trials that have ended


class ProgressCallback(Callback):
    """Tune callback that updates the display, marks ended trials on the board, and stops Tune at Ctrl-C."""

    def __init__(
        self, ray: Any, board: Any, display: Display, interruption: Interruption, after_trial: Callable[[], None]
    ) -> None:
        self._ray, self._board, self._display, self._interruption = ray, board, display, interruption
        self._after_trial = after_trial
        self._next_update = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles its callbacks, a terminal cannot be pickled, and no search restores them."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._interruption.check()
        now = time.monotonic()
        if now >= self._next_update:
            self._next_update = now + _SECONDS_BETWEEN_UPDATES
            self._show()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, "")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, "failed; see the report for the reason")

    def _end(self, trial: Any, message: str) -> None:
        for seed in trial.config["seeds"]:
            self._board.end.remote((f"trial {trial.config['number']}", seed), message=message)
        self._after_trial()

    def _show(self) -> None:
        states = self._ray.get(self._board.snapshot.remote())
        ended = [state for state in states if state.stage in ENDED]
        hidden = {id(state) for state in ended[:-_ENDED_SHOWN]}
        self._display.show([state for state in states if id(state) not in hidden])
