"""Shapes as absolute paths, so that a drawing can be moved, mirrored and measured without a renderer.

A path is written with the commands M, L, C, Q and Z and with every point as `x,y`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from kolors_submit.picturebook.figures.palette import Tone

Point = tuple[float, float]
Box = tuple[float, float, float, float]
_NUMBER = re.compile(r"-?[\d.]+")
_POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")


@dataclass(frozen=True)
class Figure:
    """A drawn figure: its SVG fragment and where it lies, in figure units (y down, ground at 0, an adult 100 tall)."""

    markup: str
    head: Box
    extent: Box


@dataclass(frozen=True)
class Shape:
    """One path with its fill and outline; the outline's width is in figure units."""

    d: str
    fill: str = "none"
    stroke: str = "none"
    width: float = 0.0
    opacity: float = 1.0

    def markup(self) -> str:
        """The shape as an SVG element."""
        parts = [f'<path d="{self.d}" fill="{self.fill}"']
        if self.stroke != "none":
            parts.append(f' stroke="{self.stroke}" stroke-width="{self.width:.2f}"')
        if self.opacity < 1.0:
            kind = "fill" if self.stroke == "none" else "stroke"  # cheaper than group opacity, which needs a layer
            parts.append(f' {kind}-opacity="{self.opacity:.2f}"')
        return "".join(parts) + "/>"


Drawing = list[Shape]


def draw(drawing: Drawing, defs: str = "") -> str:
    """The SVG fragment of a drawing; `defs` holds its gradients."""
    body = "".join(shape.markup() for shape in drawing)
    return f'{defs}<g stroke-linecap="round" stroke-linejoin="round">{body}</g>'


def moved(drawing: Drawing, dx: float = 0.0, dy: float = 0.0, *, turn: float = 0.0, scale: float = 1.0,
          mirror: bool = False) -> Drawing:
    """The drawing scaled, mirrored in x, turned clockwise by `turn` degrees around the origin, then moved."""
    if not (dx or dy or turn or mirror) and scale == 1.0:
        return drawing
    c, s = math.cos(math.radians(turn)) * scale, math.sin(math.radians(turn)) * scale
    sign = -1.0 if mirror else 1.0

    def at(match: re.Match[str]) -> str:
        x, y = sign * float(match[1]), float(match[2])
        return f"{c * x - s * y + dx:.2f},{s * x + c * y + dy:.2f}"

    return [replace(shape, d=_POINT.sub(at, shape.d), width=shape.width * scale) for shape in drawing]


def bounds(drawing: Drawing) -> Box:
    """The box of all points (control points too) with half the outline around them."""
    boxes = []
    for shape in drawing:
        values, pad = [float(value) for value in _NUMBER.findall(shape.d)], shape.width / 2
        xs, ys = values[::2], values[1::2]
        boxes.append((min(xs) - pad, min(ys) - pad, max(xs) + pad, max(ys) + pad))
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def path(d: str, *values: float) -> str:
    """`d` with each `{}` replaced by the next value at two decimals."""
    return d.format(*(f"{value:.2f}" for value in values))


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> str:
    """An ellipse as four cubic curves."""
    ry = rx if ry is None else ry
    k = 0.5523
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def p(u: float, v: float) -> str:
        return f"{x + c * u * rx - s * v * ry:.2f},{y + s * u * rx + c * v * ry:.2f}"

    return (f"M {p(-1, 0)} C {p(-1, -k)} {p(-k, -1)} {p(0, -1)} C {p(k, -1)} {p(1, -k)} {p(1, 0)} "
            f"C {p(1, k)} {p(k, 1)} {p(0, 1)} C {p(-k, 1)} {p(-1, k)} {p(-1, 0)} Z")


def smooth(points: Sequence[Point], closed: bool = True, tension: float = 1 / 6) -> str:
    """A Catmull-Rom curve through the points, as cubic Beziers."""
    n = len(points)
    at: Callable[[int], Point] = (lambda i: points[i % n]) if closed else (lambda i: points[max(0, min(n - 1, i))])
    parts = [f"M {points[0][0]:.2f},{points[0][1]:.2f}"]
    for i in range(n if closed else n - 1):
        a, b, c, d = at(i - 1), at(i), at(i + 1), at(i + 2)
        u = (b[0] + (c[0] - a[0]) * tension, b[1] + (c[1] - a[1]) * tension)
        v = (c[0] - (d[0] - b[0]) * tension, c[1] - (d[1] - b[1]) * tension)
        parts.append(f"C {u[0]:.2f},{u[1]:.2f} {v[0]:.2f},{v[1]:.2f} {c[0]:.2f},{c[1]:.2f}")
    return " ".join(parts) + (" Z" if closed else "")


def curve(a: Point, b: Point, c: Point, start: float = 0.0, end: float = 1.0, steps: int = 5) -> list[Point]:
    """Points on the part `start`..`end` of the curve that leaves `a`, passes `b` half-way and arrives at `c`."""
    ux, uy = 2 * b[0] - (a[0] + c[0]) / 2, 2 * b[1] - (a[1] + c[1]) / 2
    points = []
    for i in range(steps):
        t = start + (end - start) * i / (steps - 1)
        p, q, r = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append((p * a[0] + q * ux + r * c[0], p * a[1] + q * uy + r * c[1]))
    return points


def tube(points: Sequence[Point], widths: Iterable[float]) -> str:
    """A limb: a smooth closed outline at half the width on both sides of the line, rounded by the curve itself."""
    left, right = [], []
    for i, ((x, y), width) in enumerate(zip(points, widths, strict=True)):
        ax, ay = points[max(0, i - 1)]
        bx, by = points[min(len(points) - 1, i + 1)]
        length = math.hypot(bx - ax, by - ay) or 1.0
        nx, ny = -(by - ay) / length * width / 2, (bx - ax) / length * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return smooth(left + right[::-1])


def limb(points: Sequence[Point], start: float, end: float) -> str:
    """A tube along the points whose width goes evenly from `start` to `end`."""
    return tube(points, [start + (end - start) * i / (len(points) - 1) for i in range(len(points))])


def gradient(name: str, tone: Tone) -> str:
    """A gradient from the light (top right) over the base to the shade (bottom left), to be used as `url(#name)`."""
    stops = ((0, tone.light), (0.3, tone.base), (0.68, tone.base), (1, tone.shade))
    inner = "".join(f'<stop offset="{at}" stop-color="{colour}"/>' for at, colour in stops)
    return f'<linearGradient id="{name}" x1="0.8" y1="0" x2="0.2" y2="1">{inner}</linearGradient>'


def solid(d: str, tone: Tone, line: float, fill: str | None = None) -> Shape:
    """A closed shape in its base colour (or another fill) with the hue's own darker outline."""
    return Shape(d, fill or tone.base, tone.line, line)


def stroke(d: str, colour: str, width: float, opacity: float = 1.0) -> Shape:
    """An open line."""
    return Shape(d, "none", colour, width, opacity)
