"""What an error says, in one line that a user can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gckd.errors import reason_of


def test_an_error_of_the_system_is_told_without_its_number(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "missing").read_bytes()
    assert reason_of(caught.value) == "No such file or directory"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("\n  indented"), "indented"),
        (OSError("of a library, without a number"), "of a library, without a number"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_any_other_by_its_first_line_or_its_type(error: Exception, told: str) -> None:
    assert reason_of(error) == told
