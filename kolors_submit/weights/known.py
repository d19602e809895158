"""The published weights that this program knows by name, and where they are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from kolors_submit.base_names import KOLORS as KOLORS
from kolors_submit.weights.base import WEIGHTS, choose_files
from kolors_submit.weights.digests import read_record

OFFICIAL_PREDICTOR = "aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE"
DINO = "dinov2-base"
CLIP = {"en": "clip-vit-large-patch14", "zh": "chinese-clip-vit-base-patch16"}
"""The CLIP model that reads prompts of a language."""

TAGGER = "wd-vit-tagger-v3"
CAPTIONER = "blip-image-captioning-base"

FOR_KOLORS = (KOLORS, OFFICIAL_PREDICTOR)
"""What a submission on Kolors cannot do without; the rest is for stories that ask for it."""

_HALF = re.compile(r"[.-]fp16[.-][^/]*$")


def weights_folder() -> Path:
    """Where fetched weights lie: $KOLORS_SUBMIT_WEIGHTS, or `weights` in the working folder."""
    return Path(os.environ.get("KOLORS_SUBMIT_WEIGHTS") or "weights")


@dataclass(frozen=True)
class Weights:
    """One published repository of weights: the files wanted of it, and what they weigh (about, in bytes).

    `revisions` pins a hub's revision, and `sha256` what files must be, where these are known beforehand.
    """

    name: str
    purpose: str
    modelscope: str
    huggingface: str
    patterns: tuple[str, ...]
    size: int
    revisions: Mapping[str, str] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the files are, once fetched."""
        return weights_folder() / self.name

    def is_here(self) -> bool:
        """Whether a fetch has finished and no file has gone since; reads no file's content."""
        record = read_record(self.folder)
        files = record["files"]
        return bool(record.get("complete")) and all((self.folder / name).is_file() for name in files)

    def choose(self, names: list[str]) -> list[str]:
        """The wanted files of a repository's listing; of weights in two precisions, those in half precision."""
        named = [name for name in names if name in self.patterns]
        found = choose_files(name for name in names if any(fnmatch(name, pattern) for pattern in self.patterns))
        wanted = sorted({*named, *found})
        halves = {PurePosixPath(name).parent for name in wanted if _HALF.search(name)}
        return [
            name
            for name in wanted
            if _HALF.search(name) or not name.endswith(WEIGHTS) or PurePosixPath(name).parent not in halves
        ]


KNOWN = {
    weights.name: weights
    for weights in (
        Weights(
            KOLORS,
            "the base that the contest asks for, in half precision, under Kwai's model licence",
            "Kwai-Kolors/Kolors",
            "Kwai-Kolors/Kolors",
            ("model_index.json", "unet/*", "vae/*", "text_encoder/*", "tokenizer/*", "scheduler/*"),
            17_800_000_000,
        ),
        Weights(
            OFFICIAL_PREDICTOR,
            "the aesthetics predictor that the contest scores with, and its CLIP processor",
            "AI-ModelScope/aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE",
            "shunk031/aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE",
            ("*.json", "*.txt", "model*.safetensors", "pytorch_model*.bin"),
            1_220_000_000,
        ),
        Weights(
            TAGGER,
            "tags for training pictures (captions: wd14)",
            "fireicewolf/wd-vit-tagger-v3",
            "SmilingWolf/wd-vit-tagger-v3",
            ("model.onnx", "selected_tags.csv"),
            379_000_000,
            {"huggingface": "790b0e92cefd2a0221451604e7831fe643ab7c4f"},
            {
                "model.onnx": "35f23693620b668f4d53fd3c62bf65e40af739bc52c7eb0fbc49258b58d065b6",
                "selected_tags.csv": "298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217",
            },
        ),
        Weights(
            CAPTIONER,
            "sentences for training pictures (captions: data-juicer)",
            "AI-ModelScope/blip-image-captioning-base",
            "Salesforce/blip-image-captioning-base",
            ("*.json", "*.txt", "model*.safetensors", "pytorch_model*.bin"),
            990_000_000,
            {"huggingface": "82a37760796d32b1411fe092ab5d4e227313294b"},
        ),
        Weights(
            DINO,
            "DINOv2, to see how well the panels belong together; without it the predictor's own CLIP tower does",
            "facebook/dinov2-base",
            "facebook/dinov2-base",
            ("*.json", "model*.safetensors", "pytorch_model*.bin"),
            346_000_000,
        ),
        Weights(
            CLIP["en"],
            "CLIP, to see how well a candidate agrees with an English prompt",
            "AI-ModelScope/clip-vit-large-patch14",
            "openai/clip-vit-large-patch14",
            ("*.json", "*.txt", "model*.safetensors", "pytorch_model*.bin"),
            1_710_000_000,
        ),
        Weights(
            CLIP["zh"],
            "Chinese-CLIP, the same for a Chinese prompt",
            "AI-ModelScope/chinese-clip-vit-base-patch16",
            "OFA-Sys/chinese-clip-vit-base-patch16",
            ("*.json", "*.txt", "model*.safetensors", "pytorch_model*.bin"),
            753_000_000,
        ),
    )
}
"""By name; `kolors-submit weights list` shows them."""
