"""The foreground: what frames the picture's corners, in front of everybody's feet."""

from __future__ import annotations

from .brush import darker, lighter, mix, scallop
from .light import HEIGHT, Stage
from .nature import flowers, grass

_TUFTS = {"lake": "#6b9c4a", "road": "#7fa64c", "mountains": "#76a057", "temple": "#7a9c62", "forest": "#4f8a4e"}


def foreground(stage: Stage, place: str, low: bool) -> None:
    """A branch above; below (`low`: the ground is in the picture) tufts, flowers and snow drifts."""
    if stage.light.indoors:
        return
    if place == "cherry trees":
        _branch(stage, "#f6b3c8")
    elif place == "forest":
        _branch(stage, "#4f8f5a")
    if not low:
        return
    if stage.light.snow:
        _drift(stage)
    elif place in _TUFTS:
        for part, size in ((0.03, 20), (0.95, 17), (1.0, 24)):
            grass(stage, stage.across(part), HEIGHT + 4, size, _TUFTS[place])
        flowers(stage, stage.across(0.9), 246, 22, ("#f6e3a1", "#f3a6a0", "#fbf5ea"), 4)


def _branch(stage: Stage, colour: str) -> None:
    """A leafy or blossoming bough across the upper corner on the people's side."""
    sheet, light, x = stage.sheet, stage.light, stage.across
    sheet.line(f"M{x(-0.06):.1f},20Q{x(0.1):.1f},22 {x(0.26):.1f},12", light.tone("#6f4c46"), 5)
    tone = light.leaves(colour)
    for part, y, size in ((0.0, 12, 25), (0.13, 4, 21), (0.24, 8, 14)):
        sheet.path(scallop(x(part), y, size, size * 0.8, stage.rng, 8), darker(tone, 0.12))
        sheet.path(
            scallop(x(part), y - size * 0.2, size * 0.7, size * 0.5, stage.rng, 6), mix(tone, lighter(tone), 0.4)
        )


def _drift(stage: Stage) -> None:
    w = stage.width
    data = f"M-20,250Q{w * 0.16:.0f},238 {w * 0.36:.0f},252T{w * 0.76:.0f},252T{w + 20:.0f},242V280H-20Z"
    stage.sheet.path(data, stage.light.white(0.04))
