from __future__ import annotations

import itertools
import re
import time
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from kolors_submit.picturebook import scenes
from kolors_submit.picturebook.paint import draw, head_boxes, svg
from kolors_submit.picturebook.scenes import Person, Scene

GIRL = Person("girl", "red", "long", "dress", "yellow")
MAN = Person("man", "black", "short", "coat", "blue")
PERSON_FIELDS = {
    "kind": scenes.Kind, "hair_colour": scenes.HairColour, "hair_length": scenes.HairLength, "garment": scenes.Garment,
    "clothes_colour": scenes.ClothesColour, "hat": scenes.Hat, "pose": scenes.Pose, "held": scenes.Held,
}  # fmt: skip
SCENE_FIELDS = {
    "animal": scenes.Animal, "prop": scenes.Prop, "place": scenes.Place, "time": scenes.Time,
    "weather": scenes.Weather, "view": scenes.View,
}  # fmt: skip
PLAIN = Scene((GIRL,), "lake", seed=3)


def pixels(scene: Scene, **options: int | str) -> np.ndarray:
    return np.asarray(draw(scene, **options)).astype(int)  # type: ignore[arg-type]


def variants() -> list[Scene]:
    people = [
        Scene((replace(GIRL, **{name: value}),), "lake", seed=3)
        for name, values in PERSON_FIELDS.items()
        for value in get_args(values)
    ]
    return people + [
        replace(PLAIN, **{name: value}) for name, values in SCENE_FIELDS.items() for value in get_args(values)
    ]


@pytest.mark.parametrize("scene", variants(), ids=lambda s: f"{s.people[0]}-{s.place}"[-40:])
def test_every_word_of_the_vocabulary_draws(scene: Scene) -> None:
    image = draw(scene)
    assert image.size == (256, 256) and image.mode == "RGB"
    assert np.asarray(image).std() > 20


@pytest.mark.parametrize(("name", "values"), SCENE_FIELDS.items())
def test_every_value_changes_the_picture(name: str, values: object) -> None:
    drawn = [pixels(replace(PLAIN, **{name: value})) for value in get_args(values)]
    for first, second in itertools.combinations(drawn, 2):
        assert (np.abs(first - second).max(axis=2) > 24).mean() > 0.003


@pytest.mark.parametrize("time_", get_args(scenes.Time))
def test_places_stay_apart_at_every_hour(time_: str) -> None:
    drawn = [pixels(Scene((GIRL,), place, time_, seed=1)) for place in get_args(scenes.Place)]
    for first, second in itertools.combinations(drawn, 2):
        assert np.abs(first - second).mean() > 5


def test_rooms_show_hour_and_weather_through_the_window() -> None:
    noon, night = (pixels(Scene((GIRL,), "room", hour, seed=2)) for hour in ("noon", "night"))
    assert noon.mean() > night.mean() + 25
    clear, snow = (pixels(Scene((GIRL,), "room", "noon", weather, seed=2)) for weather in ("clear", "snow"))
    assert 0.002 < (np.abs(clear - snow).max(axis=2) > 24).mean() < 0.3


def test_one_scene_has_one_picture_and_two_seeds_two() -> None:
    scene = Scene((GIRL, MAN), "town", "sunset", "rain", "cat", "book", "full", 11)
    assert svg(scene) == svg(scene)
    assert draw(scene, style="watercolor").tobytes() == draw(scene, style="watercolor").tobytes()
    assert np.abs(pixels(scene) - pixels(replace(scene, seed=12))).mean() > 8


@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (64, 64), (384, 256), (192, 256), (331, 517)])
def test_any_size_and_aspect(width: int, height: int) -> None:
    scene = Scene((GIRL, MAN), "temple", animal="dog", seed=5)
    assert draw(scene, width=width, height=height).size == (width, height)
    for x0, y0, x1, y1 in head_boxes(scene, width=width, height=height):
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height


def test_a_large_picture_is_the_small_one_made_sharp() -> None:
    small, large = draw(PLAIN), draw(PLAIN, width=1024, height=1024).resize((256, 256))
    assert np.abs(np.asarray(small).astype(int) - np.asarray(large).astype(int)).mean() < 3


@pytest.mark.parametrize("view", get_args(scenes.View))
@pytest.mark.parametrize("pose", get_args(scenes.Pose))
@pytest.mark.parametrize("count", [1, 2])
def test_heads_stay_in_the_frame_and_apart(view: str, pose: str, count: int) -> None:
    for seed, hat, prop, animal in itertools.product(
        (0, 1), ("none", "witch hat"), ("none", "bed", "boat"), ("none", "horse")
    ):
        people = (replace(GIRL, pose=pose, hat=hat), MAN)[:count]
        boxes = head_boxes(Scene(people, "lake", prop=prop, animal=animal, view=view, seed=seed))
        assert len(boxes) == count
        for x0, y0, x1, y1 in boxes:
            assert x0 >= -1 and y0 >= -1 and x1 <= 257 and y1 <= 257
        if count == 2:
            assert boxes[0][2] < boxes[1][0], "the first named stands at the left"


@pytest.mark.parametrize("person", [GIRL, MAN])
def test_people_grow_with_the_view(person: Person) -> None:
    tall = []
    for view in get_args(scenes.View):  # close, half, full
        ((_, y0, _, y1),) = head_boxes(Scene((person,), "road", view=view, seed=4))
        tall.append(y1 - y0)
    assert tall[0] > tall[1] > tall[2] > 0.2 * 256


@pytest.mark.parametrize("time_", get_args(scenes.Time))
def test_clothes_keep_their_colour_at_every_hour(time_: str) -> None:
    """Yellow cloth covers a good part of the full figure, at night as at noon."""
    red, green, blue = np.moveaxis(pixels(Scene((GIRL,), "forest", time_, seed=8)), 2, 0)
    assert ((red > 185) & (green > 150) & (blue < 110)).mean() > 0.02


def test_flakes_and_streaks_keep_off_the_faces() -> None:
    plain, snow = (Scene((GIRL,), "road", weather=w, seed=6, view="half") for w in ("clear", "snow"))
    x0, y0, x1, y1 = (round(v) for v in head_boxes(plain)[0])
    inner = np.s_[y0 + 12 : y1 - 4, (x0 + x1) // 2 - 20 : (x0 + x1) // 2 + 20]
    assert np.abs(pixels(plain)[inner] - pixels(snow)[inner]).mean() < 2


def test_the_plain_picture_needs_no_filter_mask_or_text() -> None:
    assert not re.search(r"<(filter|mask|text|image|script)", svg(replace(PLAIN, weather="rain", animal="cat")))


def test_a_picture_is_cheap() -> None:
    """Far below what a hundred thousand pictures allow; the bound leaves room for a busy machine."""
    draw(PLAIN)
    times = []
    for seed in range(5):
        start = time.thread_time()
        draw(replace(PLAIN, seed=seed))
        times.append(time.thread_time() - start)
    assert min(times) < 0.2
