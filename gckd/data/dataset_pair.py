"""Source and target dataset of a run: their stores, their tokenizer, and their loaders."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gckd.config.component import AugmentationConfig, TokenizerConfig
from gckd.config.data import Data
from gckd.config.fields import ConfigError
from gckd.config.schema import Config
from gckd.data.batches import Feed, Source
from gckd.data.dataset_check import uses_published_counts
from gckd.data.datasets import Dataset, find_dataset
from gckd.data.loaders import SourceLoader, TargetLoader, evaluation_set
from gckd.data.store import Store
from gckd.data.tokenizer import NO_MASK, Tokenizer, build_tokenizer
from gckd.data.types import DatasetProgress, EvaluationSet
from gckd.errors import InputError
from gckd.progress import Progress, ProgressCallback
from gckd.storage.cache import CachePath


@dataclass(frozen=True)
class DatasetPair:
    """Source and target of a run, opened once per process and passed to all code that reads them."""

    source: Store
    target: Store
    tokenizer: Tokenizer
    source_spec: str  # spec with an absolute path
    target_spec: str
    source_name: str  # last two parts of the path or URI
    target_name: str
    published: str  # "icfg-pedes -> rstpreid" if what both stores hold has the published counts, else ""

    def feed(self, config: Config, batch: int, per_identity: int = 1, source: Source | None = None) -> Feed:
        """Training data of both domains. The target's split type has no labels.

        Args:
            config: config of the run; size of the images, augmentation and seed are read.
            batch: B, items of each domain per batch.
            per_identity: see `SourceLoader`.
            source: replaces the source loader, which is then not opened.

        Raises:
            InputError: `batch` is larger than a train split.
        """
        return Feed(
            source or self.source_loader(config, batch, per_identity),
            TargetLoader(self.target.unlabelled("train"), self.tokenizer, **_size(config, batch)),
            self.tokenizer,
            config.augment,
            config.seed,
        )

    def source_loader(self, config: Config, batch: int, per_identity: int = 1) -> SourceLoader:
        """Loader of labelled training batches; the arguments are those of `feed`."""
        split = self.source.labelled("train")
        return SourceLoader(split, self.tokenizer, per_identity=per_identity, **_size(config, batch))

    def target_with_labels(self, config: Config) -> SourceLoader:
        """Loader of labelled batches of the target's train split, for the upper reference `adapt.labels = target`."""
        split = self.target.labelled("train")
        return SourceLoader(split, self.tokenizer, **_size(config, config.adapt.batch))

    def labelled(self, store: Store, split: str, data: Data) -> EvaluationSet:
        """Labelled split of one of the two stores, for evaluation."""
        return evaluation_set(store.labelled(split), self.tokenizer, data.height, data.width)

    def notes(self) -> tuple[str, ...]:
        """Notes to print below result tables: held-out splits and left-out images of both datasets."""
        both = (("source", self.source), ("target", self.target))
        return tuple(f"{role}: {note}" for role, store in both for note in store.notes)


def _size(config: Config, batch: int) -> dict[str, int]:
    return {"height": config.data.height, "width": config.data.width, "batch": batch, "seed": config.seed}


def open_datasets(config: Config, cache: Path | CachePath, progress: DatasetProgress | None = None) -> DatasetPair:
    """Open both datasets of a config and build their tokenizer. Datasets are stored in the cache on first use.

    Raises:
        ConfigError: the config names no source or no target.
        InputError: a dataset is missing or broken.
    """
    source, target = _named_datasets(config)
    stores = [_stored(config, dataset, cache, progress) for dataset in (source, target)]
    used = zip((source, target), stores, strict=True)
    published = [dataset.published if uses_published_counts(store) else "" for dataset, store in used]
    return DatasetPair(
        source=stores[0],
        target=stores[1],
        tokenizer=_tokenizer(config, stores, cache),
        source_spec=source.spec,
        target_spec=target.spec,
        source_name=source.name,
        target_name=target.name,
        published=" -> ".join(published) if all(published) else "",
    )


def shared_datasets(config: Config, cache: Path | CachePath) -> DatasetPair:
    """`open_datasets` for a process with several runs on the same pair, which opens the pair only once.

    Raises:
        InputError: see `open_datasets`.
    """
    data = dataclasses.replace(config.data, caption_form=config.caption_form)  # `auto` depends on the backbone
    return _opened(data, config.tokenizer, config.augment, cache)


@functools.lru_cache(maxsize=1)
def _opened(
    data: Data, tokenizer: TokenizerConfig, augment: AugmentationConfig, cache: Path | CachePath
) -> DatasetPair:
    return open_datasets(Config(data=data, tokenizer=tokenizer, augment=augment), cache)


def _named_datasets(config: Config) -> tuple[Dataset, Dataset]:
    specs = {"source": config.data.source, "target": config.data.target}
    missing = [
        f"data.{role}: no dataset is given; set it to FOLDER or FORMAT:FOLDER (option --{role})"
        for role, spec in specs.items()
        if not spec
    ]
    if missing:
        raise ConfigError(missing)
    return find_dataset(specs["source"]), find_dataset(specs["target"])


def _stored(config: Config, dataset: Dataset, cache: Path | CachePath, progress: DatasetProgress | None) -> Store:
    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(dataset.name, done, total)

    return dataset.open_store(CachePath.at(cache).local_path, skip_broken=config.data.skip_broken, progress=report)


def _tokenizer(config: Config, stores: Sequence[Store], cache: Path | CachePath) -> Tokenizer:
    captions = [caption for store in stores for caption in store.unlabelled("train").captions]
    tokenizer = build_tokenizer(
        config.tokenizer,
        captions,
        cache,
        max_words=config.data.max_words,
        max_tokens=config.data.max_tokens,
        form=config.caption_form,
    )
    if tokenizer.mask == NO_MASK and config.augment.word_dropout:
        dropout = config.augment.word_dropout
        raise InputError(f"augment.word_dropout: {dropout} is outside its limit: 0 where the tokenizer has no [MASK]")
    return tokenizer


def as_progress(report: ProgressCallback) -> DatasetProgress:
    """Callback that reports the storing of datasets as the stage `data` of a run."""
    return lambda _name, done, total: report(Progress("data", done, total, {}, None))
