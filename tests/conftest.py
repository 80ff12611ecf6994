"""Fixtures of more than one folder of tests."""

from tests.s3 import bucket, s3_server

__all__ = ["bucket", "s3_server"]
