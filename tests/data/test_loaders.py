"""Loaders: a batch depends on seed and step alone, an epoch draws each item once, the target is unpaired."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gckd import distributed
from gckd.config.data import TrainedTokenizer
from gckd.data.annotations import read_annotations
from gckd.data.loaders import SourceLoader, TargetLoader, evaluation_set
from gckd.data.store import Store
from gckd.data.store_builder import build_store
from gckd.data.tokenizer import Tokenizer, build_tokenizer
from gckd.data.types import TargetBatch
from gckd.errors import InputError

HEIGHT, WIDTH = 8, 6


@pytest.fixture
def built(make_dataset: Any, tmp_path: Path) -> Store:
    folder = make_dataset(ids={"train": 20, "val": 2, "test": 3})
    return build_store(read_annotations(str(folder)), tmp_path / "cache")


@pytest.fixture
def tokenizer(built: Store, tmp_path: Path) -> Tokenizer:
    captions = built.unlabelled("train").captions
    return build_tokenizer(TrainedTokenizer(300), captions, tmp_path / "cache", max_words=50, max_tokens=64)


def source(built: Store, tokenizer: Tokenizer, batch: int = 7, seed: int = 0) -> SourceLoader:
    return SourceLoader(built.labelled("train"), tokenizer, height=HEIGHT, width=WIDTH, batch=batch, seed=seed)


def target(built: Store, tokenizer: Tokenizer, batch: int = 7, seed: int = 0) -> TargetLoader:
    return TargetLoader(built.unlabelled("train"), tokenizer, height=HEIGHT, width=WIDTH, batch=batch, seed=seed)


def same(first: tuple[torch.Tensor, ...], second: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("make", [source, target])
class TestBothLoaders:
    def test_a_batch_depends_on_seed_and_step_alone(self, built: Store, tokenizer: Tokenizer, make: Any) -> None:
        steps = list(range(25))
        forward = {step: make(built, tokenizer).batch(step) for step in steps}
        loader = make(built, tokenizer)
        assert all(same(loader.batch(step), forward[step]) for step in reversed(steps))
        assert not same(make(built, tokenizer, seed=1).batch(0), forward[0])

    def test_rows_are_the_positions_of_images_and_captions(self, built: Store, tokenizer: Tokenizer, make: Any) -> None:
        split = built.unlabelled("train")
        pixels = split.images.decoded(HEIGHT, WIDTH)
        batch = make(built, tokenizer).batch(3)
        assert batch.images.dtype == torch.uint8 and batch.images.shape == (7, 3, 8, 6)
        np.testing.assert_array_equal(batch.images.numpy(), pixels[batch.image_rows.numpy()])
        expected = tokenizer.encode([split.captions[i] for i in batch.caption_rows])
        assert torch.equal(batch.tokens, expected)  # both have the width of the longest caption of the batch

    def test_an_epoch_draws_each_image_at_most_once(self, built: Store, tokenizer: Tokenizer, make: Any) -> None:
        loader = make(built, tokenizer)
        assert loader.steps_per_epoch == 40 // 7
        for epoch in range(3):
            steps = range(epoch * 5, (epoch + 1) * 5)
            rows = torch.cat([loader.batch(step).image_rows for step in steps]).tolist()
            assert len(rows) == len(set(rows)) == 35
        epochs = [[loader.batch(e * 5 + s).image_rows.tolist() for s in range(5)] for e in range(2)]
        assert epochs[0] != epochs[1]

    def test_images_and_tokens_at_rows(self, built: Store, tokenizer: Tokenizer, make: Any) -> None:
        split, rows = built.labelled("train"), torch.tensor([5, 0, 39])
        loader = make(built, tokenizer)
        assert (loader.image_count, loader.caption_count) == (40, 80)
        np.testing.assert_array_equal(loader.images_at(rows), split.images.decoded(HEIGHT, WIDTH)[[5, 0, 39]])
        assert torch.equal(loader.tokens_at(rows), tokenizer.encode([split.captions[i] for i in rows]))

    def test_tokens_at_rows_have_the_width_of_the_longest_of_them(
        self, built: Store, tokenizer: Tokenizer, make: Any
    ) -> None:
        captions = built.unlabelled("train").captions
        short = [i for i, caption in enumerate(captions) if caption.count("So it is.") == 0]
        loader = make(built, tokenizer)
        width = tokenizer.encode([captions[i] for i in short]).shape[1]
        assert loader.tokens_at(torch.tensor(short)).shape == (len(short), width)
        assert width < loader.tokens_at(torch.arange(80)).shape[1]

    @pytest.mark.parametrize("workers", [2, 3])
    def test_each_worker_gets_its_images_alone(
        self, built: Store, tokenizer: Tokenizer, make: Any, workers: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, parts = make(built, tokenizer).batch(1), []
        for rank in range(workers):
            monkeypatch.setattr(distributed, "world_size", lambda: workers)
            monkeypatch.setattr(distributed, "rank", functools.partial(int, rank))
            parts.append(make(built, tokenizer).batch(1))
        assert [len(part.images) for part in parts] == {2: [4, 3], 3: [3, 2, 2]}[workers]
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        assert all(same(part[1:], whole[1:]) and part.size == len(whole.images) for part in parts)

    def test_changing_a_batch_does_not_change_the_loader(self, built: Store, tokenizer: Tokenizer, make: Any) -> None:
        loader = make(built, tokenizer)
        before = make(built, tokenizer).batch(0)
        for tensor in loader.batch(0):
            tensor.zero_()
        assert same(loader.batch(0), before)

    def test_a_batch_larger_than_the_dataset_is_refused(self, built: Store, tokenizer: Tokenizer, make: Any) -> None:
        assert make(built, tokenizer, batch=40).steps_per_epoch == 1
        with pytest.raises(InputError, match="batch: 41 is above its limit: 40 images .*in the train split"):
            make(built, tokenizer, batch=41)


class TestSource:
    def test_captions_and_identities_belong_to_the_images(self, built: Store, tokenizer: Tokenizer) -> None:
        split, loader = built.labelled("train"), source(built, tokenizer)
        for step in range(12):
            batch = loader.batch(step)
            assert split.caption_image[batch.caption_rows].tolist() == batch.image_rows.tolist()
            # The captions of the test dataset contain the identity, independently of the labels in the store.
            named = [int(split.captions[i].split("number")[1].split()[0]) for i in batch.caption_rows]
            assert named == batch.identities.tolist()

    def test_every_caption_of_an_image_is_drawn(self, built: Store, tokenizer: Tokenizer) -> None:
        loader = source(built, tokenizer, batch=40)
        drawn = Counter(row for step in range(200) for row in loader.batch(step).caption_rows.tolist())
        assert set(drawn) == set(range(80))
        # 200 fair coins an image: outside 60..140 has probability below 1e-8.
        assert all(60 <= count <= 140 for count in drawn.values())

    def test_identities_at_rows(self, built: Store, tokenizer: Tokenizer) -> None:
        split, loader, rows = built.labelled("train"), source(built, tokenizer), torch.tensor([3, 17, 0])
        assert loader.identities_at(rows, "image").tolist() == split.image_identities[[3, 17, 0]].tolist()
        assert loader.identities_at(rows, "caption").tolist() == split.caption_identities[[3, 17, 0]].tolist()

    def test_images_without_captions_are_not_drawn(
        self, make_dataset: Any, spoil: Any, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        folder = make_dataset(folder="gaps", ids={"train": 20, "val": 2, "test": 3}, first=500)
        spoil(folder, lambda entries: [e.update(captions=[]) for e in entries[:30]])
        gaps = build_store(read_annotations(str(folder)), tmp_path / "cache")
        loader, split = source(gaps, tokenizer, batch=10), gaps.labelled("train")
        assert loader.steps_per_epoch == 1
        assert sorted(loader.batch(4).image_rows.tolist()) == sorted(set(split.caption_image.tolist()))
        with pytest.raises(InputError, match="batch: 11 is above its limit: 10 images with captions"):
            source(gaps, tokenizer, batch=11)


class TestTarget:
    def test_has_no_identities(self, built: Store, tokenizer: Tokenizer) -> None:
        assert TargetBatch._fields == ("images", "tokens", "image_rows", "caption_rows")
        assert not hasattr(target(built, tokenizer), "identities_at")

    def test_images_and_captions_are_drawn_independently(self, built: Store, tokenizer: Tokenizer) -> None:
        """A caption is beside its own image in 1 of 40 rows, as independent draws give."""
        loader, truth = target(built, tokenizer, batch=40), built.labelled("train").caption_image
        hits = sum(
            int((truth[batch.caption_rows] == batch.image_rows.numpy()).sum())
            for batch in (loader.batch(step) for step in range(500))
        )
        assert 400 <= hits <= 600  # 500 expected, standard deviation about 22

    def test_one_caption_per_image_is_drawn_independently_too(
        self, make_dataset: Any, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        """With as many captions as images there are still two permutations, so epochs combine them differently."""
        folder = make_dataset("icfg-pedes", "one", ids={"train": 20, "val": 2, "test": 3})
        loader = target(build_store(read_annotations(str(folder)), tmp_path / "cache"), tokenizer, batch=40)
        epochs = [loader.batch(epoch) for epoch in range(2)]
        pairs = [set(zip(b.image_rows.tolist(), b.caption_rows.tolist(), strict=True)) for b in epochs]
        assert len(pairs[0] & pairs[1]) < 10

    def test_an_epoch_draws_each_caption_once(self, built: Store, tokenizer: Tokenizer) -> None:
        loader = target(built, tokenizer, batch=8)
        rows = torch.cat([loader.batch(step).caption_rows for step in range(10)]).tolist()
        assert sorted(rows) == list(range(80))

    def test_a_batch_larger_than_the_number_of_captions_is_refused(
        self, make_dataset: Any, spoil: Any, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        folder = make_dataset(folder="few", ids={"train": 6, "val": 2, "test": 3})
        spoil(folder, lambda entries: [e.update(captions=[]) for e in entries[:10]])
        few = build_store(read_annotations(str(folder)), tmp_path / "cache")
        with pytest.raises(InputError, match="batch: 5 is above its limit: 4 captions in the train split"):
            target(few, tokenizer, batch=5)


def test_evaluation_set(built: Store, tokenizer: Tokenizer) -> None:
    split = built.labelled("test")
    evaluation = evaluation_set(split, tokenizer, 8, 6)
    assert evaluation.images.shape == (6, 3, 8, 6) and evaluation.tokens.shape[0] == 12
    np.testing.assert_array_equal(evaluation.images.numpy(), split.images.decoded(8, 6))
    assert torch.equal(evaluation.tokens, tokenizer.encode(split.captions))
    assert evaluation.image_identities.tolist() == split.image_identities.tolist()
    named = [int(c.split("number")[1].split()[0]) for c in split.captions]
    assert evaluation.caption_identities.tolist() == named
