"""Defaults of `gckd data make street` are those of the benchmark that other commands draw."""

from __future__ import annotations

import inspect

from gckd.cli.data import street
from gckd.data.street import make_street


def test_the_command_draws_the_default_benchmark() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(make_street).parameters.items()}
    options = {option.name: option.default for option in street.params}
    assert {name: options[name] for name in ("ids", "shift", "seed")} == {
        name: defaults[name] for name in ("ids", "shift", "seed")
    }
