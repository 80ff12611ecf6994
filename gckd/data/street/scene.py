"""Scene before the camera: background, person, and sometimes an obstacle in front."""

import random

from PIL import Image, ImageDraw

from gckd.data.street.attributes import COLOURS, RGB, Person
from gckd.data.street.domains import Imaging
from gckd.data.street.figure import draw_figure
from gckd.data.street.pen import Pen, shade
from gckd.data.street.pose import Pose

SCENE_SIZE = (128, 256)  # width, height in pixels: twice those of the image, for smooth edges


def _tinted(colour: RGB, rng: random.Random, spread: int) -> RGB:
    red, green, blue = (max(0, min(255, channel + rng.randint(-spread, spread))) for channel in colour)
    return red, green, blue


def _background(draw: ImageDraw.ImageDraw, imaging: Imaging, rng: random.Random) -> None:
    """Draw a wall above a floor, with boxes whose number depends on the camera's `clutter`."""
    width, height = SCENE_SIZE
    wall = shade(_tinted(imaging.wall, rng, 18), rng.uniform(0.75, 1.2))
    horizon = rng.randint(130, 200)
    draw.rectangle((0, 0, width, horizon), fill=wall)
    draw.rectangle((0, horizon, width, height), fill=shade(wall, rng.choice((0.7, 0.85, 1.15))))
    for _ in range(int(imaging.clutter * rng.uniform(0.4, 1.6) + 0.5)):
        left, top = rng.randint(-20, 120), rng.randint(-20, 200)
        wide, high = rng.randint(8, 36), rng.randint(20, 120)
        fill = _tinted(imaging.wall, rng, 70)
        draw.rectangle((left, top, left + wide, top + high), fill=fill)


def _obstacle(draw: ImageDraw.ImageDraw, imaging: Imaging, rng: random.Random) -> None:
    """Draw a pole, a low wall, or a passer-by at the edge of the frame."""
    fill = _tinted(imaging.wall, rng, 50)
    kind = rng.randrange(3)
    if kind == 0:
        left = rng.randint(20, 96)
        draw.rectangle((left, 0, left + rng.randint(8, 16), 256), fill=fill)
    elif kind == 1:
        draw.rectangle((0, rng.randint(190, 225), 128, 256), fill=fill)
    else:
        middle = rng.choice((0, 128)) + rng.randint(-8, 8)
        coat = COLOURS[rng.choice(tuple(COLOURS))]
        draw.ellipse((middle - 16, 30, middle + 16, 66), fill=(60, 44, 36))
        draw.rectangle((middle - 30, 64, middle + 30, 256), fill=shade(coat, 0.8))


def draw_scene(person: Person, pose: Pose, imaging: Imaging, rng: random.Random) -> Image.Image:
    """RGB image of `SCENE_SIZE` of a person on the street."""
    scene = Image.new("RGB", SCENE_SIZE)
    draw = ImageDraw.Draw(scene)
    _background(draw, imaging, rng)
    pen = Pen(draw, pose.middle, pose.sole - 100 * pose.unit, pose.unit, pose.flip)
    draw_figure(pen, person, pose)
    if rng.random() < imaging.occlusion:
        _obstacle(draw, imaging, rng)
    return scene
