"""What this program rendered, stripped to old entries of several forms, imported, checked and reproduced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kolors_submit.bundle import manifest
from kolors_submit.bundle.check import check
from kolors_submit.files import file_digest
from kolors_submit.story import load_story
from tests.importing.old import NODE_ALPHA, STORY, STRENGTH, as_csv, as_markdown, rows

SAID = """
# 雨天的猫

* 采样步数：2
* 引导系数：3.5
* LoRA 强度：0.75

## 提示词

"""


@pytest.fixture
def imported(old):
    """Import an entry and check it; the story has to be the one that its panels were rendered from."""

    def run(**options):
        value = old.imported(**options)
        bundle = Path(value["bundle"])
        assert [str(one) for one in check(bundle) if one.level == "fail"] == []
        story = load_story(bundle / "story.yaml")
        words = [[(panel.prompt, panel.negative, panel.seed) for panel in one.panels] for one in (story, STORY)]
        assert words[0] == words[1]
        assert story.render.model_copy(update={"lora_strength": STRENGTH}) == STORY.render
        return value

    return run


@pytest.fixture
def comes_out_again(old, imported):
    """Import an entry and reproduce it: every panel has to have the same bytes."""

    def run(**options):
        value = imported(**options)
        again = old.reproduced(Path(value["bundle"]))
        assert [panel["verdict"] for panel in again["panels"]] == ["identical"] * 8
        assert again["verdict"] == "identical" and again["problems"] == []
        return value

    return run


def guessed(value):
    return {one["field"] for one in value["guessed"]}


def test_ckpt_and_csv_of_a_chinese_spreadsheet(old, comes_out_again):
    old.lora("diffsynth", "模型/epoch=0-step=500.ckpt").pictures("作品/图{}.png")
    old.add("提示词.csv", as_csv(rows()), "gbk")
    settings = ("render.steps=2", "render.guidance_scale=3.5", f"train.alpha={NODE_ALPHA}")
    value = comes_out_again(noise="cpu-float32", settings=settings)
    assert guessed(value) == {"render.sampler"}
    assert value["files"]["images/03.png"] == {
        "from": "作品/图3.png",
        "sha256": file_digest(old.folder / "作品/图3.png"),
    }


def test_kohya_and_a_readme_with_a_table(old, comes_out_again):
    old.lora("kohya", "lora.safetensors").pictures("images/{}.png")
    old.add("README.md", SAID + as_markdown(rows()))
    value = comes_out_again()
    assert guessed(value) == {"render.sampler", "render.noise"}
    bundle = Path(value["bundle"])
    lora = next(path for path in (bundle / "lora").glob("*.safetensors") if "diffusers" not in path.name)
    assert lora.read_bytes() == (old.rendered / "train/lora.safetensors").read_bytes()
    assert load_story(bundle / "story.yaml") == STORY, "scenes and title too"


def test_pictures_with_workflows_and_nothing_else(old, comes_out_again):
    old.lora("kohya", "lora.safetensors").pictures("ComfyUI_0000{}_.png", ("prompt", "workflow"))
    value = comes_out_again()
    assert guessed(value) == {"render.noise"}
    assert (Path(value["bundle"]) / "images/05.png").read_bytes() == old.panel(5).read_bytes()


def test_the_contests_workflows(old, imported):
    old.lora("diffsynth", "猫.ckpt").pictures("images/{}.png").contest_workflows()
    # That sampler has no DDIM, so Euler's method is what its workflow says.
    value = imported(noise="cpu-float32", settings=["render.sampler=ddim"])
    assert guessed(value) == set()
    assert json.loads((Path(value["bundle"]) / "import.json").read_text())["guessed"] == []


def test_diffusers_keys_and_notebook_code(old, imported):
    old.lora("diffusers", "pytorch_lora_weights.safetensors").pictures("{}.png")
    code = ["pipe.unet = load_lora(pipe.unet, lora_rank=16, lora_alpha=3.0, lora_path='x')"]
    for number, panel in enumerate(STORY.panels, start=1):
        code += [
            f"torch.manual_seed({panel.seed})",
            f'image = pipe(prompt="{panel.prompt}", negative_prompt="{panel.negative}",',
            "    cfg_scale=3.5, num_inference_steps=2, height=64, width=64)",
            f'image.save("{number}.png")',
        ]
    old.add("README.md", "\n".join(["# 雨天的猫", "```python", *code, "```"]))
    # lora_alpha 3 at rank 4 is the strength 0.75 of a file whose scale is in its numbers.
    assert guessed(imported(noise="cpu-float32")) == set()


def test_the_same_entry_gives_the_same_bytes(old):
    old.lora("kohya", "lora.safetensors").pictures(texts=("prompt",))
    digests = []
    for out in ("one", "two"):
        bundle = Path(old.imported(out=old.folder.parent / out)["bundle"])
        digests.append(manifest.build(bundle).digest)
    assert digests[0] == digests[1]
