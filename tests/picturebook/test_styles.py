from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from kolors_submit.picturebook.paint import draw
from kolors_submit.picturebook.scenes import Person, Scene
from kolors_submit.picturebook.styles import STYLES, apply

SCENES = [
    Scene((Person("girl", "red", "long", "dress", "green"),), "lake", seed=1),
    Scene((Person("man", "black", "short", "coat", "purple"),), "town", "sunset", view="half", seed=2),
    Scene((Person("woman", "golden", "shoulder", "robe", "blue"),), "temple", "morning", view="close", seed=3),
]


def measures(image: Image.Image) -> dict[str, float]:
    """Saturation, lightness and edge energy of a picture."""
    values = np.asarray(image, dtype=float) / 255
    grey = values.mean(axis=2)
    return {
        "saturation": float((values.max(axis=2) - values.min(axis=2)).mean()),
        "lightness": float(grey.mean()),
        "edges": float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()),
    }


def mean_measures(style: str) -> dict[str, float]:
    found = [measures(draw(scene, style=style)) for scene in SCENES]
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


@pytest.mark.parametrize("style", STYLES)
def test_a_style_keeps_size_and_mode_and_repeats(style: str) -> None:
    image = draw(SCENES[0], width=320, height=256)
    first, second = apply(image, style, 7), apply(image, style, 7)
    assert first.size == (320, 256) and first.mode == "RGB"
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("style", STYLES[1:])
def test_another_seed_is_another_hand(style: str) -> None:
    image = draw(SCENES[0])
    assert apply(image, style, 1).tobytes() != apply(image, style, 2).tobytes()


def test_there_are_five_styles_and_an_unknown_one_is_refused() -> None:
    assert len(STYLES) == 5 and STYLES[:3] == ("plain", "watercolor", "ink")
    with pytest.raises(ValueError, match="oil.*choose one of plain, watercolor"):
        apply(draw(SCENES[0]), "oil", 0)


def test_styles_differ_measurably() -> None:
    found = {style: mean_measures(style) for style in STYLES}
    plain, wash, ink = found["plain"], found["watercolor"], found["ink"]
    assert wash["saturation"] < 0.85 * plain["saturation"] and wash["lightness"] > plain["lightness"] + 0.05
    assert ink["saturation"] < 0.5 * plain["saturation"]
    assert found["crayon"]["edges"] > 1.15 * plain["edges"]
    for one in STYLES:
        for other in STYLES:
            if one < other:
                apart = [abs(found[one][k] - found[other][k]) / (found[one][k] + found[other][k]) for k in plain]
                assert max(apart) > 0.03, (one, other, found[one], found[other])


@pytest.mark.parametrize("style", [s for s in STYLES if s not in ("plain", "ink")])
def test_colours_survive(style: str) -> None:
    """Big areas keep their hue: made small, the styled picture correlates with the plain one in every channel."""
    for scene in SCENES:
        plain, styled = (
            np.asarray(draw(scene, style=s).resize((16, 16), Image.Resampling.BOX), float)[1:-1, 1:-1]
            for s in ("plain", style)
        )
        for channel in range(3):
            assert np.corrcoef(plain[..., channel].ravel(), styled[..., channel].ravel())[0, 1] > 0.75


@pytest.mark.parametrize("style", STYLES[1:])
def test_a_style_looks_the_same_at_any_size(style: str) -> None:
    """Grain and edges are sized by the picture: the big one made small has the measures of the small one."""
    small = measures(draw(SCENES[1], style=style))
    large = measures(draw(SCENES[1], width=1024, height=1024, style=style).resize((256, 256), Image.Resampling.BOX))
    for name, value in small.items():
        assert large[name] == pytest.approx(value, rel=0.25), name


@pytest.mark.parametrize("style", STYLES[1:])
def test_a_finish_is_cheap(style: str) -> None:
    image = draw(SCENES[0])
    times = []
    for seed in range(3):
        start = time.thread_time()
        apply(image, style, seed)
        times.append(time.thread_time() - start)
    assert min(times) < 0.2
