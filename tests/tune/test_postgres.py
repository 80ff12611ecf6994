"""Two searches on one PostgreSQL study. GCKD_POSTGRES_URL=postgresql+psycopg://user@host/name names a server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

import pytest

from tests.tune.together import check_kill_of_one, check_two_at_once

URL = os.environ.get("GCKD_POSTGRES_URL", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not URL, reason="GCKD_POSTGRES_URL names no PostgreSQL server"),
]


@pytest.mark.parametrize("check", [check_two_at_once, check_kill_of_one])
def test_on_postgresql(check: Callable[[str, str], None]) -> None:
    check(URL, f"test-{uuid.uuid4()}")
