"""What a running search shows, on a terminal too."""

from __future__ import annotations

import os
import pty
import sys

import pytest
from ray import cloudpickle

from gckd.runs.progress_display import LiveDisplay, display
from gckd.runs.signals import Interruption
from gckd.tune.progress_callback import ProgressCallback


def test_tune_can_keep_it_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray refuses to pickle terminals, and Tune pickles its callbacks before the first trial."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with display() as shown:
            assert isinstance(shown, LiveDisplay)
            cloudpickle.dumps(ProgressCallback(None, None, shown, Interruption(), lambda: None))
    os.close(ours)
