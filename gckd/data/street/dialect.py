"""Words for attribute values: words common to all domains, and words of one domain only.

A word of the domain replaces a common word with probability `DIALECT_RATE * shift`. No domain uses a word of another.
"""

import random

DIALECT_RATE = 0.5  # below 1, so that at every shift some mentions of each value keep the common words
_COLUMNS = {"CUHK-PEDES": 1, "ICFG-PEDES": 2, "RSTPReid": 3}

# Value: common words, then words of CUHK-PEDES, ICFG-PEDES and RSTPReid; "|" separates synonyms.
_TABLE: dict[str, tuple[str, str, str, str]] = {
    "man": ("man", "gentleman", "male", "guy|fellow"),
    "woman": ("woman", "girl", "female", "lady"),
    "slim": ("slim", "lean", "slender", "skinny"),
    "broad": ("broad", "stout", "heavyset", "burly"),
    "tall": ("tall", "lanky", "towering", "long-legged"),
    "black": ("black", "jet", "ebony", "inky"),
    "white": ("white", "snowy", "ivory", "milky"),
    "grey": ("grey", "ash", "silver", "slate"),
    "red": ("red", "scarlet", "crimson", "ruby"),
    "orange": ("orange", "tangerine", "amber", "apricot"),
    "yellow": ("yellow", "lemon", "golden", "mustard"),
    "green": ("green", "emerald", "olive", "jade"),
    "blue": ("blue", "azure", "cobalt", "sapphire"),
    "navy": ("navy", "midnight", "indigo", "marine"),
    "purple": ("purple", "violet", "plum", "lilac"),
    "pink": ("pink", "rose", "salmon", "fuchsia"),
    "brown": ("brown", "chestnut", "coffee", "cocoa"),
    "blonde": ("blonde", "fair", "flaxen", "sandy"),
    "ginger": ("ginger", "auburn", "copper", "rusty"),
    "short hair": ("short", "cropped", "trimmed", "close-cut"),
    "long hair": ("long", "flowing", "shoulder-length", "loose"),
    "ponytail": ("ponytail", "horsetail", "tied-back hair", "tail of hair"),
    "bun": ("bun", "topknot", "chignon", "knot of hair"),
    "bald": ("bald head", "shaved head", "hairless head", "bare scalp"),
    "t-shirt": ("t-shirt", "tee", "jersey", "undershirt"),
    "shirt": ("shirt", "button-down", "blouse", "oxford"),
    "sweater": ("sweater", "pullover", "knitwear", "jumper"),
    "hoodie": ("hoodie", "hooded top", "sweatshirt", "hooded sweater"),
    "jacket": ("jacket", "windbreaker", "blazer", "anorak"),
    "coat": ("coat", "overcoat", "trench", "parka"),
    "vest": ("vest", "waistcoat", "tank", "gilet"),
    "dress": ("dress", "gown", "frock", "one-piece"),
    "striped": ("striped", "banded", "lined", "barred"),
    "checked": ("checked", "tartan", "checkered", "gridded"),
    "dotted": ("dotted", "spotted", "polka-dot", "speckled"),
    "logo": ("with a logo", "with a badge", "with a print", "with an emblem"),
    "long sleeve": ("long sleeved", "full sleeve", "with long sleeves", "covered arm"),
    "short sleeve": ("short sleeved", "half sleeve", "with short sleeves", "bare arm"),
    "trousers": ("trousers", "slacks", "bottoms", "chinos"),
    "jeans": ("jeans", "denims", "denim pants", "dungarees"),
    "shorts": ("shorts", "bermudas", "short pants", "cutoffs"),
    "skirt": ("skirt", "kilt", "pleated bottom", "miniskirt"),
    "sneakers": ("sneakers", "trainers", "sports shoes", "runners"),
    "boots": ("boots", "ankle-boots", "high shoes", "booties"),
    "sandals": ("sandals", "slippers", "open shoes", "flip-flops"),
    "backpack": ("backpack", "rucksack", "knapsack", "schoolbag"),
    "handbag": ("handbag", "purse", "tote", "clutch"),
    "shoulder bag": ("shoulder bag", "satchel", "messenger bag", "crossbody"),
    "suitcase": ("suitcase", "trolley", "luggage", "wheeled case"),
    "cap": ("cap", "baseball hat", "visor", "peaked hat"),
    "beanie": ("beanie", "knit hat", "woolly hat", "toque"),
    "helmet": ("helmet", "crash hat", "hard hat", "headgear"),
    "sun hat": ("sun hat", "brimmed hat", "straw hat", "floppy hat"),
    "glasses": ("glasses", "spectacles", "eyewear", "shades"),
    "scarf": ("scarf", "muffler", "shawl", "neckerchief"),
    "umbrella": ("umbrella", "parasol", "sunshade", "brolly"),
    "mask": ("mask", "respirator", "face covering", "mouth cover"),
}
WORDS: dict[str, tuple[tuple[str, ...], ...]] = {
    value: tuple(tuple(column.split("|")) for column in columns) for value, columns in _TABLE.items()
}


def word(value: str, domain: str, shift: float, rng: random.Random) -> str:
    """Word for an attribute value by an annotator of `domain`."""
    column = _COLUMNS[domain] if rng.random() < DIALECT_RATE * shift else 0
    return rng.choice(WORDS[value][column])
