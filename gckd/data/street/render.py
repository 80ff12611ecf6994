"""One image with its captions: the only place where person, pose, camera and annotators meet."""

from dataclasses import dataclass
from functools import cache

from PIL import Image

from gckd.data.street.attributes import Person
from gckd.data.street.camera import CAMERAS, cameras, expose
from gckd.data.street.describe import ANNOTATORS, describe
from gckd.data.street.domains import DOMAINS, Imaging
from gckd.data.street.pose import VIEWS, draw_pose
from gckd.data.street.rng import keyed
from gckd.data.street.scene import draw_scene


@dataclass(frozen=True, slots=True)
class Shot:
    """One image of a person: the picture (64 x 128 pixels, width x height), its captions, the camera's number."""

    picture: Image.Image
    captions: list[str]
    camera: int


@cache
def _cameras(domain: str, shift: float) -> tuple[Imaging, ...]:
    return cameras(DOMAINS[domain], shift)


def render(person: Person, domain: str, number: int, image: int, *, seed: int, shift: float) -> Shot:
    """Image `image` of the domain's person `number`: a function of the arguments alone.

    A person's images come from different cameras and take turns through the views.
    """
    spec = DOMAINS[domain]
    whole = keyed(seed, domain, number)
    order = whole.sample(range(CAMERAS), spec.images)
    first_view = whole.randrange(len(VIEWS))
    view = VIEWS[(first_view + image) % len(VIEWS)]
    rng = keyed(seed, domain, number, image)
    imaging = _cameras(domain, shift)[order[image]]
    pose = draw_pose(view, person.build == "tall", person.extra == "umbrella", rng)
    picture = expose(draw_scene(person, pose, imaging, rng), imaging, rng)
    annotators = rng.sample(range(ANNOTATORS), spec.captions)
    captions = [describe(person, view, spec, shift, annotator, rng) for annotator in annotators]
    return Shot(picture, captions, order[image])
