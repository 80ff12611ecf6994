"""Default datasets of a command: two domains of the generated benchmark street, drawn once into the cache."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from gckd.config import Config, ConfigError, apply
from gckd.data.types import DatasetProgress

_SOURCE, _TARGET = "ICFG-PEDES", "RSTPReid"


def with_default_datasets(config: Config, cache: Path, progress: DatasetProgress, shift: float | None = None) -> Config:
    """`config` with street as source and target if it names no dataset; otherwise unchanged.

    Args:
        config: config of a run.
        cache: cache folder.
        progress: called with ("street", images drawn, images in total).
        shift: gap between the domains; None for the default of the benchmark.

    Raises:
        ConfigError: the config names only one of the two datasets.
    """
    named = [role for role in ("source", "target") if getattr(config.data, role)]
    if len(named) == 1:
        missing = "target" if named == ["source"] else "source"
        raise ConfigError([f"--{missing}: no dataset is given; give both --source and --target, or neither"])
    if named:
        return config
    root = cached_street(cache, (_SOURCE, _TARGET), progress, shift)
    return apply(config, {"data.source": str(root / _SOURCE), "data.target": str(root / _TARGET)})


def cached_street(cache: Path, domains: tuple[str, ...], progress: DatasetProgress, shift: float | None = None) -> Path:
    """Folder of the benchmark in the cache; the first process draws it while others wait.

    Args:
        cache: cache folder.
        domains: names of two domains, or of all three.
        progress: called with ("street", images drawn, images in total).
        shift: gap between the domains; None for the default of the benchmark.

    Raises:
        InputError: `shift` is out of range.
    """
    from gckd.data.street import make_street
    from gckd.data.street.benchmark import GENERATOR, SEED, SHIFT

    domains_suffix = "" if len(domains) == 2 else "-all"
    shift_suffix = "" if shift is None else f"-shift-{shift:g}"
    root = cache / f"street-{GENERATOR}-seed-{SEED}{domains_suffix}{shift_suffix}"
    with FileLock(cache / f"{root.name}.lock"):
        make_street(
            root,
            shift=SHIFT if shift is None else shift,
            domains=domains,
            progress=lambda done, total: progress("street", done, total),
        )
    return root
