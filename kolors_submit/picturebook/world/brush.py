"""The illustrator's hand: colours, soft curves and a sheet that collects SVG shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random

Point = tuple[float, float]
Disc = tuple[float, float, float]  # x, y, radius


@lru_cache(maxsize=4096)
def mix(first: str, second: str, amount: float) -> str:
    """The colour `amount` of the way from `first` to `second`, both `#rrggbb`."""
    amount = min(1.0, max(0.0, amount))
    a, b = int(first[1:], 16), int(second[1:], 16)
    out = 0
    for shift in (16, 8, 0):
        u, v = (a >> shift) & 255, (b >> shift) & 255
        out |= round(u + (v - u) * amount) << shift
    return f"#{out:06x}"


def darker(colour: str, amount: float = 0.2) -> str:
    """Towards a cool dark, as painters shade: never towards black."""
    return mix(colour, "#2a2a4a", amount)


def lighter(colour: str, amount: float = 0.25) -> str:
    """Towards a warm white."""
    return mix(colour, "#fffaf0", amount)


def smooth(points: Sequence[Point], closed: bool = False) -> str:
    """Path data of a soft curve through the points (Catmull-Rom, as cubic Béziers)."""
    count = len(points)
    parts = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for i in range(count if closed else count - 1):
        p1, p2 = points[i], points[(i + 1) % count]
        p0 = points[i - 1] if closed or i else p1
        p3 = points[(i + 2) % count] if closed or i + 2 < count else p2
        parts.append(
            f"C{p1[0] + (p2[0] - p0[0]) / 6:.1f},{p1[1] + (p2[1] - p0[1]) / 6:.1f} "
            f"{p2[0] - (p3[0] - p1[0]) / 6:.1f},{p2[1] - (p3[1] - p1[1]) / 6:.1f} {p2[0]:.1f},{p2[1]:.1f}"
        )
    return "".join(parts) + ("Z" if closed else "")


def polygon(points: Sequence[Point]) -> str:
    """Path data of straight lines through the points."""
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points) + "Z"


def discs(circles: Iterable[Disc]) -> str:
    """Path data of a union of circles: the scalloped edge of clouds, crowns and bushes."""
    return "".join(
        f"M{x - r:.1f},{y:.1f}a{r:.1f},{r:.1f} 0 1 0 {2 * r:.1f},0a{r:.1f},{r:.1f} 0 1 0 {-2 * r:.1f},0"
        for x, y, r in circles
    )


def scallop(x: float, y: float, rx: float, ry: float, rng: Random, count: int = 9) -> str:
    """Path data of a leafy edge: arcs bulging out of an ellipse (one outline; overlapping discs cost three times)."""
    start = rng.random() * math.tau
    points = []
    for i in range(count):
        angle, reach = start + math.tau * (i + rng.uniform(-0.16, 0.16)) / count, rng.uniform(0.84, 0.98)
        points.append((x + math.cos(angle) * rx * reach, y + math.sin(angle) * ry * reach))
    return arcs([*points, points[0]], 0.58) + "Z"


def arcs(points: Sequence[Point], roundness: float) -> str:
    """Path data of arcs from point to point, bulging to the left of the way; radius `roundness` of each chord."""
    data = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        r = max(1.0, math.hypot(x1 - x0, y1 - y0) * roundness)
        data += f"A{r:.1f},{r:.1f} 0 0 1 {x1:.1f},{y1:.1f}"
    return data


class Sheet:
    """SVG shapes in the order they are painted. Coordinates are frame units: the picture is 256 high."""

    def __init__(self, prefix: str = "w") -> None:
        self.parts: list[str] = []
        self._prefix = prefix
        self._count = 0

    def __str__(self) -> str:
        return "".join(self.parts)

    def add(self, markup: str) -> None:
        """Put markup on top."""
        self.parts.append(markup)

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    @staticmethod
    def _stops(stops: Sequence[str | tuple[str, float]]) -> str:
        last = max(1, len(stops) - 1)
        out = []
        for i, stop in enumerate(stops):
            colour, opacity = (stop, 1.0) if isinstance(stop, str) else stop
            alpha = "" if opacity >= 1 else f' stop-opacity="{opacity:.2f}"'
            out.append(f'<stop offset="{i / last:.2f}" stop-color="{colour}"{alpha}/>')
        return "".join(out)

    def linear(self, *stops: str | tuple[str, float], across: bool = False) -> str:
        """A fill: the colours (or (colour, opacity)) from top to bottom of the shape, or from left to right."""
        name, end = self._name(), ('x2="1" y2="0"' if across else 'x2="0" y2="1"')
        self.add(f'<linearGradient id="{name}" {end}>{self._stops(stops)}</linearGradient>')
        return f"url(#{name})"

    def path(self, data: str, fill: str, opacity: float = 1.0) -> None:
        """A filled path."""
        alpha = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
        self.add(f'<path d="{data}" fill="{fill}"{alpha}/>')

    def poly(self, points: Sequence[Point], fill: str, opacity: float = 1.0) -> None:
        """A filled polygon."""
        self.path(polygon(points), fill, opacity)

    def line(self, data: str, colour: str, width: float, opacity: float = 1.0) -> None:
        """A round-ended stroke along path data."""
        alpha = "" if opacity >= 1 else f' stroke-opacity="{opacity:.2f}"'
        self.add(
            f'<path d="{data}" fill="none" stroke="{colour}" stroke-width="{width:.1f}"'
            f' stroke-linecap="round" stroke-linejoin="round"{alpha}/>'
        )

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: str, opacity: float = 1.0) -> None:
        """An ellipse round (x, y)."""
        alpha = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
        self.add(f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}"{alpha}/>')

    def glow(self, x: float, y: float, rx: float, ry: float, colour: str, strength: float = 0.5) -> None:
        """Light round a point, as a painter lays it: three washes, each smaller (a radial gradient costs ten times)."""
        for part in (1.0, 0.76, 0.54):
            self.ellipse(x, y, rx * part, ry * part, colour, strength / 3)

    def circle(self, x: float, y: float, r: float, fill: str, opacity: float = 1.0) -> None:
        """A circle round (x, y)."""
        self.ellipse(x, y, r, r, fill, opacity)

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str, round_: float = 0.0, opacity: float = 1.0
    ) -> None:
        """A rectangle from its upper left corner, its corners rounded by `round_`."""
        alpha = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
        corner = f' rx="{round_:.1f}"' if round_ else ""
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"{corner} fill="{fill}"{alpha}/>')
