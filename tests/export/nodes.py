"""What ComfyUI's nodes take and give, written down from their INPUT_TYPES, apart from the code that uses them.

ComfyUI 0.3.64's own nodes; kijai/ComfyUI-KwaiKolorsWrapper (`nodes.py`) with the contest's LoadKolorsLoRA;
MinusZoneAI/ComfyUI-Kolors-MZ (`__init__.py` at 535c9879). The order of widgets is that of `widgets_values`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SEED_CONTROL = "control_after_generate"
"""The editor adds it behind every seed."""

Allowed = Callable[[Any], bool]


def whole(low: int, high: int, step: int = 1) -> Allowed:
    return lambda value: isinstance(value, int) and low <= value <= high and (value - low) % step == 0


def decimal(low: float, high: float) -> Allowed:
    return lambda value: isinstance(value, int | float) and low <= value <= high


def one_of(*names: str) -> Allowed:
    return lambda value: value in names


def file(suffix: str) -> Allowed:
    return lambda value: isinstance(value, str) and value.endswith(suffix) and "\\" not in value


def text(value: Any) -> bool:
    return isinstance(value, str)


SEED = [("seed", whole(0, 2**53 - 1)), (SEED_CONTROL, one_of("fixed"))]
MZ_SIZES = [
    (name, whole(0, 16384)) for name in ("width", "height", "crop_w", "crop_h", "target_width", "target_height")
]
SCHEDULERS = one_of(
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverMultistepScheduler_SDE_karras",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
)


def node(inputs: list[tuple[str, str]], widgets: list[tuple[str, Allowed]], outputs: list[tuple[str, str]]) -> dict:
    return {"inputs": inputs, "widgets": widgets, "outputs": outputs}


NODES: dict[str, dict[str, Any]] = {
    # KwaiKolorsWrapper
    "DownloadAndLoadKolorsModel": node(
        [], [("model", one_of("Kwai-Kolors/Kolors")), ("precision", one_of("fp16"))], [("kolors_model", "KOLORSMODEL")]
    ),
    "LoadKolorsLoRA": node(
        [("kolors_model", "KOLORSMODEL")],
        [("lora_path", file(".ckpt")), ("lora_alpha", decimal(0, 4))],
        [("kolors_model", "KOLORSMODEL")],
    ),
    "DownloadAndLoadChatGLM3": node(
        [], [("precision", one_of("fp16", "quant4", "quant8"))], [("chatglm3_model", "CHATGLM3MODEL")]
    ),
    "KolorsTextEncode": node(
        [("chatglm3_model", "CHATGLM3MODEL")],
        [("prompt", text), ("negative_prompt", text), ("num_images_per_prompt", whole(1, 128))],
        [("kolors_embeds", "KOLORS_EMBEDS")],
    ),
    "KolorsSampler": node(
        [("kolors_model", "KOLORSMODEL"), ("kolors_embeds", "KOLORS_EMBEDS")],
        [
            ("width", whole(64, 2048, 64)),
            ("height", whole(64, 2048, 64)),
            *SEED,
            ("steps", whole(1, 200)),
            ("cfg", decimal(0, 20)),
            ("scheduler", SCHEDULERS),
            ("denoise_strength", decimal(0, 1)),
        ],
        [("latent", "LATENT")],
    ),
    # ComfyUI-Kolors-MZ
    "MZ_KolorsUNETLoaderV2": node([], [("unet_name", file(".safetensors"))], [("model", "MODEL")]),
    "MZ_ChatGLM3Loader": node(
        [], [("chatglm3_checkpoint", file(".safetensors"))], [("chatglm3_model", "CHATGLM3MODEL")]
    ),
    "MZ_ChatGLM3_Advance_V2": node(
        [("chatglm3_model", "CHATGLM3MODEL")], [("text", text), *MZ_SIZES], [("CONDITIONING", "CONDITIONING")]
    ),
    # ComfyUI
    "LoraLoaderModelOnly": node(
        [("model", "MODEL")],
        [("lora_name", file(".safetensors")), ("strength_model", decimal(-100, 100))],
        [("MODEL", "MODEL")],
    ),
    "EmptyLatentImage": node(
        [],
        [("width", whole(16, 16384, 8)), ("height", whole(16, 16384, 8)), ("batch_size", whole(1, 4096))],
        [("LATENT", "LATENT")],
    ),
    "KSampler": node(
        [("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent_image", "LATENT")],
        [
            *SEED,
            ("steps", whole(1, 10000)),
            ("cfg", decimal(0, 100)),
            (
                "sampler_name",
                one_of("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "uni_pc", "deis"),
            ),
            ("scheduler", one_of("normal", "karras")),
            ("denoise", decimal(0, 1)),
        ],
        [("LATENT", "LATENT")],
    ),
    "VAELoader": node([], [("vae_name", file(".safetensors"))], [("VAE", "VAE")]),
    "VAEDecode": node([("samples", "LATENT"), ("vae", "VAE")], [], [("IMAGE", "IMAGE")]),
    "PreviewImage": node([("images", "IMAGE")], [], []),
    "Note": node([], [("text", text)], []),
}
