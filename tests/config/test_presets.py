"""Presets: their digests name cached source models and finished runs, so they must not change by accident."""

from __future__ import annotations

import pytest

from gckd.config import PRESETS, digest, preset

# Recorded when components were still unions of classes. A new field or default changes a digest: say so in LOG.md.
DIGESTS = {"tiny": "948ec34e39ae1821", "small": "860ce9c9058368f9", "base": "145274ddfc9b9cfd"}


@pytest.mark.parametrize("name", PRESETS)
def test_digests_are_the_recorded_ones(name: str) -> None:
    assert digest(preset(name)) == DIGESTS[name]
