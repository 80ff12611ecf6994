"""Caption of one image: the details an annotator mentions, their words and their order."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gckd.data.street.attributes import NEIGHBOURS, Person
from gckd.data.street.dialect import word
from gckd.data.street.domains import Domain
from gckd.data.street.random_streams import mix

ANNOTATORS = 8
MISTAKE = 0.01  # probability that a colour is written as its neighbour
_SALIENT = 0.2  # factor on the probability of omitting a salient detail: main garments and their colours
_MINOR = 10.0  # factor on the probability of omitting a minor detail: build, sleeves, glasses

Clause = tuple[str, tuple[str, ...]]  # verb, parts of the description that follow it
Sentence = tuple[str, str, tuple[Clause, ...]]  # subject, conjunction between clauses, clauses
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
    """One annotator of one image; `omit` is the probability of leaving out a detail."""

    domain: str
    shift: float
    omit: float
    rng: random.Random

    def mentions(self, factor: float = 1.0) -> bool:
        return self.rng.random() >= self.omit * factor

    def name(self, item: str) -> str:
        return word(item, self.domain, self.shift, self.rng)

    def colour(self, colour: str) -> str:
        return self.name(NEIGHBOURS[colour] if self.rng.random() < MISTAKE else colour)

    def item(self, item: str, colour: str, *, salient: bool = False) -> str:
        """Article, colour (may be left out) and noun of an item; empty if the item is left out."""
        if item in ("none", "") or not self.mentions(_SALIENT if salient else 1.0):
            return ""
        tint = self.colour(colour) if colour and self.mentions(_SALIENT if salient else 0.5) else ""
        return article(f"{tint} {self.name(item)}".strip())


def article(phrase: str) -> str:
    """`phrase` with "a" or "an"; without an article if its noun is plural or uncountable."""
    plural = (phrase.endswith("s") and not phrase.endswith("dress")) or phrase.endswith(("hair", "wear", "gear"))
    return phrase if plural else f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _hair(person: Person, annotator: _Annotator) -> str:
    if not annotator.mentions():
        return ""
    if person.hair == "bald":
        return article(annotator.name("bald"))
    tint = annotator.colour(person.hair_colour)
    if person.hair in ("short", "long"):
        return f"{annotator.name(f'{person.hair} hair')} {tint} hair"
    return article(f"{tint} {annotator.name(person.hair)}")


def _upper(person: Person, annotator: _Annotator) -> str:
    """Phrase of the upper garment. Details that begin with "with" follow the noun, all others precede it."""
    if not annotator.mentions(_SALIENT):
        return ""
    before: list[str] = []
    behind: list[str] = []
    details = (
        [annotator.name(f"{person.sleeve} sleeve")] if person.sleeve != "none" and annotator.mentions(_MINOR) else []
    )
    if annotator.mentions(_SALIENT):
        before.append(annotator.colour(person.upper_colour))
    if person.pattern != "plain" and annotator.mentions():
        second = annotator.colour(person.pattern_colour) if annotator.mentions() else ""
        pattern = annotator.name(person.pattern)
        if pattern.startswith("with"):
            with_a, _, noun = pattern.rpartition(" ")
            details.append(f"with {article(f'{second} {noun}')}" if second else f"{with_a} {noun}")
        else:
            before.append(f"and {second} {pattern}" if second and before else f"{second} {pattern}".strip())
    for detail in details:
        (behind if detail.startswith("with") else before).append(detail)
    return " ".join([article(" ".join([*before, annotator.name(person.upper)])), *behind])


def _parts(person: Person, view: str, annotator: _Annotator) -> dict[str, str]:
    """Noun phrase of each part, empty if not mentioned. Glasses and mask are not seen from the back."""
    face = view != "back"
    umbrella = person.extra == "umbrella"
    build = f"{annotator.name(person.build)} " if person.build != "average" and annotator.mentions(_MINOR) else ""
    extra = annotator.item(person.extra, person.extra_colour) if face or person.extra != "mask" else ""
    return {
        "who": article(f"{build}{annotator.name(person.gender)}"),
        "hair": _hair(person, annotator),
        "upper": _upper(person, annotator),
        "lower": annotator.item(person.lower, person.lower_colour, salient=True),
        "shoes": annotator.item(person.shoes, person.shoes_colour),
        "bag": annotator.item(person.bag, person.bag_colour),
        "hat": annotator.item(person.hat, person.hat_colour),
        "glasses": annotator.item(person.glasses, "") if face and annotator.mentions(_MINOR) else "",
        "umbrella": extra if umbrella else "",
        "extra": "" if umbrella else extra,
    }


def _listed(phrases: Sequence[str]) -> str:
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]]) if len(phrases) > 1 else phrases[0]


def _sentence(sentence: Sentence, parts: dict[str, str], he: str) -> str:
    """Sentence with the mentioned parts; empty if it would have no content."""
    subject, conjunction, clauses = sentence
    texts = []
    for verb, slots in clauses:
        phrases = [parts[slot] for slot in slots if parts[slot]]
        if phrases:
            texts.append(f"{verb} {_listed(phrases)}".strip())
    if not texts and "{who}" not in subject:
        return ""
    return f"{subject.format(who=parts['who'], he=he)} {conjunction.join(texts)}".strip().replace(" , ", ", ") + "."


def describe(person: Person, view: str, domain: Domain, shift: float, annotator: int, rng: random.Random) -> str:
    """Caption that an annotator writes for an image of `person`.

    Annotators leave out 2 to 8 % of the details, and each prefers one of the common sentence styles. With probability
    `shift` the style is that of the domain.

    Args:
        person: the identity.
        view: side from which the person is seen, in `gckd.data.street.pose.VIEWS`.
        domain: domain of the image.
        shift: gap between the domains, in [0, 1].
        annotator: number of the annotator, below `ANNOTATORS`.
        rng: source of random numbers.
    """
    omission_rate = 0.02 + 0.06 * annotator / (ANNOTATORS - 1)
    writer = _Annotator(domain.name, shift, omission_rate * mix(1.0, domain.omit, shift), rng)
    parts = _parts(person, view, writer)
    in_domain_style = rng.random() < shift
    style = DOMAIN_STYLES[domain.name] if in_domain_style else COMMON_STYLES[annotator % len(COMMON_STYLES)]
    he = "he" if person.gender == "man" else "she"
    return " ".join(text for sentence in style if (text := _sentence(sentence, parts, he)))
