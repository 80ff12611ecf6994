"""Presets: their digests name cached source models and finished runs, so they must not change by accident."""

from __future__ import annotations

import pytest

from gckd.config import PRESETS, digest, preset

# Recorded when components were still unions of classes. A new field or default changes a digest: say so in LOG.md.
DIGESTS = {"tiny": "57b841c945de0aca", "base": "4e49c142b8c5c855"}


@pytest.mark.parametrize("name", PRESETS)
def test_digests_are_the_recorded_ones(name: str) -> None:
    assert digest(preset(name)) == DIGESTS[name]
