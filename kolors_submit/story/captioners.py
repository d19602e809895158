"""What `dataset.captions` may say: a caption, or who writes captions for pictures that have none."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from kolors_submit.story.part import Part, Text


class Captioner(Part):
    """What every captioner shares; a picture that has a caption file keeps it."""

    trigger: Text = Field("", description="Words before every caption that it writes.")


class TaggerCaptions(Captioner):
    """Tags by a WD tagger (ONNX); made for anime and illustrations."""

    by: Literal["wd14"]
    model: Text = Field("wd-vit-tagger-v3", description="Known weights, or a folder: model.onnx, selected_tags.csv.")
    threshold: float = Field(0.35, gt=0, lt=1, description="Probability from which a tag is taken.")
    character_threshold: float = Field(0.85, gt=0, lt=1, description="The same for names of known characters.")
    drop: tuple[Text, ...] = Field((), max_length=1000, description="Tags that are never taken.")
    max_tags: int = Field(40, ge=1, le=200, description="The likeliest ones are taken.")


class VisionCaptions(Captioner):
    """Sentences by a vision model; the OpenAI-compatible endpoint and its key come from the environment."""

    by: Literal["vlm"]
    model: Text | None = Field(None, description="Without it OPENAI_MODEL, on DashScope qwen-vl-plus.")
    prompt: Text = Field("", description="What to ask of a picture; without it one sentence in the story's language.")
    side: int = Field(1024, ge=64, le=4096, description="Pictures are sent with their longer side at most so long, px.")


class JuicerCaptions(Captioner):
    """Sentences by Data-Juicer's image_captioning_mapper (BLIP)."""

    by: Literal["data-juicer"]
    model: Text = Field("blip-image-captioning-base", description="Known weights, or a folder of a BLIP model.")


CAPTIONERS = ("wd14", "vlm", "data-juicer")
"""What `captions` may name by one word; any other text is a caption."""


def _kind_of_captions(value: Any) -> str | None:
    """Which branch of `Captions` a value is meant for; a tag with blanks, because no line of a story has one."""
    if isinstance(value, str):
        return "a caption"
    by = value.get("by") if isinstance(value, dict) else getattr(value, "by", None)
    return f"captions by {by}" if by in CAPTIONERS else None


Captions = Annotated[
    Annotated[Text, Tag("a caption")]
    | Annotated[TaggerCaptions, Tag("captions by wd14")]
    | Annotated[VisionCaptions, Tag("captions by vlm")]
    | Annotated[JuicerCaptions, Tag("captions by data-juicer")],
    Discriminator(
        _kind_of_captions,
        custom_error_type="captions",
        custom_error_message="write a caption, one of wd14, vlm, data-juicer, or settings with `by:` one of them",
    ),
]
