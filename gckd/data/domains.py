"""From a config's dataset names to loaders and evaluation sets, through the shared Arrow stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gckd.config.data import Data
from gckd.config.schema import Config
from gckd.data.batches import Feed, Source
from gckd.data.datasets import find_dataset
from gckd.data.loaders import SourceLoader, TargetLoader, evaluation_set
from gckd.data.store import Store
from gckd.data.tokenizer import NO_MASK, Tokenizer, build_tokenizer
from gckd.data.types import EvaluationSet
from gckd.errors import InputError
from gckd.progress import Progress, Report
from gckd.storage.cache import CachePath


@dataclass(frozen=True)
class Datasets:
    """Both stores and the vocabulary of a run."""

    source: Store
    target: Store
    tokenizer: Tokenizer

    def feed(self, config: Config, batch: int, per_identity: int = 1, source: Source | None = None) -> Feed:
        """Training batches of both domains; the target's come from a split type that has no labels.

        Args:
            source: in the place of the source's loader, which is not opened then.
        """
        return Feed(
            source or self.source_loader(config, batch, per_identity),
            TargetLoader(self.target.unlabelled("train"), self.tokenizer, **_size(config, batch)),
            self.tokenizer,
            config.augment,
            config.seed,
        )

    def source_loader(self, config: Config, batch: int, per_identity: int = 1) -> SourceLoader:
        """Labelled training batches."""
        split = self.source.labelled("train")
        return SourceLoader(split, self.tokenizer, per_identity=per_identity, **_size(config, batch))

    def labelled(self, which: Store, split: str, data: Data) -> EvaluationSet:
        """A labelled split for evaluation."""
        return evaluation_set(which.labelled(split), self.tokenizer, data.height, data.width)

    def notes(self) -> tuple[str, ...]:
        """What a table must say of the data: held-out splits, images left out."""
        both = (("source", self.source), ("target", self.target))
        return tuple(f"{role}: {note}" for role, store in both for note in store.notes)


def _size(config: Config, batch: int) -> dict[str, int]:
    return {"height": config.data.height, "width": config.data.width, "batch": batch, "seed": config.seed}


def open_datasets(config: Config, cache: Path | CachePath, report: Report) -> Datasets:
    """Read, verify and store both datasets (or find them stored), and build the vocabulary.

    Raises:
        InputError: a dataset is not named, not there or broken.
    """
    stores = []
    for role, spec in (("source", config.data.source), ("target", config.data.target)):
        if not spec:
            raise InputError(f"data.{role}: no dataset is named; give --{role} FOLDER, FORMAT:FOLDER or URI")
        stores.append(
            find_dataset(spec).stored(
                CachePath.at(cache).local_path,
                skip_broken=config.data.skip_broken,
                progress=lambda done, count: report(Progress("data", done, count, {}, None)),
            )
        )
    source, target = stores
    captions = [*source.unlabelled("train").captions, *target.unlabelled("train").captions]
    limits = {"max_words": config.data.max_words, "max_tokens": config.data.max_tokens}
    tokenizer = build_tokenizer(config.tokenizer, captions, cache, **limits)
    if tokenizer.mask == NO_MASK and config.augment.word_dropout:
        dropout = config.augment.word_dropout
        raise InputError(f"augment.word_dropout: {dropout} is outside its limit: 0 where the tokenizer has no [MASK]")
    return Datasets(source, target, tokenizer)
