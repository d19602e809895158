"""A panel as a ComfyUI workflow, in two ways.

`own` loads the LoRA with ComfyUI's LoraLoaderModelOnly and Kolors with MinusZone's ComfyUI-Kolors-MZ; `contest` is the
contest's workflow: Kijai's KwaiKolorsWrapper, and the LoadKolorsLoRA node that the organisers added to it. Types, order
and limits are those of the nodes' own INPUT_TYPES.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kolors_submit.export.graph import FRONT_END, NOTE, Link, Node
from kolors_submit.story import Prompt, Render

MAX_SEED = 2**53 - 1
"""Above it a browser rounds: its numbers are doubles."""

NODE_ALPHA_LIMIT = 4.0
"""The largest lora_alpha that LoadKolorsLoRA takes."""

UNET, CHATGLM = "diffusion_pytorch_model.fp16.safetensors", "chatglm3-fp16.safetensors"
VAE = "sdxl.vae.safetensors"

SCHEDULERS = {
    "ddim": "EulerDiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "dpmpp_2m": "DPMSolverMultistepScheduler",
    "dpmpp_2m_sde_karras": "DPMSolverMultistepScheduler_SDE_karras",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
}
"""Ours -> the wrapper's; it has no DDIM, of which Euler's method is the same step without noise."""

SAMPLERS = {
    "ddim": ("ddim", "normal"),
    "euler": ("euler", "normal"),
    "euler_ancestral": ("euler_ancestral", "normal"),
    "dpmpp_2m": ("dpmpp_2m", "normal"),
    "dpmpp_2m_sde_karras": ("dpmpp_2m_sde", "karras"),
    "unipc": ("uni_pc", "normal"),
    "deis": ("deis", "normal"),
}
"""Ours -> KSampler's sampler and scheduler."""


@dataclass(frozen=True)
class Shot:
    """What a workflow says about a panel; `lora` is the LoRA's file name without suffix."""

    prompt: Prompt
    seed: int
    settings: Render
    lora: str


def lora_name(digest: str) -> str:
    """The name of a LoRA's files, from the SHA-256 of its safetensors.

    A panel's PNG names the LoRA that ComfyUI is to load, so the name must be known when it is rendered, be the same
    when somebody else renders it, and not change with the story's title or repository.
    """
    return f"kolors-lora-{digest[:8]}"


def refusals(shot: Shot) -> list[str]:
    """Why the panel has no workflow with ComfyUI's own LoRA loader; empty where it has one."""
    found = list(_shared_refusals(shot))
    if any(mark in text for text in _texts(shot) for mark in ("//", "/*")):
        found.append("ComfyUI's editor takes // and /* in a prompt for comments")
    return found


def contest_refusals(shot: Shot, alpha: float) -> list[str]:
    """Why the panel has no workflow for the contest's nodes, at this alpha of the LoRA; empty where it has one."""
    found, settings = list(_shared_refusals(shot)), shot.settings
    if any("|" in text for text in _texts(shot)):
        found.append("the node KolorsTextEncode splits a prompt at | into a batch")
    if not 0 <= settings.lora_strength * alpha <= NODE_ALPHA_LIMIT:
        strength = f"{settings.lora_strength * alpha:g}"
        found.append(f"it needs lora_alpha {strength}, and the node LoadKolorsLoRA takes 0 to {NODE_ALPHA_LIMIT:g}")
    if settings.steps > 200 or settings.guidance_scale > 20:
        found.append("the node KolorsSampler takes at most 200 steps and a guidance scale of 20")
    if settings.width % 64 or settings.height % 64:
        found.append("the node KolorsSampler takes sizes in multiples of 64")
    return found


def _texts(shot: Shot) -> tuple[str, str]:
    return shot.prompt.positive, shot.prompt.negative


def _shared_refusals(shot: Shot) -> Iterator[str]:
    if any("{" in text or "}" in text for text in _texts(shot)):
        yield "both Kolors text encoders pick one of what stands in { } at random"
    if not 0 <= shot.seed <= MAX_SEED:
        yield f"a browser rounds seeds above {MAX_SEED}"


def own(shot: Shot) -> list[Node]:
    """The workflow with ComfyUI's own LoRA loader and sampler; for a shot without `refusals`."""
    settings = shot.settings
    sampler, scheduler = SAMPLERS[settings.sampler]
    size = [("width", settings.width), ("height", settings.height)]
    sizes = [*size, ("crop_w", 0), ("crop_h", 0), ("target_width", settings.width), ("target_height", settings.height)]
    model = (("model", "MODEL"),)
    encoder = {"chatglm3_model": Link(3, 0, "CHATGLM3MODEL")}
    conditioning = (("CONDITIONING", "CONDITIONING"),)
    inputs = {
        "model": Link(2, 0, "MODEL"),
        "positive": Link(4, 0, "CONDITIONING"),
        "negative": Link(5, 0, "CONDITIONING"),
        "latent_image": Link(6, 0, "LATENT"),
    }
    widgets = [
        ("seed", shot.seed),
        (FRONT_END, "fixed"),
        ("steps", settings.steps),
        ("cfg", settings.guidance_scale),
        ("sampler_name", sampler),
        ("scheduler", scheduler),
        ("denoise", 1.0),
    ]
    lora = [("lora_name", f"{shot.lora}.safetensors"), ("strength_model", settings.lora_strength)]
    text = "MZ_ChatGLM3_Advance_V2"
    return [
        Node("MZ_KolorsUNETLoaderV2", 0, [("unet_name", UNET)], {}, model),
        Node("LoraLoaderModelOnly", 1, lora, {"model": Link(1, 0, "MODEL")}, (("MODEL", "MODEL"),)),
        Node("MZ_ChatGLM3Loader", 0, [("chatglm3_checkpoint", CHATGLM)], {}, (("chatglm3_model", "CHATGLM3MODEL"),)),
        Node(text, 1, [("text", shot.prompt.positive), *sizes], encoder, conditioning),
        Node(text, 1, [("text", shot.prompt.negative), *sizes], encoder, conditioning),
        Node("EmptyLatentImage", 0, [*size, ("batch_size", 1)], {}, (("LATENT", "LATENT"),)),
        Node("KSampler", 2, widgets, inputs, (("LATENT", "LATENT"),)),
        *_picture(7, 8),
        _note(f"Put lora/{shot.lora}.safetensors into models/loras; needs the nodes of ComfyUI-Kolors-MZ."),
    ]


def contest(shot: Shot, alpha: float) -> list[Node]:
    """The contest's workflow; for a shot without `contest_refusals`."""
    settings = shot.settings
    path = f"models/loras/{shot.lora}.ckpt"
    # The node applies lora_alpha / rank, and the .ckpt has no alpha of its own.
    lora = [("lora_path", path), ("lora_alpha", _plain(settings.lora_strength * alpha))]
    texts = [("prompt", shot.prompt.positive), ("negative_prompt", shot.prompt.negative), ("num_images_per_prompt", 1)]
    widgets = [
        ("width", settings.width),
        ("height", settings.height),
        ("seed", shot.seed),
        (FRONT_END, "fixed"),
        ("steps", settings.steps),
        ("cfg", settings.guidance_scale),
        ("scheduler", SCHEDULERS[settings.sampler]),
        ("denoise_strength", 1.0),
    ]
    model, embeds = (("kolors_model", "KOLORSMODEL"),), (("kolors_embeds", "KOLORS_EMBEDS"),)
    encoder = {"chatglm3_model": Link(3, 0, "CHATGLM3MODEL")}
    inputs = {"kolors_model": Link(2, 0, "KOLORSMODEL"), "kolors_embeds": Link(4, 0, "KOLORS_EMBEDS")}
    load = [("model", "Kwai-Kolors/Kolors"), ("precision", "fp16")]
    return [
        Node("DownloadAndLoadKolorsModel", 0, load, {}, model),
        Node("LoadKolorsLoRA", 1, lora, {"kolors_model": Link(1, 0, "KOLORSMODEL")}, model),
        Node("DownloadAndLoadChatGLM3", 0, [("precision", "fp16")], {}, (("chatglm3_model", "CHATGLM3MODEL"),)),
        Node("KolorsTextEncode", 1, texts, encoder, embeds),
        Node("KolorsSampler", 2, widgets, inputs, (("latent", "LATENT"),)),
        *_picture(5, 6),
        _note(f"Put lora/{shot.lora}.ckpt into models/loras; needs KwaiKolorsWrapper and LoadKolorsLoRA."),
    ]


def _picture(latent: int, vae: int) -> list[Node]:
    """VAELoader (as node number `vae`), VAEDecode and PreviewImage behind a node that gives a latent."""
    inputs = {"samples": Link(latent, 0, "LATENT"), "vae": Link(vae, 0, "VAE")}
    return [
        Node("VAELoader", 2, [("vae_name", VAE)], {}, (("VAE", "VAE"),)),
        Node("VAEDecode", 3, [], inputs, (("IMAGE", "IMAGE"),)),
        Node("PreviewImage", 3, [], {"images": Link(vae + 1, 0, "IMAGE")}, ()),
    ]


def _note(first: str) -> Node:
    text = (
        f"{first}\n\nThe LoRA fits the base it was trained on, which the bundle's README.md names.\n\nThis is not the "
        "same picture: ComfyUI draws its own noise for a seed, and its sampler's steps and half-precision arithmetic "
        "are its own. Style, characters and composition are alike; kolors-submit gives the panel itself."
    )
    return Node(NOTE, 3, [("text", text)])


def _plain(value: float) -> float:
    """A product without the last digit's noise: 0.7 x 4 is 2.8."""
    return float(f"{value:.12g}") if math.isfinite(value) else value
