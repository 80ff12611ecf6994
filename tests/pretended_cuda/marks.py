"""Mark of the tests that need the pretended device."""

from __future__ import annotations

import pytest
import torch

from gckd.pretended_cuda.device import FITS, WRITTEN_FOR

needs_pretended_cuda = pytest.mark.skipif(
    not FITS,
    reason=f"the pretended device needs torch {WRITTEN_FOR} (this is {torch.__version__}), Linux on x86-64, and no GPU",
)
