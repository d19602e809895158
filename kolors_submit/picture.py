"""A panel's picture as a file: PNG with its prompt, seed and settings as text; and whether it shows anything."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from kolors_submit.story import Prompt, Render

if TYPE_CHECKING:
    from PIL import Image

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


def png_bytes(picture: Image.Image, prompt: Prompt, seed: int, settings: Render) -> bytes:
    """The picture as PNG with its prompt, seed and settings as text: `parameters` for people, `kolors-submit` as JSON.

    The keys `prompt` and `workflow` are left free: ComfyUI reads its own JSON there.
    """
    from PIL.PngImagePlugin import PngInfo

    values = {
        "prompt": prompt.positive,
        "negative": prompt.negative,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
    }
    info = PngInfo()
    info.add_text("parameters", _parameters(prompt, seed, settings))
    info.add_text("kolors-submit", json.dumps(values, sort_keys=True))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


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
