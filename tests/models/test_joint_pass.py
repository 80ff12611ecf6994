"""One pass for several batches gives the encodings of separate passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gckd.config.backbone import Compute
from gckd.models.joint_pass import encode_jointly, joined, joined_states
from tests.models.test_compute import build


@pytest.mark.parametrize("kind", ["images", "tokens"])
def test_encodings_and_gradients_equal_those_of_separate_passes(kind: str) -> None:
    batches = {
        "images": [torch.randn(count, 3, 32, 16) for count in (3, 2)],
        "tokens": [torch.randint(5, 50, (count, length)) for count, length in ((3, 7), (2, 9))],
    }[kind]
    results: list[list[Tensor]] = []
    for jointly in (False, True):
        model = build(Compute()).eval()
        encode = model.encode_image if kind == "images" else model.encode_text
        encoded = encode_jointly(encode, batches) if jointly else [encode(batch) for batch in batches]
        torch.stack([e.states.square().mean() + e.embedding.cumsum(0).sum() for e in encoded]).sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        results.append([*(tensor for e in encoded for tensor in e), *gradients])
    for separate, joint in zip(*results, strict=True):
        torch.testing.assert_close(joint, separate, atol=1e-5, rtol=1e-4)


def test_shorter_texts_are_padded() -> None:
    first, second = torch.ones(1, 2, dtype=torch.long), torch.ones(2, 3, dtype=torch.long)
    assert joined([first, second]).tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    states = joined_states([torch.ones(1, 2, 4), torch.ones(2, 3, 4)])
    assert states.shape == (3, 3, 4) and float(states.sum()) == 4 * (2 + 3 + 3)
