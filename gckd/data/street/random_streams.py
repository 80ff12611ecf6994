"""Random streams named by their purpose, so that no draw depends on the order of draws or on the process."""

import random
from collections.abc import Mapping


def keyed(*words: int | str) -> random.Random:
    """Random stream that depends on `words` alone; seeding by text uses SHA-512 and is equal on every platform."""
    return random.Random("/".join(map(str, words)))


def pick(rng: random.Random, weights: Mapping[str, float], *, exclude: tuple[str, ...] = ()) -> str:
    """Random key of `weights`, with a probability in proportion to its weight, and none of `exclude`."""
    keys = [key for key in weights if key not in exclude]
    return rng.choices(keys, [weights[key] for key in keys])[0]


def mix(low: float, high: float, share: float) -> float:
    """Linear interpolation between `low` and `high`; exactly `low` at share 0."""
    return low + (high - low) * share
