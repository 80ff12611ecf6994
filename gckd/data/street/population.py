"""Identities of every domain, drawn at random and all different."""

import random
from collections.abc import Mapping

from gckd.data.street.attributes import FREQUENCIES, JEANS, SKINS, SLEEVES, Person, Weights
from gckd.data.street.domains import DOMAINS, Domain
from gckd.data.street.random_streams import keyed, pick


def frequencies(domain: Domain, shift: float) -> dict[str, Weights]:
    """Attribute -> value -> weight in a domain: the common weight times the domain's factor to the power `shift`."""
    return {
        attribute: {value: w * domain.tilt.get(attribute, {}).get(value, 1.0) ** shift for value, w in common.items()}
        for attribute, common in FREQUENCIES.items()
    }


def draw_person(weights: Mapping[str, Weights], rng: random.Random) -> Person:
    """One random person, without combinations that cannot be drawn or seen, such as a white logo on white."""

    def draw(attribute: str, *excluded: str) -> str:
        return pick(rng, weights[attribute], exclude=excluded)

    def colour_of(item: str, *excluded: str) -> str:
        return "" if item == "none" else draw(f"{attribute}_colour", *excluded)

    gender = draw("gender")
    hair = draw("hair", *(("bald",) if gender == "woman" else ("bun",)))
    upper = draw("upper", *(() if gender == "woman" else ("dress",)))
    upper_colour = draw("upper_colour")
    pattern = draw("pattern")
    sleeve = SLEEVES.get(upper) or draw("sleeve")
    lower = "none" if upper == "dress" else draw("lower", *(() if gender == "woman" else ("skirt",)))
    lower_colour = pick(rng, JEANS) if lower == "jeans" else "" if lower == "none" else draw("lower_colour")
    accessories = {}
    for attribute in ("bag", "hat", "extra"):
        accessories[attribute] = draw(attribute)
        accessories[f"{attribute}_colour"] = colour_of(accessories[attribute], upper_colour)
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
        **accessories,
    )


def population(seed: int, shift: float, size: int) -> dict[str, list[Person]]:
    """The first `size` persons of every domain, all different within and across domains.

    All three domains are always drawn in the same order, so that a domain does not depend on which ones are written.
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
