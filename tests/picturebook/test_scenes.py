"""The grammar: what goes together, how even it is, and what is held out."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import get_args

import pytest

from kolors_submit.picturebook.grammar import held_out, sample, sample_held_out, sample_training
from kolors_submit.picturebook.scenes import INDOORS, Animal, ClothesColour, HairColour, Place, Pose, Scene, Time, View


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample(Random(seed)) for seed in range(6000)]


def test_the_same_seed_gives_the_same_scene() -> None:
    assert sample(Random(3)) == sample(Random(3)) != sample(Random(4))


def test_what_goes_together_comes_together(scenes: list[Scene]) -> None:
    for scene in scenes:
        poses = {person.pose for person in scene.people}
        indoors = scene.place in INDOORS
        assert len(scene.people) in (1, 2)
        assert "painting" not in poses or scene.prop == "easel"
        assert "reading" not in poses or scene.prop == "book"
        assert "sleeping" not in poses or (scene.prop, scene.place) == ("bed", "room")
        assert "riding" not in poses or (scene.animal == "horse" and not indoors and scene.view == "full")
        assert not indoors or (scene.weather == "clear" and scene.animal != "horse")
        assert scene.prop != "boat" or scene.place == "lake"
        for person in scene.people:
            assert person.garment != "dress" or person.kind in ("girl", "woman", "grandmother")
            assert person.held == "none" or person.pose in ("standing", "walking", "talking")
            assert person.pose != "sleeping" or person.hat == "none"


def test_every_value_comes_often_enough(scenes: list[Scene]) -> None:
    for name, kind in (("place", Place), ("time", Time), ("animal", Animal), ("view", View)):
        counts = Counter(getattr(scene, name) for scene in scenes)
        assert min(counts[value] for value in get_args(kind)) > 0.05 * len(scenes), name
    people = [person for scene in scenes for person in scene.people]
    for name, kind in (("hair_colour", HairColour), ("clothes_colour", ClothesColour), ("pose", Pose)):
        counts = Counter(getattr(person, name) for person in people)
        assert min(counts[value] for value in get_args(kind)) > 0.05 * len(people), name
    pairs = sum(len(scene.people) == 2 for scene in scenes) / len(scenes)
    assert 0.17 < pairs < 0.23


def test_hair_does_not_tell_the_clothes(scenes: list[Scene]) -> None:
    people = [person for scene in scenes for person in scene.people]
    together = Counter((person.hair_colour, person.clothes_colour) for person in people)
    for hair, many in Counter(person.hair_colour for person in people).items():
        shares = [together[hair, colour] / many for colour in get_args(ClothesColour)]
        assert max(shares) < 0.18 and min(shares) > 0.08


def test_a_tenth_is_held_out_of_all_training(scenes: list[Scene]) -> None:
    single = [scene for scene in scenes if len(scene.people) == 1]
    share = sum(map(held_out, single)) / len(single)
    assert 0.07 < share < 0.13
    assert not any(held_out(sample_training(Random(seed))) for seed in range(500))
    assert all(held_out(sample_held_out(Random(seed))) for seed in range(100))


def test_held_out_depends_on_the_combination_alone() -> None:
    from dataclasses import replace

    scene = sample_held_out(Random(1))
    assert held_out(replace(scene, time="night", seed=5, view="half"))
