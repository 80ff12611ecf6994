"""Checks of the input before anything runs: datasets, sizes, cache and folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from gckd.config import Config, ConfigError, apply, check, digest
from gckd.config.banks import per_bank
from gckd.config.component import PropagationConfig
from gckd.config.paths import with_absolute_paths
from gckd.data.dataset_pair import DatasetPair, open_datasets
from gckd.data.types import DatasetProgress
from gckd.data.wordpiece import load_pretrained
from gckd.errors import InputError, reason_of
from gckd.storage.cache import CachePath
from gckd.storage.path import expanded

if TYPE_CHECKING:
    from pathlib import Path

_RANDOM_WEIGHTS = (
    "warning: backbone.weights is empty, so training starts from random weights; for the paper's setting, add "
    "--set backbone.weights=ALBEF.pth"
)


def prepare_datasets(
    config: Config, cache: Path | CachePath, progress: DatasetProgress | None = None
) -> tuple[Config, DatasetPair]:
    """Open both datasets of a config, and store those that the cache lacks.

    Returns:
        The config with absolute paths, which is valid in every working directory, and its datasets.

    Raises:
        InputError: a dataset is not given, cannot be read, or has a broken image (unless `data.skip_broken`); the
            weights of an ALBEF backbone or a pretrained tokenizer are missing.
    """
    config = with_absolute_paths(config)
    if config.tokenizer.pretrained:
        load_pretrained(config.tokenizer.pretrained)
    datasets = open_datasets(config, cache, progress)
    specs = {"data.source": datasets.source_spec, "data.target": datasets.target_spec}
    present = {"data.source": config.data.source, "data.target": config.data.target}
    return apply(config, {path: spec for path, spec in specs.items() if spec != present[path]}), datasets


def check_sizes(configs: Iterable[Config], datasets: DatasetPair) -> None:
    """Refuse valid configs that do not fit these datasets.

    Raises:
        ConfigError: a batch is larger than a dataset, or K is not below the number of nodes. Each problem is listed
            once.
    """
    problems = [problem for config in configs for problem in size_problems(check(config), datasets)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def check_workers(option: str, workers: int, configs: Iterable[Config]) -> None:
    """Refuse more workers than the smallest batch has rows.

    Args:
        option: that gives the number of workers, for the message.

    Raises:
        InputError: see above.
    """
    fields = ((f"{stage}.batch", getattr(config, stage).batch) for config in configs for stage in ("pretrain", "adapt"))
    field, batch = min(fields, key=lambda pair: pair[1])
    if workers > batch:
        raise InputError(f"{option}: {workers} is above its limit: {field} = {batch}, as workers share each batch")


def check_weights(configs: Iterable[Config], datasets: DatasetPair) -> None:
    """Print what the configs load from checkpoint files of pretrained weights, on standard error.

    A pretrained tokenizer without weights gets a warning: the checkpoint was probably forgotten.

    Raises:
        InputError: a checkpoint cannot be read or does not fit its backbone.
    """
    vocabulary = datasets.tokenizer.vocabulary
    # One config for each checkpoint and backbone: a file may have a gigabyte.
    distinct = {digest(config.backbone, config.data): config for config in configs}
    from_files = [c for c in distinct.values() if c.backbone.weights and c.backbone.weights_are_a_file]
    if from_files:
        # Not earlier: importing the models takes seconds.
        from gckd.models.build import check_initial_weights

        reports = (check_initial_weights(config, vocabulary) for config in from_files)
        for line in dict.fromkeys(itertools.chain.from_iterable(reports)):
            click.echo(line, err=True)
    if any(config.tokenizer.pretrained and not config.backbone.weights for config in distinct.values()):
        click.echo(_RANDOM_WEIGHTS, err=True)


def size_problems(config: Config, datasets: DatasetPair) -> Iterator[str]:
    """Fields of a config that are too large for the datasets, one line each."""
    source, target = datasets.source.counts["train"], datasets.target.counts["train"]
    limits = {
        "source train images": source["images"],
        "target train images": target["images"],
        "target train captions": target["captions"],
    }
    for field, batch, splits in (
        ("pretrain.batch", config.pretrain.batch, ["source train images"]),
        ("adapt.batch", config.adapt.batch, list(limits)),
    ):
        for split in splits:
            if batch > limits[split]:
                yield f"{field}: {batch} is above its limit: {limits[split]} {split}"
    capacities = per_bank(config.graph.memory.capacities(config.adapt.batch))
    yield from _node_problems(config.graph.propagate, capacities, datasets)


def _node_problems(propagate: PropagationConfig, capacities: Sequence[int], datasets: DatasetPair) -> Iterator[str]:
    domains = (("source", datasets.source), ("target", datasets.target))
    banks = [
        (f"{domain} {items}", store.counts["train"][items])
        for domain, store in domains
        for items in ("images", "captions")
    ]
    sizes = [min(capacity, count) for capacity, (_, count) in zip(capacities, banks, strict=True)]
    for graph in propagate.graphs():
        nodes = graph.total(sizes)
        if propagate.neighbours >= nodes:
            names = " and ".join(banks[bank][0] for bank in graph.banks)
            yield f"graph.propagate.k: K = {propagate.neighbours} is outside its limit: < {nodes} nodes ({names})"


def usable_cache(cache: Path | CachePath) -> CachePath:
    """The cache, with its folder on this machine created if it is missing.

    Raises:
        InputError: the folder cannot be created, or the object store cannot be written.
    """
    path = CachePath.at(cache)
    usable_folder(path.local_path, "--cache")
    try:
        path.shared_path.check_writable()
    except (InputError, OSError) as error:
        raise InputError(f"--cache {path}: cannot be used ({reason_of(error)})") from error
    return path


def usable_folder(path: Path, option: str) -> Path:
    """The absolute path of a folder, created if it is missing.

    Args:
        option: command-line option that gave the path, for the message.

    Raises:
        InputError: the folder cannot be created, or the path is a file.
    """
    path = expanded(path).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be used ({reason_of(error)})") from error
    return path
