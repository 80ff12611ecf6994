"""Pose of a person in one image: view, step, and position in the frame."""

import random
from dataclasses import dataclass

VIEWS = ("front", "back", "side")
_UNIT = 2.2  # canvas pixels per person unit; a person of average height fills 220 of 256 rows


@dataclass(frozen=True, slots=True)
class Pose:
    """View and step of a person, and the position on the canvas of 128 x 256 pixels (width x height)."""

    view: str
    flip: bool
    step: float  # phase of the walk, in [-1, 1]
    swing: float  # of the arms, in [-1, 1]
    middle: float  # of the body, in canvas pixels from the left
    sole: float  # in canvas pixels from the top
    unit: float  # canvas pixels per person unit
    light: float  # factor on the colours of the clothes


def draw_pose(view: str, tall: bool, umbrella: bool, rng: random.Random) -> Pose:
    """Random pose in a given view. An open umbrella needs room above the head, so its carrier is drawn smaller."""
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
