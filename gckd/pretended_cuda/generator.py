"""Random generators that remember whether they are of the CPU or of the pretended GPU."""

from __future__ import annotations

import torch

_DEFAULT_SEED = 67280421310721  # torch's own
_CUDA_BIT = 63  # of the seed


class PretendedGenerator(torch._C.Generator):
    """Stands in for `torch.Generator`. The numbers of both devices come from the CPU's algorithm.

    An operator receives a different Python object of the same generator, so that an attribute would be lost. The seed
    is not, so its highest bit tells the device.
    """

    def __new__(cls, device: torch.device | str = "cpu") -> PretendedGenerator:
        return super().__new__(cls, "cpu")  # type: ignore[call-arg]

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self.manual_seed(_DEFAULT_SEED)

    def manual_seed(self, seed: int) -> PretendedGenerator:
        """Restart the stream. Seeds of 2**63 and above lose their highest bit; the project uses none."""
        low_bits = seed & (2**_CUDA_BIT - 1)
        super().manual_seed(low_bits | (self._device.type == "cuda") << _CUDA_BIT)
        return self

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Device that the generator was made for."""
        return self._device


def is_cuda_generator(generator: torch._C.Generator) -> bool:
    """Whether a generator is of the pretended GPU."""
    return bool(generator.initial_seed() >> _CUDA_BIT)
