"""Sky, sun, moon, stars and clouds; also the piece of sky that a window shows."""

from __future__ import annotations

from random import Random

from .brush import Sheet, arcs, discs, lighter, mix
from .light import Light, Stage


def sky(stage: Stage) -> None:
    """The whole sky, down to the horizon and a little below it."""
    sheet, light = stage.sheet, stage.light
    bottom = stage.horizon + 30
    sheet.rect(-20, -20, stage.width + 40, bottom + 20, sheet.linear(light.sky[0], light.sky[1], light.sky[2]))
    part = stage.rng.uniform(0.66, 0.84)
    x, dull = stage.across(part), light.rain or light.snow
    if light.night:
        _stars(stage)
    if not dull:
        y = {"morning": 84, "noon": 34, "sunset": stage.horizon - 30, "night": 44}[light.time]
        _orb(sheet, light, x, y + stage.rng.uniform(-6, 6))
    for home in (0.1, 0.34, 0.56, 0.76, 0.98) if dull else (0.08, 0.36, part + 0.28):  # beside the sun, not on it
        cx, cy = stage.across(home + stage.rng.uniform(-0.06, 0.06)), stage.rng.uniform(22, 86)
        cloud(sheet, light, cx, cy, stage.rng.uniform(20, 34), stage.rng)


def _orb(sheet: Sheet, light: Light, x: float, y: float) -> None:
    """Sun or moon in its glow."""
    radius = {"morning": 15, "noon": 14, "sunset": 24, "night": 15}[light.time]
    reach = {"morning": 4.6, "noon": 3.0, "sunset": 3.6, "night": 2.9}[light.time]
    sheet.glow(x, y, radius * reach, radius * reach, light.glow, 0.55)
    sheet.circle(x, y, radius, light.orb)
    if light.night:
        sheet.path(discs([(x - 5, y - 3, 3.2), (x + 4, y + 4, 4), (x + 5, y - 6, 2.2)]), "#ead9a8", 0.8)


def _stars(stage: Stage) -> None:
    rng, few = stage.rng, stage.light.rain or stage.light.snow
    points = [(rng.uniform(0, stage.width), rng.uniform(4, 110)) for _ in range(5 if few else 22)]
    stage.sheet.path(discs((x, y, rng.uniform(1.1, 1.7)) for x, y in points[3:]), "#fff6d6", 0.9)
    for x, y in points[:3]:
        data = f"M{x:.1f},{y - 5:.1f}q.8,4.2 5,5q-4.2,.8 -5,5q-.8,-4.2 -5,-5q4.2,-.8 5,-5Z"
        stage.sheet.path(data, "#fffbe8")


def cloud(sheet: Sheet, light: Light, x: float, y: float, size: float, rng: Random) -> None:
    """A heap of cloud, bright above and sinking into the sky below."""
    edge = [(x + size * u, y - size * v * (rng.uniform(0.85, 1.15) if v > 0 else 1.0))
            for u, v in ((-1.1, -0.16), (-0.92, 0.14), (-0.5, 0.42), (0.1, 0.6), (0.62, 0.36), (1.0, 0.12),
                         (1.2, -0.16))]  # fmt: skip
    body = mix(light.cloud, light.sky[1], 0.25)
    sheet.path(
        arcs(edge, 0.56) + f"q0,{size * 0.16:.1f} {-size * 0.2:.1f},{size * 0.16:.1f}H{x - size * 0.9:.1f}Z",
        lighter(body, 0.25),
    )
    low = [
        (x - size * 0.9, y + size * 0.32),
        (x - size * 0.3, y + size * 0.08),
        (x + size * 0.3, y + size * 0.12),
        (x + size, y + size * 0.32),
    ]
    sheet.path(arcs(low, 0.6) + "Z", mix(body, light.sky[1], 0.42))


def window_view(stage: Stage, x: float, y: float, w: float, h: float) -> None:
    """What is to be seen through a window: sky, hour and weather, and a hill. Stays inside the rectangle."""
    sheet, light, rng = stage.sheet, stage.light, stage.rng
    sheet.rect(x, y, w, h, sheet.linear(*light.sky))
    if light.night:
        spots = [(x + w * u, y + h * v) for u, v in ((0.14, 0.16), (0.36, 0.34), (0.2, 0.5), (0.88, 0.46), (0.62, 0.1))]
        sheet.path(discs((u, v, 1.5) for u, v in spots), "#fff6d6")
    if not (light.rain or light.snow):
        height = {"morning": 0.5, "noon": 0.26, "sunset": 0.56, "night": 0.28}[light.time]
        radius = min(w, h) * (0.17 if light.time == "sunset" else 0.12)
        sheet.circle(x + w * 0.7, y + h * height, radius * 1.7, light.glow, 0.5)
        sheet.circle(x + w * 0.7, y + h * height, radius, light.orb)
        if light.time in ("morning", "noon"):
            sheet.path(
                discs([(x + w * 0.2, y + h * 0.3, h * 0.08), (x + w * 0.3, y + h * 0.27, h * 0.1),
                       (x + w * 0.39, y + h * 0.31, h * 0.07)]), light.cloud)  # fmt: skip
    for lift, colour, depth in ((0.66, "#7fae86", 0.45), (0.76, "#6aa05f", 0.2)):
        sway = rng.uniform(-0.06, 0.06)
        left, right = y + h * (lift + sway), y + h * (lift - sway)
        hill = (
            f"M{x:.1f},{left:.1f}Q{x + w * 0.3:.1f},{left - h * 0.12:.1f} {x + w * 0.55:.1f},{(left + right) / 2:.1f}"
        )
        hill += f"T{x + w:.1f},{right:.1f}V{y + h:.1f}H{x:.1f}Z"
        sheet.path(hill, mix(light.ground(colour, depth), light.tint, light.strength * 0.4))
    if light.rain:
        drops = [(x + rng.uniform(6, w - 4), y + rng.uniform(4, h - 18)) for _ in range(9)]
        sheet.line("".join(f"M{u:.1f},{v:.1f}l-3.5,12" for u, v in drops), "#e8f1f8", 2.0, 0.75)
    if light.snow:
        flakes = [(x + rng.uniform(4, w - 4), y + rng.uniform(4, h - 4), rng.uniform(1.4, 2.6)) for _ in range(16)]
        sheet.path(discs(flakes), "#ffffff", 0.95)
        sheet.ellipse(x + w / 2, y + h - 3, w / 2 - 1, 4, "#ffffff")
