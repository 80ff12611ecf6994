"""The pretended device of the estimate."""

from __future__ import annotations

from gckd.pretended_cuda.device import FITS
from gckd.pretended_cuda.device_guard import install_device_guard

if FITS:
    # Now, when tests are collected: the first backward pass of a process fixes the devices of autograd.
    install_device_guard()
