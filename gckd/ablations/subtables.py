"""Subtables: the same rows on several pairs of datasets, at several shifts, or around several full configs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from gckd.ablations.rows import labels
from gckd.config import Config, ConfigError, apply
from gckd.config.edit import effective_edits
from gckd.data.street.default_pair import cached_street, with_default_datasets
from gckd.errors import InputError
from gckd.runs.dataset_progress import dataset_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.ablations.spec import Spec

ONLY_TABLE = ""  # name of the table if there is just one


def subtable_configs(spec: Spec, datasets: Sequence[str], config: Config, cache: Path) -> dict[str, Config]:
    """Name of each subtable -> its full config, with datasets. A name can be that of a folder.

    Args:
        datasets: for a spec with `pairs: all`: FOLDER or FORMAT:FOLDER each; empty: the datasets of street.

    Raises:
        ConfigError: the spec and `config` both set the datasets, or an edit is refused.
        InputError: the spec takes no `datasets`, or there are fewer than two, or two of the same name.
    """
    if datasets and not spec.pairs:
        raise InputError("--dataset: only for a spec with `pairs: all`; use --source and --target")
    if spec.pairs or spec.shift:
        given = [domain for domain in ("source", "target") if getattr(config.data, domain)]
        if given:
            raise ConfigError([f"--{domain}: conflicts with --spec, which sets the datasets" for domain in given])
    if spec.pairs:
        return {
            name: apply(config, {"data.source": source, "data.target": target})
            for name, (source, target) in _ordered_pairs(datasets or _street_datasets(cache)).items()
        }
    if spec.shift:
        return {
            f"shift-{shift:g}": with_default_datasets(config, cache, dataset_progress(), shift) for shift in spec.shift
        }
    config = with_default_datasets(config, cache, dataset_progress())
    if not spec.each:
        return {ONLY_TABLE: config}
    names = labels("each", spec.each)
    return {label: apply(config, effective_edits(config, spec.each[name])) for name, label in names.items()}


def _ordered_pairs(datasets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """`source-target` -> the two datasets; the names are those of their folders."""
    if len(datasets) < 2:
        raise InputError(f"--dataset: {len(datasets)} given; pairs need at least 2")
    folders = [Path(dataset.rpartition(":")[2]).name.lower() for dataset in datasets]
    if len(set(folders)) < len(folders):
        raise InputError(f"--dataset: two folders have the same name ({', '.join(sorted(folders))}); rename one")
    names = list(labels("--dataset", folders).values())
    pairs = itertools.permutations(range(len(datasets)), 2)
    return {f"{names[i]}-{names[j]}": (datasets[i], datasets[j]) for i, j in pairs}


def _street_datasets(cache: Path) -> list[str]:
    from gckd.data.street.domains import DOMAINS

    root = cached_street(cache, tuple(DOMAINS), dataset_progress())
    return [str(root / name) for name in DOMAINS]
