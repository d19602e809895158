"""Runs side by side."""

from __future__ import annotations

import base64
import io
import re

import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from kolors_submit.compare import compare
from kolors_submit.errors import InputError
from kolors_submit.files import write_json
from kolors_submit.report import Reporter, quiet
from kolors_submit.run import Run
from tests.browser import CHROMIUM, browser


def make_run(folder, rank, score, predictor="official", digest="", sheet=True):
    run = Run(folder)
    sha = "0" * 64
    settings = {
        "settings": {"rank": rank, "note": "<script>alert(1)</script>"},
        "base": sha,
        "pictures": {"a": {"sha": sha}},
    }
    run.stage("train").finish(settings, [], seconds=12.5)
    write_json(run.train / "train.json", {"steps": 10, "loss_first": 0.5, "loss_last": 0.25})
    scores = {
        "mean": score,
        "minimum": score - 1,
        "predictor": {"name": predictor, "digest": digest},
        "coherence": {"mean": 0.9},
    }
    write_json(run.scores, scores)
    if sheet:
        run.render.mkdir(parents=True)
        Image.new("RGB", (8, 4), (200, 30, 30)).save(run.render / "story.jpg")
    return run


def test_what_differs_and_every_figure(tmp_path):
    make_run(tmp_path / "a/kolors", 8, 6.1)
    make_run(tmp_path / "b/kolors", 32, 6.4, sheet=False)
    page = tmp_path / "page.html"
    compared = compare([tmp_path / "a", tmp_path / "b/kolors"], page, quiet())
    sides = compared["runs"]
    assert compared["differing"] == [{"setting": "train.rank", "values": [8, 32]}]
    assert [side["settings"]["train.rank"] for side in sides] == [8, 32]
    assert [side["figures"]["score"] for side in sides] == [6.1, 6.4]
    assert sides[0]["figures"] == {
        "training steps": 10,
        "loss of the first tenth": 0.5,
        "loss of the last tenth": 0.25,
        "score": 6.1,
        "lowest score": 5.1,
        "coherence": 0.9,
        "predictor": "official",
        "train, last call (s)": 12.5,
    }
    html = page.read_text("utf-8")
    assert '<th>train.rank</th><td data-run="a/kolors">8</td><td data-run="b/kolors">32</td>' in html
    assert "train.note" not in html, "what is the same in both is left out"
    assert html.count("data:image/jpeg;base64,") == 1
    assert "not rendered yet" in html


def test_digests_say_nothing_to_people(tmp_path):
    """They only follow from the rest; other text stays, and a list is one value."""
    for name, sha in (("a", "0" * 64), ("b", "1" * 64)):
        inputs = {"base": sha, "files": {"x.png": sha, "y.png": "unreadable"}, "targets": ["to_q", name], "none": {}}
        Run(tmp_path / name).stage("train").finish(inputs, [])
    one, other = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html", quiet())["runs"]
    assert one["settings"] == {"train.files.y.png": "unreadable", "train.targets": ["to_q", "a"]}
    assert other["settings"]["train.targets"] == ["to_q", "b"]


def test_training_pictures_are_one_row(tmp_path):
    """A run has dozens, each with a caption and a crop: below them nobody finds the score."""
    for name, captions in (("a", ("cat", "dog")), ("b", ("cat", "bird")), ("c", ("cat", "dog"))):
        pictures = {f"{number}.png": {"caption": text, "width": 64} for number, text in enumerate(captions)}
        Run(tmp_path / name).stage("train").finish({"pictures": pictures}, [])
    one, other = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html", quiet())["runs"]
    assert list(one["settings"]) == ["train.pictures"] and one["settings"]["train.pictures"].startswith("2 (")
    assert one["settings"] != other["settings"]
    assert not compare([tmp_path / "a", tmp_path / "c"], tmp_path / "page.html", quiet())["differing"]


def test_a_strangers_words_are_no_markup(tmp_path):
    make_run(tmp_path / "<b>a", 8, 6.1)
    make_run(tmp_path / "b", 8, 6.4, predictor="<img src=x>")
    compare([tmp_path / "<b>a", tmp_path / "b"], tmp_path / "page.html", quiet())
    html = (tmp_path / "page.html").read_text("utf-8")
    assert "<b>a" not in html
    assert "<img src=x>" not in html
    assert "default-src 'none'" in html
    assert "http" not in re.sub(r"url\(data:[^)]*\)", "", html.replace("http-equiv", ""))


def test_the_page_has_its_own_hanzi(tmp_path):
    for name, title in (("甲", "晴天"), ("乙", "雨天")):
        Run(tmp_path / name).stage("render").finish({"title": title}, [])
    compare([tmp_path / "甲", tmp_path / "乙"], tmp_path / "page.html", quiet())
    source = re.search(
        r'"Story Hanzi"; src: url\(data:font/woff;base64,([^)]*)\)', (tmp_path / "page.html").read_text()
    )
    with TTFont(io.BytesIO(base64.b64decode(source[1]))) as font:
        assert {chr(code) for code in font.getBestCmap()} == set("甲乙晴雨天")


def test_scores_of_different_predictors_are_noted(tmp_path, capsys):
    make_run(tmp_path / "a", 8, 6.1)
    make_run(tmp_path / "b", 8, 6.4, predictor="own")
    compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html", Reporter())
    heard = capsys.readouterr().err
    assert "different predictors do not compare: official, own" in heard
    assert "lowest score" in heard


def test_a_predictor_is_its_digest_too(tmp_path, capsys):
    make_run(tmp_path / "a", 8, 6.1, digest="ab" * 32)
    make_run(tmp_path / "b", 8, 6.4, digest="cd" * 32)
    compare([tmp_path / "a", tmp_path / "b"], tmp_path / "page.html", Reporter())
    heard = capsys.readouterr().err
    assert "different predictors do not compare: official abababababab, official cdcdcdcdcdcd" in heard


def test_what_is_no_run_is_refused(tmp_path):
    make_run(tmp_path / "a/kolors", 8, 6)
    make_run(tmp_path / "a/tiny", 8, 6)
    with pytest.raises(InputError, match="several bases; name one"):
        compare([tmp_path / "a", tmp_path / "a/tiny"], tmp_path / "page.html", quiet())
    (tmp_path / "empty").mkdir()
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose/manifest.json").write_text("{}")
    (tmp_path / "story.yaml").write_text("title: x")
    said = {
        "nowhere": "nowhere does not exist; name a run folder such as",
        "empty": "empty is not a run folder; name a run folder such as",
        "story.yaml": "story.yaml is a file; name a run folder such as",
        "loose": "loose is a bundle, which has no record of its stages; name a run folder such as",
        "a/kolors/render": r"render is a part of the run folder .*a/kolors; name that",
    }
    for name, words in said.items():
        with pytest.raises(InputError, match=words):
            compare([tmp_path / "a/tiny", tmp_path / name], tmp_path / "page.html", quiet())
    with pytest.raises(InputError, match="two runs or more"):
        compare([tmp_path / "a/tiny"], tmp_path / "page.html", quiet())
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed here")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_of_the_page_is_cut_at_any_width(tmp_path, width):
    names = ("watercolor-with-a-long-variant-name", "watercolor-r32-second-attempt", "watercolor-r64")
    for rank, name in enumerate(names, start=4):
        make_run(tmp_path / name / "picturebook", rank, 6.4, "aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE")
    compare([tmp_path / name for name in names], tmp_path / "page.html", quiet())
    with browser(tmp_path / "profile") as page:
        page.open(tmp_path / "page.html", width)
        assert page.value("document.documentElement.scrollWidth") == width
        cut = "[...document.querySelectorAll('body *')].filter((one) => one.scrollWidth > one.clientWidth + 1)"
        assert page.value(f"{cut}.filter((one) => getComputedStyle(one).display !== 'inline').length") == 0
        shown = page.value("getComputedStyle(document.querySelector('td'), '::before').content")
        assert (names[0] in shown) == (width == 390), "each value says whose it is where there are no columns"
