"""Places under the sky: lake, forest, road, mountains and the cherry trees."""

from __future__ import annotations

from .brush import darker, discs, lighter, mix, smooth
from .light import HEIGHT, Stage
from .nature import bush, crown, flowers, hills, meadow, pine, tree, trunk
from .sky import sky


def lake(stage: Stage) -> None:
    """A wide water with its far shore mirrored in it, and a meadow at our feet."""
    stage.horizon = 132
    sky(stage)
    sheet, light, rng, w = stage.sheet, stage.light, stage.rng, stage.width
    hills(stage, 112, 12, "#8fb0b8", 0.55)
    hills(stage, 124, 6, "#7ea584", 0.34)
    for i in range(9):
        x = w * (i + rng.uniform(0.2, 0.8)) / 9
        bush(stage, x, 136, rng.uniform(8, 13), "#64996a", 0.3)
    surface = mix(light.sky[1], "#4f9bc6" if not light.night else "#2b4a94", 0.42)
    sheet.rect(-20, 133, w + 40, 90, sheet.linear(mix(light.sky[2], surface, 0.35), surface, darker(surface, 0.18)))
    mirror = light.tone("#5d9080", 0.3)
    sheet.path(
        discs((w * (i + 0.5) / 9, 134, rng.uniform(7, 11)) for i in range(9)) + f"M-20,128H{w + 20:.0f}V134H-20Z",
        mix(mirror, surface, 0.45), 0.55)  # fmt: skip
    sheet.rect(-20, 131, w + 40, 4.5, light.ground("#7d9f72", 0.3))
    _glitter(stage, surface)
    shore = f"M-20,196Q{w * 0.2:.0f},188 {w * 0.42:.0f},199T{w * 0.75:.0f},203T{w + 20:.0f},190V{HEIGHT + 20:.0f}H-20Z"
    sheet.path(shore, light.ground("#e2d3a4", 0.08))
    meadow(stage, 203, "#86b560", 5)
    _lilies(stage)
    _reeds(stage, stage.across(0.93), 214)


def _glitter(stage: Stage, surface: str) -> None:
    """The sky's light on the water: a path below sun or moon, ripples elsewhere."""
    rng, light, x = stage.rng, stage.light, stage.across(0.75)
    path = "".join(
        f"M{x + rng.uniform(-12, 12) - (6 + i * 2):.1f},{141 + i * 7}h{12 + i * 4}" for i in range(7)
    )  # fmt: skip
    stage.sheet.line(path, mix(light.orb, surface, 0.25 if not light.rain else 0.7), 2.6, 0.75)
    far = stage.across(0.22)
    ripples = "".join(f"M{far + rng.uniform(-40, 30):.1f},{148 + i * 9}h{rng.uniform(14, 30):.1f}" for i in range(5))
    stage.sheet.line(ripples, lighter(surface, 0.4), 2.4, 0.6)


def _lilies(stage: Stage) -> None:
    sheet, light = stage.sheet, stage.light
    if light.snow:
        return
    for part, y, r in ((0.62, 189, 8), (0.72, 181, 6.5), (0.84, 187, 9)):
        x = stage.across(part)
        sheet.ellipse(x, y, r, r * 0.42, light.tone("#6da66a"))
        sheet.path(discs([(x - 2, y - 3, 2.6), (x + 2, y - 3, 2.6), (x, y - 5, 2.6)]), light.tone("#f7c6d4"))


def _reeds(stage: Stage, x: float, y: float) -> None:
    sheet, light, rng = stage.sheet, stage.light, stage.rng
    for i in range(5):
        sx, tall = x + (i - 2) * 6.5, rng.uniform(40, 66)
        lean = rng.uniform(-5, 5)
        sheet.line(f"M{sx:.1f},{y}q0,{-tall * 0.6:.1f} {lean:.1f},{-tall:.1f}", light.tone("#6f944f"), 2.4)
        sheet.line(f"M{sx + lean:.1f},{y - tall:.1f}v-9", light.tone("#8a5d3b"), 4.6)


def forest(stage: Stage) -> None:
    """Tall trunks under one green roof, and a bright glade among them."""
    stage.horizon = 168
    sheet, light, rng, w = stage.sheet, stage.light, stage.rng, stage.width
    dim = "#3f7a58"
    sheet.rect(-20, -20, w + 40, 220, sheet.linear(light.tone("#8fbf8e", 0.2), mix(light.tone("#b9d79f", 0.2),
                                                                                  light.sky[2], 0.4)))  # fmt: skip
    glade = stage.across(0.36)
    glow = light.glow if not light.night else "#6f86cf"
    sheet.glow(glade, 112, 112, 116, lighter(glow, 0.3) if not light.night else glow, 1.1)
    if light.night:
        sheet.circle(stage.across(0.62), 78, 12, light.orb)
    for depth, count, width, colour in ((0.5, 8, 5, "#7f9a78"), (0.24, 5, 8.5, "#6d6a52")):
        for i in range(count):
            x = w * (i + rng.uniform(0.15, 0.85)) / count
            trunk(sheet, x, 174 + (1 - depth) * 8, 190, width, light.tone(colour, depth))
        for i in range(count):
            crown(sheet, light, w * (i + 0.5) / count, rng.uniform(6, 34) - 30 * depth, 36, 28, dim, rng, depth)
    if light.time in ("morning", "noon", "sunset") and not light.rain:
        for part in (0.24, 0.4, 0.55):
            x = stage.across(part)
            sheet.poly([(x, -10), (x + 18, -10), (x - 12, 206), (x - 52, 206)], light.glow, 0.2)
    meadow(stage, 178, "#6f9d55", 8)
    path = smooth([(glade - 10, 176), (glade - 16, 200), (glade - 44, 270), (glade + 76, 270), (glade + 20, 200)], True)
    sheet.path(path, light.ground("#c3b184", 0.1), 0.85)
    for part, size in ((0.02, 15), (0.98, 17), (1.04, 11), (-0.06, 12)):
        trunk(sheet, stage.across(part), 226, 260, size, light.tone("#6b5241"))
    crown(sheet, light, stage.across(1.0), 10, 54, 40, dim, rng)
    crown(sheet, light, stage.across(0.0), 4, 46, 36, dim, rng)
    for part, size in ((0.1, 20), (0.9, 24), (0.76, 15)):
        bush(stage, stage.across(part), 200, size, "#528a55", 0.04)
    _mushrooms(stage, stage.across(0.86), 222)


def _mushrooms(stage: Stage, x: float, y: float) -> None:
    sheet, light = stage.sheet, stage.light
    for dx, size in ((-10, 9), (4, 13), (17, 7)):
        sheet.rect(x + dx - size * 0.22, y - size * 0.9, size * 0.44, size * 0.9, light.tone("#fbeedd"), 2)
        cap = (
            f"M{x + dx - size * 0.75:.1f},{y - size * 0.75:.1f}q{size * 0.75:.1f},{-size * 1.3:.1f} {size * 1.5:.1f},0Z"
        )
        sheet.path(cap, light.tone("#d8604a"))
        sheet.path(
            discs([(x + dx - size * 0.2, y - size, 1.7), (x + dx + size * 0.28, y - size * 0.92, 1.4)]), "#fff3e6"
        )


def road(stage: Stage) -> None:
    """A road winding over rolling fields to the horizon."""
    stage.horizon = 140
    sky(stage)
    sheet, light, rng, w = stage.sheet, stage.light, stage.rng, stage.width
    hills(stage, 122, 9, "#94b6b0", 0.5)
    hills(stage, 136, 7, "#a9c176", 0.26)
    for i in range(4):
        bush(stage, stage.across(0.05 + 0.1 * i), 146, rng.uniform(8, 13), "#6f9d62", 0.25)
    meadow(stage, 150, "#9ac263", 9)
    sheet.path(f"M-20,176Q{stage.across(0.1):.0f},160 {stage.across(0.5):.0f},178T{w + 20:.0f},172V280H-20Z",
               sheet.linear(light.ground("#b3cd6e", 0.1), light.ground("#82ae55")))  # fmt: skip
    x = stage.across
    way = (
        f"M{x(0.72):.1f},143C{x(0.9):.1f},152 {x(0.86):.1f},160 {x(0.62):.1f},168C{x(0.36):.1f},178 {x(0.16):.1f},196 "
        f"{x(-0.06):.1f},262H{x(0.86):.1f}C{x(0.7):.1f},214 {x(0.6):.1f},194 {x(0.78):.1f},172C{x(0.98):.1f},156 "
        f"{x(0.86):.1f},150 {x(0.745):.1f},143Z"
    )
    sheet.path(way, sheet.linear(light.leaves("#e8d3a6", 0.25), light.leaves("#d3b483")))
    middle = f"M{x(0.5):.1f},186Q{x(0.4):.1f},208 {x(0.38):.1f},256"
    sheet.line(middle, light.ground("#f5e8c8"), 3.5, 0.8)
    _fence(stage)
    tree(stage, x(0.9), 182, 96, "#7cab55", 0.06)
    _signpost(stage, x(0.07), 196)
    flowers(stage, x(0.92), 214, 22, ("#f6f0e0", "#f4c95d", "#ec8f8f"))


def _fence(stage: Stage) -> None:
    sheet, light, x = stage.sheet, stage.light, stage.across
    wood = light.tone("#a97f58", 0.05)
    posts = [(x(0.66), 190, 16), (x(0.8), 198, 19), (x(0.97), 206, 22)]
    for part in (0.45, 0.8):
        sheet.line("M" + "L".join(f"{px:.1f},{py - tall * part:.1f}" for px, py, tall in posts), wood, 2.6)
    for px, py, tall in posts:
        sheet.line(f"M{px:.1f},{py}v{-tall}", darker(wood, 0.15), 4)


def _signpost(stage: Stage, x: float, y: float) -> None:
    sheet, light, side = stage.sheet, stage.light, stage.side
    sheet.line(f"M{x:.1f},{y}v-48", light.tone("#8a6446"), 4)
    board = [(x - side * 9, y - 47), (x + side * 15, y - 47), (x + side * 22, y - 40.5), (x + side * 15, y - 34),
             (x - side * 9, y - 34)]  # fmt: skip
    sheet.poly(board, light.tone("#d9ab74"))
    sheet.line(f"M{x - side * 3:.1f},{y - 40.5}h{side * 15}", light.tone("#8a6446"), 2)


def mountains(stage: Stage) -> None:
    """Great peaks with snow on them, mist at their feet, firs before them."""
    stage.horizon = 150
    sky(stage)
    sheet, light, rng, w = stage.sheet, stage.light, stage.rng, stage.width
    for part, tall, half in ((0.08, 66, 0.36), (0.5, 58, 0.34)):
        _peak(stage, stage.across(part), 158, tall + rng.uniform(-6, 8), w * half, "#93a4c4", 0.42)
    _peak(stage, stage.across(0.76), 164, 128 + rng.uniform(-8, 8), w * 0.42, "#7288b4", 0.2)
    _peak(stage, stage.across(0.24), 166, 84 + rng.uniform(-10, 10), w * 0.34, "#7d93b8", 0.26)
    sheet.rect(-20, 126, w + 40, 46, sheet.linear((light.haze, 0.0), (light.haze, 0.85)))
    hills(stage, 164, 6, "#7fa585", 0.24)
    for i in range(7):
        pine(stage, w * (i + rng.uniform(0.1, 0.9)) / 7, 176, rng.uniform(22, 34), "#5c8b78", 0.26)
    meadow(stage, 178, "#93b96b", 7)
    pine(stage, stage.across(0.9), 206, 86, "#487a66", 0.03)
    pine(stage, stage.across(1.02), 214, 74, "#487a66")
    pine(stage, stage.across(0.03), 200, 62, "#4f8069", 0.08)
    for dx, size in ((0, 11), (15, 7)):
        sheet.ellipse(stage.across(0.78) + dx, 211 - size / 3, size, size * 0.62, light.ground("#a9adb5"))
    flowers(stage, stage.across(0.12), 216, 22, ("#f5d76e", "#c79be0", "#ffffff"))


def _peak(stage: Stage, x: float, foot: float, tall: float, half: float, colour: str, depth: float) -> None:
    """A peak lit from one side, its snow cap with a ragged hem."""
    sheet, light, side = stage.sheet, stage.light, stage.side
    top = foot - tall
    body, shadow = light.tone(colour, depth), light.tone(darker(colour, 0.3), depth)
    sheet.poly([(x, top), (x + half, foot), (x - half, foot)], sheet.linear(body, mix(body, light.haze, 0.6)))
    dark = [(x, top), (x - side * half * 0.1, top + tall * 0.35), (x + side * half * 0.06, top + tall * 0.6),
            (x - side * half * 0.1, foot), (x - side * half, foot)]  # fmt: skip
    sheet.poly(dark, sheet.linear(shadow, mix(shadow, light.haze, 0.6)))
    low = 0.62 if light.snow else 0.4
    hem = [(x, top), (x + half * low, top + tall * low), (x + half * low * 0.52, top + tall * low * 0.82),
           (x + half * low * 0.2, top + tall * low * 1.2), (x - half * low * 0.16, top + tall * low * 0.85),
           (x - half * low * 0.5, top + tall * low * 1.12), (x - half * low, top + tall * low)]  # fmt: skip
    sheet.poly(hem, mix(light.white(depth * 0.4), light.glow, 0.25))
    shade = [hem[0], hem[4], hem[5], hem[6]] if side > 0 else [hem[0], hem[1], hem[2], hem[3], hem[4]]
    sheet.poly(shade, mix(light.white(depth * 0.6), light.tone("#a9bbdc", depth), 0.55))


def cherry_trees(stage: Stage) -> None:
    """An avenue in blossom, its petals on the ground and in the air."""
    stage.horizon = 150
    sky(stage)
    sheet, light, rng, w = stage.sheet, stage.light, stage.rng, stage.width
    pink = "#f4a9c0"
    hills(stage, 138, 7, "#a9b9a6", 0.5)
    for i in range(7):
        crown(sheet, light, w * (i + 0.5) / 7, 134, 24, 17, pink, rng, 0.34)
    meadow(stage, 154, "#a8c67c", 6)
    x = stage.across
    lane = f"M{x(0.44):.1f},156Q{x(0.4):.1f},190 {x(0.1):.1f},270H{x(0.86):.1f}Q{x(0.56):.1f},190 {x(0.5):.1f},156Z"
    sheet.path(lane, light.ground("#eedbc6", 0.1))
    for part, foot, tall, depth in ((0.2, 172, 74, 0.2), (0.74, 176, 86, 0.18), (-0.02, 196, 140, 0.06)):
        _cherry(stage, x(part), foot, tall, pink, depth)
    _cherry(stage, x(0.98), 214, 190, pink, 0.0)
    for i in range(5):
        sheet.ellipse(x((0.08, 0.3, 0.66, 0.84, 0.98)[i]), 206 + rng.uniform(-6, 30), rng.uniform(16, 26), 4.5,
                      light.ground("#f8c9d6"), 0.8)  # fmt: skip
    petals = ""
    for _ in range(16):
        px, py = rng.uniform(0, w), rng.uniform(70, 236)
        petals += f"M{px:.1f},{py:.1f}q3.4,-3.4 5.6,.4q-2.4,3.6 -5.6,-.4Z"
    sheet.path(petals, light.tone("#fbd3df"))


def _cherry(stage: Stage, x: float, foot: float, tall: float, pink: str, depth: float) -> None:
    sheet, light, rng = stage.sheet, stage.light, stage.rng
    bark, top = light.tone("#6f4c46", depth), foot - tall * 0.42
    trunk(sheet, x, foot, tall * 0.46, tall * 0.055, bark)
    for lean in (-0.3, 0.28):
        sheet.line(f"M{x:.1f},{top:.1f}"
            f"q{tall * lean * 0.3:.1f},{-tall * 0.12:.1f} {tall * lean:.1f},{-tall * 0.22:.1f}",
                   bark, tall * 0.05)  # fmt: skip
    for dx, dy, size in ((-0.3, 0.6, 0.26), (0.32, 0.62, 0.27), (0.0, 0.8, 0.32)):
        crown(
            sheet, light, x + tall * dx, foot - tall * dy, tall * size, tall * size * 0.78, pink, rng, depth, stage.side
        )
