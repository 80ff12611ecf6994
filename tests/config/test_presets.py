"""Presets: their digests name cached source models and finished runs, so they must not change by accident."""

from __future__ import annotations

import pytest

from gckd.config import PRESETS, digest, preset

# Recorded when components were still unions of classes. A new field or default changes a digest: say so in LOG.md.
DIGESTS = {"tiny": "44da6ed8a7d44437", "small": "3caa1291d8c16973", "base": "6a96f4dcdfb7db90"}


@pytest.mark.parametrize("name", PRESETS)
def test_digests_are_the_recorded_ones(name: str) -> None:
    assert digest(preset(name)) == DIGESTS[name]
