"""Writes the base folder: half-precision safetensors in diffusers' layout, configs, tokenizer, digests, model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kolors_submit.engine.conversion import unet_to_diffusers, vae_to_diffusers
from kolors_submit.files import file_digest, write_json
from kolors_submit.picturebook.pretrain import predictor, settings
from kolors_submit.picturebook.pretrain.dataset import CAPTIONS, open_set
from kolors_submit.picturebook.pretrain.loop import Run, Training, device
from kolors_submit.picturebook.pretrain.sampling import Base
from kolors_submit.picturebook.pretrain.text import tokenizer_folder

if TYPE_CHECKING:
    from aesthetics_predictor import AestheticsPredictorV2Linear

BUDGET_MB = 40.0

MODEL_INDEX: dict[str, Any] = {
    "_class_name": "KolorsPipeline",
    "_diffusers_version": "0.39.0",
    "feature_extractor": [None, None],
    "force_zeros_for_empty_prompt": False,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["kolors", "ChatGLMModel"],
    "tokenizer": ["kolors", "ChatGLMTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export(run: Run, base: Base) -> Path:
    """Write `base/` under the run's folder; ValueError if it is larger than the package may hold."""
    folder, unet, vae = run.out / "base", run.sizes.unet, run.sizes.vae
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        (folder / part).mkdir(parents=True)
    write_json(folder / "model_index.json", MODEL_INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", settings.SCHEDULER)
    write_json(folder / "unet" / "config.json", unet)
    write_json(folder / "text_encoder" / "config.json", run.sizes.text)
    write_json(folder / "vae" / "config.json", {**vae, "scaling_factor": base.encoder.scaling_factor})
    _weights(folder / "unet", "diffusion_pytorch_model", unet_to_diffusers(base.unet.state_dict(), unet))
    encoder, decoder = base.encoder.state_dict(), base.decoder.state_dict()
    _weights(folder / "vae", "diffusion_pytorch_model", vae_to_diffusers(encoder, decoder, vae))
    _weights(folder / "text_encoder", "model", base.text_encoder.model.state_dict())
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(Path(tokenizer_folder()) / name, folder / "tokenizer" / name)
    scorer = _predictor(run)
    predictor.save(scorer, folder / "predictor")
    _card(run, base, scorer, folder)
    return _finish(folder)


def _predictor(run: Run) -> AestheticsPredictorV2Linear:
    training = Training("predictor", predictor.Scorer(predictor.build(run.sizes.predictor)), run, device())
    if training.step == 0:
        raise ValueError(f"{training.path} is not there: run `pretrain predictor` first")
    return training.use_average().model.cpu()


CARD = """# The picture-book base

A small text-to-image model of Kolors' architecture, trained from nothing on pictures that code draws
(`kolors_submit/picturebook`). It exists so that the whole tool runs on a laptop: it draws people, animals and places
of one picture-book world at 256x256, from Chinese or English prompts, and nothing else.

It is not Kolors, shares no weights with it, has seen no photograph and no picture by an artist, and knows no word
outside the grammar's. A submission made on it is a demonstration. Its aesthetics predictor has learnt a stated quality
function (`pretrain/damage.py`) and not people's taste; its scores are not the official ones.

| Part | Parameters | Training |
|---|---|---|
{rows}

UNet and text encoder saw {plain} plain pictures with {captions} captions each, VAE and predictor {mix} pictures of all
styles; a quarter of each batch of the predictor's are pictures that the base made. A tenth of the combinations of hair
colour, clothes colour, place and animal was held out of all of it (`grammar.held_out`). Tokenizer: ChatGLM's own, as
the diffsynth package ships it. Weights: half precision, averaged over training. Seed {seed}. What it can do, in
figures: `bench/results/picturebook.json`.
"""


def _card(run: Run, base: Base, scorer: torch.nn.Module, folder: Path) -> None:
    """Say what the networks are, from the checkpoints that they come from."""
    parts: dict[str, tuple[str, list[torch.nn.Module]]] = {
        "VAE": ("vae", [base.encoder, base.decoder]),
        "UNet": ("unet", [base.unet]),
        "Text encoder": ("unet", [base.text_encoder]),
        "Predictor": ("predictor", [scorer]),
    }
    rows = []
    for name, (checkpoint, networks) in parts.items():
        size = sum(value.numel() for network in networks for value in network.parameters())
        rows.append(f"| {name} | {size:,} | {_steps(run, checkpoint):,} steps |")
    plain, mix = open_set(run.out, "plain").count, open_set(run.out, "mix").count
    said = {"plain": f"{plain:,}", "mix": f"{mix:,}", "captions": CAPTIONS, "seed": run.seed}
    (folder / "README.md").write_text(CARD.format(rows="\n".join(rows), **said), encoding="utf-8")


def _steps(run: Run, name: str) -> int:
    return int(torch.load(run.out / f"{name}.ckpt", weights_only=True, map_location="cpu")["step"])


def _finish(folder: Path) -> Path:
    """Record every file's digest and check the size."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {str(path.relative_to(folder)): file_digest(path) for path in files}
    write_json(folder / "digests.json", {"format": 1, "sha256": digests})
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"export: {len(files)} files, {size:.1f} MB in {folder}", flush=True)
    if size > BUDGET_MB:
        raise ValueError(f"{folder} has {size:.1f} MB, and the package holds {BUDGET_MB:.0f}")
    return folder


def _weights(folder: Path, stem: str, state: dict[str, torch.Tensor]) -> None:
    """One safetensors file in half precision, as diffusers and transformers name it."""
    from safetensors.torch import save_file

    # contiguous() alone keeps channels_last strides, which safetensors refuses.
    half = {
        name: value.detach().half().cpu().contiguous(memory_format=torch.contiguous_format)
        for name, value in sorted(state.items())
    }
    save_file(half, folder / f"{stem}.safetensors", {"format": "pt"})
