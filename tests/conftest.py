"""Fixtures of more than one folder of tests."""

from tests.browser import chromium
from tests.postgres import postgres_url
from tests.s3 import bucket, s3_server

__all__ = ["bucket", "chromium", "postgres_url", "s3_server"]
