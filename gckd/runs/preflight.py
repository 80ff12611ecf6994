"""Everything about the input that can be refused is refused here, before a cluster starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gckd.config import Config, ConfigError, apply, check
from gckd.config.banks import per_bank
from gckd.config.component import PropagationConfig
from gckd.config.paths import with_files
from gckd.data.domains import DatasetPair, StoreProgress, open_datasets
from gckd.data.wordpiece import load_pretrained
from gckd.errors import InputError, reason_of
from gckd.storage.cache import CachePath

if TYPE_CHECKING:
    from pathlib import Path


def prepare_datasets(
    config: Config, cache: Path | CachePath, progress: StoreProgress | None = None
) -> tuple[Config, DatasetPair]:
    """Open both datasets, storing them if needed; returns the config with absolute paths, too.

    Raises:
        InputError: a dataset is not named, cannot be read, or has a broken image (unless `data.skip_broken`); the
            weights of an ALBEF are no file, or a pretrained tokenizer is not there.
    """
    config = with_files(config)
    if config.tokenizer.pretrained:
        load_pretrained(config.tokenizer.pretrained)
    datasets = open_datasets(config, cache, progress)
    specs = {"data.source": datasets.source_spec, "data.target": datasets.target_spec}
    now = {"data.source": config.data.source, "data.target": config.data.target}
    return apply(config, {path: spec for path, spec in specs.items() if spec != now[path]}), datasets


def check_sizes(configs: Iterable[Config], datasets: DatasetPair) -> None:
    """Refuses configs that are sound by themselves and do not fit these datasets.

    Raises:
        ConfigError: a batch larger than a dataset, or K not below the number of nodes; every problem once.
    """
    problems = [problem for config in configs for problem in size_problems(check(config), datasets)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def size_problems(config: Config, datasets: DatasetPair) -> Iterator[str]:
    source, target = datasets.source.counts["train"], datasets.target.counts["train"]
    limits = {
        "source train images": source["images"],
        "target train images": target["images"],
        "target train captions": target["captions"],
    }
    for field, batch, sides in (
        ("pretrain.batch", config.pretrain.batch, ["source train images"]),
        ("adapt.batch", config.adapt.batch, list(limits)),
    ):
        for side in sides:
            if batch > limits[side]:
                yield f"{field}: {batch} is above its limit: {limits[side]} {side}"
    capacities = per_bank(config.graph.memory.capacities(config.adapt.batch))
    yield from _node_problems(config.graph.propagate, capacities, datasets)


def _node_problems(propagate: PropagationConfig, capacities: Sequence[int], datasets: DatasetPair) -> Iterator[str]:
    sides = (("source", datasets.source), ("target", datasets.target))
    train = [
        (f"{side} {kind}", store.counts["train"][kind]) for side, store in sides for kind in ("images", "captions")
    ]
    sizes = [min(capacity, count) for capacity, (_, count) in zip(capacities, train, strict=True)]
    for graph in propagate.graphs():
        nodes = graph.total(sizes)
        if propagate.neighbours >= nodes:
            what = " and ".join(train[bank][0] for bank in graph.banks)
            yield f"graph.propagate.k: K = {propagate.neighbours} is outside its limit: < {nodes} nodes ({what})"


def usable_cache(cache: Path | CachePath) -> CachePath:
    """`cache`, its folder on this machine made if it is missing.

    Raises:
        InputError: the folder cannot be made, or is none; or its object store cannot be written.
    """
    found = CachePath.at(cache)
    usable_folder(found.local_path, "--cache")
    try:
        found.shared_path.check_writable()
    except (InputError, OSError) as error:
        raise InputError(f"--cache: {error}") from error
    return found


def usable_folder(path: Path, what: str) -> Path:
    """`path`, absolute, made if it is missing.

    Raises:
        InputError: it cannot be made, or is no folder.
    """
    path = path.expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{what} {path}: cannot be used ({reason_of(error)})") from error
    return path
