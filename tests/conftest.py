"""Fixtures of more than one folder of tests."""

from tests.browser import chromium
from tests.s3 import bucket, s3_server

__all__ = ["bucket", "chromium", "s3_server"]
