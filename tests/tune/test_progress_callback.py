"""Progress display of a running search on a terminal."""

from __future__ import annotations

import os
import pty
import sys

import pytest
from ray import cloudpickle

from gckd.interruption import Interruption
from gckd.runs.progress_display import LiveDisplay, display
from gckd.tune.progress_callback import ProgressCallback


def test_the_callback_can_be_pickled_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune pickles its callbacks before the first trial, and a terminal cannot be pickled."""
    driver_end, terminal_end = pty.openpty()
    with os.fdopen(terminal_end, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with display() as shown:
            assert isinstance(shown, LiveDisplay)
            cloudpickle.dumps(ProgressCallback(None, None, shown, Interruption(), lambda: None))
    os.close(driver_end)
