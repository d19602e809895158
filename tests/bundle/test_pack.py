"""What the bundle stage writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from kolors_submit.bundle import layout
from kolors_submit.bundle.archive import open_bundle, write_zip
from kolors_submit.bundle.check import check
from kolors_submit.bundle.contents import prompt_rows, read_prompts, rendered
from kolors_submit.bundle.pack import pack
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest
from kolors_submit.story import load_story
from tests.bundle.runs import BEFORE, LORA, make_run, story

EXPECTED = {
    *layout.FILES,
    layout.HISTORY,
    *(f"images/{n:02d}.png" for n in range(1, 9)),
    *(f"before/{n:02d}.png" for n in BEFORE),
    *(f"comfyui/{n:02d}.json" for n in range(1, 9)),
    f"lora/{LORA}.safetensors",
    f"lora/{LORA}.ckpt",
    f"lora/{LORA}_diffusers.safetensors",
}


def tree(folder: Path) -> dict[str, str]:
    """Path -> SHA-256."""
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in folder.rglob("*") if path.is_file()}


def test_files_of_the_bundle(packed: Path) -> None:
    assert set(tree(packed)) == EXPECTED
    assert all(finding.level == "ok" for finding in check(packed))
    manifest = json.loads((packed / "manifest.json").read_text())
    assert manifest["format"] == 1 and set(manifest["files"]) == EXPECTED - {"manifest.json"}
    assert list(manifest["files"]) == sorted(manifest["files"])


def test_a_captioners_trigger_is_the_cards(tmp_path: Path) -> None:
    captions = {"by": "wd14", "trigger": "my style"}
    dataset = {"source": "picturebook:watercolor", "captions": captions, "size": 64}
    job = make_run(tmp_path, chosen=story(dataset=dataset))
    assert pack(job) and all(finding.level == "ok" for finding in check(job.run.bundle))
    assert ModelCard.load(job.run.bundle / "README.md").data.to_dict()["trigger_words"] == ["my style", "水彩画风格"]
    assert load_story(job.run.bundle / "story.yaml").dataset == job.story.dataset


def test_equal_runs_equal_bytes(packed: Path, tmp_path: Path) -> None:
    job = make_run(tmp_path)
    assert pack(job)
    assert tree(job.run.bundle) == tree(packed)
    zips = [write_zip(folder, tmp_path / f"{n}.zip") for n, folder in enumerate((packed, job.run.bundle))]
    assert zips[0].read_bytes() == zips[1].read_bytes()
    with open_bundle(zips[0]) as unpacked:
        assert tree(unpacked) == tree(packed)


def test_runs_again_only_after_a_change(tmp_path: Path) -> None:
    job = make_run(tmp_path)
    assert pack(job) and not pack(job)
    (job.run.bundle / "README.md").write_text("edited")
    (job.run.bundle / "stray.txt").write_text("stray")
    assert pack(job)
    assert set(tree(job.run.bundle)) == EXPECTED
    (job.run.train / "metrics.csv").unlink()
    assert pack(job) and not pack(job)
    assert all(finding.level == "ok" for finding in check(job.run.bundle))


def test_a_missing_stage_is_named(tmp_path: Path) -> None:
    job = make_run(tmp_path)
    job.run.scores.unlink()
    with pytest.raises(InputError, match=r"scores\.json is missing; run `kolors-submit score` first"):
        pack(job)


def test_story_and_prompts_come_back(packed: Path) -> None:
    assert load_story(packed / "story.yaml") == story()
    assert read_prompts(packed / "prompts.csv") == prompt_rows(story())


def test_card_has_the_hubs_keys(packed: Path) -> None:
    card = ModelCard.load(packed / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "other" and data["license_link"].endswith("MODEL_LICENSE")
    assert data["base_model"] == ["Kwai-Kolors/Kolors"] and data["base_model_relation"] == "adapter"
    assert data["tasks"] == ["text-to-image-synthesis"] and data["tags"] == ["LoRA", "story"]
    assert data["trigger_words"] == ["watercolor style", "水彩画风格"]
    assert "kolors-submit reproduce modelscope:team/Rainy-Cat" in card.text
    assert "lora\\_alpha 6（该节点只接受 0 到 4" in card.text, "0.75 x 8, beyond the node's slider"
    assert "lora\\_alpha 1.5" in card.text, "0.75 x 8 / 4 for DiffSynth"
    assert "strength\\_model 0.75" in card.text
    assert "演示作品" not in card.text


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_strangers_words_stay_words(tmp_path: Path, language: str) -> None:
    from html.parser import HTMLParser

    evil = "</title><script>alert(1)</script>![x](javascript:alert(1)) {{7*7}} | `a` https://evil.example"
    panels = [{"scene": evil, "prompt": "猫\n# h" if n else "<img src=x onerror=y>", "seed": n} for n in range(8)]
    job = make_run(tmp_path, chosen=story(title=evil, team=evil, language=language, panels=panels))
    pack(job)
    for name in ("README.md", "post.md"):
        text = (job.run.bundle / name).read_text().split("---\n", 2)[-1]
        assert "<script" not in text and "](javascript" not in text and "https://evil" not in text
        assert "{{7" not in text and "\n# h" not in text
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not any(name.startswith("on") for name, _ in attrs)

    Reader().feed((job.run.bundle / "index.html").read_text())
    assert tags.count("script") == 1 and tags.count("img") == 8 + 2 * len(BEFORE) + 1
    assert not [one for one in check(job.run.bundle) if one.level == "fail"]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("repository", [None, "team/Rainy-Cat"])
def test_card_and_page_print_one_command(tmp_path: Path, language: str, repository: str | None) -> None:
    """tests/reproduce/test_command.py runs it."""
    job = make_run(tmp_path, chosen=story(language=language, submission={"repository": repository}))
    pack(job)
    command = f"modelscope:{repository}" if repository else ". --out ../reproduction"
    assert f"```\nkolors-submit reproduce {command}\n```" in (job.run.bundle / "README.md").read_text()
    assert f">kolors-submit reproduce {command}</pre>" in (job.run.bundle / "index.html").read_text()


def test_a_demonstration_says_so(tmp_path: Path) -> None:
    job = make_run(tmp_path, base="picturebook")
    pack(job)
    findings = check(job.run.bundle)
    assert not [finding for finding in findings if finding.level == "fail"]
    assert {finding.rule for finding in findings if finding.level == "warn"} == {"score", "demonstration"}
    assert "演示作品" in (job.run.bundle / "README.md").read_text()
    assert "演示作品" in (job.run.bundle / "post.md").read_text()
    assert "演示作品" in (job.run.bundle / "index.html").read_text()
    assert "base_model:" not in (job.run.bundle / "README.md").read_text()


def test_fast_panels_are_told_as_they_were_rendered(tmp_path: Path) -> None:
    settings = {"width": 64, "height": 64, "steps": 50, "lora_strength": 0.5, "quality": "fast"}
    job = make_run(tmp_path, chosen=story(render=settings))
    pack(job)
    assert not [one for one in check(job.run.bundle) if one.level == "fail"]
    used = rendered(job.story)
    assert used.steps < 50
    card, page = ((job.run.bundle / name).read_text() for name in ("README.md", "index.html"))
    assert f"{used.steps} 步" in card and f"{used.steps} 步, " in page and used.sampler in page
    sampler = json.loads((job.run.bundle / "comfyui/01.json").read_text())["nodes"][6]
    assert sampler["type"] == "KSampler" and used.steps in sampler["widgets_values"]


def test_nothing_of_the_machine_is_in_it(packed: Path, tmp_path: Path) -> None:
    import platform

    for name in (name for name in EXPECTED if name.endswith((".json", ".md", ".yaml", ".csv", ".html"))):
        text = (packed / name).read_text()
        assert str(packed.parent) not in text and platform.node() not in text.split()
