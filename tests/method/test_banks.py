"""Banks hold the embeddings of the rows that they name, with identities on the source alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gckd.graph.memory import MemoryBank
from gckd.method import banks as banks_module
from gckd.method.banks import LabelledEmbeddings, embed_clean, means_of, train_means, train_sample
from gckd.method.warm_start import WarmStart, warm_start_order
from gckd.seeding import generator
from tests.method.domains import CAPTIONS, IMAGES, Examples, TinyBackbone, TwoDomains, clean

NAMES = ("source_image", "source_text", "target_image", "target_text")


def check_bank(bank: MemoryBank, embeddings: Tensor, identities: Tensor | None) -> None:
    """Check that each entry is the embedding of its row, and has its identity."""
    rows = bank.rows[: len(bank)]
    assert len(set(rows.tolist())) == len(bank)
    torch.testing.assert_close(bank.filled(), embeddings[rows])
    expected = [-1] * len(bank) if identities is None else identities[rows].tolist()
    assert bank.identities[: len(bank)].tolist() == expected


def check_banks(domains: TwoDomains, model: TinyBackbone, banks: Any) -> None:
    of_source, of_target = clean(model, domains.source), clean(model, domains.target)
    check_bank(banks.source_image, of_source[0], domains.source.image_identities)
    check_bank(banks.source_text, of_source[1], domains.source.caption_identities)
    check_bank(banks.target_image, of_target[0], None)
    check_bank(banks.target_text, of_target[1], None)


def test_banks_have_at_most_as_many_entries_as_their_split() -> None:
    domains = TwoDomains()
    for capacities, sizes in (((5, 6), [5, 5, 6, 6]), ((8, 99), [7, 8, 7, 9]), ((99, 8), [7, 9, 7, 8])):
        banks = banks_module.Banks(capacities, 4, domains.feed.source, domains.feed.target)
        assert [bank.embeddings.shape for bank in banks.all()] == [(size, 4) for size in sizes]


@pytest.mark.parametrize("in_one_pass", [False, True])
def test_a_step_pushes_both_batches(in_one_pass: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banks_module, "joins_passes", lambda like: in_one_pass)
    domains = TwoDomains()
    banks, model = domains.parts().banks, TinyBackbone(5)
    source, target = domains.source.batch(1), domains.target.batch(2)
    positions = banks.push(model, source, target)
    check_banks(domains, model, banks)
    rows = (source.image_rows, source.caption_rows, target.image_rows, target.caption_rows)
    assert all(torch.equal(bank.rows[at], row) for bank, at, row in zip(banks.all(), positions, rows, strict=True))
    assert model.training
    assert not any(bank.embeddings.requires_grad for bank in banks.all())


def test_warm_starts_fill_banks_in_a_seeded_order() -> None:
    domains = TwoDomains({"graph.memory.capacity": 5})
    banks, model = domains.parts().banks, TinyBackbone(5)
    warm = WarmStart()
    banks.warm_start_source(model, domains.feed.source, 11, warm)
    banks.warm_start_target(model, domains.feed.target, 12, warm)
    check_banks(domains, model, banks)
    for name, bank, seed, count in zip(NAMES, banks.all(), (11, 11, 12, 12), (IMAGES, CAPTIONS) * 2, strict=True):
        order = warm_start_order(name.replace("_", "-"), seed, count)
        assert bank.rows.tolist() == order[:5].tolist()


@pytest.mark.parametrize("batch", [2, 256])
def test_source_banks_filled_with_given_embeddings(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of a warm start, whatever the size of the batches."""
    monkeypatch.setattr(banks_module, "BATCH", batch)
    domains = TwoDomains({"graph.memory.capacity": 5})
    banks = domains.parts().banks
    images, texts = clean(TinyBackbone(5), domains.source)
    banks.fill_source(
        LabelledEmbeddings(images, domains.source.image_identities),
        LabelledEmbeddings(texts, domains.source.caption_identities),
        11,
    )
    check_bank(banks.source_image, images, domains.source.image_identities)
    check_bank(banks.source_text, texts, domains.source.caption_identities)
    assert banks.source_image.rows.tolist() == warm_start_order("source-image", 11, IMAGES)[:5].tolist()
    assert banks.source_text.rows.tolist() == warm_start_order("source-text", 11, CAPTIONS)[:5].tolist()


@pytest.mark.parametrize("centre", [True, False])
def test_space_of_a_step(centre: bool) -> None:
    domains = TwoDomains()
    banks, model = domains.parts().banks, TinyBackbone(5)
    banks.push(model, domains.source.batch(0), domains.target.batch(1))
    space = banks.space(centre)
    for bank, mean, entries in zip(banks.all(), space.means, space.banks, strict=True):
        expected = torch.stack([bank.embeddings[i] for i in range(3)]).mean(0) * centre
        torch.testing.assert_close(mean, expected)
        difference = bank.embeddings[:3] - expected
        torch.testing.assert_close(entries, difference / difference.norm(dim=1, keepdim=True))
    banks.clear()
    assert [len(bank) for bank in banks.all()] == [0, 0, 0, 0]


def test_means_are_computed_again_at_every_nth_step(tmp_path: Path) -> None:
    """Also from a checkpoint between two of these steps, after `clear`, and until all banks are full."""
    domains = TwoDomains({"graph.memory.capacity": 5, "graph.memory.mean_every": 4})
    banks, resumed, model = domains.parts().banks, domains.parts().banks, TinyBackbone(5)
    expected: list[Tensor] = []
    full = False
    for step in range(11):
        if step == 9:
            banks.clear()
        banks.push(model, domains.source.batch(step), domains.target.batch(step + 1))
        was_full, full = full, all(len(bank) == 5 for bank in banks.all())
        if step % 4 == 0 or not full or not was_full:
            expected = [torch.stack(list(bank.filled())).mean(0) for bank in banks.all()]
        if step == 6:
            torch.save(banks.state_dict(), tmp_path / "banks.pt")
            resumed.load_state_dict(torch.load(tmp_path / "banks.pt"))
        if step == 7:
            resumed.push(model, domains.source.batch(step), domains.target.batch(step + 1))
            torch.testing.assert_close(list(resumed.space(True, step).means), expected)
        torch.testing.assert_close(list(banks.space(True, step).means), expected)
    now = [bank.filled().mean(0) for bank in banks.all()]
    torch.testing.assert_close(list(banks.space(True).means), now)
    assert not any(mean.any() for mean in banks.space(False, 0).means)


def test_means_stay_between_these_steps_although_other_banks_are_empty() -> None:
    """Training on the source alone leaves the target banks empty."""
    domains = TwoDomains({"graph.memory.capacity": 3, "graph.memory.mean_every": 10})
    banks, model = domains.parts().banks, TinyBackbone(5)
    banks.push_source(model, domains.source.batch(0))
    first = banks.space(True, 0).means.source_image
    banks.push_source(model, domains.source.batch(1))
    torch.testing.assert_close(banks.space(True, 1).means.source_image, first)
    assert not torch.equal(banks.source_image.mean(), first)


def test_a_sample_of_a_split_is_the_same_for_every_seed() -> None:
    domains, model = TwoDomains(), TinyBackbone(5)
    images, texts = train_sample(model, domains.feed.target, 4)
    for sample, embeddings in zip((images, texts), clean(model, domains.target), strict=True):
        rows = [int((embeddings - z).norm(dim=1).argmin()) for z in sample]
        torch.testing.assert_close(sample, embeddings[rows])
        assert rows == torch.randperm(len(embeddings), generator=generator(0, "train-means"))[:4].tolist()
    torch.testing.assert_close(train_sample(model, domains.feed.target, 4), (images, texts))
    assert [len(part) for part in train_sample(model, domains.feed.target)] == [IMAGES, CAPTIONS]


def test_means_of_a_sample() -> None:
    domains, model = TwoDomains(), TinyBackbone(5)
    expected = tuple(part.mean(0) for part in train_sample(model, domains.feed.target, 4))
    torch.testing.assert_close(train_means(model, domains.feed.target, True, 4), expected)
    all_rows = tuple(part.mean(0) for part in clean(model, domains.target))
    torch.testing.assert_close(train_means(model, domains.feed.target, True), all_rows)
    assert [part.tolist() for part in train_means(model, domains.feed.target, False)] == [[0.0] * 4] * 2
    assert [part.tolist() for part in means_of((torch.ones(2, 1), 3 * torch.ones(5, 1)), True)] == [[1.0], [3.0]]


@pytest.mark.parametrize("training", [True, False])
def test_clean_embeddings_leave_the_mode_of_the_model(training: bool) -> None:
    model, examples = TinyBackbone().train(training), Examples(3)
    images, none = embed_clean(model, images=examples.images)
    assert none.shape == (0,)
    none, texts = embed_clean(model, tokens=examples.tokens)
    assert none.shape == (0,)
    torch.testing.assert_close((images, texts), clean(model, examples))
    assert model.training == training
    assert not images.requires_grad
