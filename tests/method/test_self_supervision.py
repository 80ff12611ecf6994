"""Self-supervised losses on the target, by loops and by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gckd.config import ConfigError, apply, check, preset
from gckd.config.backbone import Albef, Blip, Clip, Text, Vision
from gckd.config.losses import Captions, CaptionsAndViews, Views
from gckd.data.types import TargetBatch, Vocabulary
from gckd.method.alignment import StudentEmbeddings
from gckd.method.banks import PerBank
from gckd.method.losses import mask_tokens
from gckd.method.self_supervision import SELF_SUPERVISIONS, positives
from gckd.models.base import Backbone
from gckd.models.build import build_model
from gckd.seeding import generator
from tests.tensors import units

WORDS = 40
FIRST_WORD, MASK = 5, 4
UNSEEN = 37  # a word of the target captions that no source caption holds
TOKENS = torch.tensor([[2, 9, 11, UNSEEN, 20, 12, 3, 0], [2, UNSEEN, 30, 8, 3, 0, 0, 0], [2, 7, 9, 31, 22, 14, 13, 3]])


@pytest.fixture
def student() -> Backbone:
    sizes: dict[str, Any] = {"width": 16, "depth": 1, "heads": 2, "mlp_ratio": 2.0}
    albef = Albef(
        vision=Vision(patch=8, stem="linear", pixels="half", **sizes),
        text=Text(fusion_depth=1, dropout=0.0, **sizes),
        embed_dim=8,
    )
    config = apply(preset("tiny"), {"data.height": 16, "data.width": 8, "backbone": albef})
    return build_model(config, Vocabulary(WORDS, end=3))


def feed() -> Any:
    return SimpleNamespace(
        seed=6, tokenizer=SimpleNamespace(mask=MASK, first_word=FIRST_WORD, vocab_size=WORDS, pad=0), target=None
    )


def example(seed: int = 1) -> tuple[TargetBatch, StudentEmbeddings, PerBank, PerBank]:
    """A batch of 3, the student's embeddings of it, banks, and its positions in the target banks."""
    batch = TargetBatch(torch.zeros(3, 3, 16, 8, dtype=torch.uint8), TOKENS, torch.arange(3), torch.arange(3))
    student = StudentEmbeddings(units(3, 8, seed).float().requires_grad_(), units(3, 8, seed + 1).float())
    banks = PerBank(*(units(count, 8, seed + 2 + count).float() for count in (5, 6, 11, 9)))
    empty = torch.zeros(0, dtype=torch.long)
    return batch, student, banks, PerBank(empty, empty, torch.tensor([10, 0, 4]), torch.tensor([3, 8, 1]))


def terms(node: Captions | Views, student: Backbone, step: int = 2) -> dict[str, Tensor]:
    return SELF_SUPERVISIONS.build(node, feed(), student)(*example(), step)


def mutual_neighbours(bank: Tensor, row: int, k: int) -> set[int]:
    """Entries that have `row` among their k nearest, and are among its k nearest: by sorting."""

    def nearest(i: int) -> list[int]:
        others = [j for j in range(len(bank)) if j != i]
        return sorted(others, key=lambda j: -float(bank[i] @ bank[j]))[:k]

    return {j for j in nearest(row) if row in nearest(j)}


@pytest.mark.parametrize("k", [0, 1, 3])
def test_positives_are_the_example_and_its_mutual_neighbours(k: int) -> None:
    bank, rows = units(12, 3, seed=4), torch.tensor([11, 0, 5, 7])
    targets = positives(bank, rows, k)
    counts = set()
    for target, row in zip(targets, rows.tolist(), strict=True):
        members = {row} | mutual_neighbours(bank, row, k)
        counts.add(len(members))
        expected = torch.tensor([float(j in members) / len(members) for j in range(len(bank))])
        torch.testing.assert_close(target, expected)
    assert (len(counts) > 1) == (k > 0)  # with neighbours, some are mutual and some are not


@pytest.mark.parametrize("k", [0, 2])
def test_view_contrast_by_loops(student: Backbone, k: int) -> None:
    _, embeddings, banks, positions = example()
    tau, losses = float(student.tau.detach()), []
    for x, bank, rows in zip(embeddings, banks[2:], positions[2:], strict=True):
        for query, row in zip(x, rows.tolist(), strict=True):
            probabilities = [torch.exp(query @ key / tau) for key in bank]
            members = {row} | mutual_neighbours(bank, row, k)
            losses.append(-sum((probabilities[j] / sum(probabilities)).log() for j in members) / len(members))
    expected = torch.stack([torch.as_tensor(loss) for loss in losses]).mean()
    torch.testing.assert_close(terms(Views(neighbours=k), student)["target_views"], expected)


def test_view_contrast_trains_embeddings_and_not_the_temperature(student: Backbone) -> None:
    batch, embeddings, banks, positions = example()
    loss = SELF_SUPERVISIONS.build(Views(neighbours=2), feed(), student)
    loss(batch, embeddings, banks, positions, 0)["target_views"].backward()
    assert student.log_tau.grad is None
    assert embeddings.image.grad is not None and bool(embeddings.image.grad.any())


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_caption_modelling_by_the_layers_of_the_text_encoder(student: Backbone, rate: float) -> None:
    """Mean of -log p(word) over the masked words; p is the softmax over the tied word embeddings."""
    masked, chosen = mask_tokens(TOKENS, rate, MASK, FIRST_WORD, WORDS, generator(6, "adapt/captions", 2))
    assert chosen.any()
    encoder: Any = student.text_encoder
    states = student.encode_text(masked).states
    losses = []
    for row, column in chosen.nonzero().tolist():
        hidden = encoder.predictions.transform(states[row, column])
        logits = student.word_embeddings() @ hidden + encoder.predictions.bias
        losses.append(logits.logsumexp(0) - logits[TOKENS[row, column]])
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(terms(Captions(rate=rate), student)["target_mlm"], expected)


def reached(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_caption_modelling_trains_words_that_the_source_does_not_have(student: Backbone) -> None:
    """The words of retrieval get a gradient as inputs and as answers; images and fusion layers get none."""
    terms(Captions(rate=0.5), student)["target_mlm"].backward()
    gradient = student.word_embeddings().grad
    assert gradient is not None and bool(gradient[UNSEEN].any())
    encoder: Any = student.text_encoder
    assert reached(encoder.layer[0]) and not reached(encoder.layer[1])
    assert not reached(student.get_submodule("visual_encoder"))


def test_an_unseen_word_moves_towards_its_context(student: Backbone) -> None:
    """With [MASK]'s embedding at the start, training makes the word likelier where it was masked."""
    words = student.word_embeddings()
    with torch.no_grad():
        words[UNSEEN] = words[MASK]
    tokens, place = torch.tensor([[2, 9, MASK, 12, 3]]), torch.tensor([[False, False, True, False, False]])
    batch = example()[0]._replace(tokens=torch.tensor([[2, 9, UNSEEN, 12, 3]] * 8))
    loss = SELF_SUPERVISIONS.build(Captions(rate=0.5), feed(), student)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.1)

    def probability() -> float:
        return float(student.predict_tokens(tokens, None, place).softmax(1)[0, UNSEEN])

    before = probability()
    for step in range(10):
        optimiser.zero_grad()
        loss(batch, *example()[1:], step)["target_mlm"].backward()
        optimiser.step()
    assert probability() > 2 * before


def test_both_has_the_terms_of_each(student: Backbone) -> None:
    both = terms(CaptionsAndViews(rate=0.3, neighbours=2), student)
    assert both.keys() == {"target_mlm", "target_views"}
    separate = terms(Captions(rate=0.3), student) | terms(Views(neighbours=2), student)
    for name, value in both.items():
        torch.testing.assert_close(value, separate[name])


def test_without_a_masked_word_the_loss_is_zero(student: Backbone) -> None:
    batch = example()[0]._replace(tokens=torch.tensor([[2, 3]] * 3))
    loss = SELF_SUPERVISIONS.build(Captions(), feed(), student)
    assert float(loss(batch, *example()[1:], 0)["target_mlm"]) == 0.0


@pytest.mark.parametrize("backbone", [Clip(patch=8), Blip(patch=8)])
def test_captions_need_an_mlm_head(backbone: Clip | Blip) -> None:
    config = apply(preset("tiny"), {"backbone": backbone})
    for kind in ("captions", "both"):
        with pytest.raises(ConfigError, match=f"selfsup: '{kind}' needs an MLM head, but backbone {backbone.kind}"):
            check(apply(config, {"selfsup": kind}))
    check(apply(config, {"selfsup": "views"}))


def test_neighbours_are_below_the_batch_size() -> None:
    config = preset("tiny")
    batch = config.adapt.batch
    with pytest.raises(ConfigError, match=f"selfsup.neighbours: {batch} is outside its limit: < adapt.batch = {batch}"):
        check(apply(config, {"selfsup": Views(neighbours=batch)}))
