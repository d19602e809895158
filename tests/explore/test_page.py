"""The page: nothing from outside, nothing a story says is markup, and choosing in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from kolors_submit.explore import read_picks
from tests.explore.conftest import Explored
from tests.explore.test_explore import HALF, OWN


class Tags(HTMLParser):
    """Every tag with its attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def text(explored_once: Explored) -> str:
    return (explored_once.job.run.explore.folder / "index.html").read_text("utf-8")


def test_one_file_and_nothing_from_outside(text: str) -> None:
    tags = Tags(text)
    sources = [value for _, attributes in tags.found for key, value in attributes.items() if key in ("src", "href")]
    assert len(sources) == 12 and all(str(source).startswith("data:image/webp;base64,") for source in sources)
    own = re.sub(r'src="data:[^"]*"|url\(data:[^)]*\)', "", text)
    assert not re.search(r"https?:|//[a-z]", own.replace("// ", ""))
    policy = next(one["content"] for one in tags.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'; img-src data:; font-src data:; style-src 'sha256-")
    assert "unsafe" not in str(policy)
    assert not [key for _, attributes in tags.found for key in attributes if key.startswith("on") or key == "style"]


def test_a_storys_words_are_no_markup(text: str) -> None:
    assert "<script>alert" not in text and "<b>" not in text.split("<main>")[0]
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
    assert len(Tags(text).of("script")) == 1


def test_the_pages_own_letters_hold_every_hanzi_of_it(text: str) -> None:
    faces = dict(re.findall(r'font-family: "(Story \w+)"; src: url\(data:font/woff;base64,([^)]*)\)', text))
    wanted = {character for character in text if "\u4e00" <= character <= "\u9fff"}
    assert set("画家为每一幅画面选一张图保存") <= wanted
    for family in ("Story Kai", "Story Hanzi"):
        with TTFont(io.BytesIO(base64.b64decode(faces[family]))) as font:
            assert {ord(character) for character in wanted} <= set(font.getBestCmap())


def test_every_candidate_can_be_chosen(text: str) -> None:
    inputs = Tags(text).of("input")
    seeds = [(one["name"], one["value"]) for one in inputs if one["name"] != "variant"]
    assert seeds == [
        (f"{panel}-{group}", str(panel + 1000 * step)) for panel in (2, 3) for group in (1, 2) for step in range(3)
    ]
    assert [one["value"] for one in inputs if one["name"] == "variant"] == [OWN, HALF]
    assert sum("data-best" in one for one in inputs) == 4, "one a panel and variant"
    assert [one["value"] for one in inputs if "data-now" in one] == ["2", "2", "3", "3"]


def test_choosing_in_a_browser(explored: Explored, tmp_path: Path) -> None:
    tool = pytest.importorskip("tests.browser")
    if tool.CHROMIUM is None:
        pytest.skip("no Chromium here")
    with tool.browser(tmp_path / "profile") as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.open(explored.job.run.explore.folder / "index.html", 1200)
        assert page.value("document.fonts.check('16px \"Story Hanzi\"', '为每一幅画面')"), (
            "boxes where there is no font"
        )
        page.value("document.querySelector('[name=\"2-1\"]:checked').focus()")
        page.press("ArrowRight")
        assert page.value("document.querySelector('[name=\"2-1\"]:checked').value") == "1002"
        page.click("[name=variant][value*='0.5']")
        assert page.value("document.querySelector('[name=\"2-2\"]:checked').value") == "1002", (
            "kept in the other variant"
        )
        page.press("Tab")
        page.value("document.querySelector('[name=\"2-2\"]:checked').focus()")
        page.press("Enter")
        assert page.value("document.querySelector('dialog').open")
        page.press("ArrowRight")
        page.click("[data-go=choose]")
        assert page.value("document.querySelector('[data-show=changed]').textContent") == "1"
        page.click("[data-do=save]")
        saved = tmp_path / "picks.json"
        page.wait_for("true")
        for _ in range(200):
            if saved.is_file():
                break
            page.call("Runtime.evaluate", expression="new Promise((done) => setTimeout(done, 25))", awaitPromise=True)
        assert read_picks(saved).model_dump() == {
            "format": 1,
            "story": "painter.yaml",
            "base": "tiny",
            "variant": HALF,
            "seeds": {2: 2002, 3: 3},
        }
        requests = [one["request"]["url"] for one in page.named("Network.requestWillBeSent")]
        assert all(url.startswith(("file:", "data:", "blob:")) for url in requests), requests
        assert not page.named("Runtime.exceptionThrown", "Log.entryAdded"), json.dumps(page.events)[:2000]
