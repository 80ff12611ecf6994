"""Eq. 1-9 on a user's own tensors (docs/equations.md), without a config file; each result against numpy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import gckd
from gckd import EmaTeacher, GraphPropagation, MemoryBank, PseudoLabels

Array = NDArray[np.float64]
N, B, D, TAU, M, DELTA = 40, 8, 16, 0.07, 0.999, 0.2


class Example(NamedTuple):
    features: Tensor  # [N, D] of target images
    before: Tensor  # [N, D] teacher embeddings of the images at the start
    captions: Tensor  # [N, D] teacher embeddings
    source: Tensor  # [N, D] teacher embeddings of source captions
    student: nn.Linear
    teacher: EmaTeacher[nn.Linear]
    start: Tensor  # weights of student and teacher at the start
    propagated: Tensor
    labels: Tensor
    loss: Tensor
    pairs: Any


def example() -> Example:
    """The lines of the document, with tensors in the place of a dataset."""
    torch.manual_seed(0)
    features = torch.randn(N, D)
    captions, source = F.normalize(torch.randn(N, D), dim=1), F.normalize(torch.randn(N, D), dim=1)
    student = nn.Linear(D, D, bias=False)
    start = student.weight.detach().clone()
    optimiser = torch.optim.SGD(student.parameters(), lr=0.5)

    teacher = EmaTeacher(student, m=M)
    with torch.no_grad():
        images = F.normalize(teacher.model()(features), dim=1)
    image_bank, caption_bank = MemoryBank(capacity=N, width=D), MemoryBank(capacity=N, width=D)  # eq. 1-2
    positions = image_bank.push(images)
    caption_bank.push(captions)
    propagated = GraphPropagation(k=10, layers=2)(image_bank.filled(), positions[:B])  # eq. 3-4
    labels = PseudoLabels()(propagated, caption_bank.filled(), tau=TAU)  # eq. 6-7
    logits = F.normalize(student(features[:B]), dim=1) @ caption_bank.filled().T / TAU
    loss = gckd.soft_cross_entropy(logits, labels)  # eq. 8
    loss.backward()
    optimiser.step()
    teacher.update(student)  # eq. 5
    pairs = gckd.cross_domain_pairs(propagated, caption_bank.filled(), source, delta=DELTA)  # eq. 9
    return Example(features, images, captions, source, student, teacher, start, propagated, labels, loss, pairs)


def unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def softmax(x: Array) -> Array:
    return np.asarray(np.exp(x) / np.exp(x).sum(1, keepdims=True))


def smoothed(x: Array) -> Array:
    """Two layers of unit(x / 2 + mean of the 10 nearest neighbours / 2), weighted by softmax(cosine / 0.05)."""
    weights = np.zeros((N, N))
    cosine = x @ x.T
    for i in range(N):
        nearest = [j for j in np.argsort(-cosine[i]) if j != i][:10]
        weights[i, nearest] = softmax(cosine[i, nearest][None] / 0.05)
    for _ in range(2):
        x = unit(0.5 * x + 0.5 * weights @ x)
    return x


def test_every_step_equals_numpy() -> None:
    run = example()
    start, features, captions, source = (
        tensor.double().numpy() for tensor in (run.start, run.features, run.captions, run.source)
    )
    propagated = smoothed(unit(features @ start.T))[:B]
    np.testing.assert_allclose(run.propagated.numpy(), propagated, atol=1e-5)
    labels = softmax(propagated @ captions.T / TAU)
    np.testing.assert_allclose(run.labels.numpy(), labels, atol=1e-5)
    log_p = np.log(softmax(unit(features[:B] @ start.T) @ captions.T / TAU))
    np.testing.assert_allclose(float(run.loss.detach()), -(labels * log_p).sum(1).mean(), rtol=1e-5)
    cosine = propagated @ captions.T
    accepted = [i for i in range(B) if cosine[i].max() > DELTA]
    assert run.pairs.accepted.tolist() == accepted
    assert run.pairs.positive.tolist() == [int(cosine[i].argmax()) for i in accepted]
    assert run.pairs.negative.tolist() == [int((propagated[i] @ source.T).argmax()) for i in accepted]
    assert len(accepted) > 0


def test_the_gradient_reaches_the_student_and_the_teacher_follows() -> None:
    run = example()
    assert run.student.weight.grad is not None and bool(run.student.weight.grad.any())
    assert not run.labels.requires_grad
    averaged = M * run.start + (1 - M) * run.student.weight.detach()
    torch.testing.assert_close(run.teacher.model().weight, averaged)
    assert not torch.equal(run.student.weight, run.start)
