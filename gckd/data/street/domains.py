"""The three domains: the file format of each real dataset, and the properties that change with the shift.

All differences between domains are here, in `dialect.py` and in the sentence styles of `caption.py`. At shift 0 only
the fields of the file format are used.
"""

from dataclasses import dataclass

from gckd.data.street.attributes import RGB, Weights


@dataclass(frozen=True, slots=True)
class Imaging:
    """Parameters of one camera; those of a domain are the mean over its cameras."""

    exposure: float  # factor on all channels
    gamma: float  # above 1 darkens the mid-tones
    gains: tuple[float, float, float]  # colour cast: factors on red, green and blue
    blur: float  # box radius in pixels of the final image
    resolution: float  # side of the sensor image as a share of that of the final image, in (0, 1]
    noise: float  # standard deviation in grey levels of 255
    haze: float  # share of uniform light grey in the image, in [0, 1)
    occlusion: float  # probability that an obstacle covers part of the person
    clutter: float  # mean number of objects in the background
    wall: RGB  # mean background colour


COMMON_IMAGING = Imaging(
    exposure=1.0, gamma=1.0, gains=(1.0, 1.0, 1.0), blur=0.35, resolution=1.0, noise=2.0, haze=0.0,
    occlusion=0.04, clutter=0.6, wall=(150, 150, 148),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Domain:
    """One dataset: its format on disk, which is that of the real dataset, and its properties at shift 1."""

    name: str
    json_name: str  # the annotation file in the dataset's folder
    path_field: str  # the entry's field that holds the image path
    first_id: int
    images: int  # per identity
    captions: int  # per image
    train_share: float  # train identities as a share of the argument `ids`
    has_val: bool
    has_tokens: bool
    imaging: Imaging  # at shift 1
    tilt: dict[str, Weights]  # attribute -> value -> factor on the common frequency, at shift 1
    omit: float  # factor on the probability that an annotator leaves out an attribute, at shift 1


_CUHK = Domain(
    name="CUHK-PEDES", json_name="reid_raw.json", path_field="file_path", first_id=1,
    images=3, captions=2, train_share=1.0, has_val=True, has_tokens=True,
    imaging=Imaging(
        exposure=0.95, gamma=0.9, gains=(1.25, 1.0, 0.72), blur=0.9, resolution=0.55, noise=10.0, haze=0.2,
        occlusion=0.10, clutter=1.5, wall=(176, 150, 112),
    ),
    tilt={
        "upper": {"shirt": 2.0, "dress": 1.5},
        "lower": {"skirt": 1.5},
        "bag": {"shoulder bag": 2.0},
        "upper_colour": {"white": 2.0, "yellow": 1.5},
    },
    omit=1.15,
)  # fmt: skip

_ICFG = Domain(
    name="ICFG-PEDES", json_name="ICFG-PEDES.json", path_field="file_path", first_id=0,
    images=5, captions=1, train_share=1.0, has_val=False, has_tokens=True,
    imaging=Imaging(
        exposure=1.22, gamma=0.85, gains=(1.06, 1.06, 0.86), blur=0.3, resolution=0.95, noise=4.0, haze=0.05,
        occlusion=0.08, clutter=2.0, wall=(160, 178, 140),
    ),
    tilt={
        "upper": {"t-shirt": 2.2, "dress": 2.0, "coat": 0.35, "hoodie": 0.6},
        "lower": {"shorts": 2.2, "skirt": 1.6},
        "shoes": {"sandals": 2.2, "boots": 0.4},
        "hat": {"sun hat": 2.5, "beanie": 0.3},
        "extra": {"scarf": 0.35},
        "upper_colour": {"white": 1.6, "pink": 1.6, "yellow": 1.6, "black": 0.5},
        "lower_colour": {"white": 1.8, "black": 0.6},
    },
    omit=0.6,
)  # fmt: skip

_RSTP = Domain(
    name="RSTPReid", json_name="data_captions.json", path_field="img_path", first_id=0,
    images=5, captions=2, train_share=1 / 3, has_val=True, has_tokens=False,
    imaging=Imaging(
        exposure=0.62, gamma=1.25, gains=(0.62, 0.95, 1.40), blur=1.1, resolution=0.55, noise=13.0, haze=0.25,
        occlusion=0.25, clutter=1.5, wall=(96, 108, 138),
    ),
    tilt={
        "upper": {"t-shirt": 0.4, "dress": 0.5, "coat": 2.6, "jacket": 2.0, "vest": 0.4},
        "lower": {"shorts": 0.35, "skirt": 0.6, "trousers": 1.6},
        "shoes": {"boots": 2.2, "sandals": 0.3},
        "hat": {"beanie": 2.5, "sun hat": 0.3},
        "extra": {"scarf": 2.5, "mask": 1.5},
        "upper_colour": {"black": 2.0, "navy": 2.0, "brown": 1.6, "white": 0.6, "pink": 0.5, "yellow": 0.5},
        "lower_colour": {"black": 2.0, "navy": 1.6},
    },
    omit=1.1,
)  # fmt: skip

DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (_CUHK, _ICFG, _RSTP)}
