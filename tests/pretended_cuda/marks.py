"""Mark of the tests that need the pretended device."""

from __future__ import annotations

import pytest
import torch

from gckd.pretended_cuda.device import FITS, WRITTEN_FOR
from gckd.pretended_cuda.device_guard import install_device_guard

if FITS:
    # Now, when tests are collected: the first backward pass of a process fixes the devices of autograd.
    install_device_guard()

needs_pretended_cuda = pytest.mark.skipif(
    not FITS,
    reason=f"the pretended device needs torch {WRITTEN_FOR} (this is {torch.__version__}), Linux on x86-64, and no GPU",
)
