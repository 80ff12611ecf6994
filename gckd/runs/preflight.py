"""Everything about the input that can be refused is refused here, before a cluster starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gckd.config import Config, ConfigError, apply, check
from gckd.config.banks import per_bank
from gckd.config.component import PropagationConfig
from gckd.config.paths import with_files
from gckd.data.datasets import Dataset, find_dataset
from gckd.data.store import Store
from gckd.data.wordpiece import load_pretrained
from gckd.errors import InputError, reason_of
from gckd.storage.cache import CachePath

if TYPE_CHECKING:
    from pathlib import Path

StoreProgress = Callable[[str, int, int], None]  # dataset, images done, images in all


@dataclass(frozen=True)
class Datasets:
    """The two datasets of a config, read and stored."""

    source: Store
    target: Store
    source_name: str  # the last two parts of where it lies
    target_name: str
    published: str  # as `gckd.runs.records.Origin`


def prepare_datasets(
    config: Config, cache: Path | CachePath, progress: StoreProgress | None = None
) -> tuple[Config, Datasets]:
    """Reads and stores both datasets; the config with absolute paths in it, whatever folder it runs in.

    Raises:
        InputError: a dataset is not named, cannot be read, or has a broken image (unless `data.skip_broken`); the
            weights of an ALBEF are no file, or a pretrained tokenizer is not there.
    """
    config = with_files(config)
    if config.tokenizer.pretrained:
        load_pretrained(config.tokenizer.pretrained)
    missing = [f"data.{side}: no dataset is given" for side in ("source", "target") if not getattr(config.data, side)]
    if missing:
        raise ConfigError(missing)
    source, target = find_dataset(config.data.source), find_dataset(config.data.target)
    datasets = Datasets(
        source=_store(config, source, cache, progress),
        target=_store(config, target, cache, progress),
        source_name=source.name,
        target_name=target.name,
        published=f"{source.published} -> {target.published}" if source.published and target.published else "",
    )
    specs = {"data.source": source.spec, "data.target": target.spec}
    now = {"data.source": config.data.source, "data.target": config.data.target}
    return apply(config, {path: spec for path, spec in specs.items() if spec != now[path]}), datasets


def check_sizes(configs: Iterable[Config], datasets: Datasets) -> None:
    """Refuses configs that are sound by themselves and do not fit these datasets.

    Raises:
        ConfigError: a batch larger than a dataset, or K not below the number of nodes; every problem once.
    """
    problems = [problem for config in configs for problem in size_problems(check(config), datasets)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def size_problems(config: Config, datasets: Datasets) -> Iterator[str]:
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


def _node_problems(propagate: PropagationConfig, capacities: Sequence[int], datasets: Datasets) -> Iterator[str]:
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


def _store(config: Config, dataset: Dataset, cache: Path | CachePath, progress: StoreProgress | None) -> Store:
    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(dataset.name, done, total)

    return dataset.stored(CachePath.at(cache).local_path, skip_broken=config.data.skip_broken, progress=tell)


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
