"""The published weights that this program knows by name, and where they are kept."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from kolors_submit.weights.base import WEIGHTS, choose_files
from kolors_submit.weights.digests import read_record

KOLORS = "kolors"
SAFE_VAE = "sdxl-vae-fp16-fix"
OFFICIAL_PREDICTOR = "aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE"

FOR_KOLORS = (KOLORS, OFFICIAL_PREDICTOR)
"""What a submission on Kolors cannot do without."""

_HALF = re.compile(r"[.-]fp16[.-][^/]*$")


def weights_folder() -> Path:
    """Where fetched weights lie: $KOLORS_SUBMIT_WEIGHTS, or `weights` in the working folder."""
    return Path(os.environ.get("KOLORS_SUBMIT_WEIGHTS") or "weights")


@dataclass(frozen=True)
class Weights:
    """One published repository of weights: the files wanted of it, and what they weigh (about, in bytes)."""

    name: str
    purpose: str
    modelscope: str
    huggingface: str
    patterns: tuple[str, ...]
    size: int

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
        wanted = choose_files(name for name in names if any(fnmatch(name, pattern) for pattern in self.patterns))
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
            SAFE_VAE,
            "SDXL's VAE with finite values in half precision, for training",
            "AI-ModelScope/sdxl-vae-fp16-fix",
            "madebyollin/sdxl-vae-fp16-fix",
            ("config.json", "diffusion_pytorch_model*"),
            335_000_000,
        ),
        Weights(
            OFFICIAL_PREDICTOR,
            "the aesthetics predictor that the contest scores with, and its CLIP processor",
            "AI-ModelScope/aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE",
            "shunk031/aesthetics-predictor-v2-sac-logos-ava1-l14-linearMSE",
            ("*.json", "*.txt", "model*.safetensors", "pytorch_model*.bin"),
            1_220_000_000,
        ),
    )
}
"""By name; `kolors-submit weights list` shows them."""
