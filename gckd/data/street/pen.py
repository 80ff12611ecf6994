"""Pen that draws in person units instead of pixels."""

from collections.abc import Sequence

from PIL import ImageDraw

from gckd.data.street.attributes import RGB

Position = tuple[float, float]


def shade(colour: RGB, factor: float) -> RGB:
    """`colour` made darker (below 1) or lighter (above 1)."""
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


class Pen:
    """Draws on a canvas in person units: y from 0 (crown) to 100 (soles), x relative to the middle of the body."""

    def __init__(self, draw: ImageDraw.ImageDraw, middle: float, top: float, unit: float, flip: bool) -> None:
        """Pen on a canvas.

        Args:
            draw: canvas.
            middle: x of the middle of the body, in canvas pixels.
            top: y of the crown, in canvas pixels.
            unit: canvas pixels per person unit.
            flip: whether to mirror x, so that a figure that faces right is drawn facing left.
        """
        self._draw = draw
        self._middle = middle
        self._top = top
        self._unit = unit
        self._sign = -unit if flip else unit

    def _at(self, x: float, y: float) -> Position:
        return self._middle + x * self._sign, self._top + y * self._unit

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        (ax, ay), (bx, by) = self._at(x0, y0), self._at(x1, y1)
        return min(ax, bx), ay, max(ax, bx), by

    def poly(self, points: Sequence[Position], fill: RGB, edge: RGB | None = None) -> None:
        self._draw.polygon([self._at(x, y) for x, y in points], fill=fill, outline=edge, width=2)

    def line(self, points: Sequence[Position], fill: RGB, width: float) -> None:
        self._draw.line([self._at(x, y) for x, y in points], fill=fill, width=max(1, round(width * self._unit)))

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: RGB, edge: RGB | None = None) -> None:
        self._draw.rectangle(self._box(x0, y0, x1, y1), fill=fill, outline=edge)

    def oval(self, x0: float, y0: float, x1: float, y1: float, fill: RGB, edge: RGB | None = None) -> None:
        self._draw.ellipse(self._box(x0, y0, x1, y1), fill=fill, outline=edge)

    def dome(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Draw the upper half of the oval in a box."""
        self._draw.pieslice(self._box(x0, y0, x1, y1), 180, 360, fill=fill)
