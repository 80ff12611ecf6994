"""Identity targets, BERT's masking statistics and hard negatives."""

from __future__ import annotations

import pytest
import torch

from gckd.method.losses import hard_negatives, identity_targets, mask_tokens

MASK, FIRST_WORD, VOCABULARY = 4, 5, 1000


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_identity_targets_by_hand() -> None:
    targets = identity_targets(torch.tensor([7, 9]), torch.tensor([9, 7, 7, 3, 7]))
    torch.testing.assert_close(targets, torch.tensor([[0, 1 / 3, 1 / 3, 0, 1 / 3], [1, 0, 0, 0, 0]]))


def test_identity_targets_of_distinct_identities_are_the_diagonal() -> None:
    assert torch.equal(identity_targets(torch.arange(4), torch.arange(4)), torch.eye(4))


def words(rows: int = 400, length: int = 100) -> torch.Tensor:
    """[CLS] word ... word [SEP] [PAD], with word ids that a random draw hardly ever repeats."""
    tokens = torch.randint(FIRST_WORD, VOCABULARY, (rows, length), generator=random(1))
    tokens[:, 0], tokens[:, -2], tokens[:, -1] = 2, 3, 0
    return tokens


def test_masking_has_the_statistics_of_bert() -> None:
    tokens = words()
    masked, chosen = mask_tokens(tokens, 0.15, MASK, FIRST_WORD, VOCABULARY, random())
    is_word = tokens >= FIRST_WORD
    assert float(chosen[is_word].float().mean()) == pytest.approx(0.15, abs=0.006)
    assert float((masked[chosen] == MASK).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((masked[chosen] == tokens[chosen]).float().mean()) == pytest.approx(0.1, abs=0.015)
    drawn = masked[chosen & (masked != MASK) & (masked != tokens)]
    assert len(drawn) / int(chosen.sum()) == pytest.approx(0.1, abs=0.015)
    assert FIRST_WORD <= int(drawn.min()) < FIRST_WORD + 20
    assert VOCABULARY - 20 < int(drawn.max()) < VOCABULARY


def test_masking_changes_chosen_words_only() -> None:
    tokens = words(20)
    before = tokens.clone()
    masked, chosen = mask_tokens(tokens, 0.5, MASK, FIRST_WORD, VOCABULARY, random())
    assert torch.equal(tokens, before)
    assert torch.equal(masked[~chosen], tokens[~chosen])
    assert not bool(chosen[tokens < FIRST_WORD].any())


@pytest.mark.parametrize(("rate", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_masking_rate_limits(rate: float, share: float) -> None:
    tokens = words(5)
    _, chosen = mask_tokens(tokens, rate, MASK, FIRST_WORD, VOCABULARY, random())
    assert float(chosen[tokens >= FIRST_WORD].float().mean()) == share


def test_hard_negatives_have_another_identity() -> None:
    identities = torch.tensor([0, 0, 0, 1, 1, 2])
    same = identities[:, None] == identities[None, :]
    similarity = same.float() * 50 + torch.randn(6, 6, generator=random())  # forbidden columns are by far the nearest
    for seed in range(50):
        negatives = hard_negatives(similarity, same, random(seed))
        assert not bool((identities[negatives] == identities).any())


def test_hard_negatives_are_drawn_by_similarity() -> None:
    similarity = torch.tensor([2.0, 1.0, 0.0, 9.0]).log().nan_to_num(neginf=-100).expand(9000, -1)
    forbidden = torch.tensor([False, False, False, True]).expand(9000, -1)
    counts = hard_negatives(similarity, forbidden, random()).bincount(minlength=4) / 9000
    torch.testing.assert_close(counts, torch.tensor([2 / 3, 1 / 3, 0.0, 0.0]), atol=0.02, rtol=0)


def test_a_row_without_allowed_columns_gets_some_column() -> None:
    negatives = hard_negatives(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool), random())
    assert negatives.shape == (2,)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_gets_some_column(value: float) -> None:
    """A diverged model: torch.multinomial would stop before the trainer can name the term and the step."""
    similarity = torch.zeros(2, 3).index_fill(0, torch.tensor([1]), value)
    forbidden = torch.eye(2, 3, dtype=torch.bool)
    negatives = [hard_negatives(similarity, forbidden, random(seed)) for seed in range(50)]
    assert {int(row[0]) for row in negatives} == {1, 2}  # the finite row is drawn as before
    assert {int(row[1]) for row in negatives} <= {0, 1, 2}
