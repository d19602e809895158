"""Data-Juicer's own captioning operator, in its closed process, with a BLIP small enough to build here."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from kolors_submit.data import prepare
from kolors_submit.data.blip import caption_pictures
from kolors_submit.data.filtering import Candidate
from kolors_submit.errors import OutsideError
from kolors_submit.files import read_json
from tests.data.jobs import NO_FILTERS, encoded, make_job, picture

WORDS = ("a", "cat", "girl", "with", "red", "hair", "by", "the", "lake")


def build_tiny_blip(folder: Path) -> Path:
    """A random BLIP with its processor and a vocabulary of some words."""
    import torch
    from transformers import BertTokenizerFast, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor
    from transformers.models.blip.configuration_blip import BlipConfig

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", *WORDS]))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), additional_special_tokens=["[DEC]"])
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(tokenizer), "encoder_hidden_size": 16, "bos_token_id": 4, "sep_token_id": 3}
    text |= {"eos_token_id": 3, "pad_token_id": 0, "max_position_embeddings": 256}
    config = BlipConfig(
        text_config=size | text, vision_config=size | {"image_size": 32, "patch_size": 16}, projection_dim=16
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_pictures_are_captioned_by_data_juicer_and_keep_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(encoded(picture(number)))
    (folder / "1.txt").write_text("mine")
    captions = {"by": "data-juicer", "model": str(build_tiny_blip(tmp_path / "blip")), "trigger": "ink"}
    job = make_job(tmp_path, source=str(folder), filters=NO_FILTERS, captions=captions)
    assert prepare(job) and not prepare(job)
    found = {entry["name"]: entry["caption"] for entry in read_json(job.run.data / "data.json")["pictures"]}
    assert found["1.png"] == "mine"
    for name in ("0.png", "2.png"):
        first, words = found[name].split(", ", 1)
        assert first == "ink" and set(words.split()) <= {*WORDS, "[UNK]"}, found
        assert (folder / name).with_suffix(".txt").read_text("utf-8") == found[name] + "\n"
    written = {path.name: path.read_bytes() for path in folder.glob("*.txt")}
    for name in ("0.txt", "2.txt"):
        (folder / name).unlink()
    assert prepare(job)
    assert {path.name: path.read_bytes() for path in folder.glob("*.txt")} == written, "sampled, but seeded"


@pytest.mark.slow
def test_a_model_that_is_none_is_an_error_that_shows_the_log(tmp_path: Path) -> None:
    (tmp_path / "work/pictures").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    path = tmp_path / "work/pictures/1"
    Image.new("RGB", (20, 20)).save(path, "PNG")
    asked = [Candidate(1, "1.png", "", path, "0")]
    with pytest.raises(OutsideError, match="Data-Juicer ended with status 1"):
        list(caption_pictures(tmp_path / "model", asked, tmp_path / "work", "cpu"))
