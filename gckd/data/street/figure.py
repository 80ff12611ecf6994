"""Drawing of a whole person: legs, torso and arms in their clothes, and the order of all parts."""

from dataclasses import dataclass

from gckd.data.street.accessories import draw_bag_behind, draw_bag_in_front, draw_umbrella
from gckd.data.street.attributes import COLOURS, RGB, Person
from gckd.data.street.head import draw_head
from gckd.data.street.pen import Pen, shade
from gckd.data.street.pose import Pose

_GIRTH = {"slim": 0.82, "average": 1.0, "broad": 1.28, "tall": 0.95}
_HEM = {"coat": 70.0, "dress": 72.0, "jacket": 54.0}
_SHOULDER, _HIP = 18.0, 50.0  # heights, in person units
_LOWER_END = {"shorts": 67.0, "skirt": 70.0, "none": 50.0}
_SLEEVE_SHARE = {"long": 0.92, "short": 0.38, "none": 0.0}


@dataclass(frozen=True, slots=True)
class Trunk:
    """Outline of the torso: half-widths at the shoulder and at the hem of the upper garment, and height of the hem."""

    shoulder: float
    hem: float
    end: float

    def half(self, y: float) -> float:
        """Half-width at height `y`, in person units."""
        return self.shoulder + (self.hem - self.shoulder) * (y - _SHOULDER) / (self.end - _SHOULDER)


def _trunk(person: Person, view: str) -> Trunk:
    girth = _GIRTH[person.build] * (0.66 if view == "side" else 1.0)
    shoulder, hem = (13.0, 11.0) if person.gender == "man" else (11.5, 10.0)
    flare = {"dress": 5.0, "coat": 2.5}.get(person.upper, 0.0)
    return Trunk(shoulder * girth, (hem + flare) * girth, _HEM.get(person.upper, 51.0))


def _paint(colour: str, pose: Pose) -> RGB:
    return shade(COLOURS[colour], pose.light)


def _leg(pen: Pen, hip: float, foot: float, half: float, start: float, end: float, fill: RGB) -> None:
    """Draw the part of a leg between heights `start` and `end`; the whole leg is from the hip (50) to the sole (96)."""
    a, b = (hip + (foot - hip) * (y - _HIP) / 46.0 for y in (start, end))
    pen.poly([(a - half, start), (a + half, start), (b + half * 0.85, end), (b - half * 0.85, end)], fill)


def _shoe(pen: Pen, person: Person, pose: Pose, foot: float, half: float) -> None:
    fill = _paint(person.shoes_colour, pose)
    toe = 4.0 if pose.view == "side" else 1.2
    if person.shoes == "boots":
        pen.rect(foot - half - 0.6, 83, foot + half + 0.6, 97, fill)
        pen.rect(foot - half - 0.6, 95, foot + half + toe, 100, fill)
    elif person.shoes == "sneakers":
        pen.rect(foot - half - 0.5, 93, foot + half + toe, 98, fill)
        pen.rect(foot - half - 0.5, 98, foot + half + toe, 100, COLOURS["white"])
    else:
        pen.rect(foot - half, 91, foot + half + toe, 100, person.skin)
        pen.rect(foot - half - 0.5, 94.5, foot + half + toe, 97, fill)
        pen.rect(foot - half - 0.5, 99, foot + half + toe, 100, fill)


def _legs(pen: Pen, person: Person, pose: Pose, trunk: Trunk) -> None:
    apart = 2.5 if pose.view == "side" else trunk.shoulder * 0.42
    stride = 9.0 * pose.step if pose.view == "side" else 1.5 * pose.step
    half = 3.9 * _GIRTH[person.build] ** 0.7
    fill = _paint(person.lower_colour, pose) if person.lower_colour else person.skin
    end = _LOWER_END.get(person.lower, 94.0)
    # The far leg is drawn first and darker, because two legs of the same colour would merge.
    for side, tone in ((-1, 0.82), (1, 1.0)):
        hip, foot = side * apart, side * apart + side * stride
        _leg(pen, hip, foot, half * 0.72, 50, 96, shade(person.skin, tone))
        _leg(pen, hip, foot, half, 50, end, shade(fill, tone))
        if person.lower == "jeans":
            _leg(pen, hip, foot, half * 0.45, 62, 80, shade(fill, tone * 1.25))
            _leg(pen, hip, foot, half * 1.1, 90, 94, shade(fill, 1.6))
        _shoe(pen, person, pose, foot, half * 0.8)
    if person.lower == "skirt":
        pen.poly([(-trunk.hem, 49), (trunk.hem, 49), (trunk.hem * 1.45, end), (-trunk.hem * 1.45, end)], fill)
    elif person.lower != "none":
        pen.rect(-trunk.hem, 49, trunk.hem, 56, fill)


def _band(pen: Pen, trunk: Trunk, top: float, bottom: float, left: float, right: float, fill: RGB) -> None:
    """Draw a patch of the torso between two heights; `left` and `right` are shares of its half-width."""
    a, b = trunk.half(top), trunk.half(bottom)
    pen.poly([(a * left, top), (a * right, top), (b * right, bottom), (b * left, bottom)], fill)


def _pattern(pen: Pen, person: Person, pose: Pose, trunk: Trunk) -> None:
    fill = _paint(person.pattern_colour, pose)
    rows = range(23, int(trunk.end) - 2, 8)
    if person.pattern in ("striped", "checked"):
        for y in rows:
            _band(pen, trunk, y, y + (4 if person.pattern == "striped" else 2.4), -1, 1, fill)
    if person.pattern == "checked":
        for x in (-0.75, -0.15, 0.45):
            _band(pen, trunk, _SHOULDER, trunk.end, x, x + 0.24, fill)
    if person.pattern == "dotted":
        for i, y in enumerate(rows):
            for x in (-0.6, 0.0, 0.6) if i % 2 else (-0.3, 0.3):
                middle = x * trunk.half(y + 2)
                pen.oval(middle - 1.7, y, middle + 1.7, y + 3.4, fill)
    if person.pattern == "logo":
        half = trunk.shoulder * 0.55
        pen.oval(-half, 25, half, 37, fill)


def _cut(pen: Pen, person: Person, pose: Pose, trunk: Trunk) -> None:
    """Draw the details by which upper garments differ: zip, collar, hood, buttons, belt, waistband."""
    fill = _paint(person.upper_colour, pose)
    dark = shade(fill, 0.55) if sum(fill) > 150 else shade(COLOURS["grey"], 0.7)
    front = pose.view != "back"
    if person.upper in ("jacket", "coat"):
        if front:
            pen.rect(-0.8, _SHOULDER, 0.8, trunk.end, dark)
        pen.poly([(-5, 17), (5, 17), (0, 25 if front else 20)], dark)
    if person.upper == "shirt" and front:
        pen.poly([(-4.5, 17), (4.5, 17), (0, 23)], COLOURS["white"])
        for y in (27, 33, 39, 45):
            pen.oval(-0.9, y, 0.9, y + 1.8, dark)
    if person.upper == "hoodie":
        pen.oval(-8, 15, 8, 22 if front else 30, dark)
        if front:
            pen.poly([(-5, 41), (5, 41), (7, 48), (-7, 48)], dark)
    if person.upper in ("coat", "dress"):
        _band(pen, trunk, 43, 45.5, -1, 1, dark)
    if person.upper in ("sweater", "hoodie", "jacket"):
        _band(pen, trunk, trunk.end - 3.5, trunk.end, -1, 1, dark)
    if person.upper in ("vest", "t-shirt", "dress"):
        deep = 23 if person.upper != "t-shirt" else 20.5
        pen.poly([(-4, 17), (4, 17), (0, deep if front else 19)], person.skin)


def _arm(pen: Pen, person: Person, pose: Pose, shoulder: float, hand: float, tone: float) -> None:
    """Draw an arm in its sleeve, from the shoulder (height 20) to the hand (height 52)."""
    half = 3.0 * _GIRTH[person.build] ** 0.5
    cut = _SLEEVE_SHARE[person.sleeve]
    elbow_x, elbow_y = shoulder + (hand - shoulder) * cut, 20 + 32 * cut
    skin, cloth = shade(person.skin, tone), shade(_paint(person.upper_colour, pose), tone * 0.86)
    pen.line([(shoulder, 20), (hand, 52)], skin, 2 * half * 0.8)
    pen.oval(hand - half, 49.5, hand + half, 55, skin)
    if cut:
        pen.oval(shoulder - half, 17.5, shoulder + half, 17.5 + 2 * half, cloth)
        pen.line([(shoulder, 20), (elbow_x, elbow_y)], cloth, 2 * half)


def draw_figure(pen: Pen, person: Person, pose: Pose) -> None:
    """Draw a person, from the parts in the back to those in front."""
    trunk = _trunk(person, pose.view)
    side = pose.view == "side"
    reach = trunk.shoulder + 2.0
    hands = (-6.0 * pose.swing, 6.0 * pose.swing) if side else (-reach - 1.5 * pose.swing, reach + 1.5 * pose.swing)
    roots = (0.0, 0.0) if side else (-trunk.shoulder, trunk.shoulder)
    draw_bag_behind(pen, person, pose, trunk.shoulder)
    _arm(pen, person, pose, roots[0], hands[0], 0.85)
    _legs(pen, person, pose, trunk)
    if person.extra == "umbrella":
        draw_umbrella(pen, _paint(person.extra_colour, pose), hands[1])
    pen.rect(-3, 14, 3, 20, person.skin)
    cloth = _paint(person.upper_colour, pose)
    corners = [
        (-trunk.shoulder, _SHOULDER),
        (trunk.shoulder, _SHOULDER),
        (trunk.hem, trunk.end),
        (-trunk.hem, trunk.end),
    ]
    # The outline separates a grey jacket from a grey wall.
    pen.poly(corners, cloth, shade(cloth, 0.7))
    if person.pattern != "plain":
        _pattern(pen, person, pose, trunk)
    _cut(pen, person, pose, trunk)
    _arm(pen, person, pose, roots[1], hands[1], 1.0)
    draw_bag_in_front(pen, person, pose, trunk.shoulder, hands)
    draw_head(pen, person, pose)
