"""Options of a search: the command that extends it."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from gckd.cli.tune import search
from gckd.tune.options import SearchOptions


def options_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> SearchOptions:
    """Options that `gckd tune` makes of command-line arguments, before it checks them."""
    made: list[SearchOptions] = []

    def stop(self: SearchOptions) -> None:
        made.append(self)
        raise click.Abort

    monkeypatch.setattr(SearchOptions, "check", stop)
    gckd = click.Group("gckd", commands={"tune": search})
    CliRunner().invoke(gckd, ["tune", *arguments], prog_name="gckd")
    return made[0]


@pytest.mark.parametrize("trials", [["--trials", "8"], ["--trials=8"]])
def test_the_users_command_is_repeated_with_more_trials(monkeypatch: pytest.MonkeyPatch, trials: list[str]) -> None:
    arguments = ["--set", "adapt.lr=1e-3", *trials, "--out", "my runs/a"]
    options = options_of(monkeypatch, *arguments)
    assert options.next_command(interrupted=False) == (
        "extend the study to twice as many trials",
        "gckd tune --set adapt.lr=1e-3 --out 'my runs/a' --trials 16",
    )
    assert options.next_command(interrupted=True) == (
        "resume the search",
        shlex.join(["gckd", "tune", *arguments]),
    )


def test_a_password_is_left_out_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    options = options_of(monkeypatch, "--storage", "postgresql://me:secret@127.0.0.1/optuna")
    own = ["gckd", "tune", "--storage", "postgresql://me:***@127.0.0.1/optuna"]
    assert shlex.split(options.next_command(interrupted=True).text) == own
    assert shlex.split(options.next_command(interrupted=False).text) == [*own, "--trials", "32"]


def test_without_audit_there_is_no_confirmation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert options_of(monkeypatch).confirmation_seeds == 3
    assert options_of(monkeypatch, "--no-audit").confirmation_seeds == 0
    assert options_of(monkeypatch, "--confirm-seeds", "0").confirmation_seeds == 0
