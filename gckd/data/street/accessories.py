"""Bags, behind and in front of the body, and an open umbrella."""

from gckd.data.street.attributes import COLOURS, RGB, Person
from gckd.data.street.pen import Pen, shade
from gckd.data.street.pose import Pose


def _inks(person: Person, pose: Pose) -> tuple[RGB, RGB]:
    """Colour of the bag and a colour of its seams that contrasts with it."""
    fill = shade(COLOURS[person.bag_colour], pose.light)
    return fill, shade(fill, 0.5) if sum(fill) > 200 else (96, 96, 100)


def draw_bag_behind(pen: Pen, person: Person, pose: Pose, shoulder: float) -> None:
    """Draw the bag if it is behind the body: a backpack seen from the front or the side, or a suitcase."""
    if person.bag == "backpack" and pose.view != "back":
        fill, seam = _inks(person, pose)
        left, right = (-shoulder - 9, 0.0) if pose.view == "side" else (-shoulder - 3.5, shoulder + 3.5)
        pen.rect(left, 20, right, 45, fill, seam)
    elif person.bag == "suitcase":
        fill, seam = _inks(person, pose)
        pen.line([(-shoulder - 3, 52), (-shoulder - 8, 70)], seam, 1.2)
        pen.rect(-shoulder - 13, 69, -shoulder + 1, 96, fill, seam)
        pen.rect(-shoulder - 13, 80, -shoulder + 1, 82, seam)
        pen.oval(-shoulder - 12, 95, -shoulder - 8, 99, COLOURS["black"])


def draw_bag_in_front(pen: Pen, person: Person, pose: Pose, shoulder: float, hands: tuple[float, float]) -> None:
    """Draw the bag in front of the body: a backpack or its straps, a handbag, or a shoulder bag."""
    if person.bag in ("none", "suitcase"):
        return
    fill, seam = _inks(person, pose)
    if person.bag == "backpack" and pose.view == "back":
        pen.rect(-9, 20, 9, 46, fill, seam)
        pen.rect(-6, 34, 6, 43, shade(fill, 0.8), seam)
    elif person.bag == "backpack" and pose.view == "front":
        pen.line([(-6.5, 18), (-7.5, 42)], fill, 3.0)
        pen.line([(6.5, 18), (7.5, 42)], fill, 3.0)
    elif person.bag == "backpack":
        pen.line([(-3, 19), (-4, 40)], fill, 3.0)
    elif person.bag == "handbag":
        pen.line([(hands[1] - 4, 60), (hands[1], 53), (hands[1] + 4, 60)], seam, 1.0)
        pen.rect(hands[1] - 6.5, 59, hands[1] + 6.5, 71, fill, seam)
    else:
        pen.line([(shoulder * 0.7, 18), (-shoulder, 48)], fill, 2.4)
        pen.rect(-shoulder - 5, 45, -shoulder + 8, 59, fill, seam)
        pen.rect(-shoulder - 5, 45, -shoulder + 8, 50, shade(fill, 0.8), seam)


def draw_umbrella(pen: Pen, fill: RGB, hand: float) -> None:
    """Draw an open umbrella above the head, with its stick in the near hand."""
    pen.line([(hand, 50), (3, -6)], COLOURS["grey"], 1.2)
    pen.dome(-24, -15, 26, 12, fill)
    pen.poly([(-8, -1.5), (1, -15), (10, -1.5)], shade(fill, 0.75))
