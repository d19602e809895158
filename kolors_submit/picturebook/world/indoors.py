"""Places under a roof: the room and the classroom. Weather and hour are seen through the window."""

from __future__ import annotations

from .brush import darker, discs, lighter, mix
from .buildings import LAMP
from .light import HEIGHT, Stage
from .sky import window_view


def _floor(stage: Stage, y: float, colour: str) -> None:
    sheet, light, w = stage.sheet, stage.light, stage.width
    wood = light.tone(colour)
    sheet.rect(-20, y, w + 40, HEIGHT + 20 - y, sheet.linear(lighter(wood, 0.2), darker(wood, 0.08)))
    boards = "".join(f"M{w / 2 + i * w * 0.14:.1f},{y + 2}L{w / 2 + i * w * 0.3:.1f},270" for i in range(-4, 5))
    sheet.line(boards, darker(wood, 0.14), 2, 0.5)
    sheet.rect(-20, y - 7, w + 40, 8, light.tone("#fbf3e4"))


def _window(stage: Stage, x: float, y: float, w: float, h: float, frame: str) -> None:
    sheet, light = stage.sheet, stage.light
    sheet.rect(x - 6, y - 6, w + 12, h + 12, light.tone(frame), 3)
    window_view(stage, x, y, w, h)
    sheet.line(f"M{x + w / 2:.1f},{y}v{h}M{x},{y + h * 0.42:.1f}h{w}", light.tone(frame), 4)
    sheet.rect(x - 10, y + h + 4, w + 20, 6, light.tone(darker(frame, 0.08)), 2)


def _sunbeam(stage: Stage, x: float, w: float, y: float) -> None:
    """The window's light on the floor."""
    light, lean = stage.light, -stage.side
    if light.night or light.rain:
        return
    for i in (0, 1):
        left = x + i * w * 0.54
        points = [
            (left, y + 4),
            (left + w * 0.44, y + 4),
            (left + w * 0.56 + lean * 46, y + 46),
            (left + lean * 46, y + 46),
        ]
        stage.sheet.poly(points, light.glow, 0.42)


def room(stage: Stage) -> None:
    """A cosy room: window with curtains, bookshelf, picture, lamp, plant, rug and cushions."""
    stage.horizon = 172
    sheet, light, w = stage.sheet, stage.light, stage.width
    wall = light.tone(mix("#f2dcc0", light.sky[2], 0.1))
    sheet.rect(-20, -20, w + 40, 200, sheet.linear(lighter(wall, 0.12), wall))
    for i in range(9):
        sheet.rect(w * (i + 0.5) / 9 - 3.5, -10, 7, 150, lighter(wall, 0.22))
    sheet.rect(-20, 138, w + 40, 30, mix(wall, light.tone("#dfc1a0"), 0.7))
    sheet.rect(-20, 135, w + 40, 5, light.tone("#fbf1df"))
    _floor(stage, 172, "#c08f63")
    ww = 70.0
    x = stage.across(0.73) - ww / 2
    _window(stage, x, 28, ww, 84, "#fbf3e4")
    _curtains(stage, x, ww)
    _sunbeam(stage, x, ww, 174)
    _shelf(stage, stage.across(0.1))
    _picture(stage, stage.across(0.38))
    rug = light.tone("#d98d80")
    sheet.ellipse(w / 2, 226, w * 0.42, 24, rug)
    sheet.ellipse(w / 2, 226, w * 0.36, 19, lighter(rug, 0.35))
    sheet.ellipse(w / 2, 226, w * 0.31, 15.5, mix(rug, light.tone("#f1c79f"), 0.5))
    _plant(stage, stage.across(0.94), 192)
    if light.lit:
        glow = stage.across(0.3)
        sheet.glow(glow, 100, 120, 120, LAMP, 0.36)
    _lamp(stage, stage.across(0.25), 196)


def _curtains(stage: Stage, x: float, w: float) -> None:
    sheet, light = stage.sheet, stage.light
    cloth = light.tone("#9cb9a4")
    fill = sheet.linear(lighter(cloth, 0.15), darker(cloth, 0.1))
    for edge, out in ((x - 2, -1), (x + w + 2, 1)):
        data = (
            f"M{edge - out * 18:.1f},18H{edge + out * 13:.1f}V126H{edge + out * 1:.1f}"
            f"Q{edge - out * 1:.1f},88 {edge - out * 3:.1f},74Q{edge - out * 14:.1f},52 {edge - out * 18:.1f},18Z"
        )
        sheet.path(data, fill)
        sheet.line(f"M{edge + out * 7:.1f},26v92", darker(cloth, 0.14), 2.4, 0.6)
        sheet.line(f"M{edge - out * 3:.1f},76H{edge + out * 12:.1f}", light.tone("#e9c46a"), 3.4)
    sheet.line(f"M{x - 18:.1f},17h{w + 36}", light.tone("#a3764f"), 4)


def _shelf(stage: Stage, x: float) -> None:
    """A bookcase, its middle at x."""
    sheet, light, rng = stage.sheet, stage.light, stage.rng
    wood = light.tone("#a8754d")
    sheet.rect(x - 30, 44, 60, 140, wood, 3)
    for y in (52, 96, 140):
        sheet.rect(x - 25, y, 50, 38, darker(wood, 0.28))
        bx = x - 24.0
        while bx < x + 14:
            width, tall = rng.uniform(6, 9), rng.uniform(24, 34)
            colour = rng.choice(("#c9837a", "#d9b26f", "#8aa58f", "#8b9db8", "#e6d3b5", "#b48aa3"))
            sheet.rect(bx, y + 38 - tall, width, tall, light.tone(colour), 1)
            bx += width + 0.6
    sheet.circle(x + 14, 36, 8, light.tone("#7da7a8"))
    sheet.rect(x - 22, 32, 20, 12, light.tone("#d9b48a"), 2)


def _picture(stage: Stage, x: float) -> None:
    sheet, light = stage.sheet, stage.light
    sheet.rect(x - 19, 48, 38, 32, light.tone("#b58a55"), 2)
    sheet.rect(x - 15, 52, 30, 24, light.tone("#d9e6e2"))
    sheet.poly([(x - 15, 76), (x - 5, 60), (x + 3, 70), (x + 8, 64), (x + 15, 76)], light.tone("#8fae8f"))
    sheet.circle(x + 8, 58, 3, light.tone("#f0bd6a"))


def _plant(stage: Stage, x: float, y: float) -> None:
    sheet, light = stage.sheet, stage.light
    leaf = light.tone("#6f9f6c")
    for lean, tall in ((-15, 40), (-7, 56), (3, 62), (11, 52), (18, 36)):
        data = (
            f"M{x:.1f},{y - 20}q{lean * 0.1 - 8:.1f},{-tall * 0.6:.1f} {lean:.1f},{-tall}"
            f"q{8 - lean * 0.1:.1f},{tall * 0.5:.1f} {-lean:.1f},{tall}Z"
        )
        sheet.path(data, leaf if lean % 2 else darker(leaf, 0.12))
    pot = light.tone("#d08a66")
    sheet.poly(
        [(x - 14, y - 24), (x + 14, y - 24), (x + 10, y), (x - 10, y)],
        sheet.linear(lighter(pot, 0.1), darker(pot, 0.12)),
    )
    sheet.rect(x - 16, y - 27, 32, 6, pot, 2)


def _lamp(stage: Stage, x: float, y: float) -> None:
    """A standing lamp; lit in the evening."""
    sheet, light = stage.sheet, stage.light
    sheet.line(f"M{x:.1f},{y}V104", light.tone("#8a6a52"), 3.4)
    sheet.ellipse(x, y, 12, 3.4, light.tone("#8a6a52"))
    shade = "#ffe09a" if light.lit else light.tone("#f0d3a2")
    sheet.path(
        f"M{x - 9:.1f},80H{x + 9:.1f}L{x + 18:.1f},108Q{x:.1f},113 {x - 18:.1f},108Z",
        sheet.linear(lighter(shade, 0.3), shade),
    )


def classroom(stage: Stage) -> None:
    """A green blackboard, rows of desks, a window, a clock and a map."""
    stage.horizon = 168
    sheet, light, w = stage.sheet, stage.light, stage.width
    wall = light.tone(mix("#dfe6d3", light.sky[2], 0.12))
    sheet.rect(-20, -20, w + 40, 200, sheet.linear(lighter(wall, 0.2), wall))
    sheet.rect(-20, 128, w + 40, 42, light.tone("#b9cdb4"), 0, 0.8)
    _floor(stage, 168, "#cda06e")
    if light.lit:
        sheet.rect(-20, -20, w + 40, 190, sheet.linear((LAMP, 0.34), (LAMP, 0.08)))
    left = stage.across(0.36)
    _blackboard(stage, left)
    x = stage.across(0.87) - 24
    _window(stage, x, 34, 48, 80, "#fbf3e4")
    _sunbeam(stage, x, 48, 172)
    cx = stage.across(0.7)
    sheet.circle(cx, 28, 10, light.tone("#b4774f"))
    sheet.circle(cx, 28, 7.6, light.tone("#fffaf0"))
    sheet.line(f"M{cx:.1f},28v-5M{cx:.1f},28h4", light.tone("#5f5560"), 2)
    for part in (0.08, 0.34, 0.66, 0.92):
        _school_desk(stage, stage.across(part), 192, 0.82)
    for part in (-0.02, 1.02):
        _school_desk(stage, stage.across(part), 222, 1.2)


def _blackboard(stage: Stage, x: float) -> None:
    sheet, light = stage.sheet, stage.light
    half = min(84.0, stage.width * 0.34)
    sheet.rect(x - half - 6, 34, half * 2 + 12, 92, light.tone("#b07d4e"), 4)
    board = light.tone("#3f6f5d")
    sheet.rect(x - half, 40, half * 2, 80, sheet.linear(board, darker(board, 0.14)), 2)
    chalk = light.tone("#eef3e6")
    sheet.line(f"M{x - half + 12:.1f},56h30M{x - half + 12:.1f},68h44M{x - half + 12:.1f},80h24", chalk, 2.6, 0.85)
    sun = x + half - 26
    sheet.line(
        f"M{sun - 8:.1f},64a8,8 0 1 0 16,0a8,8 0 1 0 -16,0M{sun:.1f},50v-4M{sun + 14:.1f},64h4M{sun - 18:.1f},64h4",
        light.tone("#f6dc8a"),
        2.4,
        0.9,
    )
    sheet.line(f"M{sun - 14:.1f},104v-14l14,-11l14,11v14Z", light.tone("#f3b6b6"), 2.4, 0.9)
    sheet.rect(x - half - 2, 124, half * 2 + 4, 5, light.tone("#c99763"), 2)
    sheet.path(discs([(x - 20, 123, 2), (x - 12, 123, 2)]), "#ffffff")


def _school_desk(stage: Stage, x: float, y: float, size: float) -> None:
    sheet, light = stage.sheet, stage.light
    wood, leg = light.tone("#d3a266"), light.tone("#8f7d72")
    sheet.line(f"M{x - 20 * size:.1f},{y}v{-22 * size:.1f}M{x + 20 * size:.1f},{y}v{-22 * size:.1f}", leg, 3.2 * size)
    sheet.rect(x - 25 * size, y - 22 * size, 50 * size, 10 * size, darker(wood, 0.16), 2)
    sheet.poly([(x - 26 * size, y - 22 * size), (x + 26 * size, y - 22 * size), (x + 22 * size, y - 30 * size),
                (x - 22 * size, y - 30 * size)], lighter(wood, 0.12))  # fmt: skip
