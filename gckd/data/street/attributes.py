"""Attributes of a street person: colours, possible values, and the frequency of each value.

The frequencies here are common to all domains. A domain multiplies them by factors (`domains.Domain.tilt`) to the power
of the shift, so that at shift 0 every domain has exactly these.
"""

from dataclasses import dataclass, field

RGB = tuple[int, int, int]
Weights = dict[str, float]

COLOURS: dict[str, RGB] = {
    "black": (24, 24, 26),
    "white": (238, 238, 236),
    "grey": (132, 134, 138),
    "red": (204, 28, 34),
    "orange": (240, 128, 24),
    "yellow": (242, 212, 44),
    "green": (34, 140, 62),
    "blue": (46, 112, 220),
    "navy": (22, 34, 92),
    "purple": (118, 50, 156),
    "pink": (244, 144, 184),
    "brown": (112, 68, 36),
    "blonde": (222, 188, 104),
    "ginger": (178, 76, 32),
}

# The colour that an annotator writes by mistake: the nearest one in bad light.
NEIGHBOURS: dict[str, str] = {
    "black": "navy",
    "white": "grey",
    "grey": "white",
    "red": "orange",
    "orange": "red",
    "yellow": "orange",
    "green": "blue",
    "blue": "navy",
    "navy": "black",
    "purple": "pink",
    "pink": "purple",
    "brown": "orange",
    "blonde": "brown",
    "ginger": "brown",
}

SKINS: tuple[RGB, ...] = ((246, 212, 184), (226, 178, 140), (184, 128, 90), (124, 82, 56))

_CLOTHES: Weights = {
    "black": 12, "white": 12, "grey": 10, "red": 11, "orange": 6, "yellow": 10,
    "green": 11, "blue": 12, "navy": 5, "purple": 8, "pink": 9, "brown": 6,
}  # fmt: skip

FREQUENCIES: dict[str, Weights] = {
    "gender": {"man": 50, "woman": 50},
    "build": {"average": 45, "slim": 20, "broad": 20, "tall": 15},
    "hair": {"short": 40, "long": 26, "ponytail": 14, "bun": 10, "bald": 10},
    "hair_colour": {"black": 38, "brown": 24, "blonde": 18, "grey": 10, "ginger": 10},
    "upper": {
        "t-shirt": 20,
        "shirt": 15,
        "sweater": 13,
        "hoodie": 13,
        "jacket": 15,
        "coat": 12,
        "vest": 6,
        "dress": 14,
    },
    "upper_colour": _CLOTHES,
    "pattern": {"plain": 48, "striped": 16, "checked": 12, "dotted": 10, "logo": 14},
    "pattern_colour": _CLOTHES,
    "sleeve": {"long": 50, "short": 50},
    "lower": {"trousers": 36, "jeans": 24, "shorts": 20, "skirt": 20},
    "lower_colour": _CLOTHES,
    "shoes": {"sneakers": 50, "boots": 28, "sandals": 22},
    "shoes_colour": _CLOTHES,
    "bag": {"none": 30, "backpack": 24, "handbag": 16, "shoulder bag": 16, "suitcase": 14},
    "bag_colour": _CLOTHES,
    "hat": {"none": 52, "cap": 18, "beanie": 12, "helmet": 8, "sun hat": 10},
    "hat_colour": _CLOTHES,
    "glasses": {"none": 70, "glasses": 30},
    "extra": {"none": 55, "scarf": 17, "umbrella": 14, "mask": 14},
    "extra_colour": _CLOTHES,
}

JEANS: Weights = {"blue": 45, "navy": 25, "grey": 15, "black": 15}
# Garments with a fixed kind of sleeve; the sleeve of the others is drawn.
SLEEVES: dict[str, str] = {
    "t-shirt": "short", "sweater": "long", "hoodie": "long", "jacket": "long", "coat": "long", "vest": "none",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """One identity. An attribute that does not apply, such as the colour of an absent bag, is the empty string.

    `skin` varies the images. Captions never mention it, and it does not distinguish two persons.
    """

    gender: str
    build: str
    hair: str
    hair_colour: str
    upper: str
    upper_colour: str
    pattern: str
    pattern_colour: str
    sleeve: str
    lower: str
    lower_colour: str
    shoes: str
    shoes_colour: str
    bag: str
    bag_colour: str
    hat: str
    hat_colour: str
    glasses: str
    extra: str
    extra_colour: str
    skin: RGB = field(compare=False)
