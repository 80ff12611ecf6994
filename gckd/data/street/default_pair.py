"""The datasets of a command that names none: the generated benchmark street, drawn once into the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from gckd.config import Config, ConfigError, apply
from gckd.errors import InputError

StreetProgress = Callable[[str, int, int], None]
_SOURCE, _TARGET = "ICFG-PEDES", "RSTPReid"


def with_datasets(config: Config, cache: Path, progress: StreetProgress, shift: float | None = None) -> Config:
    """`config` itself if it names datasets; otherwise with street as source and target.

    Args:
        progress: called with "street", images done and images in all.
        shift: of that street; None: the benchmark's default.

    Raises:
        ConfigError: it names one of the two.
    """
    named = [side for side in ("source", "target") if getattr(config.data, side)]
    if len(named) == 1:
        other = "target" if named == ["source"] else "source"
        raise ConfigError([f"--{other}: no dataset is given; give both --source and --target, or neither"])
    if named:
        return config
    root = street(cache, (_SOURCE, _TARGET), progress, shift)
    return apply(config, {"data.source": str(root / _SOURCE), "data.target": str(root / _TARGET)})


def street(cache: Path, domains: tuple[str, ...], progress: StreetProgress, shift: float | None = None) -> Path:
    """The folder of the benchmark; drawn by the first process that asks, while others wait.

    Raises:
        InputError: the shift is out of range.
    """
    from gckd.data.street import make_street
    from gckd.data.street.write import GENERATOR, SHIFT

    every = "" if len(domains) == 2 else "-all"
    name = f"street-{GENERATOR}{every}" + ("" if shift is None else f"-shift-{shift:g}")
    shift = SHIFT if shift is None else shift
    with FileLock(cache / f"{name}.lock"):
        try:
            make_street(
                cache / name, shift=shift, domains=domains, progress=lambda done, total: progress("street", done, total)
            )
        except ValueError as error:
            raise InputError(str(error)) from error
    return cache / name
