"""An annotator's sentence about one image: what they mention, in whose words, in which order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gckd.data.street.attributes import NEIGHBOURS, Person
from gckd.data.street.dialect import word
from gckd.data.street.domains import Domain
from gckd.data.street.rng import mix

ANNOTATORS = 8
MISTAKE = 0.01  # chance that a colour is written as its neighbour
_LOUD = 0.2  # factor on the chance to omit what nobody overlooks: the colours of the main garments
_QUIET = 10.0  # factor for what annotators seldom bother with: build, sleeves, glasses

Clause = tuple[str, tuple[str, ...]]  # a verb and the parts it takes
Sentence = tuple[str, str, tuple[Clause, ...]]  # a subject, what joins its clauses, the clauses
Style = tuple[Sentence, ...]

COMMON_STYLES: tuple[Style, ...] = (
    (
        ("{who}", " ", (("with", ("hair",)), ("wearing", ("upper", "lower", "shoes")))),
        ("{he}", " and ", (("carries", ("bag", "umbrella")), ("wears", ("hat", "glasses", "extra")))),
    ),
    (
        ("{who}", " and ", (("is dressed in", ("upper", "lower")), ("has", ("hair", "glasses", "hat")))),
        ("{he}", " and ", (("wears", ("shoes", "extra")), ("holds", ("bag", "umbrella")))),
    ),
    (
        ("{who}", " ", (("in", ("hat", "upper")), ("with", ("bag", "umbrella")))),
        ("{he}", " and ", (("has", ("hair", "glasses", "extra")), ("wears", ("lower", "shoes")))),
    ),
)
DOMAIN_STYLES: dict[str, Style] = {
    "CUHK-PEDES": (
        ("{who}", " and ", (("is walking in", ("shoes", "lower")), ("has on", ("upper",)))),
        ("you can see", " plus ", (("", ("hair", "hat", "glasses", "extra")), ("", ("bag", "umbrella")))),
    ),
    "ICFG-PEDES": (
        ("this pedestrian is {who}", " ", (("with", ("hair", "hat", "glasses", "extra")),)),
        ("above is", " ", (("", ("upper",)),)),
        ("below are", " ", (("", ("lower", "shoes")),)),
        ("there is", " ", (("", ("bag", "umbrella")),)),
    ),
    "RSTPReid": (
        ("here goes {who}", ", ", (("sporting", ("bag", "umbrella", "hat")), ("matched to", ("lower", "shoes")))),
        ("on top", ", ", (("we find", ("extra", "upper")), ("under", ("hair", "glasses")))),
    ),
}


@dataclass(slots=True)
class _Annotator:
    """One annotator before one image: `omit` is the chance to leave a detail out."""

    domain: str
    shift: float
    omit: float
    rng: random.Random

    def says(self, factor: float = 1.0) -> bool:
        return self.rng.random() >= self.omit * factor

    def name(self, thing: str) -> str:
        return word(thing, self.domain, self.shift, self.rng)

    def colour(self, colour: str) -> str:
        return self.name(NEIGHBOURS[colour] if self.rng.random() < MISTAKE else colour)

    def thing(self, thing: str, colour: str, *, loud: bool = False) -> str:
        """Article, colour unless left out, noun; or nothing where the whole thing is overlooked."""
        if thing in ("none", "") or not self.says(_LOUD if loud else 1.0):
            return ""
        tint = self.colour(colour) if colour and self.says(_LOUD if loud else 0.5) else ""
        return article(f"{tint} {self.name(thing)}".strip())


def article(phrase: str) -> str:
    """`phrase` with "a" or "an", or bare where its noun is plural."""
    plural = (phrase.endswith("s") and not phrase.endswith("dress")) or phrase.endswith(("hair", "wear", "gear"))
    return phrase if plural else f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _hair(person: Person, by: _Annotator) -> str:
    if not by.says():
        return ""
    if person.hair == "bald":
        return article(by.name("bald"))
    tint = by.colour(person.hair_colour)
    if person.hair in ("short", "long"):
        return f"{by.name(f'{person.hair} hair')} {tint} hair"
    return article(f"{tint} {by.name(person.hair)}")


def _upper(person: Person, by: _Annotator) -> str:
    """The upper garment: sleeve, colours, pattern, noun; what starts with "with" goes behind the noun."""
    if not by.says(_LOUD):
        return ""
    before: list[str] = []
    behind: list[str] = []
    details = [by.name(f"{person.sleeve} sleeve")] if person.sleeve != "none" and by.says(_QUIET) else []
    if by.says(_LOUD):
        before.append(by.colour(person.upper_colour))
    if person.pattern != "plain" and by.says():
        second = by.colour(person.pattern_colour) if by.says() else ""
        pattern = by.name(person.pattern)
        if pattern.startswith("with"):
            with_a, _, noun = pattern.rpartition(" ")
            details.append(f"with {article(f'{second} {noun}')}" if second else f"{with_a} {noun}")
        else:
            before.append(f"and {second} {pattern}" if second and before else f"{second} {pattern}".strip())
    for detail in details:
        (behind if detail.startswith("with") else before).append(detail)
    return " ".join([article(" ".join([*before, by.name(person.upper)])), *behind])


def _parts(person: Person, view: str, by: _Annotator) -> dict[str, str]:
    """The noun phrase of each mentioned part; the face's things are not mentioned where only the back is seen."""
    face = view != "back"
    umbrella = person.extra == "umbrella"
    build = f"{by.name(person.build)} " if person.build != "average" and by.says(_QUIET) else ""
    extra = by.thing(person.extra, person.extra_colour) if face or person.extra != "mask" else ""
    return {
        "who": article(f"{build}{by.name(person.gender)}"),
        "hair": _hair(person, by),
        "upper": _upper(person, by),
        "lower": by.thing(person.lower, person.lower_colour, loud=True),
        "shoes": by.thing(person.shoes, person.shoes_colour),
        "bag": by.thing(person.bag, person.bag_colour),
        "hat": by.thing(person.hat, person.hat_colour),
        "glasses": by.thing(person.glasses, "") if face and by.says(_QUIET) else "",
        "umbrella": extra if umbrella else "",
        "extra": "" if umbrella else extra,
    }


def _listed(phrases: Sequence[str]) -> str:
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]]) if len(phrases) > 1 else phrases[0]


def _sentence(sentence: Sentence, parts: dict[str, str], he: str) -> str:
    """The sentence with what is known of its parts, or nothing if it would say nothing."""
    subject, joint, clauses = sentence
    said = []
    for verb, slots in clauses:
        phrases = [parts[slot] for slot in slots if parts[slot]]
        if phrases:
            said.append(f"{verb} {_listed(phrases)}".strip())
    if not said and "{who}" not in subject:
        return ""
    return f"{subject.format(who=parts['who'], he=he)} {joint.join(said)}".strip().replace(" , ", ", ") + "."


def describe(person: Person, view: str, domain: Domain, shift: float, annotator: int, rng: random.Random) -> str:
    """The caption annotator number `annotator` (below `ANNOTATORS`) writes under an image of `person` seen from `view`.

    An annotator leaves details out with a rate of 2 to 8 % and likes one of the common sentence forms; with
    probability `shift` the form is the domain's.
    """
    habit = 0.02 + 0.06 * annotator / (ANNOTATORS - 1)
    by = _Annotator(domain.name, shift, habit * mix(1.0, domain.omit, shift), rng)
    parts = _parts(person, view, by)
    own = rng.random() < shift
    style = DOMAIN_STYLES[domain.name] if own else COMMON_STYLES[annotator % len(COMMON_STYLES)]
    he = "he" if person.gender == "man" else "she"
    return " ".join(text for sentence in style if (text := _sentence(sentence, parts, he)))
