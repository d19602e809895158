"""A folder of pictures: captions from three places, odd names, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kolors_submit.data import account
from kolors_submit.data.dataset import prepare, read_prepared
from kolors_submit.data.folder import digests, read_folder
from kolors_submit.errors import InputError
from kolors_submit.files import read_json
from tests.data.jobs import NO_FILTERS, encoded, make_job, picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


def add(folder: Path, name: str, seed: int = 0, text: str | None = None) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed)))
    if text is not None:
        path.with_suffix(".txt").write_text(text, "utf-8")


def prepared(tmp_path: Path, folder: Path, **dataset: object) -> tuple[dict[str, str], dict[str, str]]:
    """Prepare a folder without filters: caption of each kept picture, and why each of the others failed."""
    job = make_job(tmp_path, source=str(folder), filters=NO_FILTERS, **dataset)
    prepare(job)
    report = read_json(job.run.data / "report.json")
    kept = {entry["name"]: entry["caption"] for entry in read_json(job.run.data / "data.json")["pictures"]}
    assert [picture.caption for picture in read_prepared(job.run.data)] == list(kept.values())
    failed = {name: why for name, _, why in account.left_out(report)}
    assert len(kept) + len(failed) == report["counts"]["all"]
    return kept, failed


def test_captions_from_sidecars(tmp_path: Path, folder: Path) -> None:
    add(folder, "b.png", 1, "第二张\n")
    add(folder, "a.png", 2, "\ufeffthe first")
    add(folder, "deep/er/c.PNG", 3, "the third")
    assert prepared(tmp_path, folder) == ({"a.png": "the first", "b.png": "第二张", "deep/er/c.PNG": "the third"}, {})


def test_captions_from_metadata_csv(tmp_path: Path, folder: Path) -> None:
    add(folder, "a.png", 1)
    add(folder, "sub/b.png", 2)
    (folder / "metadata.csv").write_text('file_name,text,kind\na.png,"a, ""quoted"" cat",cat\nsub/b.png,a dog,dog\n')
    assert prepared(tmp_path, folder)[0] == {"a.png": 'a, "quoted" cat', "sub/b.png": "a dog"}
    assert prepared(tmp_path, folder, captions="{kind} in ink")[0] == {"a.png": "cat in ink", "sub/b.png": "dog in ink"}


def test_captions_from_metadata_jsonl_and_a_fixed_caption(tmp_path: Path, folder: Path) -> None:
    add(folder, "a.png", 1)
    add(folder, "b.png", 2)
    rows = [
        {"file_name": "a.png", "caption": "一只猫", "year": 1999},
        {"file_name": "b.png", "caption": "b", "year": 2001},
    ]
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    assert prepared(tmp_path, folder)[0] == {"a.png": "一只猫", "b.png": "b"}
    dated = prepared(tmp_path, folder, captions="{caption} of {year}")[0]
    assert dated == {"a.png": "一只猫 of 1999", "b.png": "b of 2001"}
    assert prepared(tmp_path, folder, captions="二次元")[0] == {"a.png": "二次元", "b.png": "二次元"}


def test_bad_files_are_listed_and_never_stop_the_run(tmp_path: Path, folder: Path) -> None:
    add(folder, "good.png", 1, "good")
    for name, data, text in (
        ("0-bytes.png", b"", b"x"),
        ("truncated.jpg", encoded(picture(2), "JPEG")[:-300], b"x"),
        ("corrupt.png", b"\x89PNG\r\n\x1a\nnothing", b"x"),
        ("no-caption.png", encoded(picture(3)), None),
        ("empty-caption.png", encoded(picture(4)), b""),
        ("gbk-caption.png", encoded(picture(5)), "水彩".encode("gbk")),
        ("huge-caption.png", encoded(picture(6)), b"x" * 100_000),
        ("long-caption.png", encoded(picture(6)), b"x" * 5_000),
    ):
        (folder / name).write_bytes(data)
        if text is not None:
            (folder / name).with_suffix(".txt").write_bytes(text)
    (folder / "directory.png").mkdir()
    outside = tmp_path / "outside.png"
    outside.write_bytes(encoded(picture(7)))
    (folder / "link.png").symlink_to(outside)
    (folder / "dead.png").symlink_to("nowhere.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "secret.png").write_bytes(encoded(picture(8)))
    (tmp_path / "secret.txt").write_text("not for you")
    (folder / "secret.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "notes.md").write_text("ignored")

    kept, failed = prepared(tmp_path, folder)
    assert kept == {"good.png": "good"}
    expected = {
        "0-bytes.png": "0 bytes",
        "truncated.jpg": "truncated",
        "corrupt.png": "no picture",
        "no-caption.png": "no caption",
        "empty-caption.png": "empty caption",
        "gbk-caption.png": "not UTF-8",
        "huge-caption.png": "100,000 bytes",
        "long-caption.png": "5,000 characters",
        "link.png": "leads out",
        "dead.png": "leads out",
        "circle.png": "leads out",
        "secret.png": "link out of the folder",
    }
    assert failed.keys() == expected.keys()
    for name, why in expected.items():
        assert why in failed[name], name


def test_links_to_folders_are_not_followed(tmp_path: Path, folder: Path) -> None:
    add(folder, "a.png", 1, "a")
    add(tmp_path / "elsewhere", "b.png", 2, "b")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    assert prepared(tmp_path, folder)[0] == {"a.png": "a"}


def test_odd_names_and_names_that_differ_only_in_case(tmp_path: Path, folder: Path) -> None:
    plain = ("-rf.png", "a b.png", "A.png", "a.png", 'q"u,o;te.png', "画😀.png")
    names = (*plain, "[bold]x.png", "new\nline.png", "esc\x1b[31m.png")
    for seed, name in enumerate(names):
        add(folder, name, seed, f"number {seed}")
    raw = os.fsencode(folder) + b"/\xff\xfe.png"
    Path(os.fsdecode(raw)).write_bytes(encoded(picture(99)))
    Path(os.fsdecode(raw)).with_suffix(".txt").write_text("undecodable")
    kept, failed = prepared(tmp_path, folder)
    assert failed == {} and len(kept) == len(names) + 1
    assert kept["A.png"] != kept["a.png"] and "new\\nline.png" in kept and "\\xff\\xfe.png" in kept
    assert all(name.isprintable() for name in kept)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no pictures"),
        ({"metadata.csv": b"\xff\xfe"}, "not UTF-8"),
        ({"metadata.csv": b"file_name,text\n../up.png,x\n"}, "not a path inside"),
        ({"metadata.csv": b"file_name,text\n/etc/passwd,x\n"}, "not a path inside"),
        ({"metadata.csv": b"name,text\na.png,x\n"}, "file_name"),
        ({"metadata.csv": b'file_name,text\n"a.png,x\n'}, "unexpected end"),
        ({"metadata.jsonl": b"{}\n"}, "file_name"),
        ({"metadata.jsonl": b"[" * 100_000}, "line 1 is not JSON"),
        ({"metadata.jsonl": b"1\n"}, "not a JSON object"),
        ({"metadata.jsonl": b"", "metadata.csv": b""}, "keep one"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, folder: Path, files: dict[str, bytes], why: str) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with pytest.raises(InputError, match=why):
        prepared(tmp_path, folder)


def test_a_folder_that_is_not_there_and_a_file_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder here"):
        prepared(tmp_path, tmp_path / "missing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        prepared(tmp_path, tmp_path / "file")
    with pytest.raises(InputError, match="is not a folder here"):
        prepared(tmp_path, Path("~nobody-of-this-name/pictures"))


def test_a_picture_that_only_the_metadata_knows_is_listed(tmp_path: Path, folder: Path) -> None:
    add(folder, "a.png", 1)
    (folder / "metadata.csv").write_text("file_name,text\na.png,x\nlost.png,y\n")
    kept, failed = prepared(tmp_path, folder)
    assert list(kept) == ["a.png"] and "no such picture" in failed["lost.png"]


def test_every_file_that_matters_is_in_the_fingerprint(folder: Path) -> None:
    add(folder, "a.png", 1, "a")
    (folder / "notes.md").write_text("1")
    before = digests(folder)
    assert before.keys() == {"a.png", "a.txt"}
    (folder / "notes.md").write_text("2")
    assert digests(folder) == before
    (folder / "a.txt").write_text("b")
    assert {name for name, sha in digests(folder).items() if before[name] != sha} == {"a.txt"}


def test_pictures_are_read_only_when_they_are_asked_for(folder: Path) -> None:
    add(folder, "a.png", 1, "a")
    (sample,) = read_folder(folder)
    (folder / "a.png").write_bytes(b"changed")
    assert sample.read() == b"changed"
