"""How a person is caught by one camera: from which side, in which step, where in the frame."""

import random
from dataclasses import dataclass

VIEWS = ("front", "back", "side")
_UNIT = 2.2  # canvas pixels a person unit: a person of average height fills 220 of 256 rows


@dataclass(frozen=True, slots=True)
class Pose:
    """One image's view and step, and the figure's place on the canvas of 128 x 256 pixels (width x height)."""

    view: str
    flip: bool
    step: float  # walk phase in [-1, 1]
    swing: float  # arms, in [-1, 1]
    middle: float  # canvas pixels from the left
    sole: float  # canvas pixels from the top
    unit: float  # canvas pixels a person unit
    light: float  # on the clothes, a factor


def draw_pose(view: str, tall: bool, umbrella: bool, rng: random.Random) -> Pose:
    """A pose from `view`; an open umbrella needs room above the head, so its carrier is drawn smaller."""
    size = _UNIT * (1.09 if tall else 1.0) * (0.87 if umbrella else 1.0)
    return Pose(
        view=view,
        flip=rng.random() < 0.5,
        step=rng.uniform(-1, 1),
        swing=rng.uniform(-1, 1),
        middle=64 + rng.uniform(-7, 7),
        sole=248 + rng.uniform(-5, 5),
        unit=size * rng.uniform(0.95, 1.02),
        light=rng.uniform(0.9, 1.1),
    )
