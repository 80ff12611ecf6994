"""GPUs and their data sheets."""

from __future__ import annotations

from typing import NamedTuple

from gckd.errors import InputError, unknown_choice

_TERA, _GIGA = 1e12, 1e9


class Gpu(NamedTuple):
    """A GPU by the data sheet of NVIDIA: dense rates, without sparsity.

    half: FLOP/s in bfloat16. single: FLOP/s in float32, without TF32. bandwidth: bytes/s.
    memory: GiB that programs see.
    """

    title: str
    half: float
    single: float
    bandwidth: float
    memory: float


GPUS = {
    "h200": Gpu("H200 SXM", 989 * _TERA, 67 * _TERA, 4800 * _GIGA, 140.4),
    "h100": Gpu("H100 SXM", 989 * _TERA, 67 * _TERA, 3350 * _GIGA, 79.6),
    "a100": Gpu("A100 SXM 80 GB", 312 * _TERA, 19.5 * _TERA, 2039 * _GIGA, 80.0),
    "l40s": Gpu("L40S", 362 * _TERA, 91.6 * _TERA, 864 * _GIGA, 45.0),
    "l4": Gpu("L4", 121 * _TERA, 30.3 * _TERA, 300 * _GIGA, 22.5),
}


def gpu(name: str) -> Gpu:
    """The GPU called `name`.

    Raises:
        InputError: there is none; the message lists them.
    """
    if name not in GPUS:
        raise InputError(f"--gpu: {unknown_choice('GPU', name, GPUS)}")
    return GPUS[name]
