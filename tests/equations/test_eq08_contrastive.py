"""Eq. 8: the student's distributions are pulled to identity targets, mixed with soft targets by alpha."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.method.banks import Banks
from gckd.method.losses import soft_cross_entropy
from gckd.method.source_losses import EmbeddedBatch
from gckd.method.step import SourceOnly, source_embeddings

TAU = 0.2


def unit(*shape: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def distributions(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_soft_cross_entropy_equals_torch() -> None:
    logits, targets = 5 * unit(4, 7, seed=0), distributions(4, 7, seed=1)
    torch.testing.assert_close(soft_cross_entropy(logits, targets), F.cross_entropy(logits, targets))


def test_soft_cross_entropy_of_one_hot_targets_is_cross_entropy_of_labels() -> None:
    logits, labels = 5 * unit(4, 7, seed=0), torch.tensor([0, 6, 3, 3])
    one_hot = F.one_hot(labels, 7).float()
    torch.testing.assert_close(soft_cross_entropy(logits, one_hot), F.cross_entropy(logits, labels))


def test_a_target_row_of_zeros_costs_nothing() -> None:
    logits, targets = 5 * unit(4, 7, seed=0), distributions(4, 7, seed=1)
    targets[1] = 0
    rest = [0, 2, 3]
    torch.testing.assert_close(
        soft_cross_entropy(logits, targets), F.cross_entropy(logits[rest], targets[rest]) * 3 / 4
    )


class SourceBatchCase:
    """A batch of identities 9 and 8; banks of capacity 5 with 4 entries, of identities 8, 9, 8, 9."""

    def __init__(self) -> None:
        split: Any = SimpleNamespace(image_count=5, caption_count=5)
        self.banks = Banks((5, 5), 3, split, split)
        for seed, bank in enumerate((self.banks.source_image, self.banks.source_text)):
            bank.push(unit(4, 3, seed=seed), torch.arange(4), torch.tensor([8, 9, 8, 9]))
        self.embedded = EmbeddedBatch(unit(2, 3, seed=5), unit(2, 3, seed=6), None)
        self.soft = distributions(2, 4, seed=7), distributions(2, 4, seed=8)

    def loss(self, *arguments: Any, centre: bool = False) -> Tensor:
        parts: Any = SimpleNamespace(banks=self.banks, student=SimpleNamespace(tau=TAU), config=None)
        batch: Any = SimpleNamespace(identities=torch.tensor([9, 8]))
        space = self.banks.space(centre)
        return SourceOnly(parts).contrastive(source_embeddings(self.embedded, 2, space), batch, space, *arguments)

    def expected(self, image_targets: Tensor, text_targets: Tensor) -> Tensor:
        texts, images = self.banks.source_text.filled(), self.banks.source_image.filled()
        image_to_text = F.cross_entropy(self.embedded.image @ texts.T / TAU, image_targets)
        text_to_image = F.cross_entropy(self.embedded.text @ images.T / TAU, text_targets)
        return (image_to_text + text_to_image) / 2


IDENTITY_TARGETS = torch.tensor([[0.0, 0.5, 0.0, 0.5], [0.5, 0.0, 0.5, 0.0]])


def test_alpha_0_is_identity_targets() -> None:
    case = SourceBatchCase()
    torch.testing.assert_close(case.loss(), case.expected(IDENTITY_TARGETS, IDENTITY_TARGETS))
    assert torch.equal(case.loss(case.soft, 0.0), case.loss())


def test_alpha_1_is_soft_targets() -> None:
    case = SourceBatchCase()
    torch.testing.assert_close(case.loss(case.soft, 1.0), case.expected(*case.soft))


@pytest.mark.parametrize("alpha", [0.25, 0.4])
def test_alpha_mixes_identity_and_soft_targets(alpha: float) -> None:
    case = SourceBatchCase()
    mixed = [(1 - alpha) * IDENTITY_TARGETS + alpha * soft for soft in case.soft]
    torch.testing.assert_close(case.loss(case.soft, alpha), case.expected(*mixed))


def test_centring_subtracts_the_mean_of_each_bank() -> None:
    case = SourceBatchCase()
    texts, images = case.banks.source_text.filled(), case.banks.source_image.filled()

    def without_mean(z: Tensor, bank: Tensor) -> Tensor:
        shifted = z - bank.mean(0)
        return shifted / shifted.square().sum(1, keepdim=True).sqrt()

    image_to_text = without_mean(case.embedded.image, images) @ without_mean(texts, texts).T / TAU
    text_to_image = without_mean(case.embedded.text, texts) @ without_mean(images, images).T / TAU
    expected = F.cross_entropy(image_to_text, IDENTITY_TARGETS) + F.cross_entropy(text_to_image, IDENTITY_TARGETS)
    torch.testing.assert_close(case.loss(centre=True), expected / 2)
