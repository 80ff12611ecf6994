"""Search spaces: ranges and choices of any config path, with conditions."""

# A plugin's range types come after the built-in ones, so that a name in use is refused in the plugin.
from gckd.tune.space import choice, number_ranges  # noqa: F401
