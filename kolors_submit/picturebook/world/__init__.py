"""The world round the figures: places, props, light and weather, as SVG.

brush    colours, soft curves, the sheet of shapes
light    the palettes of the hours, and the stage that a place is built on
sky      sun, moon, stars, clouds, and the view through a window
nature   trees, bushes, grass, flowers, hills
outdoors, buildings, indoors    one function a place
props    things that people use
weather  rain, snow and puddles
"""

from __future__ import annotations

from collections.abc import Callable

from ..scenes import Place
from .brush import Sheet
from .buildings import temple, town
from .indoors import classroom, room
from .light import HEIGHT, Light, Stage, light_of
from .outdoors import cherry_trees, forest, lake, mountains, road

PLACES: dict[Place, Callable[[Stage], None]] = {
    "room": room,
    "classroom": classroom,
    "lake": lake,
    "forest": forest,
    "road": road,
    "town": town,
    "mountains": mountains,
    "cherry trees": cherry_trees,
    "temple": temple,
}

__all__ = ["HEIGHT", "PLACES", "Light", "Sheet", "Stage", "light_of"]
