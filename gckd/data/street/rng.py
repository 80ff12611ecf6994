"""Random streams keyed by what they are for, so no draw depends on the order or the process it happens in."""

import random
from collections.abc import Mapping


def keyed(*words: int | str) -> random.Random:
    """A stream that depends on `words` alone (seeding by text goes through SHA-512, the same on every platform)."""
    return random.Random("/".join(map(str, words)))


def pick(rng: random.Random, weights: Mapping[str, float], *, but: tuple[str, ...] = ()) -> str:
    """One key of `weights`, in proportion to its weight, never one of `but`."""
    keys = [key for key in weights if key not in but]
    return rng.choices(keys, [weights[key] for key in keys])[0]


def mix(low: float, high: float, share: float) -> float:
    """The point `share` of the way from `low` to `high`; exactly `low` at 0."""
    return low + (high - low) * share
