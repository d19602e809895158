"""What hands hold: umbrella, lantern, cane, book, brush and palette."""

from __future__ import annotations

from kolors_submit.picturebook.figures.palette import BUCKLE, COVER, CREAM, GLOW, METAL, PAPER, RIBBON, UMBRELLA, WOOD
from kolors_submit.picturebook.figures.svg import Drawing, Point, Shape, ellipse, path, solid, stroke


def umbrella(hand: Point, head: float, line: float) -> Drawing:
    """An open umbrella behind the head, its crook below the hand; `head` is the y of the face's middle."""
    x, _ = hand
    cx, top, rim = x * 0.62, head - 38.0, head - 12.0
    w = 39.0
    canopy = path("M {},{} C {},{} {},{} {},{} C {},{} {},{} {},{} Q {},{} {},{} Q {},{} {},{} Q {},{} {},{} "
                  "Q {},{} {},{} Z", cx - w, rim, cx - w + 3, top + 8, cx - 15, top, cx, top, cx + 15, top,
                  cx + w - 3, top + 8, cx + w, rim, cx + w * 0.78, rim - 3.6, cx + w * 0.52, rim,
                  cx + w * 0.26, rim - 3.6, cx, rim, cx - w * 0.26, rim - 3.6, cx - w * 0.52, rim,
                  cx - w * 0.78, rim - 3.6, cx - w, rim)
    drawing = [stroke(path("M {},{} L {},{}", cx, top, cx, top - 4), METAL.base, 2.2), solid(canopy, UMBRELLA, line)]
    for side in (-1, 1):
        panel = path("M {},{} C {},{} {},{} {},{} Q {},{} {},{} C {},{} {},{} {},{} Z", cx, top, cx + side * w * 0.3,
                     top + 3, cx + side * w * 0.48, rim - 12, cx + side * w * 0.52, rim, cx + side * w * 0.78,
                     rim - 3.6,
                     cx + side * w, rim, cx + side * (w - 3), top + 8, cx + side * 15, top, cx, top)
        drawing.append(solid(panel, CREAM, line))
    return drawing


def umbrella_handle(hand: Point, head: float) -> Drawing:
    """The umbrella's shaft from under its canopy and its crook below the hand."""
    x, y = hand
    shaft = path("M {},{} L {},{}", x, y, x * 0.9, head - 13.6)
    return [stroke(shaft, METAL.line, 2.6), stroke(shaft, METAL.light, 1.2),
            stroke(path("M {},{} L {},{} C {},{} {},{} {},{}", x, y - 2, x, y + 8, x, y + 12, x + 5, y + 12, x + 5,
                        y + 8),
                   RIBBON.base, 2.4)]


def lantern_glow(hand: Point, prefix: str, night: bool) -> tuple[Drawing, str]:
    """The light around a lantern and the gradient it needs."""
    strength = 0.8 if night else 0.5
    defs = (f'<radialGradient id="{prefix}-glow"><stop offset="0" stop-color="{GLOW}" stop-opacity="{strength}"/>'
            f'<stop offset="1" stop-color="{GLOW}" stop-opacity="0"/></radialGradient>')
    return [Shape(ellipse(hand[0], hand[1] + 13, 30 if night else 22), f"url(#{prefix}-glow)")], defs


def lantern(hand: Point, line: float) -> Drawing:
    """A round paper lantern hanging from the hand."""
    x, y = hand[0], hand[1] + 3
    body = path("M {},{} C {},{} {},{} {},{} L {},{} C {},{} {},{} {},{} Z", x - 4, y + 4, x - 9, y + 6, x - 9, y + 16,
                x - 4, y + 18, x + 4, y + 18, x + 9, y + 16, x + 9, y + 6, x + 4, y + 4)
    return [stroke(path("M {},{} L {},{}", x, y - 3, x, y + 3), METAL.base, 1.5), solid(body, BUCKLE, line, GLOW),
            Shape(ellipse(x, y + 11, 3.8, 5.2), "#fff6cf"),
            stroke(path("M {},{} L {},{}", x - 4, y + 3.6, x + 4, y + 3.6), RIBBON.base, 2.6),
            stroke(path("M {},{} L {},{}", x - 4, y + 18.4, x + 4, y + 18.4), RIBBON.base, 2.6)]


def cane(hand: Point) -> Drawing:
    """A walking stick from the hand to the ground."""
    x, y = hand
    d = path("M {},-1 L {},{} C {},{} {},{} {},{}", x - 2.5, x, y - 1, x, y - 6, x + 6, y - 6, x + 6, y - 2)
    return [stroke(d, WOOD.line, 3.6), stroke(d, WOOD.base, 1.9)]


def book(x: float, y: float, line: float) -> Drawing:
    """An open book seen from its cover side edge: 19 wide, its middle at (x, y)."""
    cover = path("M {},{} L {},{} L {},{} L {},{} L {},{} L {},{} Z", x - 10.4, y - 5, x, y - 3, x + 10.4, y - 5,
                 x + 10.4, y + 5.4, x, y + 7.4, x - 10.4, y + 5.4)
    drawing = [solid(cover, COVER, line)]
    for side in (-1, 1):
        page = path("M {},{} Q {},{} {},{} L {},{} Q {},{} {},{} Z", x, y - 3.4, x + side * 4.4, y - 7, x + side * 9,
                    y - 5.6, x + side * 9, y + 2.6, x + side * 4.4, y + 1.8, x, y + 5)
        drawing.append(solid(page, PAPER, line * 0.8))
        drawing.append(stroke(path("M {},{} L {},{}", x + side * 2.6, y - 1.6, x + side * 6.8, y - 2.6), PAPER.shade,
                              1.3))
    return drawing


def brush(hand: Point, colour: str) -> Drawing:
    """A paintbrush pointing up and to the right."""
    x, y = hand
    return [stroke(path("M {},{} L {},{}", x - 4, y + 4, x + 7, y - 7), WOOD.line, 2.2),
            stroke(path("M {},{} L {},{}", x + 7, y - 7, x + 8.6, y - 8.6), METAL.light, 2.6),
            stroke(path("M {},{} L {},{}", x + 9.4, y - 9.4, x + 11.6, y - 11.6), colour, 3.2)]


def palette_board(hand: Point, line: float) -> Drawing:
    """A painter's palette with four dabs of paint, on the hand."""
    x, y = hand
    drawing = [solid(ellipse(x - 3.5, y - 2.5, 9.5, 6.4, -14), WOOD, line, WOOD.light)]
    for dx, dy, colour in ((-9.6, -1.4, "#dd3440"), (-6.6, -5.2, "#fbd93f"), (-1.6, -6, "#3c82e0"),
                           (2.6, -3.6, "#4cae5a")):
        drawing.append(Shape(ellipse(x + dx, y + dy, 1.6, 1.35), colour))
    return drawing
