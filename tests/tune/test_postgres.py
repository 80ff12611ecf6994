"""Two searches on one study in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.tune.together import check_kill_of_one, check_two_at_once

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("check", [check_two_at_once, check_kill_of_one])
def test_two_processes_on_one_study(check: Callable[[str, str], None], postgres_url: str) -> None:
    check(postgres_url, f"test-{uuid.uuid4()}")
