"""Options that several benchmarks have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from gckd.config import PRESETS

Function = TypeVar("Function", bound=Callable[..., object])


def config_options(default: str) -> Callable[[Function], Function]:
    """The options --preset (argument `name`) and --set (argument `assignments`).

    Args:
        default: name of the preset without --preset.
    """
    preset_option = click.option(
        "--preset",
        "name",
        default=default,
        show_default=True,
        type=click.Choice(list(PRESETS)),
        help="Preset of the config.",
    )
    set_option = click.option(
        "--set", "assignments", multiple=True, metavar="PATH=VALUE", help="Edit of the config: adapt.batch=32."
    )
    return lambda command: preset_option(set_option(command))
