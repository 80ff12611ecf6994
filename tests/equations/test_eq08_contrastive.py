"""Eq. 8: the student's distributions follow identity targets mixed with soft targets by alpha."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gckd.method.banks import Banks
from gckd.method.losses import soft_cross_entropy
from gckd.method.step import SourceOnly, StudentEncodings, batch_embeddings
from gckd.models.albef import Encoded

TAU = 0.2


def unit(*shape: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def soft(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_soft_cross_entropy_against_torch() -> None:
    logits, targets = 5 * unit(4, 7, seed=0), soft(4, 7, seed=1)
    torch.testing.assert_close(soft_cross_entropy(logits, targets), F.cross_entropy(logits, targets))


def test_soft_cross_entropy_of_one_hot_targets_is_the_usual_one() -> None:
    logits, labels = 5 * unit(4, 7, seed=0), torch.tensor([0, 6, 3, 3])
    one_hot = F.one_hot(labels, 7).float()
    torch.testing.assert_close(soft_cross_entropy(logits, one_hot), F.cross_entropy(logits, labels))


def test_a_row_of_zeros_costs_nothing() -> None:
    logits, targets = 5 * unit(4, 7, seed=0), soft(4, 7, seed=1)
    targets[1] = 0
    rest = [0, 2, 3]
    torch.testing.assert_close(
        soft_cross_entropy(logits, targets), F.cross_entropy(logits[rest], targets[rest]) * 3 / 4
    )


class Case:
    """Two identities in a batch of 2; banks of 5 entries, filled to 4, of identities 8, 9, 8, 9."""

    def __init__(self) -> None:
        toy: Any = SimpleNamespace(image_count=5, caption_count=5)
        self.banks = Banks((5, 5), 3, toy, toy)
        for seed, bank in enumerate((self.banks.source_image, self.banks.source_text)):
            bank.push(unit(4, 3, seed=seed), torch.arange(4), torch.tensor([8, 9, 8, 9]))
        none = torch.zeros(0)
        self.student = StudentEncodings(Encoded(none, unit(2, 3, seed=5)), Encoded(none, unit(2, 3, seed=6)), none)
        self.soft = soft(2, 4, seed=7), soft(2, 4, seed=8)

    def loss(self, *arguments: Any, centre: bool = False) -> Tensor:
        parts: Any = SimpleNamespace(banks=self.banks, student=SimpleNamespace(tau=TAU), config=None)
        batch: Any = SimpleNamespace(identities=torch.tensor([9, 8]))
        space = self.banks.space(centre)
        seen = batch_embeddings(self.student, 2, space.means.source_image, space.means.source_text)
        return SourceOnly(parts).contrastive(seen, batch, space, *arguments)

    def wanted(self, image_targets: Tensor, text_targets: Tensor) -> Tensor:
        texts, images = self.banks.source_text.filled(), self.banks.source_image.filled()
        to_texts = F.cross_entropy(self.student.image.embedding @ texts.T / TAU, image_targets)
        to_images = F.cross_entropy(self.student.text.embedding @ images.T / TAU, text_targets)
        return (to_texts + to_images) / 2


HARD = torch.tensor([[0.0, 0.5, 0.0, 0.5], [0.5, 0.0, 0.5, 0.0]])


def test_alpha_0_is_identity_targets() -> None:
    case = Case()
    torch.testing.assert_close(case.loss(), case.wanted(HARD, HARD))
    assert torch.equal(case.loss(case.soft, 0.0), case.loss())


def test_alpha_1_is_soft_targets() -> None:
    case = Case()
    torch.testing.assert_close(case.loss(case.soft, 1.0), case.wanted(*case.soft))


@pytest.mark.parametrize("alpha", [0.25, 0.4])
def test_alpha_mixes(alpha: float) -> None:
    case = Case()
    mixed = [(1 - alpha) * HARD + alpha * s for s in case.soft]
    torch.testing.assert_close(case.loss(case.soft, alpha), case.wanted(*mixed))


def test_centred_similarities_compare_what_differs_within_a_bank() -> None:
    case = Case()
    texts, images = case.banks.source_text.filled(), case.banks.source_image.filled()

    def without_mean(z: Tensor, bank: Tensor) -> Tensor:
        moved = z - bank.mean(0)
        return moved / moved.square().sum(1, keepdim=True).sqrt()

    to_texts = without_mean(case.student.image.embedding, images) @ without_mean(texts, texts).T / TAU
    to_images = without_mean(case.student.text.embedding, texts) @ without_mean(images, images).T / TAU
    wanted = (F.cross_entropy(to_texts, HARD) + F.cross_entropy(to_images, HARD)) / 2
    torch.testing.assert_close(case.loss(centre=True), wanted)
