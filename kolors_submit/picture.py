"""A panel's picture as a file: PNG with what it was rendered from and its ComfyUI workflow as text; and whether it
shows anything.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from kolors_submit.export import comfyui, graph
from kolors_submit.story import Prompt, Render

if TYPE_CHECKING:
    from PIL import Image

PNG_TEXT = "kolors-submit"
"""The text of a PNG that holds, as JSON, what the picture was rendered from."""

FLAT = 8
"""A picture whose darkest and lightest values differ by fewer than this many of 255 shows nothing."""

DARK = 16
"""A flat picture below this value is called black."""


def fault_of(picture: Image.Image) -> str | None:
    """Why a picture shows nothing (`is black`, `is flat`), or None where it shows something."""
    darkest, lightest = picture.convert("L").getextrema()
    assert isinstance(darkest, int) and isinstance(lightest, int)
    if lightest - darkest >= FLAT:
        return None
    return "is black" if lightest < DARK else "is flat, one colour all over"


def png_bytes(picture: Image.Image, prompt: Prompt, seed: int, settings: Render, lora_digest: str | None) -> bytes:
    """The picture as PNG with its `texts`; the digest is of the LoRA's safetensors, None for one without a LoRA."""
    from PIL.PngImagePlugin import PngInfo

    lora = None if lora_digest is None else comfyui.lora_name(lora_digest)
    info = PngInfo()
    for name, text in texts(prompt, seed, settings, lora).items():
        info.add_text(name, text)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def texts(prompt: Prompt, seed: int, settings: Render, lora: str | None) -> dict[str, str]:
    """What a panel's PNG says of itself, by the texts' names; `lora` is the name of its LoRA's files.

    `parameters` is for people, PNG_TEXT is JSON; `prompt` and `workflow` are ComfyUI's two forms of one graph,
    which open there when the picture is dropped on it. They are left out where ComfyUI would read the prompt otherwise,
    and of a picture without a LoRA (None).
    """
    values = {
        "prompt": prompt.positive,
        "negative": prompt.negative,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
    }
    found = {"parameters": _parameters(prompt, seed, settings), PNG_TEXT: json.dumps(values, sort_keys=True)}
    shot = None if lora is None else comfyui.Shot(prompt, seed, settings, lora)
    if shot is not None and not comfyui.refusals(shot):
        nodes = comfyui.own(shot)
        # In ASCII, because Pillow writes anything else as iTXt, which ComfyUI does not read.
        found |= {"prompt": json.dumps(graph.prompt(nodes)), "workflow": json.dumps(graph.workflow(nodes))}
    return found


def _parameters(prompt: Prompt, seed: int, settings: Render) -> str:
    """The text that picture browsers show under the name `parameters`."""
    facts = {
        "Steps": settings.steps,
        "Sampler": settings.sampler,
        "CFG scale": settings.guidance_scale,
        "Seed": seed,
        "Size": f"{settings.width}x{settings.height}",
        "LoRA strength": settings.lora_strength,
    }
    last = ", ".join(f"{name}: {value}" for name, value in facts.items())
    return f"{prompt.positive}\nNegative prompt: {prompt.negative}\n{last}"
