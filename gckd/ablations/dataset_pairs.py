"""The blocks of a question: the same rows on several pairs of datasets, at rising shift, or around several configs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from gckd.ablations.rows import row_name
from gckd.config import Config, ConfigError, apply
from gckd.config.edit import effective_edits
from gckd.data.street.default_pair import cached_street, with_default_datasets
from gckd.errors import InputError
from gckd.runs.dataset_progress import dataset_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.ablations.spec import Spec

ONE = ""  # name of the only block


def blocks(spec: Spec, named: Sequence[str], config: Config, cache: Path) -> dict[str, Config]:
    """Block -> its full config, with datasets; a block's name can be a folder's.

    Args:
        named: for a spec with `pairs: all`: a folder or FORMAT:FOLDER each; none: the datasets of street.

    Raises:
        ConfigError: the spec has its own datasets and `config` names some already, or an edit is refused.
        InputError: datasets are named that the spec has no use for, or fewer than two, or two of one name.
    """
    if named and not spec.pairs:
        raise InputError("--dataset: it is for a spec with `pairs: all`; use --source and --target")
    if spec.pairs or spec.shift:
        sides = [side for side in ("source", "target") if getattr(config.data, side)]
        if sides:
            raise ConfigError([f"--{side}: it conflicts with --spec, which has its own datasets" for side in sides])
    if spec.pairs:
        return {
            name: apply(config, {"data.source": source, "data.target": target})
            for name, (source, target) in _ordered(named or _all_of_street(cache)).items()
        }
    if spec.shift:
        return {
            f"shift-{shift:g}": with_default_datasets(config, cache, dataset_progress(), shift) for shift in spec.shift
        }
    config = with_default_datasets(config, cache, dataset_progress())
    if not spec.each:
        return {ONE: config}
    return {row_name(name): apply(config, effective_edits(config, edits)) for name, edits in spec.each.items()}


def _ordered(named: Sequence[str]) -> dict[str, tuple[str, str]]:
    """`a-b` -> the two; names are those of the folders."""
    names = [row_name(Path(text.rpartition(":")[2]).name.lower()) for text in named]
    if len(named) < 2:
        raise InputError(f"--dataset: {len(named)} is given; pairs need at least 2")
    if len(set(names)) < len(names):
        raise InputError(f"--dataset: two folders have the same name ({', '.join(sorted(names))}); rename one")
    return {f"{names[i]}-{names[j]}": (named[i], named[j]) for i, j in itertools.permutations(range(len(named)), 2)}


def _all_of_street(cache: Path) -> list[str]:
    from gckd.data.street.domains import DOMAINS

    root = cached_street(cache, tuple(DOMAINS), dataset_progress())
    return [str(root / name) for name in DOMAINS]
