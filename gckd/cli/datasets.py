"""The datasets of a command that names none: the generated benchmark street, drawn once into the cache."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from gckd.config import Config, ConfigError, apply
from gckd.dist.display import store_progress

_STREET_SOURCE, _STREET_TARGET = "ICFG-PEDES", "RSTPReid"


def with_datasets(config: Config, cache: Path) -> Config:
    """`config` itself if it names datasets; otherwise with street as source and target.

    Raises:
        ConfigError: it names one of the two.
    """
    named = [side for side in ("source", "target") if getattr(config.data, side)]
    if len(named) == 1:
        other = "target" if named == ["source"] else "source"
        raise ConfigError([f"--{other}: no dataset is given; give both --source and --target, or neither"])
    if named:
        return config
    root = make_street_once(cache)
    return apply(config, {"data.source": str(root / _STREET_SOURCE), "data.target": str(root / _STREET_TARGET)})


def make_street_once(cache: Path) -> Path:
    """The folder of the benchmark at its default; drawn by the first process that asks, while others wait."""
    from gckd.data.street import make_street
    from gckd.data.street.write import GENERATOR

    root = cache / f"street-{GENERATOR}"
    with FileLock(cache / f"{root.name}.lock"):
        tell = store_progress()
        make_street(
            root, domains=(_STREET_SOURCE, _STREET_TARGET), progress=lambda done, total: tell("street", done, total)
        )
    return root
