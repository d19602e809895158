"""The work that `gpu.py` measures, done by the two programs beside ours: stock DiffSynth and diffusers."""

from __future__ import annotations

import io
import statistics
from typing import Any

import torch
from measure import peak_gb, seconds

from kolors_submit.engine import base as bases
from kolors_submit.engine.schedule import ddim
from kolors_submit.weights import Base

PANELS = 8
NEGATIVE = "模糊，杂乱，畸形，低质量"
PROMPTS = [f"一位红色长发、身穿蓝色连衣裙的女孩在湖边画画，第{i}幅，水彩画风格" for i in range(PANELS)]


def diffsynth(base: Base) -> dict[str, Any]:
    """DiffSynth 1.1.9's own pipeline, one panel after the other as it does it."""
    from diffsynth import SDXLImagePipeline

    pipeline = SDXLImagePipeline(device="cuda", torch_dtype=torch.float16)
    pipeline.text_encoder_kolors = bases.load_text_encoder(base, "cuda", torch.float16)
    pipeline.unet = bases.load_unet(base, "cuda", torch.float16)
    pipeline.vae_decoder = bases.load_vae_decoder(base, "cuda", torch.float16).half()
    pipeline.prompter = bases.load_prompter(base)
    pipeline.prompter.fetch_models(pipeline.text_encoder_kolors)
    pipeline.scheduler = ddim()

    def panel(seed: int) -> None:
        picture = pipeline(
            prompt=PROMPTS[seed], negative_prompt=NEGATIVE, cfg_scale=4.0, num_inference_steps=50, height=1024,
            width=1024, seed=seed, progress_bar_cmd=lambda steps: steps,
        )  # fmt: skip
        picture.save(io.BytesIO(), "PNG")

    panel(0)
    times = [seconds(lambda seed=seed: panel(seed)) for seed in range(3)]  # type: ignore[misc]
    median = statistics.median(times)  # every panel is the same work
    return {"eight_panels_s": round(PANELS * median, 2), "panels_s": times, "peak_gb": peak_gb()}


def diffusers(base: Base) -> dict[str, Any]:
    """diffusers' KolorsPipeline from the same folder, panel by panel and all eight at once."""
    from diffusers import KolorsPipeline

    pipeline = KolorsPipeline.from_pretrained(base.folder, torch_dtype=torch.float16).to("cuda")
    pipeline.set_progress_bar_config(disable=True)

    def panels(prompts: list[str]) -> None:
        made = pipeline(
            prompts, negative_prompt=[NEGATIVE] * len(prompts), guidance_scale=4.0, num_inference_steps=50,
            height=1024, width=1024,
        ).images  # fmt: skip
        for picture in made:
            picture.save(io.BytesIO(), "PNG")

    panels(PROMPTS[:1])
    alone = [seconds(lambda one=one: panels([one])) for one in PROMPTS[1:4]]  # type: ignore[misc]
    alone_gb = peak_gb()
    eight = [seconds(lambda: panels(PROMPTS)) for _ in range(3)]
    return {
        "eight_panels_s": statistics.median(eight),
        "runs_s": eight,
        "panel_alone_s": statistics.median(alone),
        "peak_gb": peak_gb(),
        "peak_alone_gb": alone_gb,
    }
