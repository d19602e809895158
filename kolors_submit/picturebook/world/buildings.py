"""Places with houses: the town and the temple."""

from __future__ import annotations

from .brush import darker, discs, lighter, mix
from .light import SNOW, Stage
from .nature import bush, hills, meadow, pine, tree
from .sky import sky

LAMP = "#ffd978"


def town(stage: Stage) -> None:
    """A street of gabled houses in many colours, with a lamp, bunting and smoking chimneys."""
    stage.horizon = 158
    sky(stage)
    sheet, light, rng, w = stage.sheet, stage.light, stage.rng, stage.width
    walls = ["#f3d9a8", "#e9b49a", "#b9d3cf", "#f0e4cd", "#d7bcd0", "#c9d6a5"]
    roofs = ["#b5604a", "#7f6a8f", "#9a5248", "#5f7f8f", "#a8704c", "#8a5a66"]
    rng.shuffle(walls)
    rng.shuffle(roofs)
    for i in range(7):
        _house(stage, w * (i - 0.15) / 6, 164, w / 5.4, rng.uniform(46, 62), walls[i % 6], roofs[i % 6], 0.4)
    x = -w * 0.1
    for i in range(5):
        width = w * (0.22 + 0.07 * rng.random())
        tall = rng.uniform(70, 88) if 0 < i < 4 else rng.uniform(88, 104)
        _house(stage, x, 188, width, tall, walls[i], roofs[i], 0.12)
        x += width * 0.97
    ground = light.ground("#d9c6a8", 0.12)
    sheet.rect(-20, 186, w + 40, 100, sheet.linear(light.ground("#d6c7b2", 0.2), light.ground("#bfa88d")))
    sheet.rect(-20, 184, w + 40, 7, lighter(ground, 0.3))
    for row, y in enumerate((202, 218, 236)):
        stones = "".join(
            f"M{w * (i + (row % 2) * 0.5) / 5 - 8:.1f},{y}h{18 + row * 5}" for i in range(6)
        )  # fmt: skip
        sheet.line(stones, darker(ground, 0.12), 3.6, 0.5)
    _bunting(stage)
    _street_lamp(stage, stage.across(0.88), 212)


def _house(stage: Stage, x: float, foot: float, width: float, tall: float, wall: str, roof: str, depth: float) -> None:
    """A gabled house, its lower left corner at (x, foot); `tall` is the wall's height."""
    sheet, light, rng = stage.sheet, stage.light, stage.rng
    body, tiles = light.tone(wall, depth), light.ground(roof, depth)
    top, peak = foot - tall, foot - tall - width * 0.5
    chimney = x + width * (0.72 if rng.random() < 0.5 else 0.2)
    if depth < 0.3:
        sheet.rect(chimney, peak + width * 0.04, width * 0.13, width * 0.34, light.tone(darker(roof, 0.15), depth))
        if rng.random() < 0.6:
            sx = chimney + width * 0.06
            smoke = [(sx, peak - 4, 4), (sx + 4, peak - 11, 5.5), (sx + 11, peak - 19, 7)]
            sheet.path(discs(smoke), mix(light.cloud, "#ffffff", 0.2), 0.55)
    sheet.rect(x, top - 1, width, tall + 1, body)
    gable = f"M{x - 5:.1f},{top + 4:.1f}L{x + width / 2:.1f},{peak:.1f}L{x + width + 5:.1f},{top + 4:.1f}Z"
    sheet.path(gable, tiles)
    if not light.snow:
        sheet.line(f"M{x + width * 0.2:.1f},{top - width * 0.1:.1f}h{width * 0.6:.1f}", darker(tiles, 0.14), 2.2, 0.6)
    lit = light.lit
    pane = mix(LAMP, light.haze, depth * 0.6) if lit else light.tone("#8fb4c6", depth)
    frame = light.tone("#fbf4e6", depth)
    size = width * 0.2
    for row in range(2 if tall > 60 else 1):
        for col in (0.2, 0.6):
            wx, wy = x + width * col, top + 8 + row * (size + 14)
            sheet.rect(wx - 2, wy - 2, size + 4, size * 1.15 + 4, frame, 2)
            sheet.rect(wx, wy, size, size * 1.15, pane, 1)
            if depth < 0.3 and row == 0:
                sheet.rect(
                    wx - 3, wy + size * 1.15 + 1, size + 6, 4, light.tone("#7fa565" if not light.snow else SNOW), 2
                )
    if depth < 0.3:
        door = x + width * 0.4
        sheet.path(
            f"M{door:.1f},{foot}v-16q{width * 0.1:.1f},-11 {width * 0.2:.1f},0v16Z", light.tone("#8a5a48", depth)
        )


def _bunting(stage: Stage) -> None:
    sheet, light, w = stage.sheet, stage.light, stage.width
    sheet.line(f"M-10,34Q{w / 2:.0f},74 {w + 10:.0f},30", light.tone("#8a7f86", 0.2), 2)
    for i in range(8):
        t = (i + 0.5) / 8
        x, y = -10 + (w + 20) * t, (1 - t) ** 2 * 34 + 2 * t * (1 - t) * 74 + t * t * 30
        colour = light.tone(("#e6a08c", "#f2d58c", "#a9c9c4", "#e9bccb")[i % 4], 0.15)
        sheet.poly([(x - 6, y), (x + 6, y), (x, y + 13)], colour)


def _street_lamp(stage: Stage, x: float, y: float) -> None:
    sheet, light = stage.sheet, stage.light
    iron = light.tone("#4f5563")
    if light.lit:
        sheet.glow(x, y - 86, 36, 36, LAMP, 0.6)
    sheet.line(f"M{x:.1f},{y}v-76", iron, 4)
    sheet.rect(x - 6, y - 4, 12, 5, iron, 2)
    sheet.poly([(x - 6, y - 78), (x + 6, y - 78), (x + 8, y - 95), (x - 8, y - 95)], LAMP if light.lit else "#eef3f2")
    sheet.poly([(x - 10, y - 94), (x + 10, y - 94), (x, y - 104)], iron)
    sheet.rect(x - 7, y - 79, 14, 3.4, iron, 1)


def temple(stage: Stage) -> None:
    """A hall with two curved roofs and red pillars above broad stone steps."""
    stage.horizon = 156
    sky(stage)
    sheet, light, w = stage.sheet, stage.light, stage.width
    hills(stage, 112, 16, "#9db6bb", 0.55)
    hills(stage, 138, 8, "#8bab93", 0.38)
    sheet.rect(-20, 120, w + 40, 44, sheet.linear((light.haze, 0.0), (light.haze, 0.8)))
    for part in (0.04, 0.14):
        pine(stage, stage.across(part), 176, 62, "#56856e", 0.2)
    x = stage.across(0.62)
    meadow(stage, 172, "#a3bd83", 4)
    _hall(stage, x)
    steps = [(92, 168), (98, 176), (106, 185), (116, 196)]
    for i, (half, y) in enumerate(steps):
        sheet.rect(x - half, y, half * 2, 16, light.ground("#e3dccf", 0.12 - i * 0.03), 2)
        sheet.rect(x - half, y + 6, half * 2, 3, darker(light.tone("#c3b9ac", 0.1), 0.08), 1)
    court = f"M{x - 112:.1f},208H{x + 112:.1f}L{x + 176:.1f},280H{x - 176:.1f}Z"
    sheet.path(court, sheet.linear(light.ground("#ddd2bf", 0.12), light.ground("#c9bba4")))
    for i, y in enumerate((220, 238)):
        sheet.line(f"M{x - 118 - 22 * i:.1f},{y}h{236 + 44 * i}", light.ground("#b9ab98", 0.1), 2.2, 0.6)
    tree(stage, stage.across(1.02), 206, 92, "#d98f4e", 0.08)
    bush(stage, stage.across(0.06), 206, 20, "#729c68", 0.05)


def _hall(stage: Stage, x: float) -> None:
    """The hall's front, its middle at x, standing on the top step (y = 170)."""
    sheet, light = stage.sheet, stage.light
    red, dark = light.tone("#c6493c", 0.06), light.tone("#8f4a44", 0.1)
    inside = mix("#ffcf7a", "#b0583a", 0.25) if light.lit else light.tone("#a35a48", 0.12)
    sheet.rect(x - 78, 118, 156, 52, sheet.linear(darker(inside, 0.25), inside))
    sheet.rect(x - 16, 126, 32, 44, darker(inside, 0.3), 2)
    for i in (-3, -2, 2, 3):
        sheet.rect(x + i * 22 - 9, 130, 18, 36, lighter(inside, 0.3), 2, 0.75)
        sheet.line(f"M{x + i * 22:.1f},132v32", dark, 2.2)
    for i in (-74, -44, -22, 22, 44, 74):
        sheet.rect(x + i - 4, 114, 8, 56, red, 1.5)
    sheet.rect(x - 84, 109, 168, 8, light.tone("#4f8f86", 0.08), 1)
    sheet.rect(x - 84, 115, 168, 3.4, light.tone("#e3b657", 0.06))
    _roof(stage, x, 110, 106, 30, 62)
    sheet.rect(x - 48, 58, 96, 26, sheet.linear(darker(inside, 0.2), inside))
    for i in (-44, -16, 16, 44):
        sheet.rect(x + i - 3, 58, 6, 26, red)
    _roof(stage, x, 62, 74, 28, 34)
    sheet.path(discs([(x, 31, 4), (x, 25, 2.6)]), light.tone("#e9bd55"))
    for i in (-58, 58):
        if light.lit:
            sheet.glow(x + i, 131, 22, 22, LAMP, 0.6)
        sheet.line(f"M{x + i:.1f},116v8", dark, 2)
        sheet.ellipse(x + i, 131, 7.5, 8.5, "#f0603f" if light.lit else light.tone("#dd4b3c"))
        sheet.line(f"M{x + i:.1f},140v6", light.tone("#e9bd55"), 2.4)


def _roof(stage: Stage, x: float, eaves: float, half: float, tall: float, ridge: float) -> None:
    """A tiled roof with upturned corners: `half` its half width at the eaves, `ridge` at the top."""
    sheet, light = stage.sheet, stage.light
    tiles, top = light.ground("#54757f", 0.1), eaves - tall
    data = (
        f"M{x - ridge / 2:.1f},{top}Q{x - ridge * 0.72:.1f},{eaves - 10} {x - half:.1f},{eaves - 13}"
        f"Q{x - half + 8:.1f},{eaves - 3} {x - half + 20:.1f},{eaves}Q{x:.1f},{eaves + 7} {x + half - 20:.1f},{eaves}"
        f"Q{x + half - 8:.1f},{eaves - 3} {x + half:.1f},{eaves - 13}"
        f"Q{x + ridge * 0.72:.1f},{eaves - 10} {x + ridge / 2:.1f},{top}Z"
    )
    sheet.path(data, sheet.linear(lighter(tiles, 0.22), darker(tiles, 0.18)))
    for i in (-0.6, -0.3, 0.0, 0.3, 0.6):
        sheet.line(f"M{x + i * ridge * 0.7:.1f},{top + 5}"
            f"Q{x + i * ridge:.1f},{eaves - 10} {x + i * half * 1.1:.1f},{eaves - 2}",
                   darker(tiles, 0.2), 2.2, 0.5)  # fmt: skip
    hem = (
        f"M{x - half:.1f},{eaves - 13}Q{x - half + 8:.1f},{eaves - 3} {x - half + 20:.1f},{eaves}"
        f"Q{x:.1f},{eaves + 7} {x + half - 20:.1f},{eaves}Q{x + half - 8:.1f},{eaves - 3} {x + half:.1f},{eaves - 13}"
    )
    sheet.line(hem, light.tone("#e0b35a", 0.05), 3)
    sheet.rect(x - ridge / 2 - 4, top - 3, ridge + 8, 6, light.ground("#44626d", 0.05), 3)
