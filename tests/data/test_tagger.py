"""Tags by a real ONNX model made here; its list of tags is a stranger's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kolors_submit.data.filtering import Candidate
from kolors_submit.data.tagger import choose_tags, model_input, read_labels, tag_pictures
from kolors_submit.errors import InputError
from kolors_submit.story import TaggerCaptions
from tests.data.onnx_file import BLUE, GREEN, RED, SIDE, write_tagger

ROWS = (
    ("general", "9", (0.0, 0.0, 0.0), 9.0),
    ("blue_sky", "0", BLUE, 0.0),
    ("green_grass", "0", GREEN, 0.0),
    ("red_dress", "0", RED, 0.0),
    ("1girl", "0", (0.0, 0.0, 0.0), 3.0),
    ("^_^", "0", (0.0, 0.0, 0.0), 2.0),
    ("hatsune_miku", "4", (0.0, 0.0, 0.0), 1.5),
)
"""Rating, colours, what is always seen, and a character that is 0.82 likely."""


def picture(folder: Path, colour: str, size: tuple[int, int] = (20, 20), number: int = 1) -> Candidate:
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}.png"
    Image.new("RGB", size, colour).save(path)
    return Candidate(number, path.name, "", path, "0")


def tags(folder: Path, *pictures: Candidate, **settings: object) -> list[str]:
    made = TaggerCaptions.model_validate({"by": "wd14", **settings})
    return [text for _, text in tag_pictures(made, folder, pictures)]


def test_tags_above_their_threshold_the_likeliest_first(tmp_path):
    tagger = write_tagger(tmp_path / "tagger", ROWS)
    assert (tagger / "model.onnx").stat().st_size < 1000
    assert tags(tagger, picture(tmp_path, "red")) == ["red dress, 1girl, ^_^"]
    assert tags(tagger, picture(tmp_path, "red"), character_threshold=0.8) == ["hatsune miku, red dress, 1girl, ^_^"]
    assert tags(tagger, picture(tmp_path, "red"), threshold=0.9) == ["red dress, 1girl"]
    assert tags(tagger, picture(tmp_path, "red"), drop=["1Girl", "red_dress"]) == ["^_^"]
    assert tags(tagger, picture(tmp_path, "red"), max_tags=1) == ["red dress"]
    assert tags(tagger, picture(tmp_path, "black"), threshold=0.999) == [""]


def test_the_model_is_given_blue_first_and_would_tag_otherwise_the_other_way_round(tmp_path, monkeypatch):
    tagger = write_tagger(tmp_path / "tagger", ROWS)
    red, blue = picture(tmp_path, "red", number=1), picture(tmp_path, "blue", number=2)
    assert tags(tagger, red, blue, drop=["1girl", "^_^"]) == ["red dress", "blue sky"]
    monkeypatch.setattr(
        "kolors_submit.data.tagger.model_input", lambda image, side: model_input(image, side)[..., ::-1].copy()
    )
    assert tags(tagger, red, blue, drop=["1girl", "^_^"]) == ["blue sky", "red dress"]


def test_a_picture_is_padded_with_white_to_a_square_and_never_stretched():
    values = model_input(Image.new("RGB", (40, 20), (10, 20, 30)), SIDE)
    assert values.shape == (1, SIDE, SIDE, 3) and values.dtype == np.float32
    assert values[0, SIDE // 2, SIDE // 2].tolist() == [30, 20, 10]
    assert values[0, 0].min() == 255 and values[0, -1].min() == 255
    assert (values[0, :, 0] == values[0, :, -1]).all()


def test_ties_are_in_one_order(tmp_path):
    labels = read_labels(write_tagger(tmp_path, [(name, "0", RED, 0.0) for name in "bca"]) / "selected_tags.csv")
    assert choose_tags(labels, [0.5, 0.5, 0.5], TaggerCaptions(by="wd14")) == ["a", "b", "c"]
    assert choose_tags(labels, [float("nan"), 0.9, 0.1], TaggerCaptions(by="wd14")) == ["c"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "cannot be read"),
        (b"", "no columns name and category"),
        (b"tag_id,title\n1,cat\n", "no columns name and category"),
        (b"tag_id,name,category\n", "has 0 tags"),
        (b"name,category\n\xff\xfe,0\n", "not a list of tags"),
        (b"name,category\n\x1b[31mcat,0\n", "is not a tag"),
        (b'name,category\n"cat, {dog}",0\n', "is not a tag"),
        (b"name,category\n,0\n", "is not a tag"),
        (b"name,category\n" + b"x" * 300 + b",0\n", "is not a tag"),
        (b'name,category\n"cat,0\n', "not a list of tags"),
        (b"name,category\n" + b"cat,0\n" * 200_001, "200,001 tags"),
        (b"x" * 17 * 2**20, "too large"),
    ],
)
def test_a_list_of_tags_is_a_strangers_file(data, why, tmp_path):
    path = tmp_path / "selected_tags.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=why) as caught:
        read_labels(path)
    assert str(caught.value).isprintable()


def test_models_that_are_no_tagger(tmp_path):
    tagger = write_tagger(tmp_path / "tagger", ROWS)
    asked = picture(tmp_path, "red")
    whole = (tagger / "model.onnx").read_bytes()
    for damaged in (b"", b"not onnx", whole[: len(whole) // 2]):
        (tagger / "model.onnx").write_bytes(damaged)
        with pytest.raises(InputError, match="is not an ONNX model that can be run"):
            tags(tagger, asked)
    (tagger / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx"):
        tags(tagger, asked)
    write_tagger(tagger, ROWS, side=4096)
    with pytest.raises(InputError, match="does not take pictures as a WD tagger does"):
        tags(tagger, asked)
    write_tagger(tagger, ROWS)
    labels = (tagger / "selected_tags.csv").read_text().splitlines()
    (tagger / "selected_tags.csv").write_text("\n".join(labels[:-1]))
    with pytest.raises(InputError, match="6 tags in selected_tags.csv, and a model that answers"):
        tags(tagger, asked)
