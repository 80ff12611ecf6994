"""Cameras of a domain: light, colour cast, blur, resolution and noise of an image."""

import random
from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, ImageFilter

from gckd.data.street.domains import COMMON_IMAGING, Domain, Imaging
from gckd.data.street.random_streams import keyed, mix

CAMERAS = 6  # per domain
WIDTH, HEIGHT = 64, 128  # of an image, in pixels


def domain_imaging(domain: Domain, shift: float) -> Imaging:
    """Mean camera of a domain: the common one at shift 0, `domain.imaging` at shift 1."""
    a, b = COMMON_IMAGING, domain.imaging
    gains = (
        mix(a.gains[0], b.gains[0], shift), mix(a.gains[1], b.gains[1], shift), mix(a.gains[2], b.gains[2], shift),
    )  # fmt: skip
    wall = (
        round(mix(a.wall[0], b.wall[0], shift)), round(mix(a.wall[1], b.wall[1], shift)),
        round(mix(a.wall[2], b.wall[2], shift)),
    )  # fmt: skip
    return Imaging(
        exposure=mix(a.exposure, b.exposure, shift),
        gamma=mix(a.gamma, b.gamma, shift),
        gains=gains,
        blur=mix(a.blur, b.blur, shift),
        resolution=mix(a.resolution, b.resolution, shift),
        noise=mix(a.noise, b.noise, shift),
        haze=mix(a.haze, b.haze, shift),
        occlusion=mix(a.occlusion, b.occlusion, shift),
        clutter=mix(a.clutter, b.clutter, shift),
        wall=wall,
    )


def cameras(domain: Domain, shift: float) -> tuple[Imaging, ...]:
    """All cameras of a domain: its mean camera with a small deviation per camera.

    Camera k deviates by the same factors in every domain, so that at shift 0 the domains share their cameras.
    """
    mean = domain_imaging(domain, shift)
    result = []
    for k in range(CAMERAS):
        rng = keyed("camera", k)
        red, green, blue = (gain * rng.uniform(0.95, 1.05) for gain in mean.gains)
        result.append(
            replace(
                mean,
                exposure=mean.exposure * rng.uniform(0.88, 1.12),
                gamma=mean.gamma * rng.uniform(0.93, 1.07),
                gains=(red, green, blue),
                blur=mean.blur * rng.uniform(0.7, 1.3),
                noise=mean.noise * rng.uniform(0.8, 1.2),
            )
        )
    return tuple(result)


@cache
def _curve(imaging: Imaging) -> list[int]:
    """Tone curves of the three channels, as one lookup table of 3 x 256 grey levels."""
    level = np.linspace(0.0, 1.0, 256) ** imaging.gamma * imaging.exposure
    table = np.stack([level * gain for gain in imaging.gains])
    hazy = table * (1.0 - imaging.haze) + 0.7 * imaging.haze
    return [int(v) for v in np.clip(hazy * 255.0 + 0.5, 0, 255).ravel()]


def expose(scene: Image.Image, imaging: Imaging, rng: random.Random) -> Image.Image:
    """Image (64 x 128 pixels) that a camera takes of a scene (128 x 256 pixels).

    The steps are sensor grid, blur, tone curve and noise. The blur acts on the coarse sensor grid, where it is fastest.
    """
    sensor = (round(WIDTH * imaging.resolution), round(HEIGHT * imaging.resolution))
    picture = scene.resize(sensor, Image.Resampling.BOX).filter(ImageFilter.BoxBlur(imaging.blur * imaging.resolution))
    picture = picture.point(_curve(imaging)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    noise = np.random.Generator(np.random.PCG64(rng.getrandbits(64))).standard_normal(
        (HEIGHT, WIDTH, 1), dtype=np.float32
    )
    pixels = np.asarray(picture) + noise * np.float32(imaging.noise)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
