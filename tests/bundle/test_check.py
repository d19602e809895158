"""Every rule, broken one at a time, with a manifest that was made true again: the rule itself has to see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kolors_submit.bundle.check import CheckError, check, check_bundle
from kolors_submit.bundle.manifest import NewerFormat
from kolors_submit.errors import InputError
from kolors_submit.report import quiet
from tests.bundle.runs import lora_arrays, make_run, panel_png, story, write_lora
from tests.bundle.spoil import edit_json, rebuild, replace

GOLDEN = Path(__file__).parents[1] / "golden"


def another_lora(folder: Path, rank: int = 4, alpha: float = 8.0, context: int = 2048, ckpt: bool = True) -> None:
    arrays = lora_arrays(rank, context)
    next(iter(arrays.values()))[0][0, 0] += 1
    write_lora(folder.parent / "other", arrays, alpha)
    shutil.copy(folder.parent / "other" / "lora.safetensors", folder / "lora" / "Rainy-Cat.safetensors")
    if ckpt:
        shutil.copy(folder.parent / "other" / "lora.ckpt", folder / "lora" / "Rainy-Cat.ckpt")


def without_text(path: Path) -> None:
    with Image.open(path) as picture:
        plain = picture.convert("RGB")
    plain.save(path)


def scored(folder: Path, **figures: Any) -> None:
    edit_json(folder, "scores.json", lambda value: value.update(figures))


def panel_scores(folder: Path, scores: list[Any], **figures: Any) -> None:
    panels = [{"number": n, "file": f"{n:02d}.png", "score": score} for n, score in enumerate(scores, 1)]
    scored(folder, panels=panels, **figures)


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "seven pictures": (lambda b: (b / "images/08.png").unlink(), "panels: images/has 7 pictures"),
    "a ninth picture": (lambda b: shutil.copy(b / "story.jpg", b / "images/09.png"), "panels: images/09.png belongs"),
    "a csv among the pictures": (lambda b: (b / "images/a.csv").write_text("1"), "files: images/a.csv may not lie"),
    "the same picture twice": (
        lambda b: shutil.copy(b / "images/01.png", b / "images/02.png"),
        "is the same picture as",
    ),
    "a cut picture": (lambda b: os.truncate(b / "images/03.png", 300), "panels: images/03.png is no sound PNG"),
    "no picture": (lambda b: (b / "images/03.png").write_text("x"), "panels: images/03.png is no sound PNG"),
    "a jpeg by another name": (lambda b: shutil.copy(b / "story.jpg", b / "images/03.png"), "no sound PNG"),
    "another size": (lambda b: Image.new("RGB", (96, 64)).save(b / "images/03.png"), "is 96x64 pixels"),
    "a bomb of pixels": (lambda b: Image.new("1", (2048, 2050)).save(b / "images/03.png"), "too large"),
    "a bomb of pixels that Pillow refuses": (
        lambda b: Image.new("1", (20000, 20000)).save(b / "images/03.png"),
        "no sound PNG",
    ),
    "pictures swapped": (lambda b: (b / "images/03.png").write_bytes(panel_png(story(), 4) + b""), "with another seed"),
    "a seed in the story": (lambda b: replace(b, "story.yaml", "seed: 103", "seed: 999"), "with another seed than"),
    "a prompt in the story": (lambda b: replace(b, "story.yaml", "走路 3", "跑步 3"), "panel 3 of story.yaml"),
    "a prompt in the table": (lambda b: replace(b, "prompts.csv", "走路 3", "跑步 3"), "line 3 of prompts.csv"),
    "one prompt too few": (lambda b: cut_last_line(b / "prompts.csv"), "pairs: prompts.csv has 7 prompts"),
    "no table": (lambda b: (b / "prompts.csv").write_text("a,b\n"), "does not start with the columns"),
    "a broken table": (lambda b: (b / "prompts.csv").write_bytes(b"\xff\xfe"), "prompts.csv is no table"),
    "seven panels in the story": (lambda b: cut_panel(b / "story.yaml"), "at least 8 panels"),
    "render settings": (
        lambda b: replace(b, "story.yaml", "lora_strength: 0.75", "lora_strength: 1.0"),
        "another settings",
    ),
    "no lora": (lambda b: shutil.rmtree(b / "lora"), "lora: lora/ needs"),
    "no ckpt": (lambda b: (b / "lora/Rainy-Cat.ckpt").unlink(), "lora: lora/ needs"),
    "a cut lora": (lambda b: os.truncate(b / "lora/Rainy-Cat.safetensors", 5000), "lora: lora/Rainy-Cat.safetensors"),
    "another lora": (another_lora, "lora: the panels were rendered with another LoRA"),
    "another lora in one file": (
        lambda b: another_lora(b, ckpt=False),
        "lora_A.default.weight in Rainy-Cat.ckpt differs",
    ),
    "another rank": (lambda b: another_lora(b, rank=2), "rank is 2 to 2, the story says 4"),
    "another alpha": (lambda b: another_lora(b, alpha=4.0), "alpha is [4.0], the story says 8"),
    "a lora for another model": (
        lambda b: another_lora(b, context=24),
        "base: the LoRA is for a model of another width",
    ),
    "a pickle that runs": (lambda b: evil_ckpt(b / "lora/Rainy-Cat.ckpt"), "its pickle names posix.system"),
    "a text model's lora": (lambda b: (b / "lora/a.bin").write_text("1"), "files: lora/a.bin may not lie"),
    "a higher mean": (lambda b: scored(b, mean=9.0), "scores: the mean is said to be 9.0000"),
    "a higher minimum": (lambda b: scored(b, minimum=6.4), "scores: the minimum is said"),
    "passed all the same": (lambda b: panel_scores(b, [5.0] * 8, mean=5.0, minimum=5.0), "scores: passed is True"),
    "below the gate": (
        lambda b: panel_scores(b, [5.0] * 8, mean=5.0, minimum=5.0, passed=False),
        "score: the mean score",
    ),
    "a lowered gate": (lambda b: scored(b, threshold=1.0), "scores.json holds the mean to 1, the story to 6"),
    "a missing score": (lambda b: panel_scores(b, [6.5] * 7, mean=6.5, minimum=6.5), "7 scores for 8 panels"),
    "a score that is none": (lambda b: panel_scores(b, ["6"] * 8), "scores: scores.json lacks"),
    "another predictor": (lambda b: scored(b, predictor={"name": "mine", "digest": "ab" * 32}), "scored by mine"),
    "no predictor": (lambda b: scored(b, predictor=None), "does not say which predictor"),
    "infinity": (
        lambda b: replace(b, "scores.json", '"mean": 6.5', '"mean": Infinity'),
        "scores.json: scores.json is no",
    ),
    "a key twice": (
        lambda b: replace(b, "scores.json", '"format": 1', '"format": 1, "mean": 7'),
        "a key is given twice",
    ),
    "no training base": (
        lambda b: edit_json(b, "train.json", lambda v: v.pop("base")),
        "base: train.json does not say",
    ),
    "other training": (
        lambda b: edit_json(b, "train.json", lambda v: v["settings"].update(rank=5)),
        "train: train.json says",
    ),
    "other steps": (
        lambda b: edit_json(b, "train.json", lambda v: v.update(steps=5)),
        "train: train.json says 5 steps",
    ),
    "other base": (
        lambda b: edit_json(b, "environment.json", lambda v: v["render"]["base"].update(digest="cd" * 32)),
        "name different bases",
    ),
    "no packages": (lambda b: edit_json(b, "environment.json", lambda v: v.pop("packages")), "names no packages"),
    "no training pictures": (
        lambda b: edit_json(b, "data.json", lambda v: v.update(pictures=[])),
        "data: data.json lists",
    ),
    "a picture without digest": (
        lambda b: edit_json(b, "data.json", lambda v: v["pictures"][1].pop("sha256")),
        "picture 2 of data.json has no SHA-256",
    ),
    "no task": (lambda b: (b / "configuration.json").write_text("{}"), "configuration: configuration.json needs"),
    "no front matter": (lambda b: replace(b, "README.md", "---\n", ""), "card: README.md does not start"),
    "another licence": (lambda b: replace(b, "README.md", "license: other", "license: mit"), "needs license: other"),
    "no base model": (lambda b: replace(b, "README.md", "Kwai-Kolors/Kolors\n", "a/b\n"), "needs base_model"),
    "no tasks": (lambda b: replace(b, "README.md", "tasks:", "task:"), "front matter lacks tasks"),
    "an exploding card": (lambda b: replace(b, "README.md", "tags:\n", "a: &a [1]\nb: *a\ntags:\n"), "plain YAML"),
    "a short card": (lambda b: short_card(b / "README.md"), "introduction: README.md does not introduce"),
    "a prompt not in the card": (lambda b: replace(b, "README.md", "](images/04.png)", "]"), "no prompt for panel 4"),
    "a script in the card": (lambda b: replace(b, "README.md", "## ", "<script>1</script>\n## "), "mark-up: README.md"),
    "a link that runs": (lambda b: replace(b, "README.md", "](story.jpg)", "]( javascript:1)"), "mark-up: README.md"),
    "a frame in the post": (lambda b: (b / "post.md").write_text("<iframe src=x>"), "mark-up: post.md"),
    "a script in the page": (
        lambda b: replace(b, "index.html", "</main>", "<script>1</script></main>"),
        "page: index.html",
    ),
    "an allowed script": (
        lambda b: replace(b, "index.html", "'; base-uri", "' 'sha256-AA=='; base-uri"),
        "content security policy",
    ),
    "a picture from outside": (
        lambda b: replace(b, "index.html", "</main>", "<img src=//a/b></main>"),
        "loads something",
    ),
    "a handler": (lambda b: replace(b, "index.html", "<main>", "<main onload=x>"), "has the attribute onload"),
    "a link out": (lambda b: replace(b, "index.html", "</main>", "<a href=http://a>a</a></main>"), "has the tag a"),
    "no policy": (lambda b: replace(b, "index.html", "default-src 'none'", "default-src *"), "content security policy"),
    "a broken sheet": (lambda b: os.truncate(b / "story.jpg", 200), "sheet: story.jpg is no sound JPEG"),
    "a token": (lambda b: (b / "post.md").write_text("hf_" + "a" * 34), "secrets: post.md holds"),
    "an extra file": (lambda b: (b / "notes.txt").write_text("x"), "files: notes.txt is no file of a bundle"),
    "a hidden cache": (lambda b: (b / ".ms_upload_cache").write_text("x"), "files: .ms_upload_cache is no file"),
    "a deeper folder": (lambda b: deep(b / "images/a/b.png"), "files: images/a/b.png lies in a folder"),
    "no card": (lambda b: (b / "README.md").unlink(), "files: README.md is missing"),
    "a tag in the story": (
        lambda b: replace(b, "story.yaml", "title:", "title: !!python/name:os.system #"),
        "story.yaml",
    ),
    "a bad id": (lambda b: replace(b, "story.yaml", "team/Rainy-Cat", "队伍/雨猫"), "is no id of a hub"),
    "called test": (lambda b: replace(b, "story.yaml", "team/Rainy-Cat", "team/Test"), "hides a model called test"),
}


def cut_last_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def cut_panel(path: Path) -> None:
    text = path.read_text()
    start, end = text.index("- scene: Scene 8"), text.index("gate:")
    path.write_text(text[:start] + text[end:])


def short_card(path: Path) -> None:
    path.write_text("---\n".join(path.read_text().split("---\n")[:2]) + "---\nLoRA")


def evil_ckpt(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"cposix\nsystem\n(X\x01\x00\x00\x00xtR.")


def deep(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"1")


@pytest.mark.parametrize("case", CASES)
def test_each_rule_sees_what_breaks_it(bundle: Path, failures: Callable[[Path], list[str]], case: str) -> None:
    spoil, expected = CASES[case]
    spoil(bundle)
    rebuild(bundle)
    found = failures(bundle)
    assert any(expected.replace(" ", "") in line.replace(" ", "") for line in found), found
    with pytest.raises(CheckError, match="failure"):
        check_bundle(bundle, quiet())


@pytest.mark.parametrize("name", ["story.yaml", "scores.json", "images/05.png", "lora/Rainy-Cat.ckpt", "index.html"])
def test_the_manifest_sees_every_changed_byte(bundle: Path, failures: Callable[[Path], list[str]], name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    assert f"manifest: {name} was changed: its SHA-256 is not the manifest's" in failures(bundle)


def test_the_manifest_sees_more_and_less(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "images/09.png").write_bytes(b"1")
    (bundle / "post.md").unlink()
    found = failures(bundle)
    assert "manifest: images/09.png is not in the manifest" in found and "manifest: post.md is missing" in found


@pytest.mark.parametrize(
    "text",
    ['{"format": 1}', "[]", '{"format": 1, "files": {"../a": {}}}',
     '{"format": 1, "files": {"a": {"sha256": "x", "size": 1}}}',
     '{"format": true, "files": {}}', '{"files": {}}', "[" * 100_000, '{"format": 1, "files": {"a": 1, "a": 1}}'],
)  # fmt: skip
def test_manifests_that_are_none(bundle: Path, failures: Callable[[Path], list[str]], text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    assert any(line.startswith("manifest: manifest.json") for line in failures(bundle))


@pytest.mark.parametrize("name", ["manifest.json", "scores.json", "train.json", "data.json", "environment.json"])
def test_a_newer_format_is_refused(bundle: Path, name: str) -> None:
    edit_json(bundle, name, lambda value: value.update(format=2))
    with pytest.raises(NewerFormat, match="is format 2; this program reads up to 1: update") as error:
        check(bundle)
    assert error.value.exit_status == 2


def test_a_newer_story_is_refused(bundle: Path) -> None:
    replace(bundle, "story.yaml", "schema: 1", "schema: 2")
    with pytest.raises(NewerFormat, match="is format 2"):
        check(bundle)


def test_links_are_not_followed(bundle: Path, tmp_path: Path, failures: Callable[[Path], list[str]]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (bundle / "post.md").unlink()
    (bundle / "post.md").symlink_to(secret)
    assert failures(bundle) == ["paths: post.md is a link or no plain file"]
    (bundle / "post.md").unlink()
    (bundle / "comfyui").symlink_to(tmp_path)
    assert "paths: comfyui is a link or no plain file" in failures(bundle)


def test_nothing_is_opened_where_sizes_are_wrong(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    os.truncate(bundle / "story.yaml", 2_000_000)
    assert failures(bundle) == ["sizes: story.yaml has 2,000,000 bytes; at most 1,000,000 are allowed"]


def test_names_that_collide(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "images/A.png").write_bytes(b"1")
    (bundle / "images/a.png").write_bytes(b"1")
    if len(list((bundle / "images").iterdir())) == 10:
        assert failures(bundle) == ["paths: images/A.png and images/a.png would be one file on some systems"]


def test_all_findings_at_once(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "images/08.png").unlink()
    scored(bundle, mean=9.0)
    replace(bundle, "README.md", "license: other", "license: mit")
    (bundle / "stray").write_text("x")
    rules = {line.split(":")[0] for line in failures(bundle)}
    assert {"panels", "scores", "card", "files", "manifest"} <= rules


def test_rules_without_anything_to_look_at_are_not_ok(bundle: Path) -> None:
    (bundle / "prompts.csv").unlink()
    assert not [finding for finding in check(bundle) if finding.level == "ok"]


def test_a_lowered_gate_only_warns_on_a_demonstration(tmp_path: Path) -> None:
    from kolors_submit.bundle.pack import pack

    for base, level in (("tiny", "warn"), ("kolors", "fail")):
        job = make_run(tmp_path, base=base, chosen=story(gate={"threshold": 3.0}), mean=4.0)
        pack(job)
        levels = {finding.level for finding in check(job.run.bundle) if finding.rule == "score"}
        assert levels <= {level, "warn"} and level in levels


def test_panels_that_say_nothing_only_warn(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    without_text(bundle / "images/02.png")
    rebuild(bundle)
    assert failures(bundle) == []
    assert "images/02.png does not say" in next(one.message for one in check(bundle) if one.level == "warn")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        check(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert any(finding.level == "fail" for finding in check(tmp_path / "empty"))


def test_golden_bundle_of_format_1() -> None:
    findings = check(GOLDEN / "bundle-1")
    assert not [finding for finding in findings if finding.level == "fail"], findings


def test_the_pages_script_is_a_known_one() -> None:
    import base64
    import hashlib

    from kolors_submit.bundle.page import script_source
    from kolors_submit.bundle.rules_pages import SCRIPTS

    assert base64.b64encode(hashlib.sha256(script_source().encode()).digest()).decode() in SCRIPTS


def test_check_and_pack_import_no_torch(packed: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "import kolors_submit.bundle.pack, kolors_submit.environment\n"
        "from kolors_submit.bundle.check import check\n"
        f"assert all(one.level == 'ok' for one in check(Path({str(packed)!r})))\n"
        "heavy = {'torch', 'diffsynth', 'transformers', 'diffusers', 'lightning', 'peft', 'datasets', 'modelscope'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
