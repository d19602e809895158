"""The data stage on real Data-Juicer: every picture accounted for, and done only once."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from kolors_submit.data import prepare
from kolors_submit.data.dataset import read_prepared
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest, read_json
from kolors_submit.report import Reporter
from kolors_submit.weights import open_base
from tests.data.jobs import NO_FILTERS, encoded, make_job, picture

FILTERS = {"shape": {"min_width": 64, "min_height": 64}, "aspect_ratio": {"min_ratio": 0.5, "max_ratio": 2.0}}


def odd_folder(folder: Path) -> dict[str, str]:
    """Pictures of every fate; name -> what must become of it."""
    folder.mkdir()
    same, turned = encoded(picture(1)), Image.Exif()
    turned[0x0112] = 6
    retouched = picture(2)
    retouched.putpixel((5, 5), (0, 0, 0))
    files = {
        "01-first.png": (same, "kept"),
        "02-second.png": (encoded(picture(2)), "kept"),
        "03-again.png": (same, "document_deduplicator"),
        "04-second-again.png": (encoded(retouched), "image_deduplicator"),
        "05-small.png": (encoded(picture(3, (63, 90))), "image_shape_filter"),
        "06-wide.png": (encoded(picture(4, (300, 100))), "image_aspect_ratio_filter"),
        "07-turned-to-wide.jpg": (encoded(picture(5, (64, 200)), "JPEG", exif=turned), "image_aspect_ratio_filter"),
        "08-truncated.png": (same[:-100], "picture"),
        "09-empty.png": (b"", "picture"),
        "10-grey.png": (encoded(picture(6, mode="L")), "kept"),
        "11-cmyk.jpg": (encoded(picture(7, mode="CMYK"), "JPEG"), "kept"),
        "12-palette.png": (encoded(picture(8).quantize(16)), "kept"),
        "13-transparent.png": (encoded(picture(9, mode="RGBA")), "kept"),
        "14-no-caption.png": (encoded(picture(10)), "caption"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
        if name != "14-no-caption.png":
            (folder / name).with_suffix(".txt").write_text(f"caption of {name}", "utf-8")
    return {name: fate for name, (_, fate) in files.items()}


def fates(report: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: "kept" if row["result"] == "kept" else row["by"] for row in report["pictures"]}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_picture_is_accounted_for_and_the_stage_is_done_once(tmp_path: Path) -> None:
    expected = odd_folder(tmp_path / "pictures")
    said = io.StringIO()
    reporter = Reporter(Console(file=said, width=140))
    job = make_job(tmp_path, report=reporter, source=str(tmp_path / "pictures"), filters=FILTERS)
    assert prepare(job)
    data = job.run.data
    report = read_json(data / "report.json")
    assert fates(report) == expected
    values = {row["name"]: row.get("value") for row in report["pictures"]}
    assert values["03-again.png"] == "same file as 01-first.png"
    assert values["04-second-again.png"] == "looks like 02-second.png"
    assert values["05-small.png"] == "63x90" and values["06-wide.png"] == 3.0
    assert values["07-turned-to-wide.jpg"] == 3.125
    left = [(step["step"], step["left"]) for step in report["steps"]]
    assert left == [
        ("source", 14),
        ("readable", 11),
        ("image_shape_filter", 10),
        ("image_aspect_ratio_filter", 8),
        ("document_deduplicator", 7),
        ("image_deduplicator", 6),
    ]
    assert report["counts"] == {"all": 14, "kept": 6, "dropped": 5, "failed": 3}
    for text in ("image_deduplicator", "05-small.png", "63x90", "looks like 02-second.png"):
        assert text in said.getvalue()

    _outputs_agree(job.run.folder, tmp_path / "pictures")
    assert not (job.run.cache / "data").exists()
    before = bytes_below(data)
    assert not any(str(tmp_path).encode() in content for content in before.values())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a finished stage started a process"))
        assert not prepare(job)
    shutil.rmtree(job.run.folder)
    assert prepare(job) and bytes_below(data) == before


def _outputs_agree(run: Path, originals: Path) -> None:
    """metadata.csv, data.json and the pictures tell the same."""
    data = run / "data"
    entries = read_json(data / "data.json")["pictures"]
    rows = list(csv.DictReader((data / "metadata.csv").open(encoding="utf-8", newline="")))
    pictures = read_prepared(data)
    assert len(rows) == len(entries) == len(pictures) == len(list((data / "images").iterdir()))
    for entry, row, one in zip(entries, rows, pictures, strict=True):
        assert entry["sha256"] == file_digest(originals / entry["name"])
        assert entry["prepared_sha256"] == one.sha256 == file_digest(data / entry["file"])
        assert (one.path, one.caption) == (data / row["file_name"], row["text"])
        with Image.open(one.path) as image:
            assert (image.mode, image.size, image.format) == ("RGB", (one.width, one.height), "PNG")
            assert not image.info
        side = min(one.original_width, one.original_height)
        assert one.crop_right - one.crop_left == one.crop_bottom - one.crop_top == side


def test_metadata_csv_is_a_picture_folder_for_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(picture(1)))
    job = make_job(tmp_path, source=str(folder), captions="一只猫, “quoted”", filters=NO_FILTERS)
    prepare(job)
    cache = str(tmp_path / "cache")
    (row,) = datasets.load_dataset("imagefolder", data_dir=str(job.run.data), split="train", cache_dir=cache)
    assert row["text"] == "一只猫, “quoted”" and row["image"].size == (64, 64)


def test_what_changed_is_done_again_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
        (folder / f"{number}.txt").write_text(f"caption {number}")

    def again(**dataset: Any) -> bool:
        return prepare(make_job(tmp_path, source=str(folder), filters=NO_FILTERS, **dataset))

    assert again() and not again()
    (folder / "0.txt").write_text("another caption")
    assert again() and not again()
    (folder / "1.png").write_bytes(encoded(picture(9)))
    assert again() and not again()
    (folder / "1.png").unlink()
    assert again() and len(read_prepared(tmp_path / "run/data")) == 1
    assert [path.name for path in (tmp_path / "run/data/images").iterdir()] == ["0001.png"]
    assert again(resize="bucket") and not again(resize="bucket")
    next((tmp_path / "run/data/images").iterdir()).write_bytes(b"edited by hand")
    assert again(resize="bucket") and not again(resize="bucket")
    (tmp_path / "run/data/images/0001.png").unlink()
    assert again(resize="bucket")


def test_nothing_left_is_an_error_that_shows_the_report(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    job = make_job(tmp_path, source=str(folder), captions="x", filters={"shape": {"min_width": 500, "min_height": 1}})
    with pytest.raises(InputError) as error:
        prepare(job)
    for text in ("no picture of", "image_shape_filter: 0 left", "0.png, 1.png, 2.png: image_shape_filter: 96x80"):
        assert text in str(error.value)
    assert read_json(job.run.data / "report.json")["counts"] == {"all": 3, "kept": 0, "dropped": 3, "failed": 0}
    with pytest.raises(InputError, match="run `kolors-submit data` first"):
        read_prepared(job.run.data)


@pytest.mark.parametrize(
    ("captions", "texts", "advice"),
    [
        (None, [], "write NAME.txt beside each picture, or set dataset.captions to wd14, vlm or data-juicer"),
        ("{prompt}, ink", [], "write NAME.txt beside each picture and {text} in dataset.captions, or set dataset.capt"),
        ("{prompt}, ink", [0, 1], "the pictures' own captions are in {text}: write that in dataset.captions"),
    ],
)
def test_without_captions_the_advice_is_about_captions(
    tmp_path: Path, captions: str | None, texts: list[int], advice: str
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    for number in texts:
        (folder / f"{number}.txt").write_text("a cat")
    with pytest.raises(InputError) as error:
        prepare(make_job(tmp_path, source=str(folder), captions=captions, filters=NO_FILTERS))
    first = str(error.value).splitlines()[0]
    assert f"pictures is left; {advice}" in first and "loosen" not in first


def test_every_cause_has_its_advice_the_commonest_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
        (folder / f"{number}.txt").write_text("a cat")
    (folder / "broken.png").write_bytes(b"x")
    (folder / "broken.txt").write_text("a cat")
    filters = NO_FILTERS | {"shape": {"min_width": 500, "min_height": 1}}
    with pytest.raises(InputError, match="is left; loosen dataset.filters; fix the pictures that cannot be read:"):
        prepare(make_job(tmp_path, source=str(folder), filters=filters))
    (folder / "0.txt").unlink()
    assert prepare(make_job(tmp_path, report=Reporter(), source=str(folder), filters=NO_FILTERS))
    assert "1 of 4 pictures are left out for want of a caption; write NAME.txt beside" in capsys.readouterr().err


def test_a_refusal_says_each_reason_once_with_some_names(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    with pytest.raises(InputError) as caught:
        prepare(make_job(tmp_path, source=str(folder), filters=NO_FILTERS))
    assert str(caught.value).splitlines()[-1] == "  0.png, 1.png, 2.png and 2 more: caption: has no caption"


def test_pictures_that_are_blurred_by_their_enlargement_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, side in (("large", 96), ("thumb", 20)):
        (folder / f"{name}.png").write_bytes(encoded(picture(side, (side, side))))
    assert prepare(make_job(tmp_path, report=Reporter(), source=str(folder), captions="x", filters=NO_FILTERS))
    said = capsys.readouterr().err
    assert "note: 1 of 2 pictures are blurred, for they are enlarged to 64 (thumb.png 20x20); dataset.filters" in said


def test_a_relative_source_is_beside_the_story_or_else_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stories").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def prepared() -> list[str]:
        job = make_job(tmp_path, report=Reporter(), source="mine", captions="x", filters=NO_FILTERS)
        prepare(dataclasses.replace(job, story_file=Path("../stories/story.yaml")))
        return [row["name"] for row in read_json(job.run.data / "data.json")["pictures"]]

    with pytest.raises(InputError, match=r"mine is not a folder here \(looked in ../stories and in the working folder"):
        prepared()
    for number, folder in enumerate((tmp_path / "here/mine", tmp_path / "stories/mine")):
        folder.mkdir()
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
        assert prepared() == [f"{number}.png"]
        assert f"pictures from {folder}" in capsys.readouterr().err
    assert str(tmp_path) not in (tmp_path / "run/stages/data.json").read_text(), "moved together, nothing is done again"


def test_the_aesthetics_filter_asks_the_bases_own_predictor(tmp_path: Path, tiny_base: Path) -> None:
    from kolors_submit.metrics.predictor import score_pictures

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    base = open_base(tiny_base, "tiny")
    assert base.predictor is not None
    scores = list(score_pictures(base.predictor, [folder / f"{number}.png" for number in range(4)]))
    limit = sorted(scores)[1] + (sorted(scores)[2] - sorted(scores)[1]) / 2
    filters = NO_FILTERS | {"aesthetics": {"min_score": limit}}
    job = make_job(tmp_path, base=base, source=str(folder), captions="x", filters=filters)
    assert prepare(job) and not prepare(job)
    rows = read_json(job.run.data / "report.json")["pictures"]
    assert [row["result"] for row in rows] == ["kept" if score > limit else "dropped" for score in scores]
    assert [row["values"]["image_aesthetics_filter"] for row in rows] == pytest.approx(scores, abs=1e-3)
    assert str(tiny_base) not in (job.run.data / "recipe.yaml").read_text()


def test_a_picturebook_style_becomes_a_dataset(tmp_path: Path) -> None:
    job = make_job(tmp_path, source="picturebook:watercolor", limit=3, size=64, filters=NO_FILTERS)
    assert prepare(job) and not prepare(job)
    entries = read_json(job.run.data / "data.json")["pictures"]
    assert [entry["name"] for entry in entries] == [f"watercolor-{number:02d}.png" for number in (1, 2, 3)]
    assert all(entry["caption"].endswith("，水彩画风格") for entry in entries)
    with pytest.raises(InputError, match="choose one of plain, watercolor"):
        prepare(make_job(tmp_path, source="picturebook:oil", filters=NO_FILTERS))


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "torch", "datasets", "data_juicer", "modelscope", "PIL", "numpy"
    code = f"import sys, kolors_submit.data as d; d.prepare; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert ran.stdout.strip() == "[]"
