"""The step of a config: GCKD's, that of the source alone, or that without the source's samples."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.train.adapt import CrossDomain, SourceOnly, compared
from gckd.train.banks import Entries
from gckd.train.handed import HandedOn
from gckd.train.parts import Parts
from gckd.train.warm import WarmStart


class SourceFree(CrossDomain):
    """Target terms alone: the source is what its model handed on, frozen in the source banks (`adapt.source`).

    Ours: the paper leaves open what remains of the method where the source's samples are not there.
    """

    def warm_start(self, warm: WarmStart) -> None:
        parts = self.parts
        assert isinstance(parts.feed.source, HandedOn)
        parts.banks.fill_source(parts.feed.source.images, parts.feed.source.texts, self.config.seed)
        parts.banks.warm_start_target(parts.teacher.model(), parts.feed.target, self.config.seed, warm)

    def terms(self, step: int) -> dict[str, Tensor]:
        parts, nothing = self.parts, torch.zeros(0, dtype=torch.long)
        target = parts.feed.target.batch(step)
        entries = Entries(nothing, nothing, *parts.banks.push_target(parts.teacher.model(), target))
        space = parts.banks.space(self.config.centre)
        known = self.propagate(space.views, entries, with_source=False)
        student = self.encode(target, "target", step)
        new = compared(student, len(target.images), space.means.target_image, space.means.target_text)
        return self.target_terms(student, new, known, space.views, entries, step)


def step_of(parts: Parts) -> SourceOnly:
    """The step that a config's parts need: without a term of the target nothing of it is opened."""
    if not parts.opens_target:
        return SourceOnly(parts)
    return CrossDomain(parts) if parts.config.adapt.source == "samples" else SourceFree(parts)
