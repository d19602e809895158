"""One scene put together and drawn at any size."""

from __future__ import annotations

import io
from dataclasses import replace
from random import Random

import resvg_py
from PIL import Image

from .layout import Box, Layout, Placed, Vessel, arrange
from .scenes import Scene
from .styles import apply, restyle
from .world import HEIGHT, PLACES, Light, Sheet, Stage, light_of
from .world.front import foreground
from .world.props import VESSELS
from .world.weather import falling, puddles

_ZOOM = {"full": 1.0, "half": 1.14, "close": 1.26}
"""How much nearer the place comes with the view."""

_NEAR_TINT = 0.5
"""The share of the hour's tint that things near the people take: they must stay readable at night."""


def _set(scene: Scene, width: float) -> tuple[Stage, Layout]:
    """The empty stage and the composition of a scene; all that no word names comes from its seed."""
    rng = Random(scene.seed)
    light, side = light_of(scene), rng.choice((-1, 1))
    layout = arrange(
        scene, width, replace(light, strength=light.strength * _NEAR_TINT), side, Random(rng.getrandbits(32))
    )
    stage = Stage(Sheet("w"), width, light, Random(rng.getrandbits(32)), side, heads=[p.head for p in layout.people])
    return stage, layout


def svg(scene: Scene, *, width: int = 256, height: int = 256, style: str = "plain") -> str:
    """The scene as an SVG document of the given size in pixels, its shapes as `style` has them."""
    units = HEIGHT * width / height
    stage, layout = _set(scene, units)
    sheet, zoom = stage.sheet, _ZOOM[scene.view]
    sheet.add(f'<g transform="translate({units / 2 * (1 - zoom):.2f},{124 * (1 - zoom):.2f})scale({zoom})">')
    PLACES[scene.place](stage)
    puddles(stage)
    sheet.add("</g>")
    _cast(sheet, layout, replace(stage.light, strength=stage.light.strength * _NEAR_TINT))
    foreground(stage, scene.place, scene.view == "full")
    falling(stage)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {units:.2f} {HEIGHT:.0f}">{restyle(str(sheet), style)}</svg>'
    )


def _cast(sheet: Sheet, layout: Layout, light: Light) -> None:
    """Furniture, bridge or boat, people and animals, with their shadows on the ground."""
    vessel = layout.vessel
    if not vessel:
        for placed in (*layout.behind, *layout.people, *layout.animals):
            _shadow(sheet, placed)
    for placed in layout.behind:
        _put(sheet, placed)
    if vessel:
        _part(sheet, light, vessel, 0)
    if vessel and vessel.name == "bridge":
        _part(sheet, light, vessel, 1)
    for placed in (*layout.people, *layout.animals):
        _put(sheet, placed)
    if vessel and vessel.name == "boat":
        _part(sheet, light, vessel, 1)


def _part(sheet: Sheet, light: Light, vessel: Vessel, number: int) -> None:
    """The back (0) or the front (1) of a bridge or boat."""
    sheet.add(f'<g transform="translate({vessel.x:.2f},{vessel.y:.2f})scale({vessel.scale:.3f})">')
    VESSELS[vessel.name][number](sheet, light, vessel.half)
    sheet.add("</g>")


def _put(sheet: Sheet, placed: Placed) -> None:
    sheet.add(
        f'<g transform="translate({placed.x:.2f},{placed.y:.2f})scale({placed.scale:.3f})">{placed.figure.markup}</g>'
    )


def _shadow(sheet: Sheet, placed: Placed) -> None:
    x0, _, x1, y1 = placed.extent
    if y1 < HEIGHT + 8:
        sheet.ellipse((x0 + x1) / 2, placed.y + 1, (x1 - x0) * 0.5 + 3, 5.5, "#2b2f4d", 0.2)


def draw(scene: Scene, *, width: int = 256, height: int = 256, style: str = "plain") -> Image.Image:
    """The scene as an RGB picture in one of `styles.STYLES`; the same scene, size and style give the same pixels."""
    data = resvg_py.svg_to_bytes(svg_string=svg(scene, width=width, height=height, style=style), skip_system_fonts=True)
    return apply(Image.open(io.BytesIO(data)).convert("RGB"), style, scene.seed)


def head_boxes(scene: Scene, *, width: int = 256, height: int = 256) -> list[Box]:
    """Where the people's heads are, in pixels (x0, y0, x1, y1), in the order of `scene.people`."""
    layout = _set(scene, HEIGHT * width / height)[1]
    unit = height / HEIGHT
    return [(x0 * unit, y0 * unit, x1 * unit, y1 * unit) for x0, y0, x1, y1 in (p.head for p in layout.people)]
