"""Entries whose LoRA is trained again: from private pictures, from public ones, and from others than they say."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from kolors_submit import cli, submission
from kolors_submit.errors import InputError, RuleError
from kolors_submit.files import read_json
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request, reproduce
from kolors_submit.reproduce.retrain import data_differences, known_captions
from tests.bundle.spoil import edit_json, replace, rewrite
from tests.pipeline import story_values, write_story


def retrained(made) -> dict:
    return read_json(made.out / "reproduction.json")["retrained"]


def test_private_pictures_that_are_supplied_give_the_same_lora(made, capsys):
    words = ["reproduce", str(made.bundle), "--base", str(made.base), "--out", str(made.out), "--device", "cpu"]
    words += ["--sample", "1", "--retrain", "--data", str(made.pictures), "--json"]
    assert cli.run(words) == 0
    value = json.loads(capsys.readouterr().out)["metrics"]
    assert value["verdict"] == value["retrained"]["verdict"] == "identical"
    assert value["retrained"]["tensors"] == {}
    assert (made.out / "retrain/train/lora.safetensors").read_bytes() == next(
        path for path in (made.bundle / "lora").glob("*.safetensors") if "diffusers" not in path.stem
    ).read_bytes()


def test_private_pictures_that_are_not_supplied(made):
    replace(made.bundle, "story.yaml", str(made.pictures), "/etc")
    rewrite(made.bundle)
    with pytest.raises(RuleError, match="not retrainable: its training pictures are in a private folder"):
        made.reproduce(sample=1, retrain=True)
    value = read_json(made.out / "reproduction.json")
    assert value["verdict"] == "not retrainable" and value["pictures"] == "identical"
    assert not (made.out / "retrain").exists(), "a path that a stranger names is not read"


def one_pixel(pictures):
    with Image.open(pictures / "2.png") as picture:
        picture.putpixel((40, 40), (1, 2, 3))
        picture.save(pictures / "2.png")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (one_pixel, "picture 3 differs in prepared_sha256, sha256"),
        (lambda pictures: (pictures / "1.txt").write_text("a cat"), "picture 2 differs in caption"),
        (lambda pictures: (pictures / "3.png").unlink(), "it lists 4 pictures, there are 3 here"),
        (shutil.rmtree, "are not available"),
    ],
)
def test_other_pictures_than_those_of_data_json(made, tmp_path, change, said):
    pictures = shutil.copytree(made.pictures, tmp_path / "pictures")
    change(pictures)
    with pytest.raises(RuleError, match="not retrainable"):
        made.reproduce(sample=1, retrain=True, data=pictures)
    assert said in retrained(made)["reason"]
    assert not (made.out / "retrain/train").exists()


def test_a_lora_that_was_trained_otherwise_is_told_by_its_panels(made):
    replace(made.bundle, "story.yaml", "learning_rate: 0.05", "learning_rate: 0.5")
    edit_json(made.bundle, "train.json", lambda value: value["settings"].update(learning_rate=0.5))
    rewrite(made.bundle)
    with pytest.raises(RuleError, match="retraining: different"):
        made.reproduce(sample=2, retrain=True, data=made.pictures)
    value = read_json(made.out / "reproduction.json")
    assert (value["pictures"], value["valid"], value["verdict"]) == ("identical", True, "different")
    assert len(value["retrained"]["panels"]) == 2 and value["retrained"]["tensors"]


@pytest.mark.slow
def test_a_lora_that_differs_in_the_last_bits_is_equivalent(made):
    replace(made.bundle, "story.yaml", "learning_rate: 0.05", "learning_rate: 0.050001")
    edit_json(made.bundle, "train.json", lambda value: value["settings"].update(learning_rate=0.050001))
    rewrite(made.bundle)
    value = made.reproduce(sample=1, retrain=True, data=made.pictures)
    assert value["verdict"] == value["retrained"]["verdict"] == "equivalent"


@pytest.mark.slow
def test_a_training_that_does_not_end_well_is_different(made):
    replace(made.bundle, "story.yaml", "learning_rate: 0.05", "learning_rate: 0.99")
    replace(made.bundle, "story.yaml", "max_grad_norm: 1.0", "max_grad_norm: null")
    replace(made.bundle, "story.yaml", "optimizer: adamw", "optimizer: sgd")
    replace(made.bundle, "story.yaml", "alpha: 4.0", "alpha: 4000.0")
    with pytest.raises(RuleError, match="different"):
        made.reproduce(sample=1, retrain=True, data=made.pictures)
    assert retrained(made)["verdict"] == "different"


@pytest.mark.slow
def test_settings_that_only_the_entrant_looks_at_are_left_out(made):
    replace(made.bundle, "story.yaml", "  - tensorboard", "  - swanlab")
    replace(made.bundle, "story.yaml", "sample_every: null", "sample_every: 1")
    rewrite(made.bundle)
    value = made.reproduce(sample=1, retrain=True, data=made.pictures)
    assert value["retrained"]["verdict"] == "identical"
    assert {path.name for path in (made.out / "retrain/train").iterdir()} <= {
        "lora.safetensors", "lora.ckpt", "train.json", "metrics.csv", "checkpoints", "logs"
    }  # fmt: skip
    assert not list((made.out / "retrain/train").rglob("*.png"))


def with_a_captioner(made) -> None:
    """The entry as if a model had written its captions, and a person corrected them."""
    replace(made.bundle, "story.yaml", "captions: null", "captions: {by: vlm, trigger: my style}")
    rewrite(made.bundle)


def test_captions_are_those_of_data_json_and_no_captioner_is_asked(made, tmp_path, monkeypatch):
    """It would have spent the judge's key, written into the judge's folder, and could only have said something else."""
    monkeypatch.setattr("kolors_submit.data.captioning._ask", lambda *rest: pytest.fail("the captioner was asked"))
    with_a_captioner(made)
    pictures = shutil.copytree(made.pictures, tmp_path / "pictures", ignore=shutil.ignore_patterns("*.txt"))
    (pictures / "1.txt").write_text("what another model said")
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    value = made.reproduce(sample=1, retrain=True, data=pictures)
    assert value["retrained"]["verdict"] == "identical"
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before
    assert not list((made.out / "retrain").rglob("*.txt"))


def test_a_picture_that_data_json_leaves_out_is_not_described_either(made, monkeypatch):
    monkeypatch.setattr("kolors_submit.data.captioning._ask", lambda *rest: pytest.fail("the captioner was asked"))
    with_a_captioner(made)
    edit_json(made.bundle, "data.json", lambda value: value["pictures"].pop(1))
    rewrite(made.bundle)
    with pytest.raises(RuleError, match="not retrainable: the pictures are not those of data"):
        made.reproduce(sample=1, retrain=True, data=made.pictures)


SHA, OTHER = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("sha256", "caption"),
    [(OTHER, None), (OTHER, ["a"]), (OTHER, ""), (OTHER, "  "), (OTHER, "a\x1bb"), (OTHER, "a\nb"), (OTHER, "x" * 4001),
     ("../x", "a cat"), ([], "a cat"), (None, "a cat"), (SHA, "another")],
)  # fmt: skip
def test_captions_that_are_none_are_not_trained_on(sha256, caption):
    pictures = [{"sha256": SHA, "caption": "a dog"}, {"sha256": sha256, "caption": caption}]
    for claimed in (pictures, [pictures[0], caption]):
        with pytest.raises(InputError, match=r"picture 2 of data\.json has no single caption"):
            known_captions(claimed)


def test_captions_by_their_pictures():
    pictures = [{"sha256": SHA, "caption": "a dog"}, {"sha256": OTHER, "caption": "一只猫"}]
    assert known_captions([*pictures, pictures[0]]) == {SHA: "a dog", OTHER: "一只猫"}
    assert known_captions(None) == known_captions({"a": 1}) == {}


@pytest.mark.parametrize("claimed", [None, [], "x", [1, 2], [{"sha256": 5}], {"a": 1}])
def test_a_strangers_data_json_is_only_compared(claimed):
    assert data_differences(claimed, [{"sha256": "a", "caption": "b"}])


@pytest.mark.slow
def test_public_pictures_need_nothing_else(tiny_base, tmp_path):
    values = story_values(tmp_path)
    values["dataset"] = {"source": "picturebook:watercolor", "limit": 3, "size": 64}
    story = write_story(tmp_path / "story.yaml", values)
    job = submission.open_job(submission.Place(story, str(tiny_base), tmp_path / "runs", device="cpu"), quiet())
    submission.submission(job)
    request = Request(str(job.run.bundle), str(tiny_base), "cpu", sample=1, retrain=True, out=tmp_path / "out")
    assert reproduce(request, quiet())["retrained"]["verdict"] == "identical"
