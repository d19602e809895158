"""The whole pipeline on real components: what runs again after a change, and what a kill leaves behind."""

from __future__ import annotations

import copy
import math
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from kolors_submit import submission
from kolors_submit.files import read_json
from kolors_submit.report import quiet
from kolors_submit.run import STAGES, Run
from tests.pipeline import command, digests, story_values, submit, write_pictures, write_story

PANELS = tuple(f"render.{number:02d}" for number in range(1, 9))
AFTER_DATA = {"train", "render", *PANELS, "score", "bundle"}
AFTER_RENDER = {"render", "score", "bundle"}


class Finished:
    """A finished run that tests copy and change."""

    def __init__(self, folder: Path, base: Path):
        self.folder, self.base = folder, base
        self.values = story_values(write_pictures(folder / "pictures"))
        self.story = write_story(folder / "story.yaml", self.values)

    @property
    def run(self) -> Run:
        return Run(self.folder / "runs" / "story" / self.base.name)

    def submit(self) -> None:
        place = submission.Place(story=self.story, base=str(self.base), runs=self.folder / "runs", device="cpu")
        submission.submission(submission.open_job(place, quiet()))

    def records(self) -> dict[str, int]:
        return {path.stem: path.stat().st_mtime_ns for path in (self.run.folder / "stages").glob("*.json")}


@pytest.fixture(scope="module")
def finished(tiny_base, tmp_path_factory):
    one = Finished(tmp_path_factory.mktemp("pipeline"), tiny_base)
    one.submit()
    return one


@pytest.fixture
def changed(finished, tmp_path):
    """The finished run, put back as it was when the test is over (the data stage's paths are absolute)."""
    saved = tmp_path / "saved"
    shutil.copytree(finished.folder, saved)
    yield finished
    shutil.rmtree(finished.folder)
    shutil.copytree(saved, finished.folder)
    finished.values = story_values(finished.folder / "pictures")


def set_story(one: Finished, *path: str | int, value: object) -> None:
    values = one.values = copy.deepcopy(one.values)
    for part in path[:-1]:
        values = values[part]
    values[path[-1]] = value
    write_story(one.story, one.values)


def flip_pixel(path: Path) -> None:
    with Image.open(path) as picture:
        changed = picture.convert("RGB")
    red, *rest = changed.getpixel((3, 3))
    changed.putpixel((3, 3), ((red + 90) % 256, *rest))
    changed.save(path)


CHANGES = {
    "nothing": (lambda one: None, set()),
    "one picture's pixel": (lambda one: flip_pixel(one.folder / "pictures/0.png"), {"data", *AFTER_DATA}),
    "one caption": (lambda one: (one.folder / "pictures/0.txt").write_text("蓝发男孩"), {"data", *AFTER_DATA}),
    "one panel's seed": (lambda one: set_story(one, "panels", 2, "seed", value=99), {"render.03", *AFTER_RENDER}),
    "the seed of a panel that the page also shows without the LoRA": (
        lambda one: set_story(one, "panels", 4, "seed", value=99),
        {"render.05", "before.05", *AFTER_RENDER},
    ),
    "one panel's prompt": (
        lambda one: set_story(one, "panels", 7, "prompt", value="{小雨}睡觉"),
        {"render.08", *AFTER_RENDER},
    ),
    "the LoRA strength": (
        lambda one: set_story(one, "render", "lora_strength", value=0.5),
        {*PANELS, *AFTER_RENDER},
    ),
    "a training setting": (lambda one: set_story(one, "train", "alpha", value=8), AFTER_DATA),
    "a setting of the log alone": (lambda one: set_story(one, "train", "keep", value=1), {"bundle"}),
    "a picture that is gone": (lambda one: one.run.panel(5).unlink(), {"render.05", "render"}),
    "a picture edited by hand": (lambda one: flip_pixel(one.run.panel(4)), {"render.04", "render"}),
    "a LoRA that is gone": (lambda one: one.run.lora.unlink(), {"train"}),
    "a picture without the LoRA that is gone": (lambda one: one.run.before(1).unlink(), {"before.01"}),
    "scores edited by hand": (lambda one: one.run.scores.write_text("{}"), {"score"}),
    "a card edited by hand": (lambda one: (one.run.bundle / "README.md").write_text("x"), {"bundle"}),
    "a title": (lambda one: set_story(one, "title", value="晴天"), {"render", "bundle"}),
    "the gate": (lambda one: set_story(one, "gate", "threshold", value=0.1), {"score", "bundle"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_exactly_what_depends_on_a_change_runs_again(changed, change):
    make_change, expected = CHANGES[change]
    before, results = changed.records(), digests(changed.run)
    make_change(changed)
    changed.submit()
    after = changed.records()
    assert {name for name in after if after[name] != before.get(name)} == set(expected)
    if change.endswith(("gone", "by hand")):
        assert digests(changed.run) == results
    changed.submit()
    assert changed.records() == after


def test_the_main_job_runs_on_the_real_components(tiny_base, tmp_path, monkeypatch):
    import lightning
    import peft
    from aesthetics_predictor import AestheticsPredictorV2Linear

    called: list[str] = []

    def spy(owner, name):
        real = getattr(owner, name)

        def noted(*arguments, **keywords):
            called.append(f"{owner.__name__}.{name}")
            return real(*arguments, **keywords)

        monkeypatch.setattr(owner, name, noted)

    spy(lightning.Trainer, "fit")
    spy(peft, "inject_adapter_in_model")
    spy(AestheticsPredictorV2Linear, "forward")
    one = Finished(tmp_path, tiny_base)
    one.submit()
    assert {"Trainer.fit", "peft.inject_adapter_in_model", "AestheticsPredictorV2Linear.forward"} <= set(called)
    report = read_json(one.run.data / "report.json")
    assert "image_shape_filter" in str(report) and "image_aspect_ratio_filter" in str(report)


def files_below(folder: Path) -> set[str]:
    return {f"{place}/{name}" for place, _, names in os.walk(folder) for name in names}


def kill_at(process: subprocess.Popen, folder: Path, *, seconds: float, files: float) -> bool:
    """SIGKILL after so many seconds, or once so many files have been seen (half-written ones too), if it still runs."""
    started, seen = time.monotonic(), files_below(folder)
    while process.poll() is None and time.monotonic() - started < seconds and len(seen) < files:
        time.sleep(0.001)
        seen |= files_below(folder)
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_killed_at_twenty_random_moments_the_bytes_are_those_of_an_unbroken_run(finished, tmp_path):
    """Ten runs are killed at a moment drawn over a run's length, ten at a file drawn from what a stage writes, two for
    each stage.
    """
    whole = digests(finished.run)
    started = time.monotonic()
    submit(finished.story, finished.base, tmp_path / "timed")
    length = time.monotonic() - started
    written = {stage: len(files_below(tmp_path / "timed/story" / finished.base.name / stage)) for stage in STAGES}
    draw = random.Random(7)
    killed, stages = 0, set()
    for attempt in range(20):
        run = Run(tmp_path / f"runs{attempt}" / "story" / finished.base.name)
        process = subprocess.Popen(
            command(finished.story, finished.base, run.folder.parents[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        number, share = attempt // 2, draw.random()
        if attempt % 2:
            killed += kill_at(process, run.folder, seconds=length * (number + share) / 10, files=math.inf)
        else:
            stage = STAGES[number % len(STAGES)]
            killed += kill_at(process, run.folder / stage, seconds=math.inf, files=max(1, written[stage] * share))
        stages.add(frozenset(path.stem.split(".")[0] for path in (run.folder / "stages").glob("*.json")))
        submit(finished.story, finished.base, run.folder.parents[1])
        assert digests(run) == whole, f"attempt {attempt}"
        shutil.rmtree(run.folder)
    assert killed >= 18
    assert len(stages) >= 5, f"the kills were not spread over the stages: {stages}"
