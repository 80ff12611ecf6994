"""Clean and strong views of a batch of images, and word dropout."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from kornia.augmentation.auto import RandAugment as KorniaRandAugment

from gckd import distributed
from gckd.config.component import AugmentationConfig
from gckd.config.data import Augment, RandAugment
from gckd.config.fields import ConfigError
from gckd.data import rand_augment
from gckd.data.rand_augment import OPERATIONS, random_operations
from gckd.data.transforms import AUGMENTATIONS, clean_view, drop_words, strong_view

OFF = Augment(
    channel_gain=0, brightness=0, contrast=0, noise=0, blur=0, shift=0, flip=False, erase=0, word_dropout=0
)  # fmt: skip
STRENGTHS = {
    "channel_gain": 0.5, "brightness": 0.3, "contrast": 0.5, "noise": 0.2, "blur": 1.0, "shift": 0.3, "flip": True,
    "erase": 1.0,
}  # fmt: skip


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(batch: int = 16, height: int = 40, width: int = 20) -> torch.Tensor:
    return torch.randint(20, 200, (batch, 3, height, width), generator=random(9), dtype=torch.uint8)


def test_clean_view_is_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    torch.testing.assert_close(clean_view(pixels).flatten(), torch.tensor([-1.0, -0.6, 1.0]))


def test_without_strength_the_strong_view_equals_the_clean_view() -> None:
    torch.testing.assert_close(strong_view(photos(), OFF, random()), clean_view(photos()))


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_part_alone_changes_the_view(name: str) -> None:
    config = dataclasses.replace(OFF, **{name: STRENGTHS[name]})
    assert not torch.allclose(strong_view(photos(), config, random()), clean_view(photos()), atol=1e-3)


def test_a_view_is_a_function_of_the_generator() -> None:
    config = Augment(**STRENGTHS)
    before = photos()
    first, again, of_another_seed = (strong_view(before, config, random(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, of_another_seed)
    assert torch.equal(before, photos())  # the input is shared and must not change


def test_images_of_a_batch_are_augmented_differently() -> None:
    same = photos(1).expand(8, -1, -1, -1)
    for name in ("channel_gain", "brightness", "contrast", "shift", "erase"):
        seen = strong_view(same, dataclasses.replace(OFF, **{name: STRENGTHS[name]}), random())
        assert len({tuple(view.flatten().tolist()) for view in seen}) > 1, name


def test_erasing_fills_one_rectangle_of_10_to_45_percent_of_each_side() -> None:
    height, width = 100, 60
    black = torch.zeros(200, 3, height, width, dtype=torch.uint8)
    seen = strong_view(black, dataclasses.replace(OFF, erase=1.0), random())
    for hole in (seen != -1.0).any(1):
        rows, columns = hole.any(1), hole.any(0)
        assert bool((hole == rows[:, None] & columns[None, :]).all())
        for inside, size in ((rows, height), (columns, width)):
            assert 0.1 * size - 1 <= int(inside.sum()) <= 0.45 * size + 1
            where = inside.nonzero().flatten()
            assert int(where[-1] - where[0]) + 1 == len(where)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_erase_is_the_share_of_erased_images(share: float) -> None:
    black = torch.zeros(2000, 3, 12, 8, dtype=torch.uint8)
    seen = strong_view(black, dataclasses.replace(OFF, erase=share), random())
    assert float((seen != -1.0).flatten(1).any(1).float().mean()) == pytest.approx(share, abs=0.05)


def test_flip_mirrors_half_of_the_images() -> None:
    images = photos(400)
    seen, clean = strong_view(images, dataclasses.replace(OFF, flip=True), random()), clean_view(images)
    mirrored = (seen == clean.flip(3)).flatten(1).all(1)
    assert bool((mirrored | (seen == clean).flatten(1).all(1)).all())
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_blur_keeps_a_flat_image_and_spreads_a_point_binomially() -> None:
    config = dataclasses.replace(OFF, blur=1.0)
    flat = torch.full((1, 3, 5, 5), 130, dtype=torch.uint8)
    torch.testing.assert_close(strong_view(flat, config, random()), clean_view(flat))
    point = torch.zeros(1, 3, 5, 5, dtype=torch.uint8)
    point[..., 2, 2] = 255
    spread = (strong_view(point, config, random()) + 1) / 2
    binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
    torch.testing.assert_close(spread[0, 0, 1:4, 1:4], binomial[:, None] * binomial[None, :])


def test_channel_gains_keep_black_black() -> None:
    black = torch.zeros(4, 3, 6, 4, dtype=torch.uint8)
    torch.testing.assert_close(
        strong_view(black, dataclasses.replace(OFF, channel_gain=1.0), random()), clean_view(black)
    )


def test_shift_moves_an_image_by_at_most_its_share_of_the_width() -> None:
    """In a ramp from left to right, the grey level shows the column that a pixel came from."""
    ramp = torch.arange(0, 200, 10, dtype=torch.uint8).expand(64, 3, 8, 20)
    seen = strong_view(ramp, dataclasses.replace(OFF, shift=0.2), random())
    moved = (((seen + 1) * 127.5 / 10).round() - torch.arange(20))[:, 0, 0, 8:12]
    assert float(moved.abs().max()) == 4
    assert int(moved.min()) < 0 < int(moved.max())


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_scaled_scales_every_number(strength: float) -> None:
    config = Augment(**STRENGTHS, word_dropout=0.4)
    weaker = config.scaled(strength)
    for field in dataclasses.fields(Augment):
        if field.name != "flip":
            assert getattr(weaker, field.name) == pytest.approx(strength * getattr(config, field.name))


def test_word_dropout_masks_no_special_token() -> None:
    tokens = torch.randint(5, 100, (300, 50), generator=random(3))
    tokens[:, 0], tokens[:, -1] = 2, 0
    seen = drop_words(tokens, 0.2, 4, 5, random())
    changed = seen != tokens
    assert set(seen[changed].tolist()) == {4}
    assert not bool(changed[tokens < 5].any())
    assert float(changed[tokens >= 5].float().mean()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(drop_words(tokens, 0.0, 4, 5, random()), tokens)


class TestRandAugment:
    def test_stays_in_range_and_changes_images_differently(self) -> None:
        same = photos(1).expand(16, -1, -1, -1)
        seen = strong_view(same, RandAugment(magnitude=0.7, erase=0.5), random())
        assert seen.shape == same.shape and seen.dtype == torch.float32
        assert float(seen.min()) >= -1 and float(seen.max()) <= 1
        assert len({tuple(view.flatten().tolist()) for view in seen}) > 8

    def test_is_a_function_of_the_generator_alone(self) -> None:
        config, images = RandAugment(), photos()
        view = strong_view(images, config, random(1))
        torch.manual_seed(5)
        state = torch.get_rng_state()
        assert torch.equal(view, strong_view(images, config, random(1)))
        assert torch.equal(torch.get_rng_state(), state)
        assert not torch.equal(view, strong_view(images, config, random(2)))

    def test_without_strength_equals_the_clean_view(self) -> None:
        config = RandAugment(flip=False, erase=1.0).scaled(0.0)
        torch.testing.assert_close(strong_view(photos(), config, random()), clean_view(photos()))

    def test_erases_and_mirrors(self) -> None:
        black = torch.zeros(64, 3, 40, 20, dtype=torch.uint8)
        seen = strong_view(black, RandAugment(erase=1.0).scaled(1.0), random())
        assert bool((seen != -1).flatten(1).any(1).all())
        left = torch.zeros(64, 3, 4, 4, dtype=torch.uint8)
        left[..., :2] = 255
        mild = strong_view(left, dataclasses.replace(RandAugment(), magnitude=1e-6), random())
        mirrored = int((mild[..., 0] < 0).all(2).all(1).sum())
        assert 20 < mirrored < 44

    @pytest.mark.parametrize("seed", range(6))
    def test_equals_kornias_policy_on_each_group(self, seed: int) -> None:
        images = photos(14, height=20, width=12).float() / 255  # three groups of 4, and one of 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = KorniaRandAugment(3, 11, OPERATIONS)
            expected = torch.cat([policy(group) for group in images.split(4)])
        assert torch.equal(random_operations(images, 3, 11, seed, len(images)), expected)

    def test_groups_with_operations_of_one_kind_share_the_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        warped: list[int] = []

        def warp(images: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            warped.append(len(images))
            return images

        monkeypatch.setattr(rand_augment, "warp_affine", warp)
        random_operations(photos(64, height=20, width=12).float() / 255, 2, 11, seed=0, batch=64)
        assert len(warped) <= 2 and sum(warped) > 20  # at most once for each operation of an image

    def test_draws_nothing_on_the_default_device(self) -> None:
        """kornia adds draws on the CPU to some on the default device, which holds no values here."""
        config, images = RandAugment(magnitude=0.7, erase=0.5), photos()
        expected = strong_view(images, config, random())
        with torch.device("meta"):
            view = strong_view(images, config, random())
        torch.testing.assert_close(view, expected, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("config", [Augment(noise=0.2, erase=0.5), RandAugment(magnitude=0.7, erase=0.5)])
@pytest.mark.parametrize("workers", [2, 3])
def test_each_worker_makes_its_rows_of_the_view_of_the_whole_batch(
    config: AugmentationConfig, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos()
    expected = strong_view(images, config, random())
    views = []
    for rank, part in enumerate(images.tensor_split(workers)):
        monkeypatch.setattr(distributed, "world_size", lambda: workers)
        monkeypatch.setattr(distributed, "rank", functools.partial(int, rank))
        views.append(strong_view(part, config, random(), len(images)))
    torch.testing.assert_close(torch.cat(views), expected)


class TestSlot:
    """An augmentation that is defined outside the package."""

    def test_a_registered_class_makes_the_strong_view(self) -> None:
        @dataclass(frozen=True)
        class Darken(AugmentationConfig):
            kind: ClassVar[str] = "test-darken"
            factor: float = 0.5

        @AUGMENTATIONS.register(Darken)
        class DarkenView:
            def __init__(self, config: Darken) -> None:
                self.config = config

            def __call__(self, images: torch.Tensor, generator: torch.Generator, batch: int) -> torch.Tensor:
                return clean_view(images) * self.config.factor

        torch.testing.assert_close(strong_view(photos(), Darken(factor=0.25), random()), clean_view(photos()) / 4)
        del AugmentationConfig._choices["test-darken"]

    def test_a_config_without_a_class_is_refused(self) -> None:
        @dataclass(frozen=True)
        class Nothing(AugmentationConfig):
            kind: ClassVar[str] = "test-nothing"

        with pytest.raises(ConfigError, match="no class is registered for kind 'test-nothing'; registered kinds: dom"):
            strong_view(photos(), Nothing(), random())
        del AugmentationConfig._choices["test-nothing"]
