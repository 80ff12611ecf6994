"""Small banks, and a student's embeddings of some of their entries."""

from __future__ import annotations

import torch

from gckd.graph.similarity import BankPair, RetrievalDirection
from gckd.method.pseudo_labels import StudentQueries
from tests.tensors import units


class TargetBatchCase:
    """Target banks of 7 images and 9 captions, which hold a batch of 3; the student's embeddings of it differ."""

    def __init__(self) -> None:
        self.images, self.texts = units(7, seed=1), units(9, seed=2)
        self.image_positions, self.text_positions = torch.tensor([4, 0, 6]), torch.tensor([8, 2, 3])
        self.student_image, self.student_text = (units(3, seed=seed).requires_grad_() for seed in (3, 4))
        self.tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        self.banks = BankPair(self.images, self.texts)

    def queries(self) -> tuple[StudentQueries, StudentQueries]:
        """Image queries and caption queries."""
        to_texts = RetrievalDirection(self.images[self.image_positions], self.image_positions, self.banks)
        to_images = RetrievalDirection(self.texts[self.text_positions], self.text_positions, self.banks.reversed())
        return StudentQueries(self.student_image, to_texts), StudentQueries(self.student_text, to_images)
