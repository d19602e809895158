"""The judge's table: ranks, the jury's marks, and strangers' words in a page and in a spreadsheet."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from rich.console import Console

from kolors_submit.report import Reporter
from kolors_submit.reproduce import table as tables
from kolors_submit.reproduce.table import MARKS
from tests.browser import CHROMIUM, browser

FORMULAS = ("=HYPERLINK(0)", "+1", "-1", "@SUM(1)", "\t=1", "＝1", " =1", "\r\n=1")


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "table.csv").read_text("utf-8-sig"), newline="")))


def write_tables(folder: Path, results: list[dict]) -> str:
    """Write both tables; what is said meanwhile."""
    heard = Console(record=True, width=1000, file=io.StringIO())
    tables.write_tables(folder, results, Reporter(heard))
    return heard.export_text()


def result(source: str, /, **values) -> dict:
    described = {
        "status": "identical", "title": "Rain", "team": "us", "base": "kolors", "score": 6.5, "measured": True,
        "predictor": "p", "panels": {"identical": 8}, "problems": [], "source": source, "folder": f"entries/{source}",
    }  # fmt: skip
    return described | values


def test_ranks_follow_measured_scores(no_page, tmp_path):
    results = [
        result("boaster", score=9.9, measured=False),
        result("second", score=6.1),
        result("tied", score=6.7),
        result("also", score=6.7, status="equivalent"),
        result("broken", score=8.0, status="invalid"),
        result("other", score=8.0, status="not reproduced"),
        result("gone", score=None, status="fetch failed"),
    ]
    write_tables(tmp_path, results)
    rows = [(row["rank"], row["entry"]) for row in table(tmp_path)]
    assert rows == [
        ("1", "tied"), ("1", "also"), ("3", "second"), ("4", "boaster"), ("", "other"), ("", "broken"), ("", "gone")
    ]  # fmt: skip


def test_marks_that_the_jury_wrote_stay(tmp_path):
    names = [f"{name} (of {points})" for name, points in MARKS.items()]
    assert names == ["technique (of 40)", "coherence (of 30)", "effect (of 30)"]
    write_tables(tmp_path, [result("a"), result("=b")])
    assert all(row[name] == "" for row in table(tmp_path) for name in names)
    text = (tmp_path / "table.csv").read_text("utf-8-sig")
    head, first, *rest = text.splitlines()
    marked = first.removesuffix('"","",""') + '"31","22","=cmd()"'
    (tmp_path / "table.csv").write_text("\r\n".join([head, marked, *rest]), "utf-8-sig")
    write_tables(tmp_path, [result("new", score=7.0), result("=b"), result("a")])
    row = next(row for row in table(tmp_path) if row["entry"] == "a")
    assert [row[name] for name in names] == ["31", "22", "'=cmd()"]
    assert 'data-value="31">31</td>' in (tmp_path / "table.html").read_text("utf-8")


@pytest.fixture
def no_page(monkeypatch):
    """The CSV alone: a page's letters are cut from a font, which takes long."""
    monkeypatch.setattr(tables, "page_text", lambda *rest: "")


def marked(folder: Path) -> list[list[str]]:
    """The table with a mark for each entry, as a judge fills it in."""
    rows = list(csv.reader(io.StringIO((folder / "table.csv").read_text("utf-8-sig"), newline="")))
    return [rows[0], *([*row[:-3], str(number), "", ""] for number, row in enumerate(rows[1:], 31))]


def saved(rows: list[list[str]], encoding: str, delimiter: str, cut: bool = False) -> bytes:
    """As a spreadsheet saves it: only cells that need quotes have them, and some leave out blanks at a line's end."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([row[:-2] if cut and row[-1] == "" else row for row in rows])
    return text.getvalue().encode(encoding)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_marks_stay_however_a_spreadsheet_saves_them(no_page, tmp_path, encoding, delimiter, cut):
    results = [result("modelscope:a/一", title="雨, 天"), result("=b", title='"猫"; 狗'), result("'quoted")]
    write_tables(tmp_path, results)
    (tmp_path / "table.csv").write_bytes(saved(marked(tmp_path), encoding, delimiter, cut))
    assert write_tables(tmp_path, results) == ""
    assert [row["technique (of 40)"] for row in table(tmp_path)] == ["31", "32", "33"]
    assert {path.name for path in tmp_path.glob("table*")} == {"table.csv", "table.html"}


def test_a_table_that_cannot_be_read_is_kept_and_said_and_never_overwritten(no_page, tmp_path):
    kept = ["rank;entry\r\n1;é".encode("latin-1"), b"", b"\xff\xfe\x00", b'"rank","entry"\r\n']
    names = ["table.old.csv", "table.old-2.csv", "table.old-3.csv", "table.old-4.csv"]
    for data, name in zip(kept, names, strict=True):
        (tmp_path / "table.csv").write_bytes(data)
        said = write_tables(tmp_path, [result("a")])
        assert f"is kept as {name}: it cannot be read" in said and str(tmp_path / "table.csv") in said
    assert [(tmp_path / name).read_bytes() for name in names] == kept


def test_marks_of_entries_that_are_no_longer_listed_are_kept(no_page, tmp_path):
    write_tables(tmp_path, [result("a"), result("b")])
    rows = marked(tmp_path)
    (tmp_path / "table.csv").write_bytes(saved(rows, "utf-8-sig", ","))
    said = write_tables(tmp_path, [result("b")])
    assert "is kept as table.old.csv: it has marks for a, which" in said
    assert (tmp_path / "table.old.csv").read_bytes() == saved(rows, "utf-8-sig", ",")
    assert [row["technique (of 40)"] for row in table(tmp_path)] == ["32"]
    assert write_tables(tmp_path, [result("b")]) == "", "said once"


def hostile(words):
    """An entry for each of its texts, which is these words."""
    fields = ("title", "team", "base", "predictor", "source", "problems")
    return [result(f"a{n}", **{name: [words] if name == "problems" else words}) for n, name in enumerate(fields)]


def test_hostile_words_are_no_formula(no_page, tmp_path):
    write_tables(tmp_path, [one for words in FORMULAS for one in hostile(words)])
    rows = table(tmp_path)
    assert len(rows) == 6 * len(FORMULAS)
    for row in rows:
        assert all(cell == "" or cell.lstrip()[0] not in "=+-@＝＋－＠\t\r" for cell in row.values())
        assert all("\n" not in cell and "\r" not in cell for cell in row.values())


class Tags(HTMLParser):
    """Every tag, attribute and script of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        if self.tags[-1:] == ["script"] and data.strip():
            self.scripts.append(data)


MARKUP = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "\u202eeman\x1b[2J")


def test_hostile_words_are_no_mark_up(tmp_path):
    write_tables(tmp_path, [one for words in MARKUP for one in hostile(words)])
    page = (tmp_path / "table.html").read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert not set(tags.tags) & {"img", "iframe", "svg"} and tags.tags.count("script") == 1
    assert tags.scripts == [files("kolors_submit.reproduce").joinpath("templates/table.js").read_text("utf-8")]
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("style", "src")]
    assert "default-src 'none'" in page and ">49<" not in page
    assert "\u202e" not in page and "\x1b" not in page


def test_which_panels_were_drawn_stands_there(no_page, tmp_path):
    results = [
        result("some", panels={"identical": 2}, rendered=[3, 7], of=8),
        result("one", panels={"identical": 1}, rendered=[3], of=8),
        result("all", rendered=list(range(1, 9)), of=8),
        result("none", status="fetch failed", panels={}),
    ]
    write_tables(tmp_path, results)
    assert {row["entry"]: row["panels"] for row in table(tmp_path)} == {
        "some": "2 identical (panels 3, 7 of 8)", "one": "1 identical (panel 3 of 8)", "all": "8 identical", "none": ""
    }  # fmt: skip


def test_scores_that_are_not_to_be_compared_are_told_apart(tmp_path):
    warning = "so they cannot all be compared"
    write_tables(tmp_path, [result("a"), result("b", status="invalid", predictor="q", measured=False)])
    assert warning not in (tmp_path / "table.html").read_text("utf-8")
    for other in ({"predictor": "q"}, {"measured": False}):
        write_tables(tmp_path, [result("a"), result("b", **other)])
        assert warning in (tmp_path / "table.html").read_text("utf-8")


KINDS = [
    result("modelscope:a/一", title="春江花月夜：很长的标题" * 6, team="江南水墨队", score=6.9, status="equivalent"),
    result("modelscope:b/二", title="小狐狸的信", score=6.4, rendered=[2, 5], of=8),
    result("modelscope:c/三", title="<b>third</b>", score=9.9, measured=False),
    result("modelscope:d/四", status="not reproduced", panels={"different": 8}, problems=["panel 2 is different"] * 9),
    result("/data/" + "x" * 200, status="invalid", score=None, panels={}, measured=False, problems=["archive: 坏"]),
    result("modelscope:e/五", status="fetch failed", title=None, team=None, score=None, panels={}, measured=False),
    result("modelscope:f/六", status="failed here", title=None, score=None, panels={}, problems=["KeyError: 'x'"]),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed here (Debian, Ubuntu: apt install chromium)")
def test_the_page_in_a_browser(tmp_path):
    """Fits two widths in light and dark, shows hanzi without a font of the system, sorts, and makes no complaint."""
    write_tables(tmp_path, KINDS)
    outside = "(({left, right}) => left < -1 || right > innerWidth + 1)(one.getBoundingClientRect())"
    entries = "[...document.querySelectorAll('#reproduced .source')].map((one) => one.textContent.at(-1)).join('')"
    with browser(tmp_path / "profile") as page:
        for width in (390, 1280):
            for dark in (False, True):
                page.open(tmp_path / "table.html", width, dark=dark)
                assert page.value("document.documentElement.scrollWidth") == width
                assert page.value(f"[...document.querySelectorAll('main *')].filter((one) => {outside}).length") == 0
        assert page.value("document.fonts.check('16px \"Story Hanzi\"', '春江花月夜')")
        assert page.value(entries) == "一二三", "ranked"
        for column, expected in (("Score", "三一二"), ("Score", "二一三"), ("Rank", "一二三"), ("Rank", "三二一")):
            buttons = "[...document.querySelectorAll('#reproduced th button')]"
            page.value(f"{buttons}.find((one) => one.textContent === '{column}').click()")
            assert page.value(entries) == expected, column
        assert page.value("document.querySelectorAll('#reproduced [aria-sort]').length") == 1
        assert page.named("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") == []
