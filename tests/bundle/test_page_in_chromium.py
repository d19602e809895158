"""The page in a real headless Chromium: no error, no request, keys, pointer, two widths, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from kolors_submit.bundle.pack import pack
from tests.browser import CHROMIUM, Page, browser
from tests.bundle.runs import make_run, story
from tests.bundle.test_page import with_coherence

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="chromium is not installed here (Debian, Ubuntu: apt install chromium)"
    ),
]
PHONE, LAPTOP, DESK = 390, 1024, 1280


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an entry with everything a page can show; pictures large enough to be looked at."""
    chosen = story(
        title="雨天的猫", team="示例队", render={"width": 512, "height": 512, "steps": 3, "lora_strength": 0.5}
    )
    job = with_coherence(make_run(tmp_path_factory.mktemp("page"), chosen=chosen))
    pack(job)
    return job.run.bundle / "index.html"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A browser that has made no complaint and loaded nothing from outside when the test is over."""
    with browser(tmp_path / "profile") as opened:
        yield opened
        opened.value("new Promise((done) => setTimeout(done, 50))")
        assert opened.named("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") == []
        assert opened.named("Page.javascriptDialogOpening") == []
        asked = {event["request"]["url"] for event in opened.named("Network.requestWillBeSent")}
        assert {url.split(":")[0] for url in asked} <= {"file", "data"}
        assert sum(url.startswith("file:") for url in asked) == 1


def shown(page: Page) -> Any:
    """What the viewer shows, or None where it is closed."""
    number = "document.querySelector('dialog .where').textContent"
    return page.value(f"document.querySelector('dialog').open ? {number} : null")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, LAPTOP, DESK])
def test_it_fits_and_is_drawn(page: Page, index: Path, tmp_path: Path, width: int, dark: bool) -> None:
    page.open(index, width, dark=dark)
    assert page.value("document.documentElement.scrollWidth") == width
    outside = "(({left, right}) => left < -1 || right > innerWidth + 1)(one.getBoundingClientRect())"
    assert page.value(f"[...document.querySelectorAll('main *')].filter((one) => {outside}).length") == 0
    smallest = "Math.min(...[...document.querySelectorAll('p, dd, dt, td, summary, .label')].map(size))"
    assert page.value(f"((size) => {smallest})((one) => parseFloat(getComputedStyle(one).fontSize))") >= 13
    panel = page.value("document.querySelector('.panel img').getBoundingClientRect().width")
    assert panel >= (width - 60 if width == PHONE else 400), "large enough to judge"
    with Image.open(page.screenshot(tmp_path / "whole.png")) as picture:
        corner = picture.convert("L").getpixel((2, 2))
        assert picture.width == width and picture.height > 4000
    assert isinstance(corner, int) and (corner < 60 if dark else corner > 220)


def test_every_hanzi_is_there_without_a_font_of_the_system(page: Page, index: Path) -> None:
    page.open(index, DESK)
    page.call("DOM.enable")
    page.call("CSS.enable")
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    for selector in ("h1", "h2", ".byline", ".prompt", ".rail .note", ".meta", "dt"):
        node = page.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        text = page.value(f"document.querySelector({selector!r}).textContent")
        fonts = page.call("CSS.getPlatformFontsForNode", nodeId=node)["fonts"]
        ours = sum(font["glyphCount"] for font in fonts if font["familyName"] == "Story Kai")
        assert ours >= sum("\u4e00" <= char <= "\u9fff" for char in text), (selector, text, fonts)


def test_the_keys_go_through_the_panels(page: Page, index: Path) -> None:
    page.open(index, DESK, 800)
    assert shown(page) is None
    page.press("ArrowRight")
    assert shown(page) == "1 / 8"
    for key, expected in (("ArrowRight", "2 / 8"), ("ArrowLeft", "1 / 8"), ("ArrowLeft", "8 / 8"), ("Home", "1 / 8")):
        page.press(key)
        assert shown(page) == expected
    page.press("End")
    assert page.value("document.querySelector('dialog .scene').textContent") == "Scene 8"
    assert page.value("document.querySelector('dialog img').naturalWidth") == 512
    page.press("Escape")
    page.wait_for("document.activeElement === document.querySelectorAll('.panel button')[7]")
    assert shown(page) is None
    page.press("Enter")
    assert shown(page) == "8 / 8"


def test_the_pointer_opens_goes_on_and_closes(page: Page, index: Path) -> None:
    page.open(index, PHONE)
    page.click(".panel:nth-child(3) button")
    assert shown(page) == "3 / 8"
    page.click("dialog [data-go='next']")
    assert shown(page) == "4 / 8"
    page.click("dialog [data-go='close']")
    assert shown(page) is None


def test_the_wipe_moves_by_key_and_opens_no_panel(page: Page, index: Path, tmp_path: Path) -> None:
    page.open(index, DESK, 1000)
    page.click(".wipe input")
    first = Image.open(page.screenshot(tmp_path / "a.png", whole=False))
    page.press("Home")
    assert page.value("document.querySelector('.wipe input').value") == "0"
    assert page.value("document.querySelector('.wipe').style.getPropertyValue('--at')") == "0"
    page.press("ArrowRight")
    assert page.value("document.querySelector('.wipe input').value") == "1" and shown(page) is None
    second = Image.open(page.screenshot(tmp_path / "b.png", whole=False))
    assert ImageChops.difference(first.convert("RGB"), second.convert("RGB")).getbbox() is not None


def test_a_strangers_words_do_nothing(page: Page, tmp_path: Path) -> None:
    evil = "</style></script><script>alert(1)</script><img src=https://evil.invalid/x onerror=alert(2)>'\"{{7*7}}"
    panels = [
        {"scene": evil, "prompt": f"{evil[:50].replace('{', '').replace('}', '')}猫 {n}", "seed": n} for n in range(8)
    ]
    job = make_run(tmp_path, chosen=story(title=evil, team=evil, panels=panels))
    pack(job)
    page.open(job.run.bundle / "index.html", PHONE)
    assert page.value("document.querySelector('h1').textContent") == evil
    assert page.value("document.scripts.length") == 1
    page.press("ArrowRight")
    assert page.value("document.querySelector('dialog .scene').textContent") == evil
