"""Selection by scores: the collapse gate, the value of an epoch, and the choice."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gckd.errors import InputError
from gckd.validators import choose, collapsed, epoch_score, selectors

SINGLE = tuple(name for name in selectors() if name != "default")


def scores(
    source_val_map: float = 40.0, im: float = 0.4, cycle: float = 60.0, rank_me: float = 20.0
) -> dict[str, float]:
    return {
        "source_val_rank_1": source_val_map + 10,
        "source_val_map": source_val_map,
        "bnm": im / 2,
        "im": im,
        "cycle": cycle,
        "snd": 3.0,
        "rank_me": rank_me,
        "seconds": 12.0,
    }


START = scores()
some = st.fixed_dictionaries(
    {
        "source_val_rank_1": st.floats(0, 100),
        "source_val_map": st.floats(0, 100),
        "bnm": st.floats(0, 1),
        "im": st.floats(0, 1),
        "cycle": st.floats(0, 100),
        "snd": st.floats(0, 10),
        "rank_me": st.floats(1, 64),
    }
)


# The gate


def test_the_gate_is_half_the_rank_of_the_source_model() -> None:
    assert not collapsed(scores(rank_me=10.0), START)
    assert collapsed(scores(rank_me=9.999), START)


@given(epoch=some, other=some, start=some, select=st.sampled_from(selectors()))
def test_a_collapsed_epoch_is_below_every_other(
    epoch: dict[str, float], other: dict[str, float], start: dict[str, float], select: str
) -> None:
    fallen = {**epoch, "rank_me": start["rank_me"] * 0.49}
    sound = {**other, "rank_me": start["rank_me"]}
    assert epoch_score(fallen, start, select) < -10 < epoch_score(sound, start, select)
    assert choose([fallen, sound, fallen], start, select) == 1


def test_among_collapsed_epochs_the_larger_rank_is_better() -> None:
    fallen = [scores(99.0, 1.0, 100.0, rank_me=r) for r in (2.0, 5.0, 4.0, 5.0)]
    for select in selectors():
        assert choose(fallen, START, select) == 1
        assert epoch_score(fallen[1], START, select) == pytest.approx(-10 + math.log(0.25))


# The value


def test_the_default_is_a_logarithm() -> None:
    """Information 0.4 -> 0.3, and e = 0.0001. Other scores do not count."""
    expected = math.log(0.3001 / 0.4001)
    assert epoch_score(scores(50.0, 0.3, cycle=90.0), START, "default") == pytest.approx(expected)


def test_the_source_model_has_the_value_zero() -> None:
    assert epoch_score(START, START, "default") == 0


def test_a_score_of_zero_has_a_finite_value() -> None:
    least = epoch_score({**START, "im": 0.0}, START, "default")
    assert -10 < least < 0
    assert 0 < epoch_score(START, {**START, "im": 0.0}, "default") < 10


@given(epoch=some, start=some, more=st.floats(0.01, 1))
def test_the_value_of_the_default_grows_with_its_score(
    epoch: dict[str, float], start: dict[str, float], more: float
) -> None:
    epoch["rank_me"] = start["rank_me"]
    better = {**epoch, "im": epoch["im"] + more}
    assert epoch_score(better, start, "default") > epoch_score(epoch, start, "default")


@pytest.mark.parametrize("select", SINGLE)
def test_the_value_of_a_single_score_is_the_score(select: str) -> None:
    assert epoch_score(scores(50.0, 0.3, 70.0), START, select) == scores(50.0, 0.3, 70.0)[select]


# The choice


@pytest.mark.parametrize("select", selectors())
@given(result=st.lists(some, min_size=1, max_size=6), start=some)
def test_the_candidate_with_the_highest_value_is_chosen(
    select: str, result: list[dict[str, float]], start: dict[str, float]
) -> None:
    values = [epoch_score(epoch, start, select) for epoch in result]
    assert values[choose(result, start, select)] == max(values)


@pytest.mark.parametrize("select", selectors())
def test_the_first_of_equal_candidates_is_chosen(select: str) -> None:
    assert choose([scores(10.0, 0.1, 1.0), START, START], START, select) == (0 if select == "snd" else 1)


@pytest.mark.parametrize("select", SINGLE)
@given(result=st.lists(some, min_size=1, max_size=8))
def test_a_single_score_chooses_its_maximum_among_the_not_collapsed(
    select: str, result: list[dict[str, float]]
) -> None:
    start = {**START, "rank_me": 2.0}  # of which no candidate is under half
    assert result[choose(result, start, select)][select] == max(epoch[select] for epoch in result)


# What is refused


@pytest.mark.parametrize("select", ["oracle", "rank_me", "", "Default"])
def test_an_unknown_selector_is_refused_with_the_choices(select: str) -> None:
    for call in (lambda: epoch_score(START, START, select), lambda: choose([START], START, select)):
        with pytest.raises(InputError, match=f"unknown score '{select}'; choose from default, .*cycle"):
            call()


def test_no_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        choose([], START, "default")
