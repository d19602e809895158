"""The render stage: what is rendered again and what is not, equal bytes, pictures that show nothing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from kolors_submit.engine import lora_files
from kolors_submit.engine.memory import compute_for
from kolors_submit.engine.method import FAST_GUIDED, FAST_STEPS
from kolors_submit.errors import InputError, RuleError
from kolors_submit.files import file_digest
from kolors_submit.panels import plans_of
from kolors_submit.picture import fault_of
from kolors_submit.render import render
from kolors_submit.report import Reporter, quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import Story
from kolors_submit.weights import open_base
from tests.engine.parts import random_lora
from tests.tiny import UNET


def story(**changes: Any) -> Story:
    values: dict[str, Any] = {
        "schema": 1,
        "title": "画家",
        "style": {"suffix": "水彩画", "negative": "低质量"},
        "dataset": {"source": "pictures"},
        "render": {"width": 64, "height": 64, "steps": 2},
        "panels": [{"scene": f"scene {n}", "prompt": f"一个女孩 {n}", "seed": n} for n in range(1, 9)],
    }
    return Story.model_validate(values | changes)


def edited(old: Story, path: str, value: Any) -> Story:
    """The story with one value changed, `panels.2.prompt` counting from 0."""
    values = old.model_dump(by_alias=True, mode="json")
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target: Any = values
    for part in parents:
        target = target[part]
    target[last] = value
    return Story.model_validate(values)


def write_lora(run: Run, **options: Any) -> Path:
    return lora_files.write_safetensors(run.lora, lora_files.to_kohya(random_lora(UNET, **options), UNET), {})


@pytest.fixture
def job(tiny_base: Path, tmp_path: Path) -> Job:
    run = Run(tmp_path / "run")
    write_lora(run)
    return Job(story(), open_base(tiny_base), run, "cpu", quiet())


def digests(job: Job) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(job.run.render.iterdir())}


def stamps(job: Job) -> dict[int, int]:
    """When each panel was written."""
    return {number: job.run.panel(number).stat().st_mtime_ns for number in range(1, len(job.story.panels) + 1)}


def rendered_again(job: Job) -> set[int]:
    """The panels that a call of the stage writes."""
    before = stamps(job)
    render(job)
    return {number for number, stamp in stamps(job).items() if stamp != before.get(number)}


def test_everything_is_there_and_said(job: Job) -> None:
    assert render(job)
    names = [f"{number:02d}.png" for number in range(1, 9)]
    assert sorted(path.name for path in job.run.render.iterdir()) == [*names, "render.json", "story.jpg"]
    summary = json.loads((job.run.render / "render.json").read_text())
    assert summary["base"] == {"name": "tiny", "digest": job.base.digest}
    assert summary["lora"]["sha256"] == file_digest(job.run.lora)
    assert summary["lora"]["modules"] == len(random_lora(UNET).modules)
    assert summary["compute"]["device_kind"] == "cpu"
    assert [panel["file"] for panel in summary["panels"]] == names
    assert all(panel["sha256"] == file_digest(job.run.render / panel["file"]) for panel in summary["panels"])
    assert len({panel["sha256"] for panel in summary["panels"]}) == 8
    with Image.open(job.run.panel(3)) as picture:
        assert picture.size == (64, 64)
        assert picture.mode == "RGB"
        assert f"kolors-lora-{file_digest(job.run.lora)[:8]}.safetensors" in picture.info["workflow"]
        assert json.loads(picture.info["prompt"])["7"]["inputs"]["seed"] == 3
        told = json.loads(picture.info["kolors-submit"])
        assert (told["prompt"], told["negative"], told["seed"]) == ("一个女孩 3，水彩画", "低质量", 3)
        assert told["settings"]["steps"] == 2
        assert "Negative prompt: 低质量\nSteps: 2, Sampler: ddim" in picture.info["parameters"]


def test_panels_are_said_together_with_why_they_are_rendered(job: Job) -> None:
    said = io.StringIO()
    loud = replace(job, report=Reporter(Console(file=said)))
    render(loud)
    assert said.getvalue().count("not done yet") == 1
    assert "panels 1, 2, 3, 4, 5, 6, 7, 8: not done yet" in said.getvalue()
    changed = edited(edited(loud.story, "panels.1.seed", 99), "panels.2.prompt", "一只猫")
    render(replace(loud, story=changed))
    assert "panel 2: seed changed" in said.getvalue() and "panel 3: prompt changed" in said.getvalue()


def test_a_second_run_does_nothing_without_torch(job: Job, tiny_base: Path) -> None:
    render(job)
    before = digests(job)
    program = f"""
import sys
from pathlib import Path
from kolors_submit.render import render
from kolors_submit.report import quiet
from kolors_submit.run import Job, Run
from kolors_submit.story import Story
from kolors_submit.weights import open_base
story = Story.model_validate_json(sys.stdin.read())
job = Job(story, open_base(Path({str(tiny_base)!r})), Run(Path({str(job.run.folder)!r})), "cpu", quiet())
assert render(job) is False
heavy = {{"torch", "diffsynth", "diffusers", "transformers", "peft", "PIL"}} & sys.modules.keys()
assert not heavy, heavy
"""
    text = job.story.model_dump_json(by_alias=True)
    subprocess.run([sys.executable, "-c", program], input=text, text=True, check=True)
    assert digests(job) == before


CHANGES: list[tuple[str, Any, set[int]]] = [
    ("panels.2.prompt", "一只猫", {3}),
    ("panels.4.seed", 99, {5}),
    ("panels.7.negative", "模糊", {8}),
    ("render.lora_strength", 0.5, set(range(1, 9))),
    ("panels.1.scene", "another title", set()),
    ("title", "another story", set()),
    ("train.rank", 4, set()),
    ("gate.threshold", 1.0, set()),
]


def test_exactly_what_changed_is_rendered_again(job: Job) -> None:
    render(job)
    for path, value, panels in CHANGES:
        job = replace(job, story=edited(job.story, path, value))
        assert rendered_again(job) == panels, path


def damage(job: Job, case: str) -> None:
    cases: dict[str, Callable[[], Any]] = {
        "deleted": job.run.panel(2).unlink,
        "edited": lambda: job.run.panel(2).write_bytes(job.run.panel(2).read_bytes() + b"x"),
        "sheet": (job.run.render / "story.jpg").unlink,
        "summary": lambda: (job.run.render / "render.json").write_text("{}"),
    }
    cases[case]()


def test_a_damaged_output_is_made_again(job: Job) -> None:
    render(job)
    before = digests(job)
    for case, panels in (("deleted", {2}), ("edited", {2}), ("sheet", set()), ("summary", set())):
        damage(job, case)
        paths = [job.run.panel(number) for number in range(1, 9)]
        old = {number: path.stat().st_mtime_ns for number, path in enumerate(paths, start=1) if path.exists()}
        assert render(job), case
        assert {number for number, stamp in stamps(job).items() if stamp != old.get(number)} == panels, case
        assert digests(job) == before, case


def test_another_lora_changes_every_panel(job: Job) -> None:
    render(job)
    before = digests(job)
    write_lora(job.run, seed=1)
    assert rendered_again(job) == set(range(1, 9))
    assert all(sha != before[name] for name, sha in digests(job).items() if name != "story.jpg")


def test_a_panel_alone_has_the_bytes_it_has_among_eight(job: Job) -> None:
    render(job)
    before = digests(job)
    for number in (1, 6):
        job.run.panel(number).unlink()
        render(job)
        assert digests(job) == before


def test_two_runs_give_the_same_bytes(job: Job, tmp_path: Path) -> None:
    render(job)
    other = replace(job, run=Run(tmp_path / "other"))
    write_lora(other.run)
    render(other)
    assert digests(other) == digests(job)


def test_a_shorter_story_leaves_no_stale_panel(job: Job) -> None:
    longer = replace(job, story=story(panels=[{"scene": "s", "prompt": f"猫 {n}", "seed": n} for n in range(9)]))
    render(longer)
    assert job.run.panel(9).exists()
    render(job)
    assert not job.run.panel(9).exists()


def test_a_stopped_run_goes_on_at_the_next_panel(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolors_submit import panels as stage

    drawn: list[int] = []
    real = stage.png_bytes

    def stop_after_three(picture: Image.Image, prompt: Any, seed: int, *rest: Any) -> bytes:
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(seed)  # a panel's number here
        return real(picture, prompt, seed, *rest)

    monkeypatch.setattr(stage, "png_bytes", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        render(job)
    assert not (job.run.render / "render.json").exists()
    kept = {number: job.run.panel(number).stat().st_mtime_ns for number in drawn}
    assert len(kept) == 3
    monkeypatch.undo()
    render(job)
    assert all(job.run.panel(number).stat().st_mtime_ns == stamp for number, stamp in kept.items())
    assert len(list(job.run.render.iterdir())) == 10


def test_without_a_lora(job: Job) -> None:
    job.run.lora.unlink()
    with pytest.raises(InputError, match="train"):
        render(job)


def test_a_lora_for_another_base(job: Job) -> None:
    wide = UNET | {"block_out_channels": [32, 64, 128], "attention_head_dim": [1, 2, 4]}
    lora_files.write_safetensors(job.run.lora, lora_files.to_kohya(random_lora(wide), wide), {})
    with pytest.raises(InputError, match="does not fit this base"):
        render(job)


def test_a_picture_that_is_not_finite_names_its_panel(job: Job) -> None:
    lora = random_lora(UNET, rank=1, alpha=1.0)
    huge = {name: replace(module, up=torch.full_like(module.up, 3e38)) for name, module in lora.modules.items()}
    lora_files.write_safetensors(job.run.lora, lora_files.to_kohya(replace(lora, modules=huge), UNET), {})
    with pytest.raises(RuleError, match=r"panel \d \(scene \d\) is not finite"):
        render(job)
    assert not list(job.run.render.glob("*.png"))


def test_pictures_that_show_nothing() -> None:
    assert fault_of(Image.new("RGB", (64, 64), "black")) == "is black"
    assert fault_of(Image.new("RGB", (64, 64), (3, 0, 2))) == "is black"
    assert fault_of(Image.new("RGB", (64, 64), (200, 200, 190))) == "is flat, one colour all over"
    assert fault_of(Image.linear_gradient("L").convert("RGB")) is None


def test_fast_says_what_it_did_instead(job: Job) -> None:
    render(job)
    exact, plan = digests(job), json.loads((job.run.render / "render.json").read_text())["plan"]
    assert plan == "float32, 1 image a forward"
    fast = replace(job, story=edited(edited(job.story, "render.quality", "fast"), "render.steps", 30))
    assert render(fast)
    made = json.loads((job.run.render / "render.json").read_text())
    assert made["method"] == {
        "sampler": "dpmpp_2m",
        "steps": FAST_STEPS,
        "guided_steps": FAST_GUIDED,
        "timestep_spacing": "trailing",
    }
    assert not exact.items() & digests(job).items()
    with Image.open(job.run.panel(1)) as picture:
        assert f"Steps: {FAST_STEPS}, Sampler: dpmpp_2m" in picture.text["parameters"]  # type: ignore[attr-defined]
    assert not render(fast)


def test_another_loras_pictures_do_not_decide_how_these_are_made(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolors_submit import panels

    fast, lean = (replace(plans_of(job)[0], compute=compute_for("cuda"), memory=memory) for memory in (2, 1))
    lean = replace(lean, compute=replace(lean.compute, dtype="bfloat16"))
    monkeypatch.setattr(panels, "render_plans", lambda *_: (fast, lean))
    record = panels.record_of(job, 1)
    record.finish({"lora": file_digest(job.run.lora), "compute": lean.compute.record()}, [])
    monkeypatch.setattr(panels, "fitting", lambda plans, _: tuple(plans))
    assert plans_of(job) == (lean,)
    record.finish({"lora": "of another LoRA", "compute": lean.compute.record()}, [])
    assert plans_of(job) == (fast, lean)
