"""Prompt agreement by tiny CLIP and Chinese-CLIP models that transformers' own classes write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from kolors_submit.errors import InputError
from kolors_submit.metrics.agreement import agreement
from tests.metrics.test_predictor import pictures

VISION = {"hidden_size": 32, "image_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "patch_size": 8}
TEXT = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}


def build_clip(folder: Path) -> Path:
    """A tiny random CLIP model with processor and tokenizer."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    from tests.tiny import _clip_vocabulary

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    text = TEXT | {"vocab_size": 54, "max_position_embeddings": 32, "eos_token_id": 53, "bos_token_id": 52}
    config = CLIPConfig(text_config=text, vision_config=VISION | {"num_hidden_layers": 2}, projection_dim=16)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, CLIPTokenizerFast(**_clip_vocabulary(folder))).save_pretrained(folder)
    return folder


def build_chinese_clip(folder: Path) -> Path:
    """A tiny random Chinese-CLIP model with processor and tokenizer."""
    from transformers import (
        BertTokenizerFast,
        ChineseCLIPConfig,
        ChineseCLIPImageProcessor,
        ChineseCLIPModel,
        ChineseCLIPProcessor,
    )

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"一个女孩在湖边画猫雨天的水彩，"]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    text = TEXT | {"vocab_size": len(words), "max_position_embeddings": 20}
    config = ChineseCLIPConfig(text_config=text, vision_config=VISION | {"num_hidden_layers": 2}, projection_dim=16)
    ChineseCLIPModel(config).save_pretrained(folder)
    images = ChineseCLIPImageProcessor(size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32})
    ChineseCLIPProcessor(images, BertTokenizerFast(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("build", [build_clip, build_chinese_clip])
def test_it_is_the_models_own_cosine(build: Any, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoProcessor

    folder, paths = build(tmp_path / "clip"), pictures(tmp_path)
    prompts = ["a girl", "一只猫在湖边", "rain", "水彩"]
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    expected = []
    for path, prompt in zip(paths, prompts, strict=True):
        inputs = processor(text=prompt, images=Image.open(path).convert("RGB"), return_tensors="pt")
        with torch.no_grad():
            seen = model(**inputs)
        expected.append(float((seen.image_embeds * seen.text_embeds).sum()))
    assert list(agreement(folder, paths, prompts)) == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 4) for value in expected}) == len(expected)


@pytest.mark.parametrize("build", [build_clip, build_chinese_clip])
def test_a_long_prompt_is_cut(build: Any, tmp_path: Path) -> None:
    folder, paths = build(tmp_path / "clip"), pictures(tmp_path)[:1]
    assert len(list(agreement(folder, paths, ["一个女孩在湖边画猫 a girl paints a cat " * 40]))) == 1


def test_what_is_no_whole_clip_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    paths = pictures(tmp_path)[:1]
    with pytest.raises(InputError, match="holds no CLIP model"):
        list(agreement(tmp_path / "absent", paths, ["a"]))
    with pytest.raises(InputError, match="reads no text"):
        list(agreement(tiny_base / "predictor", paths, ["a"]))
    folder = build_clip(tmp_path / "clip")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="weights missing"):
        list(agreement(folder, paths, ["a"]))
