"""What people read of a bundle is held to the bundle's own files, by whichever version of this program it was made."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolors_submit.bundle import history
from kolors_submit.bundle.card import post_text
from kolors_submit.bundle.check import check
from kolors_submit.bundle.documents import entry_of
from kolors_submit.bundle.finding import Finding, fail
from kolors_submit.bundle.likeness import difference
from kolors_submit.bundle.manifest import files_below
from kolors_submit.bundle.opened import open_values
from kolors_submit.sheet import story_sheet
from tests.bundle.runs import LORA, story
from tests.bundle.spoil import edit_json, rebuild, replace

FORGERIES: dict[str, tuple[str, str, str, str, str]] = {
    "the card's mean score": ("README.md", "**6.5**", "**9.5**", "“平均 **9.5**", "the mean score, 6.5"),
    "the card's seed": ("README.md", "| 103 | 6.35 |", "| 909 | 6.35 |", "909 | 6.35 |", "the seed of panel 3, 103"),
    "the card's score of a panel": ("README.md", "| 6.35 |", "| 9.35 |", "9.35 |", "the score of panel 3, 6.35"),
    "the card's prompt": ("README.md", "走路 5", "跑步 5", "跑步 5", "the prompt of panel 5"),
    "the card's LoRA": ("README.md", LORA, "kolors-lora-00000000", "lora-00000000", "the LoRA's name"),
    "the card's strength": (
        "README.md",
        "lora\\_alpha 1.5",
        "lora\\_alpha 3",
        "lora\\_alpha 3",
        "for DiffSynth, lora_alpha 1.5",
    ),
    "the post's mean score": ("post.md", "：6.5（", "：9.5（", "：9.5（", "the mean score, 6.5"),
    "the post's seed": ("post.md", "种子 104", "种子 4", "种子 4）”", "the seed of panel 4, 104"),
    "the post's prompt": ("post.md", "走路 8", "跑步 8", "跑步 8", "the prompt of panel 8"),
    "the page's mean score": ("index.html", ">6.50<", ">9.50<", "9.50<", "the mean score, 6.5"),
    "the page's seed": ("index.html", "种子 106<", "种子 6<", "种子 6<", "the seed of panel 6, 106"),
    "the page's score of a panel": ("index.html", "<b>6.75</b>", "<b>9.75</b>", "9.75<", "the score of panel 7, 6.75"),
    "the page's prompt": (
        "index.html",
        '"prompt">一位红发女孩走路 2',
        '"prompt">跑步 2',
        "跑步 2",
        "the prompt of panel 2",
    ),
    "the page's strength": (
        "index.html",
        "model <b>0.75</b>",
        "model <b>0.5</b>",
        "<b>0.5</b>",
        "the LoRA's strength, strength_model 0.75",
    ),
}


@pytest.mark.parametrize("other", ["zlib.ZLIB_RUNTIME_VERSION", "unicodedata.unidata_version"], ids=["zlib", "unicode"])
def test_what_packs_letters_otherwise_is_another_writer(
    bundle: Path, failures: Callable[[Path], list[str]], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest page of such a machine may have other bytes, and is to be held to its facts alone."""
    own = history.writer()
    history.writer.cache_clear()
    monkeypatch.setattr(f"kolors_submit.bundle.history.{other}", "another")
    try:
        assert history.writer() != own
        assert not history.is_own({"writer": own})
        assert failures(bundle) == []
    finally:
        history.writer.cache_clear()


@pytest.mark.parametrize("case", FORGERIES)
def test_a_forged_document_is_named_with_the_line(
    bundle: Path, failures: Callable[[Path], list[str]], case: str
) -> None:
    name, old, new, line, _ = FORGERIES[case]
    replace(bundle, name, old, new)
    rebuild(bundle)
    (found,) = failures(bundle)
    assert re.match(rf"documents: {re.escape(name)} is not what the bundle's other files say: line \d+ is “", found)
    assert line in found.split(", they give ")[0], found


@pytest.mark.parametrize("case", FORGERIES)
@pytest.mark.parametrize("made", ["without history.json", "by another version"])
def test_forged_facts_are_seen_whoever_wrote_the_document(
    bundle: Path, failures: Callable[[Path], list[str]], case: str, made: str
) -> None:
    name, old, new, _, fact = FORGERIES[case]
    replace(bundle, name, old, new)
    of_another_version(bundle, made)
    found = failures(bundle)
    assert found and all(line.startswith(f"documents: {name} does not ") for line in found), found
    assert any(fact in line for line in found), found


def of_another_version(bundle: Path, made: str = "by another version") -> None:
    if made == "by another version":
        edit_json(bundle, "history.json", lambda value: value.update(writer="0" * 64))
    else:
        (bundle / "history.json").unlink()
    rebuild(bundle)


def warnings_of(bundle: Path) -> list[Finding]:
    return [finding for finding in check(bundle) if finding.level == "warn"]


def test_another_versions_wording_is_only_warned_of(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    replace(bundle, "README.md", "## LoRA 介绍", "## 关于这个 LoRA")
    of_another_version(bundle)
    assert failures(bundle) == []
    (warning,) = warnings_of(bundle)
    assert warning.message.startswith("README.md was written by another version of this program")
    assert "关于这个 LoRA”, they give “## LoRA 介绍”" in warning.message


def test_another_version_that_wrote_the_same_is_no_news(bundle: Path) -> None:
    of_another_version(bundle)
    assert all(finding.level == "ok" for finding in check(bundle))


def test_a_number_that_another_version_added_is_named(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    replace(bundle, "README.md", "平均 **6.5**", "平均 9.87（按本表 **6.5**）")
    of_another_version(bundle)
    assert failures(bundle) == []
    assert "no file of the bundle gives 9.87" in warnings_of(bundle)[0].message


def test_what_a_terminal_would_obey_is_not_quoted(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    replace(bundle, "post.md", "# ", "# \x1b[2J\u202e")
    rebuild(bundle)
    (found,) = failures(bundle)
    assert found.startswith("documents: post.md") and found.isprintable() and len(found) < 300


def test_workflows_are_those_of_the_story(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    replace(bundle, "comfyui/03.json", "64,", "128,")
    (bundle / "comfyui/04.json").unlink()
    rebuild(bundle)
    found = failures(bundle)
    assert any("documents: comfyui/03.json is not what" in line and "128," in line for line in found), found
    assert "documents: comfyui/04.json is missing" in found


def test_the_pages_copies_are_the_panels(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    text = (bundle / "index.html").read_text()
    first, second = re.findall(r"data:image/webp;base64,[A-Za-z0-9+/=]+", text)[:2]
    (bundle / "index.html").write_text(text.replace(first, second))
    rebuild(bundle)
    (found, *_) = failures(bundle)
    assert found.startswith("documents: index.html shows another picture than images/01.png: its copy shows something")
    (bundle / "index.html").write_text(text.replace(first, first[:-40]))
    assert any("its copy" in line for line in failures(bundle))


def test_the_pages_copies_may_not_move(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    text = (bundle / "index.html").read_text()
    first = re.findall(r"data:image/webp;base64,[A-Za-z0-9+/=]+", text)[0]
    with Image.open(bundle / "images/01.png") as panel, Image.open(bundle / "images/02.png") as other:
        buffer = io.BytesIO()
        panel.save(buffer, "WEBP", save_all=True, append_images=[other.convert("RGB")])
    moving = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    (bundle / "index.html").write_text(text.replace(first, moving))
    assert any("images/01.png: its copy has several frames" in line for line in failures(bundle))


@pytest.mark.parametrize("change", ["title", "scene", "panel"])
def test_the_sheet_shows_the_panels_and_their_words(
    bundle: Path, failures: Callable[[Path], list[str]], change: str
) -> None:
    chosen = story()
    panels = [bundle / f"images/{number:02d}.png" for number in range(1, 9)]
    scenes = [panel.scene for panel in chosen.panels]
    if change == "panel":
        panels[3] = panels[4]
    if change == "scene":
        scenes[5] = "Scene 7"
    title = chosen.title.replace("猫", "狗") if change == "title" else chosen.title
    (bundle / "story.jpg").write_bytes(story_sheet(panels, scenes, title, chosen.team))
    rebuild(bundle)
    (found,) = failures(bundle)
    assert found.startswith("sheet: story.jpg is not the sheet of the panels in images/: it shows something else bet")


def test_a_sheet_by_another_encoder_is_the_same_sheet(bundle: Path) -> None:
    with Image.open(bundle / "story.jpg") as picture:
        picture.save(bundle / "story.jpg", quality=80)
    rebuild(bundle)
    assert all(finding.level == "ok" for finding in check(bundle))


@pytest.mark.parametrize(
    ("name", "key", "odd"),
    [
        ("environment.json", "gpus", 5),
        ("environment.json", "packages", [1]),
        ("history.json", "funnel", [{"step": "x", "left": "\x1b"}]),
        ("history.json", "losses", [[1, "x"]]),
        ("train.json", "base", "kolors"),
        ("train.json", "loss_first", 10**400),
        ("scores.json", "coherence", []),
        ("data.json", "pictures", None),
    ],
)
def test_damaged_values_are_a_finding(bundle: Path, name: str, key: str, odd: object) -> None:
    edit_json(bundle, name, lambda value: value.update({key: odd}))
    rebuild(bundle)
    found = [finding for finding in check(bundle) if finding.rule == "documents"]
    assert len(found) == 1 and found[0].level == "fail" and str(found[0]).isprintable()
    assert found[0].message.startswith("cannot be held to the bundle's other files, which are damaged")


def test_what_is_the_same_picture() -> None:
    smooth = Image.fromarray(np.linspace(0, 255, 96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8))
    assert difference(smooth, smooth) is None
    assert difference(smooth, smooth.crop((0, 0, 90, 96))) == "has 96x96 pixels, not 90x96"
    spot = smooth.copy()
    spot.paste((255, 0, 0), (40, 48, 56, 56))
    assert difference(spot, smooth) == "shows something else between 40, 48 and 56, 56"


@pytest.mark.parametrize(
    ("hub", "sheet"),
    [
        ("modelscope", "https://modelscope.cn/models/a/B/resolve/master/story.jpg"),
        ("huggingface", "https://huggingface.co/a/B/resolve/main/story.jpg"),
    ],
)
def test_the_post_shows_the_sheet_on_the_hubs_own_branch(packed: Path, hub: str, sheet: str) -> None:
    opened, _ = open_values(packed, files_below(packed))
    entry = entry_of(opened)
    submission = entry.story.submission.model_copy(update={"hub": hub, "repository": "a/B"})
    entry = dataclasses.replace(entry, story=entry.story.model_copy(update={"submission": submission}))
    assert f"]({sheet})" in post_text(entry)


def test_a_finding_is_no_longer_than_people_read() -> None:
    assert len(fail("score", "scored by " + "x" * 32_000_000).message) < 11_000
