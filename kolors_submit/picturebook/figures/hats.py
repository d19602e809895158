"""Hats, in head units; they sit high, so that fringe and sides of the hair stay in sight."""

from __future__ import annotations

from kolors_submit.picturebook.figures.palette import BERET, BUCKLE, RIBBON, STRAW, WITCH
from kolors_submit.picturebook.figures.svg import Drawing, Shape, solid, stroke
from kolors_submit.picturebook.scenes import Hat


def hat(kind: Hat, line: float) -> Drawing:
    """The hat, or nothing."""
    return {"none": lambda line: [], "straw hat": straw_hat, "beret": beret, "witch hat": witch_hat}[kind](line)


def straw_hat(line: float) -> Drawing:
    """A wide brim, a round crown and a brown ribbon."""
    crown = "M -14.5,-13 C -15.5,-22 -11.5,-28.6 0,-28.8 C 11.5,-28.6 15.5,-22 14.5,-13 Z"
    ribbon = "M -14.9,-18.6 C -6,-15.4 6,-15.4 14.9,-18.6 L 14.7,-13 C 6,-9.8 -6,-9.8 -14.7,-13 Z"
    brim = ("M -28,-11.5 C -24,-17 -16,-16.6 -12,-15.6 C -4,-13.4 4,-13.4 12,-15.6 C 16,-16.6 24,-17 28,-11.5 "
            "C 22,-8.4 12,-7 0,-7 C -12,-7 -22,-8.4 -28,-11.5 Z")
    return [solid(crown, STRAW, line), Shape("M -13.5,-19 C -13,-25 -9,-28 -3,-28.4 C -8,-25 -9.4,-21 -9.4,-17 Z",
                                             STRAW.shade), solid(ribbon, RIBBON, line), solid(brim, STRAW, line),
            stroke("M -21,-11.4 C -12,-9.4 8,-9.2 21,-11.6", STRAW.shade, 1.3)]


def beret(line: float) -> Drawing:
    """A soft burgundy beret, pulled to one side."""
    body = ("M -15,-11.6 C -25,-14 -24,-24.6 -10,-26.6 C 3,-28.6 17,-24 18.4,-16.6 C 18.8,-13.4 17,-11.6 15,-11.6 "
            "C 6,-14.4 -6,-14.4 -15,-11.6 Z")
    band = "M -15.6,-12.6 C -6,-15.8 6,-15.8 15.8,-12.6 L 15.4,-9.8 C 6,-12.8 -6,-12.8 -15.2,-9.8 Z"
    return [stroke("M -4,-26 Q -4.4,-29 -2.4,-30.4", BERET.line, 2.4), solid(body, BERET, line),
            stroke("M -16,-20.4 C -12,-23.6 -6,-24.6 -1,-24.4", BERET.light, 2.0, 0.8), solid(band, BERET, line,
                                                                                              BERET.shade)]


def witch_hat(line: float) -> Drawing:
    """A pointed indigo hat with a bent tip, a band and a golden buckle."""
    cone = ("M -14.6,-13 C -10,-22 -7,-32 -3,-40 C 0,-46.4 9,-48.6 15.4,-42.4 C 10.6,-42.6 8,-40 8.4,-36 "
            "C 9.6,-28 12,-19 14.6,-13 Z")
    band = "M -14.2,-14.4 L -11.8,-19.4 C -5,-16.8 5,-16.8 11.8,-19.4 L 14.2,-14.4 C 6,-11 -6,-11 -14.2,-14.4 Z"
    brim = ("M -28.5,-10.6 C -24,-16.6 -16,-15.8 -13,-14.8 C -5,-12.4 5,-12.4 13,-14.8 C 16,-15.8 24,-16.6 28.5,-10.6 "
            "C 22,-8 12,-6.8 0,-6.8 C -12,-6.8 -22,-8 -28.5,-10.6 Z")
    return [solid(cone, WITCH, line), Shape("M -12,-17 C -8,-26 -5,-35 -1,-41 C -2,-33 -5,-24 -6.6,-17 Z", WITCH.shade),
            stroke("M 7,-22 C 5.8,-28 4.6,-34 5.4,-38", WITCH.light, 1.6, 0.8), solid(band, WITCH, line, WITCH.shade),
            solid("M -3.4,-18.4 L 3.4,-18.4 L 3.6,-12.8 L -3.6,-12.8 Z", BUCKLE, line), solid(brim, WITCH, line)]
