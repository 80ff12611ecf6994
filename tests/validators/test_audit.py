"""Audit of label-free selection: correlation and its interval, picked trials and regret."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gckd.validators import audit, selectors
from gckd.validators.audit import AuditRow, correlation

START = dict.fromkeys(("source_val_rank_1", "source_val_map", "bnm", "im", "cycle", "snd"), 0.5) | {"rank_me": 20.0}


def trial(common: float, **other: float) -> dict[str, float]:
    return dict.fromkeys(START, common) | {"rank_me": 20.0} | other


def metrics_of(rank_1: list[float]) -> list[dict[str, float]]:
    """Metrics of trials; the order by mAP is the reverse of that by Rank-1."""
    return [{"rank_1": value, "map": 90.0 - value / 2} for value in rank_1]


def rows(trials: list[dict[str, float]], rank_1: list[float]) -> dict[str, AuditRow]:
    return {row.select: row for row in audit(trials, metrics_of(rank_1), START)}


def ranks(values: list[float]) -> np.ndarray:
    """Mean ranks by counting."""
    return np.array([sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values])


# The rows


def test_every_selector_and_a_random_choice_have_a_row() -> None:
    result = audit([trial(0.1), trial(0.2)], metrics_of([40.0, 50.0]), START)
    assert [row.select for row in result] == [*selectors(), "random"]


def test_picks_and_regrets_of_three_trials() -> None:
    """BNM picks the first trial, cycle the second, source val the third; the default (im) picks the second."""
    trials = [
        trial(0.1, bnm=0.9, cycle=10.0, source_val_map=20.0, im=0.5),
        trial(0.1, bnm=0.8, cycle=60.0, source_val_map=30.0, im=0.6),
        trial(0.1, bnm=0.2, cycle=50.0, source_val_map=40.0, im=0.4),
    ]
    result = rows(trials, [52.0, 58.0, 49.0])
    assert [result[name].picked for name in ("bnm", "cycle", "source_val_map", "default")] == [0, 1, 2, 1]
    names = ("bnm", "cycle", "source_val_map", "default")
    assert [result[name].regret["rank_1"] for name in names] == [6.0, 0.0, 9.0, 0.0]
    assert [result[name].regret["map"] for name in names] == [1.5, 4.5, 0.0, 4.5]  # best: 90 - 49 / 2 = 65.5
    assert result["random"].picked is None
    assert result["random"].regret == pytest.approx({"rank_1": 5.0, "map": 2.0})


def test_a_collapsed_trial_is_not_picked_and_counts_as_the_worst() -> None:
    trials = [trial(0.9, rank_me=1.0), trial(0.1), trial(0.2), trial(0.3)]
    result = rows(trials, [1.0, 20.0, 30.0, 40.0])
    for name in selectors():
        assert (result[name].picked, result[name].regret["rank_1"]) == (3, 0.0)
        for metric, sign in (("rank_1", 1), ("map", -1)):
            agreement = result[name].correlation[metric]
            assert agreement is not None
            assert agreement.spearman == pytest.approx(sign)


def test_the_regret_of_a_random_choice_is_the_mean_regret() -> None:
    true = [31.0, 45.5, 12.25, 44.0]
    result = rows([trial(x / 100) for x in true], true)
    assert result["random"].regret["rank_1"] == pytest.approx(sum(max(true) - each for each in true) / 4)
    assert result["random"].correlation == {}
    assert result["bnm"].regret["rank_1"] == 0


@pytest.mark.parametrize(("trials", "true"), [(0, 0), (2, 1), (1, 2)])
def test_each_trial_needs_one_true_value(trials: int, true: int) -> None:
    with pytest.raises(ValueError, match=f"{trials} trials and {true} true values"):
        audit([trial(0.1)] * trials, metrics_of([50.0] * true), START)


# The correlation


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [4, 1000])
def test_the_correlation_equals_its_definition(seed: int, levels: int) -> None:
    """Spearman as Pearson on ranks; `levels` of 4 make many ties."""
    random = np.random.default_rng(seed)
    x, y = (random.integers(levels, size=12).astype(float).tolist() for _ in range(2))
    result = correlation(x, y)
    assert result is not None
    assert result.spearman == pytest.approx(np.corrcoef(ranks(x), ranks(y))[0, 1])
    assert -1 <= result.low < result.spearman < result.high <= 1


def test_the_interval_of_one_swap_among_five() -> None:
    """One swap of neighbours among 5: rho = 1 - 6 * 2 / 120 = 0.9; z = 1.4722, s = sqrt(1.405 / 2) = 0.83815,
    1.95996 s = 1.64274, tanh(-0.17052) = -0.16889 and tanh(3.11494) = 0.99607.
    """
    result = correlation([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0, 4.0])
    assert result is not None
    assert result.spearman == pytest.approx(0.9)
    assert (result.low, result.high) == pytest.approx((-0.16889, 0.99607), abs=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_of_a_perfect_order_has_a_width(sign: int) -> None:
    result = {n: correlation([float(i) for i in range(n)], [float(sign * i) for i in range(n)]) for n in (4, 30)}
    few, many = result[4], result[30]
    assert few is not None and many is not None
    assert few.spearman == pytest.approx(sign) and many.spearman == pytest.approx(sign)
    assert few.low < 0 < few.high  # chance orders 4 trials perfectly once in 24
    assert many.low * sign > 0.9 or many.high * sign > 0.9
    assert few.low <= few.spearman <= few.high


def test_the_interval_covers_rho_in_about_95_percent() -> None:
    """Pairs of normal values with Pearson r = 0.6: Spearman's rho is 6 / pi * asin(r / 2) = 0.582."""
    random, rho, n = np.random.default_rng(0), 6 / math.pi * math.asin(0.3), 16
    drawn = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(1000, n))
    result = [correlation(pairs[:, 0].tolist(), pairs[:, 1].tolist()) for pairs in drawn]
    covered = [each.low <= rho <= each.high for each in result if each is not None]
    assert 0.92 < sum(covered) / 1000 < 0.98


@pytest.mark.parametrize(
    ("x", "y"), [([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ([1.0] * 5, [1.0, 2, 3, 4, 5]), ([1.0, 2, 3, 4, 5], [1.0] * 5)]
)
def test_no_correlation_of_under_four_trials_or_of_a_constant(x: list[float], y: list[float]) -> None:
    assert correlation(x, y) is None
