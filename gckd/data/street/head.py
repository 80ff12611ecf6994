"""Drawing of the head: hair, face, hat, glasses, mask and scarf."""

from gckd.data.street.attributes import COLOURS, RGB, Person
from gckd.data.street.pen import Pen, shade
from gckd.data.street.pose import Pose

_HALF = 7.0  # half-width of the head in person units; its middle is at height 9


def _hair(pen: Pen, person: Person, view: str) -> None:
    """Draw the hair over the skull; the face stays free in a front view, and on the right in a side view."""
    if person.hair == "bald":
        return
    fill = COLOURS[person.hair_colour]
    if person.hair == "long":
        spans = {"front": ((-8.5, -4.5), (4.5, 8.5)), "back": ((-8.5, 8.5),), "side": ((-8.5, -0.5),)}[view]
        for left, right in spans:
            pen.rect(left, 7, right, 29, fill)
    elif person.hair == "ponytail":
        x = {"front": 8.0, "back": 0.0, "side": -9.0}[view]
        pen.oval(x - 2.8, 4, x + 2.8, 27, fill)
    elif person.hair == "bun":
        x = -5.0 if view == "side" else 0.0
        pen.oval(x - 4.5, -4, x + 4.5, 5, fill)
    if view == "back":
        pen.oval(-_HALF - 0.6, 1, _HALF + 0.6, 15.5, fill)
        return
    pen.dome(-_HALF - 0.8, 0.5, _HALF + 0.8, 14.5, fill)
    if view == "side":
        pen.rect(-_HALF - 0.6, 6, -1.5, 13, fill)


def _hat(pen: Pen, person: Person, view: str, fill: RGB) -> None:
    dark = shade(fill, 0.7) if sum(fill) > 150 else (70, 70, 74)
    if person.hat == "cap":
        pen.dome(-_HALF - 0.9, -0.5, _HALF + 0.9, 13.5, fill)
        if view == "side":
            pen.rect(4, 5, 14.5, 7.2, dark)
        elif view == "front":
            pen.oval(-6.5, 4.5, 6.5, 8.2, dark)
    elif person.hat == "beanie":
        pen.dome(-_HALF - 1.2, -3.5, _HALF + 1.2, 14, fill)
        pen.rect(-_HALF - 1.2, 4, _HALF + 1.2, 7.4, dark)
        pen.oval(-2.6, -7, 2.6, -1.8, dark)
    elif person.hat == "helmet":
        pen.dome(-_HALF - 2.5, -4, _HALF + 2.5, 18, fill)
        pen.rect(-1.2, -4, 1.2, 7, dark)
        pen.line([(-_HALF - 0.6, 7), (-2, 16.5)], dark, 1.2)
    elif person.hat == "sun hat":
        pen.dome(-_HALF - 0.5, -3, _HALF + 0.5, 12, fill)
        pen.oval(-15, 3, 15, 8, fill)
        pen.rect(-_HALF - 0.5, 2.2, _HALF + 0.5, 4.2, dark)


def _face(pen: Pen, person: Person, view: str) -> None:
    left = 0.5 if view == "side" else -_HALF + 0.8
    if person.extra == "mask":
        pen.rect(left, 10.5, _HALF - 0.5, 15.5, COLOURS[person.extra_colour])
    else:
        pen.line([(left + 3, 13), (_HALF - 3.8, 13)], shade(person.skin, 0.6), 0.8)
    if person.glasses == "glasses":
        pen.rect(left, 7.6, _HALF - 0.6, 11, COLOURS["black"])
    else:
        for x in (2.5, 4.5) if view == "side" else (-2.8, 2.8):
            pen.oval(x - 0.8, 8.4, x + 0.8, 10, (30, 24, 20))


def draw_head(pen: Pen, person: Person, pose: Pose) -> None:
    """Draw head and neck over the body."""
    pen.oval(-_HALF, 2, _HALF, 16.5, person.skin)
    _hair(pen, person, pose.view)
    if pose.view != "back":
        _face(pen, person, pose.view)
    if person.extra == "scarf":
        fill = shade(COLOURS[person.extra_colour], pose.light)
        pen.rect(-7.5, 15.5, 7.5, 21, fill, shade(fill, 0.6))
        pen.rect(1, 20, 6.5, 37, fill, shade(fill, 0.6))
    if person.hat != "none":
        _hat(pen, person, pose.view, shade(COLOURS[person.hat_colour], pose.light))
