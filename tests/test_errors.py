"""Texts that all errors share."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gckd.config import ConfigError
from gckd.errors import InputError, reason_of, unknown_choice


def test_a_system_error_is_described_without_number_and_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "missing").read_bytes()
    assert reason_of(caught.value) == "No such file or directory"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("\n  indented"), "indented"),
        (OSError("of a library, without a number"), "of a library, without a number"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_other_errors_are_described_by_their_first_line_or_their_type(error: Exception, expected: str) -> None:
    assert reason_of(error) == expected


def test_an_unknown_choice_lists_the_choices_and_the_closest_one() -> None:
    expected = "unknown component 'gpm'; choose from gmp, cmkd (did you mean 'gmp'?)"
    assert unknown_choice("component", "gpm", ["gmp", "cmkd"]) == expected
    assert unknown_choice("split", 3, iter(["val", "test"])) == "unknown split 3; choose from val, test"


def test_a_long_line_of_an_error_is_cut() -> None:
    error = InputError("a" * 10_000, "short")
    assert [len(line) for line in str(error).split("\n")] == [2000, 5]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_line_break_inside_a_line_of_an_error_is_escaped() -> None:
    assert str(InputError("the folder a\nerror: forged is missing", "b")) == (
        "the folder a\\nerror: forged is missing\nb"
    )


def test_a_problem_of_a_config_is_one_line_whatever_it_quotes() -> None:
    assert ConfigError(["a\nerror: forged", "b"]).problems == ["a\\nerror: forged", "b"]
