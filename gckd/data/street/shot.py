"""One image of a person with its captions, from person, pose, scene, camera and annotators."""

from dataclasses import dataclass
from functools import cache

from PIL import Image

from gckd.data.street.attributes import Person
from gckd.data.street.camera import CAMERAS, cameras, expose
from gckd.data.street.caption import ANNOTATORS, describe
from gckd.data.street.domains import DOMAINS, Imaging
from gckd.data.street.pose import VIEWS, draw_pose
from gckd.data.street.random_streams import keyed
from gckd.data.street.scene import draw_scene


@dataclass(frozen=True, slots=True)
class Shot:
    """One image of a person."""

    picture: Image.Image  # 64 x 128 pixels (width x height)
    captions: list[str]
    camera: int  # below CAMERAS


@cache
def _cameras(domain: str, shift: float) -> tuple[Imaging, ...]:
    return cameras(DOMAINS[domain], shift)


def render(person: Person, domain: str, number: int, image: int, *, seed: int, shift: float) -> Shot:
    """One image of a person, a function of the arguments alone.

    The images of a person come from different cameras and cycle through the views.

    Args:
        person: the identity.
        domain: name of the domain.
        number: number of the person in the domain.
        image: number of the image of this person.
        seed: seed of the benchmark.
        shift: gap between the domains, in [0, 1].
    """
    spec = DOMAINS[domain]
    person_rng = keyed(seed, domain, number)
    order = person_rng.sample(range(CAMERAS), spec.images)
    first_view = person_rng.randrange(len(VIEWS))
    view = VIEWS[(first_view + image) % len(VIEWS)]
    rng = keyed(seed, domain, number, image)
    imaging = _cameras(domain, shift)[order[image]]
    pose = draw_pose(view, person.build == "tall", person.extra == "umbrella", rng)
    picture = expose(draw_scene(person, pose, imaging, rng), imaging, rng)
    annotators = rng.sample(range(ANNOTATORS), spec.captions)
    captions = [describe(person, view, spec, shift, annotator, rng) for annotator in annotators]
    return Shot(picture, captions, order[image])
