"""Fixtures of more than one folder of tests."""

from collections.abc import Iterator

import pytest
import torch

from tests.browser import chromium
from tests.postgres import postgres_url
from tests.s3 import bucket, s3_server

__all__ = ["bucket", "chromium", "postgres_url", "s3_server"]


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    """Results depend on the number of torch threads, which commands set and tests compare across modules."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
