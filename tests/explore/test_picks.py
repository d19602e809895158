"""Choosing: the best candidates, picks.json from the page, and everything that keeps a story from being overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kolors_submit.errors import InputError
from kolors_submit.explore import Grid, apply, explore, pick_best, read_picks
from kolors_submit.explore.picks import Picks
from kolors_submit.run import Job
from kolors_submit.story import load_story
from tests.explore.conftest import Explored
from tests.explore.jobs import STORY, write_story
from tests.explore.test_explore import HALF, OWN


def picks(seeds: dict[int, int], **changes: Any) -> Picks:
    return Picks(**{"story": "painter.yaml", "base": "tiny", "variant": OWN, "seeds": seeds} | changes)


def edited(explored: Explored, old: str, new: str) -> Job:
    """The job of the story after somebody edited its file."""
    explored.story.write_text(explored.story.read_text("utf-8").replace(old, new), "utf-8")
    return replace(explored.job, story=load_story(explored.story, "tiny"))


def test_seeds_are_written_and_nothing_else(explored: Explored) -> None:
    changed = apply(explored.job, explored.story, explored.digest, picks({2: 2002, 3: 3}))
    assert changed == {2: (2, 2002)}
    assert explored.story.read_text("utf-8") == STORY.replace("seed: 2}", "seed: 2002}")


def test_applying_twice_does_nothing_more(explored: Explored) -> None:
    apply(explored.job, explored.story, explored.digest, picks({2: 2002}))
    job = replace(explored.job, story=load_story(explored.story, "tiny"))
    stamp = explored.story.stat().st_mtime_ns
    assert apply(job, explored.story, explored.digest, picks({2: 2002})) == {}
    assert explored.story.stat().st_mtime_ns == stamp


def test_the_best_of_each_panel(explored: Explored) -> None:
    best = pick_best(explored.job, explored.value)
    assert best.variant == OWN
    for panel in explored.value["panels"]:
        own = {one["seed"]: one["overall"] for one in panel["candidates"] if one["variant"] == OWN}
        assert own[best.seeds[panel["number"]]] == max(own.values())
    apply(explored.job, explored.story, explored.digest, best)
    seeds = [panel.seed for panel in load_story(explored.story).panels]
    assert seeds == [1, best.seeds[2], best.seeds[3], *range(4, 9)]


def test_the_best_is_only_picked_for_the_storys_own_settings(explored: Explored) -> None:
    value = explore(explored.job, Grid(1, (2,), strengths=(0.5,)), "painter.yaml")
    with pytest.raises(InputError, match="no seed can be picked for it; choose a variant"):
        pick_best(explored.job, value)


EDITS = [
    ("prompt: 一只猫", "prompt: 一只狗", "panel 2: its prompt was edited since"),
    ("suffix: 水彩画", "suffix: 水墨画", "panel 2: its prompt was edited since"),
    ("prompt: 一只猫, seed: 2", "prompt: 一只猫, seed: 22", "panel 2: its seed was set to 22 since"),
    ("steps: 2", "steps: 3", "chosen at render.steps 2, the story says 3; set it there first"),
]


@pytest.mark.parametrize(("old", "new", "message"), EDITS)
def test_an_edit_since_is_noticed_and_nothing_is_overwritten(
    explored: Explored, old: str, new: str, message: str
) -> None:
    job = edited(explored, old, new)
    before = explored.story.read_bytes()
    with pytest.raises(InputError, match=message):
        apply(job, explored.story, explored.digest, picks({2: 2002}))
    assert explored.story.read_bytes() == before


def test_an_edit_elsewhere_is_kept(explored: Explored) -> None:
    job = edited(explored, "prompt: 湖边", "prompt: 山上")
    apply(job, explored.story, explored.digest, picks({2: 2002}))
    assert "prompt: 山上" in explored.story.read_text("utf-8")
    assert "seed: 2002}" in explored.story.read_text("utf-8")


def test_an_edit_while_exploring_is_noticed(explored: Explored) -> None:
    seen = explored.digest
    edited(explored, "# another", "# my note")
    with pytest.raises(InputError, match="edited in the meantime"):
        apply(explored.job, explored.story, seen, picks({2: 2002}))
    assert "# my note" in explored.story.read_text("utf-8")


def test_another_variant_asks_for_its_settings_first(explored: Explored) -> None:
    chosen = picks({2: 2002}, variant=HALF)
    with pytest.raises(InputError, match=r"chosen at render\.lora_strength 0\.5, the story says 1\.0; set it there"):
        apply(explored.job, explored.story, explored.digest, chosen)
    job = edited(explored, "steps: 2}", "steps: 2, lora_strength: 0.5}")
    assert apply(job, explored.story, explored.digest, chosen) == {2: (2, 2002)}


def test_another_lora_is_noticed(explored: Explored) -> None:
    explored.job.run.lora.write_bytes(b"another")
    with pytest.raises(InputError, match="chosen with an older LoRA"):
        apply(explored.job, explored.story, explored.digest, picks({2: 2002}))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (picks({2: 2002}, story="other.yaml"), "they are for other.yaml on tiny"),
        (picks({2: 2002}, base="kolors"), "they are for painter.yaml on kolors"),
        (picks({2: 2002}, variant="500-strength-1-steps-2"), "which was not explored"),
        (picks({2: 77}), "panel 2: seed 77 was not explored"),
        (picks({4: 4}), "panel 4: seed 4 was not explored"),
        (picks({900: 4}), "panel 900: seed 4 was not explored"),
    ],
)
def test_picks_that_do_not_belong_here(explored: Explored, chosen: Picks, message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(explored.job, explored.story, explored.digest, chosen)


def test_nothing_explored_yet(explored: Explored) -> None:
    (explored.job.run.explore.folder / "explored.json").unlink()
    with pytest.raises(InputError, match="nothing was explored"):
        apply(explored.job, explored.story, explored.digest, picks({2: 2002}))


def test_another_storys_picks_by_the_same_name_of_base(explored: Explored, tmp_path: Path) -> None:
    other = write_story(tmp_path / "elsewhere").rename(tmp_path / "elsewhere/other.yaml")
    with pytest.raises(InputError, match="what was explored here is painter.yaml"):
        apply(explored.job, other, explored.digest, picks({2: 2002}))


GOOD = {"format": 1, "story": "painter.yaml", "base": "tiny", "variant": OWN, "seeds": {"2": 2002}}


def test_the_pages_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picks.json"
    path.write_text(json.dumps(GOOD))
    assert read_picks(path) == picks({2: 2002})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{" * 10_000,
        json.dumps(GOOD | {"format": 2}),
        json.dumps(GOOD | {"more": 1}),
        json.dumps(GOOD | {"seeds": {"0": 1}}),
        json.dumps(GOOD | {"seeds": {"2": -1}}),
        json.dumps(GOOD | {"seeds": {"2": 2**53}}),
        json.dumps(GOOD | {"seeds": {"../2": 1}}),
        json.dumps(GOOD | {"variant": "x" * 256}),
        json.dumps(GOOD | {"seeds": {str(n): 1 for n in range(1, 1002)}}),
        json.dumps(GOOD) + " " * 100_000,
    ],
)
def test_what_is_no_picks_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "picks.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"picks\.json"):
        read_picks(path)


def test_an_absent_picks_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read .*save"):
        read_picks(tmp_path / "picks.json")
