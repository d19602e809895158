"""What time and weather do to colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from ..scenes import INDOORS, Scene, Time
from .brush import Sheet, mix

HEIGHT = 256.0
"""Frame units: every picture is 256 high, and as wide as its aspect says."""

SNOW = "#f3f6fb"


@dataclass(frozen=True)
class Light:
    """The palette of an hour: the sky from top to horizon, the haze of far things, the tint of near ones."""

    time: Time
    sky: tuple[str, str, str]
    haze: str
    tint: str
    strength: float
    cloud: str
    orb: str  # sun or moon
    glow: str
    rain: bool = False
    snow: bool = False
    indoors: bool = False

    @property
    def night(self) -> bool:
        """Whether it is dark."""
        return self.time == "night"

    @property
    def lit(self) -> bool:
        """Whether lamps are on."""
        return self.time in ("sunset", "night") or self.rain

    def tone(self, colour: str, depth: float = 0.0) -> str:
        """A thing's colour in this light, `depth` of the way (0 to 1) into the haze."""
        colour = mix(colour, self.tint, self.strength * (0.6 if self.indoors else 1.0))
        return mix(colour, self.haze, depth if self.indoors else 0.06 + 0.94 * depth)

    def ground(self, colour: str, depth: float = 0.0) -> str:
        """The same for what snow lies on."""
        tone = self.tone(colour, depth)
        return mix(tone, self.white(depth), 0.9) if self.snow else tone

    def white(self, depth: float = 0.0) -> str:
        """Snow in this light: it keeps more of its own brightness than other things."""
        return mix(mix(SNOW, self.tint, self.strength * 0.6), self.haze, 0.06 + 0.94 * depth)

    def leaves(self, colour: str, depth: float = 0.0) -> str:
        """The same for what snow powders."""
        return self.tone(mix(colour, SNOW, 0.4) if self.snow else colour, depth)


_HOURS: dict[Time, Light] = {
    "morning": Light("morning", ("#a9cbe0", "#f6dfc6", "#ffe3b8"), "#f9e4cc", "#ffdcae", 0.2, "#fff4e6", "#fffbe6",
                     "#fff0c4"),
    "noon": Light("noon", ("#56a7e6", "#93caf1", "#dcf0fa"), "#d3e9f5", "#ffffff", 0.05, "#ffffff", "#fff5c2",
                  "#fffbe2"),
    "sunset": Light("sunset", ("#7a63a6", "#f0876b", "#ffc873"), "#f6a97c", "#e8693f", 0.3, "#f9b09a", "#ffe08a",
                    "#ffb25e"),
    "night": Light("night", ("#111c4b", "#213374", "#42569a"), "#30447f", "#14235c", 0.62, "#3a4d8e", "#fdf3cf",
                   "#8fa2e0"),
}  # fmt: skip


def light_of(scene: Scene) -> Light:
    """The light of a scene's hour, dulled by its weather."""
    base = _HOURS[scene.time]
    rain, snow, indoors = scene.weather == "rain", scene.weather == "snow", scene.place in INDOORS
    grey = {"morning": "#b9bcc2", "noon": "#9fb0bf", "sunset": "#9a7f92", "night": "#1c2748"}[scene.time]
    pale = {"morning": "#e9e4e4", "noon": "#dbe5ee", "sunset": "#d8a6ae", "night": "#2b3868"}[scene.time]
    veil, amount = (grey, 0.55) if rain else (pale, 0.45) if snow else (grey, 0.0)
    top, middle, low = (mix(colour, veil, amount) for colour in base.sky)
    return Light(
        base.time, (top, middle, low), mix(base.haze, veil, amount), mix(base.tint, grey, 0.5 if rain else 0.0),
        base.strength + (0.16 if rain and scene.time != "night" else 0.0), mix(base.cloud, veil, amount * 0.9),
        base.orb, base.glow, rain, snow, indoors,
    )  # fmt: skip


@dataclass
class Stage:
    """Where a place is built: the sheet, its width, the light, and where the people will stand."""

    sheet: Sheet
    width: float
    light: Light
    rng: Random
    side: int  # -1 or 1: where the motif goes; the people lean the other way
    horizon: float = 150.0
    heads: list[tuple[float, float, float, float]] = field(default_factory=list)

    def across(self, part: float) -> float:
        """x of a place in the frame, 0 at the people's side and 1 at the motif's."""
        return self.width * (part if self.side > 0 else 1 - part)
