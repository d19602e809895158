"""Things that people use. Each is drawn in figure units: the ground at y = 0, a standing adult 100 high."""

from __future__ import annotations

from .brush import Sheet, darker, discs, lighter, mix
from .light import Light

Extent = tuple[float, float, float, float]


def easel(sheet: Sheet, light: Light, facing: int) -> Extent:
    """A canvas on three legs, turned to the viewer, with a landscape begun on it."""
    wood = light.tone("#a9764a")
    sheet.line("M-17,0L-5,-84M17,0L5,-84M0,-84V-6", wood, 3.4)
    sheet.rect(-24, -33, 48, 4.4, darker(wood, 0.15), 1.5)
    sheet.rect(-23, -77, 46, 44, light.tone("#d9c4a2"), 1)
    sheet.rect(-21, -75, 42, 40, lighter(light.tone("#fffaf0"), 0.5))
    sheet.rect(-18, -72, 36, 21, light.tone("#bfe0ee"))
    sheet.circle(8 * facing, -64, 4.6, light.tone("#f6b34f"))
    sheet.path("M-18,-51L-8,-64L1,-53L8,-59L18,-51V-44H-18Z", light.tone("#7fa7a0"))
    sheet.path("M-18,-48Q-4,-53 18,-46V-38H-18Z", light.tone("#8fbd67"))
    sheet.path(discs([(-11 * facing, -43, 2.4), (-5 * facing, -41, 2.4), (10, -42, 2)]), light.tone("#e86f6f"))
    return -24, -86, 24, 0


def book(sheet: Sheet, light: Light, facing: int) -> Extent:
    """Two closed books with an open one upon them."""
    for y, half, colour in ((-6, 17, "#b5564c"), (-12, 15, "#4f7fa3")):
        cover = light.tone(colour)
        sheet.rect(-half, y, half * 2, 6, cover, 1.5)
        sheet.rect(-half + 4 * (facing < 0), y + 1.6, half * 2 - 4, 2.8, light.tone("#fdf3dc"))
    page = lighter(light.tone("#fffaf0"), 0.4)
    sheet.path("M0,-13Q-11,-19 -22,-14L-19,-27Q-9,-30 0,-25Q9,-30 19,-27L22,-14Q11,-19 0,-13Z", light.tone("#8e4a5e"))
    sheet.path("M0,-15Q-10,-21 -20,-17L-17.5,-28Q-8,-31.5 0,-27Z", page)
    sheet.path("M0,-15Q10,-21 20,-17L17.5,-28Q8,-31.5 0,-27Z", darker(page, 0.07))
    sheet.line("M-14,-23Q-9,-25 -4,-23M5,-23Q10,-25 14,-23", light.tone("#b9a894"), 1.6)
    return -22, -31, 22, 0


def desk(sheet: Sheet, light: Light, facing: int) -> Extent:
    """A writing desk with a drawer, a globe, an ink pot and papers."""
    wood = light.tone("#b07a4e")
    sheet.line("M-25,-1V-36M25,-1V-36", darker(wood, 0.2), 4)
    sheet.rect(-28, -38, 56, 11, sheet.linear(wood, darker(wood, 0.15)), 1.5)
    sheet.rect(-11, -35.5, 22, 6, lighter(wood, 0.15), 1)
    sheet.circle(0, -32.5, 1.4, light.tone("#f0cf7a"))
    sheet.rect(-32, -42, 64, 5, lighter(wood, 0.2), 1.5)
    sheet.poly(
        [(-20 * facing, -42), (-4 * facing, -42), (-1 * facing, -46), (-17 * facing, -46)], light.tone("#fffaf0")
    )
    sheet.line(f"M{16 * facing},-42v-5M{16 * facing - 6},-43h12", light.tone("#8c6848"), 2.4)
    sheet.circle(16 * facing, -54, 7.6, light.tone("#6fa9c4"))
    sheet.path(discs([(16 * facing - 2, -56, 3), (16 * facing + 3, -52, 2.6)]), light.tone("#8fbf78"))
    return -32, -62, 32, 0


def table(sheet: Sheet, light: Light, facing: int) -> Extent:
    """A round table with a white cloth, a teapot and a cup."""
    sheet.line("M-14,0L-8,-30M14,0L8,-30", light.tone("#8f6344"), 4)
    cloth = light.tone("#f7ecdc")
    sheet.path(
        "M-29,-38L-31,-18Q-22,-12 -15,-18Q-7,-12 0,-18Q7,-12 15,-18Q22,-12 31,-18L29,-38Z",
        sheet.linear(cloth, darker(cloth, 0.12)),
    )
    sheet.ellipse(0, -38, 29, 5.6, lighter(cloth, 0.4))
    pot = light.tone("#6d9db0")
    x = -7 * facing
    sheet.line(f"M{x - 9 * facing},-47q{-8 * facing},1 {-8 * facing},-8", pot, 3)
    sheet.line(f"M{x + 8 * facing},-50q{8 * facing},-3 {4 * facing},7", pot, 2.4)
    sheet.ellipse(x, -46, 10, 8.4, sheet.linear(lighter(pot, 0.3), pot))
    sheet.ellipse(x, -54, 5, 2, darker(pot, 0.15))
    sheet.circle(x, -56.6, 1.8, light.tone("#f0c66e"))
    sheet.path(f"M{13 * facing - 5},-46h10q0,8 -5,8q-5,0 -5,-8Z", light.tone("#e58f7f"))
    return -31, -60, 31, 0


def bed(sheet: Sheet, light: Light, facing: int) -> Extent:
    """A bed seen from its side, the pillow at the far end from `facing`."""
    wood, quilt = light.tone("#a97750"), light.tone("#78a3c8")
    head, foot = -46 * facing, 46 * facing
    sheet.rect(head - 3, -47, 6, 47, wood, 2.5)
    sheet.path(f"M{head},-46q{9 * facing},-12 {4 * facing},14v26h{-4 * facing}Z", lighter(wood, 0.14))
    sheet.rect(-46, -18, 92, 10, darker(wood, 0.1), 2)
    sheet.rect(-45, -27, 90, 12, lighter(light.tone("#f7efe2"), 0.3), 5)
    sheet.ellipse(head + 15 * facing, -30, 13, 6.4, light.tone("#fffaf2"))
    left = min(head + 26 * facing, foot)
    sheet.path(f"M{left},-14v-12q0,-7 7,-7h52q7,0 7,7v12Z", sheet.linear(lighter(quilt, 0.25), quilt))
    sheet.path(f"M{left},-23v-3q0,-7 7,-7h52q7,0 7,7v3Z", light.tone("#f4e3c3"))
    sheet.path(discs((left + 10 + 15 * i, -18, 2.6) for i in range(4)), light.tone("#f4e3c3"))
    sheet.rect(foot - 3, -34, 6, 34, wood, 2.5)
    return -50, -58, 50, 0


def bridge_back(sheet: Sheet, light: Light, half: float) -> None:
    """An arched red bridge over a stream: the far railing, the arch and its deck at y = 0 in the middle."""
    water = light.tone(mix(light.sky[1], "#3d8fae", 0.68))
    sheet.path(
        f"M{-half * 1.5:.0f},40H{half * 1.5:.0f}V15Q0,6 {-half * 1.5:.0f},15Z",
        sheet.linear(lighter(water, 0.15), darker(water, 0.1)),
    )
    ripple = (
        f"M{-half * 0.3:.1f},19h{half * 0.34:.1f}M{half * 0.02:.1f},24"
        f"h{half * 0.3:.1f}M{-half * 0.36:.1f},29h{half * 0.26:.1f}"
    )
    sheet.line(ripple, lighter(water, 0.5), 1.6)
    red = light.tone("#cf5a48")
    far = darker(red, 0.12)
    for i in range(-3, 4):
        x = half * i / 3.3
        y = 10 * (x / half) ** 2
        sheet.line(f"M{x:.1f},{y:.1f}v-23", far, 3.4)
    for lift in (-22, -11):
        sheet.line(f"M{-half},{10 + lift}Q0,{-10 + lift} {half},{10 + lift}", far, 3.2)


def bridge_front(sheet: Sheet, light: Light, half: float) -> None:
    """The deck and the arch below it, with low posts at both ends."""
    stone, red = light.ground("#d9b48a"), light.tone("#cf5a48")
    arch = (
        f"M{-half},8Q0,-12 {half},8V34H{half * 0.56:.1f}"
        f"Q{half * 0.4:.1f},12 0,12Q{-half * 0.4:.1f},12 {-half * 0.56:.1f},34"
        f"H{-half}Z"
    )
    sheet.path(arch, sheet.linear(light.tone("#d98a6a"), light.tone("#a8584a")))
    sheet.line(f"M{-half},7Q0,-13 {half},7", stone, 6)
    sheet.line(f"M{-half},12Q0,-8 {half},12", darker(red, 0.1), 2.4)
    for x in (-half, half):
        sheet.line(f"M{x:.1f},14v-34", red, 6)
        sheet.circle(x, -22, 4.6, light.tone("#eec064"))


def boat_back(sheet: Sheet, light: Light, half: float) -> None:
    """The water round a boat and its far side."""
    water = mix(light.sky[1], "#5a9fc4" if not light.night else "#2f4f9a", 0.5)
    sheet.ellipse(0, 12, half * 1.7, 20, lighter(water, 0.25), 0.7)
    sheet.ellipse(0, 10, half * 1.42, 14, water)
    wood = light.tone("#8a5a3c")
    sheet.path(f"M{-half},-15Q0,-8 {half},-15Q0,6 {-half},-15Z", darker(wood, 0.25))


def boat_front(sheet: Sheet, light: Light, half: float) -> None:
    """The near side of a rowing boat, an oar, and its ripples."""
    wood = light.tone("#c07f4f")
    hull = (
        f"M{-half - 8:.1f},-21Q0,-7 {half + 8:.1f},-21Q{half * 0.92:.1f},9 {half * 0.56:.1f},13"
        f"H{-half * 0.56:.1f}Q{-half * 0.92:.1f},9 {-half - 8:.1f},-21Z"
    )
    sheet.path(hull, sheet.linear(lighter(wood, 0.15), wood, darker(wood, 0.25)))
    sheet.line(f"M{-half - 8:.1f},-21Q0,-7 {half + 8:.1f},-21", light.tone("#f0d2a0"), 3.4)
    sheet.line(f"M{-half * 0.86:.1f},0Q0,8 {half * 0.86:.1f},0", darker(wood, 0.22), 2)
    foam = lighter(mix(light.sky[1], "#ffffff", 0.4), 0.3)
    sheet.line(
        f"M{-half * 1.25:.1f},11q8,5 18,3M{half * 0.86:.1f},14q10,1 18,-4M{-half * 0.3:.1f},18h{half * 0.6:.1f}",
        foam,
        2.2,
        0.8,
    )


VESSELS = {"bridge": (bridge_back, bridge_front), "boat": (boat_back, boat_front)}
