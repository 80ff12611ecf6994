"""Errors of the searcher that Tune wraps into its own."""

from __future__ import annotations

import pytest
from optuna.exceptions import StorageInternalError
from ray.tune import TuneError

from gckd.errors import InputError
from gckd.tune.engine import original_error


def wrapped(error: Exception) -> TuneError:
    """Exception of `Tuner.fit` if the searcher raises `error`."""
    try:
        try:
            raise error
        except Exception:
            raise TuneError("Traceback ...")  # noqa: B904  # as Tune does, so the cause is only the context
    except TuneError as inner:
        try:
            raise TuneError("the run failed") from inner
        except TuneError as outer:
            return outer


@pytest.mark.parametrize("error", [StorageInternalError("gone"), InputError("no store"), OSError(28, "No space left")])
def test_an_error_with_a_message_for_the_user_is_unwrapped(error: Exception) -> None:
    assert original_error(wrapped(error)) is error


def test_a_bug_keeps_its_traceback() -> None:
    """Also if an error of the system, which was handled, came before it."""
    bug = KeyError("a bug")
    bug.__context__ = FileNotFoundError(2, "handled")
    tune_error = wrapped(bug)
    assert original_error(tune_error) is tune_error
