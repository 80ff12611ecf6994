"""Registration of a label-free score, as a plugin does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from gckd.errors import InputError
from gckd.validators import (
    SCORES,
    UnlabelledEmbeddings,
    audit,
    choose,
    epoch_score,
    label_free_scores,
    register_score,
    selectors,
)

TRUE = [{"rank_1": 30.0, "map": 25.0}, {"rank_1": 20.0, "map": 15.0}]
START = {"rank_me": 4.0, "im": 0.5}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scores that a test registers are removed after it."""
    before = dict(SCORES)
    yield
    SCORES.clear()
    SCORES.update(before)


def embeddings(shift: float = 0.0) -> UnlabelledEmbeddings:
    random = torch.Generator().manual_seed(0)

    def unit(rows: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(rows, 4, generator=random) + shift, dim=1)

    return UnlabelledEmbeddings(unit(6), unit(9))


def register_spread(name: str = "spread", *, centred: bool = True) -> Callable[[UnlabelledEmbeddings], float]:
    @register_score(name, "spread of the captions", centred=centred)
    def spread(embeddings: UnlabelledEmbeddings) -> float:
        return float(embeddings.texts.var())

    return spread


@pytest.mark.parametrize("centred", [True, False])
def test_a_registered_score_is_computed_on_the_space_it_asks_for(centred: bool) -> None:
    register_spread(centred=centred)
    raw, shifted = embeddings(1.0), embeddings()
    expected = (shifted if centred else raw).texts.var()
    assert label_free_scores(raw, centred=shifted)["spread"] == pytest.approx(float(expected))


def test_a_registered_score_can_be_selected_and_audited() -> None:
    register_spread()
    assert selectors()[-1] == "spread"
    candidates = [START | {"spread": 2.0}, START | {"spread": 5.0}]
    assert epoch_score(candidates[0], START, "spread") == 2.0
    assert choose(candidates, START, "spread") == 1
    assert {row.select: row.picked for row in audit(candidates, TRUE, START)}["spread"] == 1


def test_the_audit_leaves_out_a_score_that_the_trials_do_not_have() -> None:
    register_spread()
    assert "spread" not in [row.select for row in audit([START, START], TRUE, START)]


def test_registering_the_same_function_again_changes_nothing() -> None:
    """A notebook cell that runs twice."""
    register_spread()
    register_spread()
    assert [name for name in SCORES if name == "spread"] == ["spread"]


@pytest.mark.parametrize("name", ["bnm", "source_val_map"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"score '{name}': the name is taken by gckd\."):
        register_spread(name)


def test_a_malformed_name_is_refused() -> None:
    with pytest.raises(InputError, match="score 'a-b': expected letters, digits and underscores"):
        register_spread("a-b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_value_that_would_pass_for_a_collapse_is_refused(value: float) -> None:
    @register_score("wrong", "a score with a wrong value")
    def wrong(embeddings: UnlabelledEmbeddings) -> float:
        return value

    with pytest.raises(InputError, match="score 'wrong': .* is outside its limit: finite and >= 0"):
        label_free_scores(embeddings(), centred=embeddings())
