"""Label-free scores: closed forms, plain loops, and invariances."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from gckd.errors import InputError
from gckd.validators import SCORES, UnlabelledEmbeddings, label_free_scores
from gckd.validators.scores import SAMPLE, _sample, bnm, cycle_consistency, information_maximisation, rank_me, snd

FUNCTIONS = (bnm, information_maximisation, cycle_consistency, snd, rank_me)


def unit(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=random, dtype=torch.float64), dim=1)


def made(
    seed: int = 0, images: int = 12, captions: int = 2, width: int = 8, noise: float = 0.2
) -> UnlabelledEmbeddings:
    """Images, each with `captions` noisy captions."""
    gallery = unit(images, width, seed=seed)
    near = gallery.repeat_interleave(captions, 0) + noise * unit(images * captions, width, seed=seed + 1)
    return UnlabelledEmbeddings(gallery, F.normalize(near, dim=1))


def scores_of(view: UnlabelledEmbeddings) -> dict[str, float]:
    return label_free_scores(view, centred=view)


def told_apart(counts: list[int]) -> UnlabelledEmbeddings:
    """Orthogonal images, and counts[j] captions equal to image j: the most confident predictions possible."""
    images = torch.eye(len(counts), dtype=torch.float64)
    return UnlabelledEmbeddings(images, images.repeat_interleave(torch.tensor(counts), 0))


def predictions(view: UnlabelledEmbeddings) -> list[list[float]]:
    rows = []
    for text in view.texts.tolist():
        weights = [math.exp(sum(a * b for a, b in zip(text, v, strict=True)) / 0.05) for v in view.images.tolist()]
        rows.append([w / sum(weights) for w in weights])
    return rows


def entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q > 0)


# The whole


def test_every_score_has_a_name_and_a_description() -> None:
    result = scores_of(made())
    assert {*result, "source_val_rank_1", "source_val_map"} == SCORES.keys()
    assert result == {
        "bnm": bnm(made()),
        "im": information_maximisation(made()),
        "cycle": cycle_consistency(made()),
        "snd": snd(made()),
        "rank_me": rank_me(made()),
    }
    assert all(score.description and "\n" not in score.description for score in SCORES.values())


@pytest.mark.parametrize(("images", "texts"), [(1, 6), (2, 5)])
def test_too_little_data_is_refused(images: int, texts: int) -> None:
    with pytest.raises(InputError, match=r"target: \d (images|captions) are too few .* >= "):
        scores_of(UnlabelledEmbeddings(unit(images, 4), unit(texts, 4)))


def test_embeddings_that_are_not_finite_are_refused() -> None:
    view = made()
    view.texts[3, 1] = math.nan
    with pytest.raises(FloatingPointError, match="captions are not finite"):
        scores_of(view)


@pytest.mark.parametrize("score", FUNCTIONS)
@given(seed=st.integers(0, 2**20), noise=st.floats(0, 2), captions=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_data_and_a_rotation_of_its_space_do_not_matter(
    score: Callable[[UnlabelledEmbeddings], float], seed: int, noise: float, captions: int
) -> None:
    view = made(seed, captions=captions, noise=noise)
    random = torch.Generator().manual_seed(seed)
    shuffled = UnlabelledEmbeddings(*(x[torch.randperm(len(x), generator=random)] for x in view))
    turn = torch.linalg.qr(unit(8, 8, seed=seed + 2)).Q
    rotated = UnlabelledEmbeddings(view.images @ turn, view.texts @ turn)
    assert score(shuffled) == pytest.approx(score(view), abs=1e-6)
    assert score(rotated) == pytest.approx(score(view), abs=1e-6)


@given(seed=st.integers(0, 2**20), noise=st.floats(0, 2), images=st.integers(2, 20), captions=st.integers(3, 4))
@settings(max_examples=20, deadline=None)
def test_scores_keep_their_ranges(seed: int, noise: float, images: int, captions: int) -> None:
    result = scores_of(made(seed, images, captions, noise=noise))
    assert 0 < result["bnm"] <= 1 + 1e-12
    assert -1e-12 <= result["im"] <= 1 + 1e-12
    assert 0 <= result["cycle"] <= 100
    assert 0 <= result["snd"] <= math.log(images * captions - 1) + 1e-12
    assert 1 <= result["rank_me"] <= 8 + 1e-9


def test_float32_scores_are_those_of_float64() -> None:
    view = made(3, images=40)
    single = UnlabelledEmbeddings(view.images.float(), view.texts.float())
    assert scores_of(single) == pytest.approx(scores_of(view), rel=1e-5)


def test_scores_are_computed_where_the_embeddings_are() -> None:
    """Neither the default device, which here holds no values, nor the global random generator is used."""
    view = made(3, images=SAMPLE // 2 + 10)
    expected, state = scores_of(view), torch.get_rng_state()
    with torch.device("meta"):
        assert scores_of(view) == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_more_captions_than_the_sample_are_always_the_same_ones() -> None:
    texts = torch.arange(SAMPLE + 500.0)[:, None]
    torch.manual_seed(1)
    first = _sample(texts)
    torch.manual_seed(2)
    assert torch.equal(first, _sample(texts))
    assert len(first.unique()) == SAMPLE
    assert first.mean() == pytest.approx(float(texts.mean()), rel=0.1)  # from all over the data, which is in order
    assert torch.equal(_sample(texts[:SAMPLE]), texts[:SAMPLE])


def test_scores_do_not_depend_on_blocks() -> None:
    """More images and captions than a block holds, compared with the whole matrix."""
    view = made(5, images=700, width=16, noise=0.9)
    p = (view.texts @ view.images.T / 0.05).softmax(1).numpy()
    mean = p.mean(0)
    expected = (-(mean * np.log(mean)).sum() + (p * np.log(p)).sum(1).mean()) / math.log(700)
    assert information_maximisation(view) == pytest.approx(expected)
    back = (view.images @ view.texts.T).argsort(1, descending=True)[:, :5].tolist()
    nearest = (view.texts @ view.images.T).argmax(1).tolist()
    returned = sum(i in back[j] for i, j in enumerate(nearest))
    assert cycle_consistency(view) == pytest.approx(100 * returned / 1400)


# BNM


@pytest.mark.parametrize("counts", [[1] * 6, [2] * 6, [3, 3, 2, 2], [1, 1, 0, 0, 0]])
def test_bnm_of_confident_even_predictions_is_1(counts: list[int]) -> None:
    """Numbers of captions: equal to the images, a multiple, no multiple, fewer. The softmax leaves a small rest."""
    assert bnm(told_apart(counts)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("counts", [[2, 0, 1, 1], [4, 0, 0, 0], [3, 3, 3, 1]])
def test_bnm_of_uneven_predictions_is_a_sum_of_roots(counts: list[int]) -> None:
    """Columns of one-hot rows are orthogonal: the singular values are the roots of the counts."""
    each, more = divmod(sum(counts), len(counts))
    bound = sum(math.sqrt(each + (j < more)) for j in range(len(counts)))
    assert bnm(told_apart(counts)) == pytest.approx(sum(map(math.sqrt, counts)) / bound, abs=1e-6)


def test_bnm_of_uniform_predictions_is_minimal() -> None:
    """Captions orthogonal to every image: P = 1 / N throughout, one singular value sqrt(M / N); the bound is M."""
    space = torch.eye(9, dtype=torch.float64)
    assert bnm(UnlabelledEmbeddings(space[:8], space[8:].expand(6, -1))) == pytest.approx(math.sqrt(6 / 8) / 6)


@given(m=st.integers(1, 7), n=st.integers(2, 5), seed=st.integers(0, 2**20), sharp=st.floats(0.1, 30))
@settings(max_examples=50, deadline=None)
def test_no_predictions_exceed_the_bound_of_bnm(m: int, n: int, seed: int, sharp: float) -> None:
    view = UnlabelledEmbeddings(sharp * unit(n, 3, seed=seed), unit(m, 3, seed=seed + 1))
    each, more = divmod(m, n)
    bound = more * math.sqrt(each + 1) + (n - more) * math.sqrt(each)
    norm = np.linalg.svd(np.array(predictions(view)), compute_uv=False).sum()
    assert bnm(view) == pytest.approx(norm / bound, abs=1e-6)
    assert norm <= bound + 1e-9


# Information maximisation


def test_im_of_confident_even_predictions_is_1() -> None:
    assert information_maximisation(told_apart([2, 2, 2, 2])) == pytest.approx(1, abs=1e-5)


def test_im_of_fewer_captions_than_images_is_at_most_log_m() -> None:
    assert information_maximisation(told_apart([1, 1, 0, 0])) == pytest.approx(math.log(2) / math.log(4), abs=1e-5)


def test_im_of_equal_predictions_is_0() -> None:
    assert information_maximisation(told_apart([6, 0, 0, 0])) == pytest.approx(0, abs=1e-9)
    space = torch.eye(5, dtype=torch.float64)
    assert information_maximisation(UnlabelledEmbeddings(space[:4], space[4:].expand(6, -1))) == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize("seed", range(3))
def test_im_equals_loops(seed: int) -> None:
    p = predictions(view := made(seed, noise=1.0))
    mean = [sum(column) / len(p) for column in zip(*p, strict=True)]
    expected = (entropy(mean) - sum(map(entropy, p)) / len(p)) / math.log(12)
    assert information_maximisation(view) == pytest.approx(expected)


# Cycle consistency


def test_cycle_of_captions_in_a_plane() -> None:
    """In a plane, at angles: six captions share image 0 degrees as their nearest, of which five are its K nearest;
    the caption at 95 degrees goes to the image at 90, returned by it.
    """
    angles = ([0.0, 90.0], [1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 95.0])
    view = UnlabelledEmbeddings(
        *(torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in g]) for g in angles)
    )
    assert cycle_consistency(view) == pytest.approx(100 * 6 / 7)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("captions", [1, 2, 7])
def test_cycle_equals_loops(seed: int, captions: int) -> None:
    view = made(seed, images=10, captions=captions, noise=1.5)
    images, texts = view.images.tolist(), view.texts.tolist()
    cosine = [[sum(a * b for a, b in zip(t, v, strict=True)) for v in images] for t in texts]
    returned = 0
    for i, row in enumerate(cosine):
        j = max(range(len(images)), key=lambda j: row[j])
        order = sorted(range(len(texts)), key=lambda k: -cosine[k][j])
        returned += i in order[:5]
    assert cycle_consistency(view) == pytest.approx(100 * returned / len(texts))


@pytest.mark.parametrize("captions", [1, 3, 5])
def test_up_to_k_captions_of_an_image_all_count(captions: int) -> None:
    assert cycle_consistency(made(1, captions=captions, noise=0.01)) == 100


def test_of_more_than_k_captions_of_an_image_k_count() -> None:
    assert cycle_consistency(made(1, captions=8, noise=0.01)) == pytest.approx(100 * 5 / 8)


def test_equal_embeddings_have_cycle_0() -> None:
    same = torch.tensor([[1.0, 0.0]])
    assert cycle_consistency(UnlabelledEmbeddings(same.expand(4, -1), same.expand(8, -1))) == 0


# SND


@pytest.mark.parametrize("seed", range(3))
def test_snd_equals_loops(seed: int) -> None:
    p = predictions(view := made(seed, noise=1.0))
    total = 0.0
    for i, a in enumerate(p):
        others = [b for k, b in enumerate(p) if k != i]
        cosine = [sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b)) for b in others]
        weights = [math.exp(c / 0.05) for c in cosine]
        total += entropy([w / sum(weights) for w in weights])
    assert snd(view) == pytest.approx(total / len(p))


def test_snd_of_equal_groups() -> None:
    """Four images with three captions each: every caption has two neighbours of cosine 1, nine of cosine 0."""
    near, far = math.exp(1 / 0.05), 1.0
    shares = [near / (2 * near + 9 * far)] * 2 + [far / (2 * near + 9 * far)] * 9
    assert snd(told_apart([3, 3, 3, 3])) == pytest.approx(entropy(shares), abs=1e-6)


@pytest.mark.parametrize("counts", [[8, 0], [1] * 8])
def test_snd_of_a_collapse_equals_that_of_a_perfect_matching(counts: list[int]) -> None:
    """The limitation that the docstring states: both are at the maximum."""
    assert snd(told_apart(counts)) == pytest.approx(math.log(7), abs=1e-5)


# RankMe


@pytest.mark.parametrize("k", [1, 3, 8])
def test_rank_me_of_k_orthogonal_directions_is_k(k: int) -> None:
    directions = torch.linalg.qr(unit(8, 8)).Q[:k]
    view = UnlabelledEmbeddings(directions.repeat(5, 1), torch.eye(8, dtype=torch.float64))
    assert rank_me(view) == pytest.approx(k, abs=1e-4)


def test_rank_me_is_that_of_the_poorer_modality() -> None:
    rich, poor = unit(50, 8), unit(50, 8)[:, :2] @ torch.eye(2, 8, dtype=torch.float64)
    assert rank_me(UnlabelledEmbeddings(rich, poor)) == rank_me(UnlabelledEmbeddings(poor, rich))
    assert rank_me(UnlabelledEmbeddings(rich, poor)) <= 2 + 1e-4


@pytest.mark.parametrize("rows", [5, 60])
def test_rank_me_equals_an_svd(rows: int) -> None:
    x = unit(rows, 8, seed=rows)
    shares = np.linalg.svd(x.numpy(), compute_uv=False)
    expected = math.exp(entropy((shares / shares.sum()).tolist()))
    assert rank_me(UnlabelledEmbeddings(x, x)) == pytest.approx(expected, rel=1e-6)


def test_rank_me_of_embeddings_of_zero_is_one() -> None:
    assert rank_me(UnlabelledEmbeddings(torch.zeros(4, 3), unit(9, 3))) == 1
