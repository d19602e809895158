"""One bundle spoilt in each way that a rule is there for, and what the rule then says."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.bundle.runs import LORA, lora_arrays, panel_png, story, write_lora
from tests.bundle.spoil import edit_json, replace


def another_lora(folder: Path, rank: int = 4, alpha: float = 8.0, context: int = 2048, ckpt: bool = True) -> None:
    arrays = lora_arrays(rank, context)
    next(iter(arrays.values()))[0][0, 0] += 1
    write_lora(folder.parent / "other", arrays, alpha)
    shutil.copy(folder.parent / "other" / "lora.safetensors", folder / "lora" / f"{LORA}.safetensors")
    if ckpt:
        shutil.copy(folder.parent / "other" / "lora.ckpt", folder / "lora" / f"{LORA}.ckpt")


def without_text(path: Path) -> None:
    with Image.open(path) as picture:
        plain = picture.convert("RGB")
    plain.save(path)


def scored(folder: Path, **figures: Any) -> None:
    edit_json(folder, "scores.json", lambda value: value.update(figures))


def coherent(folder: Path, **figures: Any) -> None:
    edit_json(folder, "scores.json", lambda value: value["coherence"].update(figures))


def panel_scores(folder: Path, scores: list[Any], **figures: Any) -> None:
    panels = [{"number": n, "file": f"{n:02d}.png", "score": score} for n, score in enumerate(scores, 1)]
    scored(folder, panels=panels, **figures)


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "seven pictures": (lambda b: (b / "images/08.png").unlink(), "panels: images/has 7 pictures"),
    "a ninth picture": (lambda b: shutil.copy(b / "story.jpg", b / "images/09.png"), "panels: images/09.png belongs"),
    "a csv among the pictures": (
        lambda b: (b / "images/a.csv").write_text("1"),
        "files: images/a.csv does not belong in images/",
    ),
    "the same picture twice": (
        lambda b: shutil.copy(b / "images/01.png", b / "images/02.png"),
        "is the same picture as",
    ),
    "a cut picture": (lambda b: os.truncate(b / "images/03.png", 300), "panels: images/03.png is not a sound PNG"),
    "no picture": (lambda b: (b / "images/03.png").write_text("x"), "panels: images/03.png is not a sound PNG"),
    "a jpeg by another name": (lambda b: shutil.copy(b / "story.jpg", b / "images/03.png"), "not a sound PNG"),
    "another size": (lambda b: Image.new("RGB", (96, 64)).save(b / "images/03.png"), "is 96x64 pixels"),
    "a bomb of pixels": (lambda b: Image.new("1", (2048, 2050)).save(b / "images/03.png"), "too large"),
    "a bomb of pixels that Pillow refuses": (
        lambda b: Image.new("1", (20000, 20000)).save(b / "images/03.png"),
        "not a sound PNG",
    ),
    "pictures swapped": (
        lambda b: (b / "images/03.png").write_bytes(panel_png(story(), 4) + b""),
        "images/03.png was not rendered with the seed",
    ),
    "a picture without the LoRA of no panel": (
        lambda b: (b / "before/01.png").rename(b / "before/11.png"),
        "before: before/11.png belongs to no panel",
    ),
    "a picture without the LoRA that had it": (
        lambda b: shutil.copy(b / "images/05.png", b / "before/05.png"),
        "prompts: before/05.png was not rendered with the settings",
    ),
    "a picture without the LoRA from another seed": (
        lambda b: (b / "before/05.png").write_bytes(panel_png(story(), 6, None, lora_strength=0.0)),
        "seeds: before/05.png was not rendered with the seed",
    ),
    "a seed in the story": (
        lambda b: replace(b, "story.yaml", "seed: 103", "seed: 999"),
        "was not rendered with the seed in story.yaml",
    ),
    "a prompt in the story": (lambda b: replace(b, "story.yaml", "走路 3", "跑步 3"), "panel 3 of story.yaml"),
    "a prompt in the table": (lambda b: replace(b, "prompts.csv", "走路 3", "跑步 3"), "line 3 of prompts.csv"),
    "one prompt too few": (lambda b: cut_last_line(b / "prompts.csv"), "pairs: prompts.csv has 7 prompts"),
    "no table": (lambda b: (b / "prompts.csv").write_text("a,b\n"), "does not start with the columns"),
    "a broken table": (lambda b: (b / "prompts.csv").write_bytes(b"\xff\xfe"), "prompts.csv is not a table"),
    "seven panels in the story": (lambda b: cut_panel(b / "story.yaml"), "at least 8 panels"),
    "render settings": (
        lambda b: replace(b, "story.yaml", "lora_strength: 0.75", "lora_strength: 1.0"),
        "was not rendered with the settings in story.yaml",
    ),
    "no lora": (lambda b: shutil.rmtree(b / "lora"), "lora: lora/ needs"),
    "no ckpt": (lambda b: (b / f"lora/{LORA}.ckpt").unlink(), "lora: lora/ needs"),
    "a cut lora": (lambda b: os.truncate(b / f"lora/{LORA}.safetensors", 5000), f"lora: lora/{LORA}.safetensors"),
    "a second lora": (
        lambda b: (b / "lora/second.safetensors").write_bytes((b / f"lora/{LORA}.safetensors").read_bytes()),
        "lora: lora/ has 2 .safetensors files; it holds one",
    ),
    "another lora": (another_lora, "lora: the panels were rendered with another LoRA"),
    "another lora in one file": (
        lambda b: another_lora(b, ckpt=False),
        f"lora_A.default.weight in {LORA}.ckpt differs",
    ),
    "another rank": (lambda b: another_lora(b, rank=2), "rank is 2, the story says 4"),
    "another alpha": (lambda b: another_lora(b, alpha=4.0), "alpha is [4.0], the story says 8"),
    "a lora for another model": (
        lambda b: another_lora(b, context=24),
        "base: the LoRA is for a model of another width",
    ),
    "a pickle that runs": (lambda b: evil_ckpt(b / f"lora/{LORA}.ckpt"), "its pickle names posix.system"),
    "a text model's lora": (lambda b: (b / "lora/a.bin").write_text("1"), "files: lora/a.bin does not belong in lora/"),
    "a higher mean": (lambda b: scored(b, mean=9.0), "scores: the stated mean is 9.0000, but"),
    "a higher minimum": (lambda b: scored(b, minimum=6.4), "scores: the stated minimum is 6.4000, but"),
    "passed all the same": (lambda b: panel_scores(b, [5.0] * 8, mean=5.0, minimum=5.0), "scores: passed is True"),
    "below the gate": (
        lambda b: panel_scores(b, [5.0] * 8, mean=5.0, minimum=5.0, passed=False),
        "score: the mean score",
    ),
    "a lowered gate": (lambda b: scored(b, threshold=1.0), "scores.json sets the threshold to 1, the story to 6"),
    "a missing score": (lambda b: panel_scores(b, [6.5] * 7, mean=6.5, minimum=6.5), "7 scores for 8 panels"),
    "a score that is none": (lambda b: panel_scores(b, ["6"] * 8), "scores: scores.json lacks"),
    "another predictor": (lambda b: scored(b, predictor={"name": "mine", "digest": "ab" * 32}), "scored by mine"),
    "no predictor": (lambda b: scored(b, predictor=None), "does not say which predictor"),
    "no coherence": (lambda b: scored(b, coherence=None), "coherence: scores.json does not say how well"),
    "no features": (lambda b: coherent(b, features={"name": "x"}), "coherence: scores.json does not say by which"),
    "a table of seven": (
        lambda b: coherent(b, style=[[1.0] * 7] * 7),
        "coherence: style in scores.json: not a symmetric",
    ),
    "a table that is not symmetric": (
        lambda b: edit_json(b, "scores.json", lambda v: v["coherence"]["palette"][0].reverse()),
        "coherence: palette in scores.json: not a symmetric",
    ),
    "a table of words": (lambda b: coherent(b, similarity=[["1"] * 8] * 8), "coherence: similarity in scores.json"),
    "a number for a table": (lambda b: coherent(b, similarity=1), "coherence: similarity in scores.json"),
    "a higher coherence": (lambda b: coherent(b, mean=0.9), "coherence: the stated mean coherence is 0.9"),
    "a ninth panel stands out": (lambda b: coherent(b, outlier=9), "coherence: the stated outlier is 9"),
    "a gate of its own": (
        lambda b: coherent(b, threshold=0.5, passed=True),
        "sets the limit on coherence to 0.5, the story to None",
    ),
    "a limit that is none": (lambda b: coherent(b, threshold="0.5"), "coherence: the stated limit on coherence is 0.5"),
    "a number that no float holds": (
        lambda b: coherent(b, mean=10**400),
        "coherence: the stated mean coherence is 1000",
    ),
    "coherence passed without a gate": (lambda b: coherent(b, passed=True), "coherence: passed is True at a mean of"),
    "infinity": (
        lambda b: replace(b, "scores.json", '"mean": 6.5', '"mean": Infinity'),
        "scores.json: scores.json is not valid JSON: Infinity is not a finite number",
    ),
    "infinity by its exponent": (
        lambda b: replace(b, "scores.json", '"mean": 6.5', '"mean": 1e999'),
        "scores.json: scores.json is not valid JSON: 1e999 is not a finite number",
    ),
    "half a character": (
        lambda b: replace(b, "environment.json", '"dtype": "float32"', r'"dtype": "\ud800"'),
        "environment.json: environment.json is not valid JSON: it holds half a character",
    ),
    "a key twice": (
        lambda b: replace(b, "scores.json", '"format": 3', '"format": 3, "mean": 7'),
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
    "more pictures left than there are": (
        lambda b: edit_json(b, "history.json", lambda v: v["funnel"][-1].update(left=9)),
        "history: history.json says 9 pictures were left, data.json lists 2",
    ),
    "a loss after the last step": (
        lambda b: edit_json(b, "history.json", lambda v: v["losses"].append([99, 0.1])),
        "history: history.json has a loss of step 99, story.yaml 8 steps",
    ),
    "a history that is none": (
        lambda b: edit_json(b, "history.json", lambda v: v.update(losses=[[1, "x"]])),
        "history: history.json does not list the training's steps with their loss",
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
    "a picture from outside, in the first of two addresses": (
        lambda b: replace(b, "index.html", "</main>", "<img src=//a/b src=data:image/webp;base64,AA==></main>"),
        "loads something",
    ),
    "a handler": (lambda b: replace(b, "index.html", "<main>", "<main onload=x>"), "has the attribute onload"),
    "a link out": (lambda b: replace(b, "index.html", "</main>", "<a href=http://a>a</a></main>"), "has the tag a"),
    "no policy": (lambda b: replace(b, "index.html", "default-src 'none'", "default-src *"), "content security policy"),
    "a script that a browser sees before the policy": (
        lambda b: replace(b, "index.html", "<head>", "<head><!--><script>1</script>-->"),
        "page: index.html does not begin with this program's head",
    ),
    "a script that a browser sees in a comment": (
        lambda b: replace(b, "index.html", "</main>", "<!--><script>1</script>--></main>"),
        "page: index.html has a comment",
    ),
    "a tag that a browser sees in a marked section": (
        lambda b: replace(b, "index.html", "</main>", "<![CDATA[><meta http-equiv=refresh content=0>]]></main>"),
        "page: index.html has a comment",
    ),
    "a tag that a browser sees in a style": (
        lambda b: replace(b, "index.html", "</main>", "<svg><style><meta http-equiv=refresh></style></svg></main>"),
        "page: index.html has the tag style",
    ),
    "a policy in the body, which browsers pass over": (
        lambda b: replace(b, "index.html", "<head>", "</head><body><p>1</p>"),
        "page: index.html does not begin",
    ),
    "a link that runs, by its name": (
        lambda b: replace(b, "README.md", "## ", "[x][1]\n\n[1]: javascript:1\n\n## "),
        "mark-up: README.md",
    ),
    "a link that runs, behind an entity": (
        lambda b: replace(b, "README.md", "](story.jpg)", "](&#106;avascript:1)"),
        "mark-up: README.md",
    ),
    "a token in the page": (
        lambda b: replace(b, "index.html", "</main>", f"<p>hf_{'a' * 34}</p></main>"),
        "secrets: index.html holds",
    ),
    "a picture whose number is none": (
        lambda b: shutil.copy(b / "images/01.png", b / "images/²1.png"),
        "panels: images/²1.png belongs to no panel",
    ),
    "scores that no float can add up": (lambda b: panel_scores(b, [1e308] * 8), "scores: scores.json lacks"),
    "a score that no float holds": (lambda b: panel_scores(b, [10**400] * 8), "scores: scores.json lacks"),
    "a broken sheet": (lambda b: os.truncate(b / "story.jpg", 200), "sheet: story.jpg is not a sound JPEG"),
    "a token": (lambda b: (b / "post.md").write_text("hf_" + "a" * 34), "secrets: post.md holds"),
    "an extra file": (lambda b: (b / "notes.txt").write_text("x"), "files: notes.txt is not a bundle file"),
    "a hidden cache": (
        lambda b: (b / ".ms_upload_cache").write_text("x"),
        "files: .ms_upload_cache is not a bundle file",
    ),
    "a deeper folder": (lambda b: deep(b / "images/a/b.png"), "files: images/a/b.png is in a folder"),
    "no card": (lambda b: (b / "README.md").unlink(), "files: README.md is missing"),
    "a tag in the story": (
        lambda b: replace(b, "story.yaml", "title:", "title: !!python/name:os.system #"),
        "story.yaml",
    ),
    "a bad id": (
        lambda b: replace(b, "story.yaml", "team/Rainy-Cat", "队伍/雨猫"),
        "submission.repository: the owner '队伍' is not ASCII",
    ),
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
