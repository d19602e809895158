"""Rain and snow in front of everything, and the puddles they leave."""

from __future__ import annotations

from .brush import discs, lighter, mix
from .light import HEIGHT, Stage


def puddles(stage: Stage) -> None:
    """Sky-coloured pools on the ground, with the rings that drops make."""
    light, sheet, rng = stage.light, stage.sheet, stage.rng
    if not light.rain or light.indoors:
        return
    water = mix(light.sky[2], "#7f98ae", 0.35)
    for part, y, size in ((0.12, 226, 26), (0.62, 240, 34), (0.9, 222, 24)):
        x = stage.across(part + rng.uniform(-0.05, 0.05))
        sheet.ellipse(x, y, size, size * 0.24, water, 0.9)
        sheet.ellipse(x - size * 0.1, y - 1, size * 0.6, size * 0.12, lighter(water, 0.45), 0.8)
        sheet.add(
            f'<ellipse cx="{x + size * 0.3:.1f}" cy="{y:.1f}" rx="{size * 0.34:.1f}" ry="{size * 0.1:.1f}" '
            f'fill="none" stroke="#ffffff" stroke-width="2" stroke-opacity="0.7"/>'
        )


def falling(stage: Stage) -> None:
    """Streaks or flakes over the whole frame, but not on the faces."""
    light, sheet, rng, w = stage.light, stage.sheet, stage.rng, stage.width
    if light.indoors or not (light.rain or light.snow):
        return

    def clear(x: float, y: float) -> bool:
        return not any(x0 - 3 < x < x1 + 3 and y0 - 3 < y < y1 + 3 for x0, y0, x1, y1 in stage.heads)

    cells = [(col, row) for row in range(8) for col in range(max(4, round(w / 32)))]
    spots = [((col + rng.random()) * 32, (row + rng.random()) * 32) for col, row in cells]
    if light.rain:
        drops = [(x, y) for x, y in spots if clear(x - 3, y + 9)]
        sheet.line("".join(f"M{x:.1f},{y:.1f}l-5,17" for x, y in drops[::2]), "#eaf3fb", 2.2, 0.62)
        sheet.line("".join(f"M{x:.1f},{y:.1f}l-3.5,12" for x, y in drops[1::2]), "#ffffff", 2.0, 0.45)
        splash = "".join(f"M{x:.1f},{HEIGHT - 34 + y / 8:.1f}q3,-6 6,0" for x, y in spots[::9])
        sheet.line(splash, "#ffffff", 2.0, 0.6)
        return
    flakes = [(x, y) for x, y in spots if clear(x, y)]
    sheet.path(discs((x, y, rng.uniform(2.6, 4.2)) for x, y in flakes[::3]), "#ffffff", 0.95)
    sheet.path(discs((x, y, rng.uniform(1.5, 2.3)) for x, y in flakes[1::2]), "#ffffff", 0.8)
