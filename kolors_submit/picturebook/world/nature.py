"""Things that grow: trees, pines, bushes, grass and flowers, and hills."""

from __future__ import annotations

from random import Random

from .brush import Sheet, arcs, darker, discs, lighter, mix, scallop, smooth
from .light import HEIGHT, SNOW, Light, Stage


def hills(stage: Stage, y: float, swell: float, colour: str, depth: float, foot: float = HEIGHT + 10) -> None:
    """A soft ridge from edge to edge."""
    rng, light = stage.rng, stage.light
    steps = 6
    points = [(-20 + (stage.width + 40) * i / steps, y + rng.uniform(-swell, swell)) for i in range(steps + 1)]
    top = light.ground(colour, depth)
    data = smooth(points) + f"V{foot:.0f}H-20Z"
    stage.sheet.path(data, top)


def meadow(stage: Stage, y: float, colour: str = "#8cbb62", sag: float = 6.0) -> None:
    """The ground that people stand on, from `y` to the bottom, darker towards the viewer."""
    light, w = stage.light, stage.width
    far, near = light.ground(lighter(colour, 0.28), 0.22), light.ground(darker(colour, 0.08))
    data = f"M-20,{y:.1f}Q{w * 0.3:.1f},{y - sag:.1f} {w * 0.55:.1f},{y:.1f}T{w + 20:.1f},{y - sag / 2:.1f}"
    stage.sheet.path(data + f"V{HEIGHT + 20:.0f}H-20Z", stage.sheet.linear(far, near))


def trunk(sheet: Sheet, x: float, y: float, height: float, width: float, colour: str, lean: float = 0.0) -> None:
    """A tapering stem with a flared foot, its ground at (x, y)."""
    top = x + lean
    data = (
        f"M{x - width:.1f},{y:.1f}"
        f"Q{x - width * 0.45:.1f},{y - height * 0.2:.1f} {top - width * 0.34:.1f},{y - height:.1f}"
        f"L{top + width * 0.34:.1f},{y - height:.1f}"
        f"Q{x + width * 0.45:.1f},{y - height * 0.2:.1f} {x + width:.1f},{y:.1f}Z"
    )
    sheet.path(data, colour)
    shade = f"M{x:.1f},{y:.1f}L{top:.1f},{y - height:.1f}H{top + width * 0.34:.1f}"
    sheet.path(shade + f"Q{x + width * 0.45:.1f},{y - height * 0.2:.1f} {x + width:.1f},{y:.1f}Z", darker(colour, 0.18))


def crown(
    sheet: Sheet, light: Light, x: float, y: float, rx: float, ry: float, colour: str, rng: Random, depth: float = 0.0,
    glow: int = -1,
) -> None:  # fmt: skip
    """Leaves or blossom in three tones, the light from the upper `glow` side."""
    dark, mid, bright = (light.leaves(c, depth) for c in (darker(colour, 0.22), colour, lighter(colour, 0.32)))
    if light.snow:
        mid, bright = mix(mid, SNOW, 0.15), light.white(depth * 0.6)
    sheet.path(scallop(x, y, rx, ry, rng, 9), dark)
    sheet.path(scallop(x + glow * rx * 0.08, y - ry * 0.16, rx * 0.8, ry * 0.74, rng, 8), mid)
    top = mix(mid, bright, 0.8)
    sheet.path(scallop(x + glow * rx * 0.3, y - ry * 0.42, rx * 0.42, ry * 0.34, rng, 5), top)
    if depth < 0.2:
        sheet.circle(x - glow * rx * 0.42, y - ry * 0.22, ry * 0.15, top)


def tree(stage: Stage, x: float, y: float, height: float, colour: str = "#6fa85a", depth: float = 0.0) -> None:
    """A round tree, its foot at (x, y)."""
    light, sheet = stage.light, stage.sheet
    stem = light.tone("#8a6248", depth)
    trunk(sheet, x, y, height * 0.5, height * 0.065, stem)
    crown(sheet, light, x, y - height * 0.66, height * 0.36, height * 0.36, colour, stage.rng, depth, stage.side)


def pine(stage: Stage, x: float, y: float, height: float, colour: str = "#4d8168", depth: float = 0.0) -> None:
    """A fir of three skirts, its foot at (x, y)."""
    light, sheet = stage.light, stage.sheet
    trunk(sheet, x, y, height * 0.3, height * 0.05, light.tone("#7a5844", depth))
    base = light.leaves(colour, depth)
    for i, (lift, half, tall) in enumerate(((0.12, 0.3, 0.42), (0.34, 0.24, 0.38), (0.56, 0.17, 0.44))):
        yb, hw, ht = y - height * lift, height * half, height * tall
        data = (
            f"M{x:.1f},{yb - ht:.1f}Q{x + hw * 0.35:.1f},{yb - ht * 0.3:.1f} {x + hw:.1f},{yb:.1f}"
            f"Q{x:.1f},{yb + ht * 0.22:.1f} {x - hw:.1f},{yb:.1f}"
            f"Q{x - hw * 0.35:.1f},{yb - ht * 0.3:.1f} {x:.1f},{yb - ht:.1f}Z"
        )
        sheet.path(data, lighter(base, 0.07 * i))
        if light.snow:
            cap = (
                f"M{x:.1f},{yb - ht:.1f}"
                f"Q{x + hw * 0.3:.1f},{yb - ht * 0.4:.1f} {x + hw * 0.62:.1f},{yb - ht * 0.24:.1f}"
                f"Q{x:.1f},{yb - ht * 0.4:.1f} {x - hw * 0.62:.1f},{yb - ht * 0.24:.1f}"
                f"Q{x - hw * 0.3:.1f},{yb - ht * 0.4:.1f} {x:.1f},{yb - ht:.1f}Z"
            )
            sheet.path(cap, light.white(depth * 0.6))


def bush(stage: Stage, x: float, y: float, size: float, colour: str = "#6fa35c", depth: float = 0.0) -> None:
    """A low clump, its foot at (x, y)."""
    light, sheet, rng = stage.light, stage.sheet, stage.rng
    tone = light.leaves(colour, depth)
    edge = [(x + size * u, y - size * v * rng.uniform(0.9, 1.1))
            for u, v in ((-1.0, 0), (-0.78, 0.42), (-0.2, 0.76), (0.42, 0.62), (0.86, 0.3), (1.0, 0))]  # fmt: skip
    sheet.path(arcs(edge, 0.6) + "Z", darker(tone, 0.1))
    top = light.white(depth) if light.snow else lighter(tone, 0.24)
    sheet.path(discs([(x - size * 0.24, y - size * 0.5, size * 0.26), (x + size * 0.3, y - size * 0.42, size * 0.22)]),
               mix(tone, top, 0.7))  # fmt: skip


def grass(stage: Stage, x: float, y: float, size: float, colour: str = "#6b9c4a") -> None:
    """A tuft of broad blades, bending outwards."""
    tone = stage.light.leaves(colour)
    blades, half = "", size * 0.12
    for lean in (-1.0, -0.45, 0.1, 0.6, 1.05):
        foot, tip, tall = x + lean * size * 0.3, x + lean * size * 0.8, size * (1.15 - 0.4 * abs(lean))
        blades += (
            f"M{foot - half:.1f},{y:.1f}Q{foot:.1f},{y - tall * 0.7:.1f} {tip:.1f},{y - tall:.1f}"
            f"Q{foot + lean * half + half:.1f},{y - tall * 0.5:.1f} {foot + half * 1.3:.1f},{y:.1f}Z"
        )
    stage.sheet.path(blades, tone)


def flowers(stage: Stage, x: float, y: float, spread: float, colours: tuple[str, ...], count: int = 6) -> None:
    """Round blooms scattered on the ground, each of them big enough to be seen."""
    if stage.light.snow:
        return
    for i in range(count):
        fx, fy = x + stage.rng.uniform(-spread, spread), y + stage.rng.uniform(-8, 8)
        tone = stage.light.tone(colours[i % len(colours)])
        petals = [(fx - 2.4, fy, 2.2), (fx + 2.4, fy, 2.2), (fx, fy - 2.4, 2.2), (fx, fy + 2.2, 2.2)]
        stage.sheet.path(discs(petals), tone)
        stage.sheet.circle(fx, fy, 1.5, stage.light.tone("#fff1b8"))
