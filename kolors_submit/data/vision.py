"""Sentences about pictures by a vision model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence

from PIL import Image

from kolors_submit.data.captions import MAX_CHARACTERS
from kolors_submit.data.filtering import Candidate
from kolors_submit.decoders import open_picture
from kolors_submit.endpoint import Endpoint, Limits, Message, ask, find_endpoint
from kolors_submit.errors import SubmitError
from kolors_submit.story import Language, VisionCaptions

QWEN = "qwen-vl-plus"
"""The model asked on DashScope where none is named."""

LIMITS = Limits(silence=120, total=300, size=2**20)

PROMPTS = {
    "zh": "用一句中文描述这张图片，作为文生图模型的训练描述：先写画面中的人或物及其外貌，再写动作、地点、"
    "身边的东西、时间和天气，最后写全身像、半身像或特写。不要写画风，不要写画面以外的内容，只回答这一句话。",
    "en": "Describe this picture in one English sentence, as a training caption for a text-to-image model: who or what "
    "is seen and how they look, then doing what, where, beside what, when, and last full figure, half figure or "
    "close-up. No word on the style, nothing that is not seen. Answer with that sentence only.",
}


def describe_pictures(
    settings: VisionCaptions, language: Language, pictures: Sequence[Candidate]
) -> Iterator[tuple[int, str]]:
    """Each picture's id and the model's sentence about it, asked one by one; "" for an answer that is no caption.

    Raises what `find_endpoint` and `ask` raise.
    """
    endpoint = find_endpoint(model=settings.model, dashscope_model=QWEN)
    prompt = settings.prompt or PROMPTS[language]
    for picture in pictures:
        yield picture.id, _describe(endpoint, prompt, picture, settings.side)


def _describe(endpoint: Endpoint, prompt: str, picture: Candidate, side: int) -> str:
    """One answer, on one line."""
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{_jpeg(picture, side)}"}},
        {"type": "text", "text": prompt},
    ]
    message: Message = {"role": "user", "content": content}
    try:
        text = " ".join(ask(endpoint, [message], limits=LIMITS).split())
    except SubmitError as error:  # the endpoint may refuse just this picture
        raise type(error)(f"{picture.name}: {error}") from None
    return text if len(text) <= MAX_CHARACTERS and text.isprintable() else ""


def _jpeg(picture: Candidate, side: int) -> str:
    """The picture, made smaller where it is large, as JPEG in base64: endpoints bound what they are sent."""
    with open_picture(picture.file) as image:
        small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=92)
    return base64.b64encode(file.getvalue()).decode("ascii")
