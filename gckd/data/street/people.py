"""Who lives in which domain: every identity of every domain, drawn once, no two alike."""

import random
from collections.abc import Mapping

from gckd.data.street.attributes import FREQUENCIES, JEANS, SKINS, SLEEVES, Person, Weights
from gckd.data.street.domains import DOMAINS, Domain
from gckd.data.street.rng import keyed, pick


def frequencies(domain: Domain, shift: float) -> dict[str, Weights]:
    """attribute -> value -> weight in `domain`: the common weight times the domain's tilt to the power `shift`."""
    return {
        attribute: {value: w * domain.tilt.get(attribute, {}).get(value, 1.0) ** shift for value, w in common.items()}
        for attribute, common in FREQUENCIES.items()
    }


def draw_person(weights: Mapping[str, Weights], rng: random.Random) -> Person:
    """One person. Combinations that cannot be drawn or told apart (a white logo on white) are never made."""

    def draw(attribute: str, *but: str) -> str:
        return pick(rng, weights[attribute], but=but)

    def colour_of(thing: str, *but: str) -> str:
        return "" if thing == "none" else draw(f"{attribute}_colour", *but)

    gender = draw("gender")
    hair = draw("hair", *(("bald",) if gender == "woman" else ("bun",)))
    upper = draw("upper", *(() if gender == "woman" else ("dress",)))
    upper_colour = draw("upper_colour")
    pattern = draw("pattern")
    sleeve = SLEEVES.get(upper) or draw("sleeve")
    lower = "none" if upper == "dress" else draw("lower", *(() if gender == "woman" else ("skirt",)))
    lower_colour = pick(rng, JEANS) if lower == "jeans" else "" if lower == "none" else draw("lower_colour")
    found = {}
    for attribute in ("bag", "hat", "extra"):
        found[attribute] = draw(attribute)
        found[f"{attribute}_colour"] = colour_of(found[attribute], upper_colour)
    return Person(
        gender=gender,
        build=draw("build"),
        hair=hair,
        hair_colour="" if hair == "bald" else draw("hair_colour"),
        upper=upper,
        upper_colour=upper_colour,
        pattern=pattern,
        pattern_colour="" if pattern == "plain" else draw("pattern_colour", upper_colour),
        sleeve=sleeve,
        lower=lower,
        lower_colour=lower_colour,
        shoes=draw("shoes"),
        shoes_colour=draw("shoes_colour"),
        glasses=draw("glasses"),
        skin=rng.choice(SKINS),
        **found,
    )


def population(seed: int, shift: float, size: int) -> dict[str, list[Person]]:
    """The first `size` persons of every domain, all different across all domains.

    All three domains are always drawn, in one order, so who is in one never depends on which are written.
    """
    seen: set[Person] = set()
    people: dict[str, list[Person]] = {}
    for name, domain in DOMAINS.items():
        weights = frequencies(domain, shift)
        people[name] = []
        rng = keyed(seed, name, "people")
        while len(people[name]) < size:
            person = draw_person(weights, rng)
            if person not in seen:
                seen.add(person)
                people[name].append(person)
    return people
