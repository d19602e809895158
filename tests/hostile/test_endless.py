"""Words without a blank or an end, in every place where a stranger's are searched: bounded time, whatever is found."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable

import pytest

from kolors_submit.bundle import manifest, rules_pages
from kolors_submit.bundle.opened import Opened, open_values
from kolors_submit.errors import InputError
from kolors_submit.importing import readme, tables
from kolors_submit.story import load_story
from tests.bundle.conftest import packed  # noqa: F401 - a fixture

SECONDS = 10.0
"""Of the processor. Each of these took minutes, or would have taken days, where text was gone through from every place.
"""

SIZE = 400_000
UNITS = ("x", "猫", "-", "_", "](<)", "](", "](<", "<img ", "[a]: ", "![", "|", "&#", "`", "*", "prompt='", "第一",
         "]: ", "> [a]: ", "\\", "[a\\]", "[a]:", "](https://x ", ">", "- [", "]:>")  # fmt: skip
TAGS = ("<", "<a ", "<a b=c ", '<a x="', "<p a='>", "<!--", "<?", "</", "<![CDATA[", "<script>", "<p>", "<title>", "&")


def within_bounds(look: Callable[[], object]) -> None:
    """It comes to an end, or to one of our errors, in time."""
    start = time.process_time()
    with contextlib.suppress(InputError):
        look()
    assert time.process_time() - start < SECONDS


@pytest.fixture(scope="module")
def opened(packed, tmp_path_factory) -> Opened:
    """A bundle whose files may be written over."""
    folder = shutil.copytree(packed, tmp_path_factory.mktemp("endless") / "bundle")
    return open_values(folder, manifest.files_below(folder))[0]


def endless(unit: str) -> str:
    return unit * (SIZE // len(unit))


@pytest.mark.parametrize("unit", UNITS)
def test_endless_words_in_a_card_and_a_post(packed, opened, unit):
    for name, rule in (("README.md", rules_pages.card), ("post.md", rules_pages.post)):
        (opened.folder / name).write_text((packed / name).read_text("utf-8") + endless(unit), "utf-8")
        within_bounds(lambda rule=rule: list(rule(opened)))


@pytest.mark.parametrize("unit", TAGS)
def test_endless_tags_in_a_page_before_its_script_and_after_it(packed, opened, unit):
    text = (packed / "index.html").read_text("utf-8")
    for place in ("</main>", "</body>"):
        assert place in text
        (opened.folder / "index.html").write_text(text.replace(place, endless(unit) + place, 1), "utf-8")
        within_bounds(lambda: list(rules_pages.page(opened)))


@pytest.mark.parametrize("field", ["scene", "prompt"])
def test_endless_words_in_a_story(packed, tmp_path, field):
    lines = (packed / "story.yaml").read_text("utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip(" -").startswith(f"{field}:"))
    start, _, _ = lines[at].partition(f"{field}:")
    for length in (10_000, 900_000):
        lines[at] = f"{start}{field}: {'x' * length}"
        (tmp_path / "story.yaml").write_text("\n".join(lines) + "\n", "utf-8")
        within_bounds(lambda: load_story(tmp_path / "story.yaml"))


@pytest.mark.parametrize("unit", UNITS)
def test_endless_words_in_an_old_entry(unit):
    words = endless(unit)
    texts = (words, f"|a|\n|{words}x\n", f"|prompt|\n|--|\n|{words}|\n", f"# {words}\nprompt: {words}\n")
    for read in (readme.text_rows, readme.code_rows, readme.settings, tables.csv_rows, tables.markdown_rows):
        for text in texts:
            within_bounds(lambda read=read, text=text: read(text, "README.md"))
