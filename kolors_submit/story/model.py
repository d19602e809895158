"""The story file as typed settings: one class for each part of the YAML, a line under each setting.

Unknown keys are refused everywhere. What a setting means for the picture is decided by the stage that reads it; here
are only its type, its range, its default and its unit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from kolors_submit.story.captioners import CAPTIONERS, Captions
from kolors_submit.story.part import Line, Part, Text

SCHEMA = 1
"""The format number of the story files that this program writes and reads."""

PANELS = 8
"""The contest asks for at least this many pictures."""

Language = Literal["zh", "en"]
"""Of prompts, captions and what people read of an entry."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z_\u4e00-\u9fff][\w\u4e00-\u9fff-]{0,63}$")]
MAX_SEED = 2**53 - 1
"""Browsers round larger ones."""

Seed = Annotated[int, Field(ge=0, le=MAX_SEED, strict=True)]
LEAST_SIDE, GREATEST_SIDE, SIDE_MULTIPLE = 64, 2048, 32
"""Sides of a picture in pixels: the VAE divides them by 8 and the UNet twice more by 2."""

Side = Annotated[int, Field(ge=LEAST_SIDE, le=GREATEST_SIDE, multiple_of=SIDE_MULTIPLE)]


class Style(Part):
    """Words around every panel's prompt."""

    prefix: Text = Field("", description="Put before every prompt.")
    suffix: Text = Field("", description="Put after every prompt.")
    negative: Text = Field("", description="Put before every panel's own negative prompt.")


class ShapeFilter(Part):
    """Data-Juicer's image_shape_filter, in pixels of the original picture."""

    min_width: int = Field(1, ge=1)
    min_height: int = Field(1, ge=1)


class AspectFilter(Part):
    """Data-Juicer's image_aspect_ratio_filter; the ratio is width / height."""

    min_ratio: float = Field(0.333, gt=0)
    max_ratio: float = Field(3.0, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> AspectFilter:
        if self.min_ratio > self.max_ratio:
            raise ValueError(f"min_ratio {self.min_ratio:g} is above max_ratio {self.max_ratio:g}: no picture fits")
        return self


class AestheticFilter(Part):
    """Data-Juicer's image_aesthetics_filter with the base's own predictor; scores from 0 to 10."""

    min_score: float = Field(5.0, ge=0, le=10)


class Filters(Part):
    """The Data-Juicer operators that pictures must pass, in this order. null switches one off."""

    shape: ShapeFilter | None = ShapeFilter()
    aspect_ratio: AspectFilter | None = AspectFilter()
    exact_duplicates: bool = Field(True, description="Keep one of several files with the same SHA-256.")
    near_duplicates: bool = Field(True, description="Data-Juicer's image_deduplicator (perceptual hash).")
    aesthetics: AestheticFilter | None = None


class Dataset(Part):
    """The training pictures and their captions."""

    source: Text = Field(
        description="A folder (in the story's own folder, or else in the working folder), modelscope:owner/dataset, "
        "huggingface:owner/dataset, or picturebook:STYLE."
    )
    revision: str | None = Field(None, max_length=200, description="Branch, tag or commit of a hub dataset.")
    subset: str | None = Field(None, max_length=200, description="Subset (configuration) of a hub dataset.")
    split: str = Field("train", max_length=200)
    captions: Captions | None = Field(
        None,
        description="A caption for every picture; {column} stands for a column of the source. Without it the source's "
        "own captions are used. wd14, vlm or data-juicer, or such a captioner with settings (by: wd14, …), writes a "
        ".txt for each picture that has none.",
    )
    limit: int | None = Field(None, ge=1, description="Take at most this many pictures, in the source's order.")
    resize: Literal["attention", "center", "bucket"] = Field(
        "attention", description="Square attention crop that keeps heads, centre crop, or buckets of several shapes."
    )
    size: Side = Field(1024, description="Side of the prepared square, or of the bucket of the same area, in pixels.")
    filters: Filters = Filters()

    @field_validator("captions", mode="before")
    @classmethod
    def _captioner_by_name(cls, value: Any) -> Any:
        return {"by": value} if value in CAPTIONERS else value

    @field_validator("source")
    @classmethod
    def _source_not_empty(cls, value: str) -> str:
        if not value:
            raise ValueError("names no source: a folder, modelscope:owner/name, huggingface:… or picturebook:STYLE")
        return value


class Train(Part):
    """How the LoRA is trained."""

    rank: int = Field(16, ge=1, le=1024)
    alpha: float = Field(8.0, gt=0, le=4096, description="The update is B·A·alpha/rank.")
    targets: tuple[str, ...] = Field(
        ("to_q", "to_k", "to_v", "to_out"),
        min_length=1,
        description="Layers that get a LoRA, by the ends of their names; conv1 and conv2 reach the texture of a style.",
    )
    epochs: int = Field(5, ge=1, le=10_000)
    steps_per_epoch: int = Field(200, ge=1, le=1_000_000, description="Optimizer steps.")
    batch_size: int = Field(1, ge=1, le=256)
    accumulation: int = Field(1, ge=1, le=256, description="Batches an optimizer step.")
    learning_rate: float = Field(1e-4, gt=0, lt=1)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    optimizer: Literal["adamw", "adam", "sgd", "adafactor"] = "adamw"
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float | None = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    flip: bool = Field(True, description="Mirror half of the pictures from left to right.")
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    deterministic: bool = Field(True, description="Two runs on one machine give the same bytes.")
    seed: Seed = 0
    save_every: int = Field(200, ge=1, description="Steps between checkpoints.")
    keep: int = Field(3, ge=1, description="Checkpoints kept; older ones are deleted.")
    sample_every: int | None = Field(None, ge=1, description="Steps between sample pictures; changes no result.")
    sample_panel: int = Field(1, ge=1, description="The panel that the sample pictures show.")
    log: tuple[Literal["csv", "tensorboard", "swanlab"], ...] = ("csv", "tensorboard")

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.epochs * self.steps_per_epoch

    def of_the_result(self) -> dict[str, Any]:
        """The settings that the LoRA's bytes depend on, as JSON values."""
        beside = {"save_every", "keep", "sample_every", "sample_panel", "log"}
        return self.model_dump(mode="json", exclude=beside)


class Render(Part):
    """How the panels are rendered."""

    width: Side = 1024
    height: Side = 1024
    steps: int = Field(50, ge=1, le=1000)
    guidance_scale: float = Field(4.0, ge=1, le=30)
    sampler: Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde_karras", "unipc", "deis"] = "ddim"
    lora_strength: float = Field(1.0, ge=-4, le=4, description="Times B·A·alpha/rank.")
    noise: Literal["cpu-float32", "cuda-float16"] = Field(
        "cpu-float32", description="Where a seed's noise is drawn; cuda-float16 is the contest notebook's way."
    )
    quality: Literal["exact", "fast"] = "exact"


class Panel(Part):
    """One picture of the story."""

    scene: Line = Field(description="A short title, for people.")
    prompt: Text = Field(min_length=1, description="{name} stands for a character's description; {{ is a brace.")
    negative: Text = ""
    seed: Seed


class Gate(Part):
    """The contest's rule on the mean aesthetic score, and one of one's own on how alike the panels are drawn."""

    threshold: float = Field(6.0, ge=0, le=10)
    coherence: float | None = Field(None, ge=0, le=1, description="Least mean coherence; null only reports it.")


class Submission(Part):
    """Where the bundle goes and what its card says."""

    hub: Literal["modelscope", "huggingface"] = "modelscope"
    repository: str | None = Field(None, max_length=200, description="owner/Name in ASCII.")
    display_name: Line | None = Field(None, description="The contest's Chinese name.")
    license: str = Field("other", max_length=100)
    tags: tuple[Text, ...] = ()


class BaseOverrides(Part):
    """What differs on one base: `dataset` replaces that part whole, `train` and `render` key by key."""

    dataset: Dataset | None = None
    train: dict[str, Any] = Field({})
    render: dict[str, Any] = Field({})

    @field_validator("train")
    @classmethod
    def _train_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        Train.model_validate(value)
        return value

    @field_validator("render")
    @classmethod
    def _render_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        Render.model_validate(value)
        return value


class Story(Part):
    """A whole story file."""

    schema_: int = Field(alias="schema", description="Format number of this file.")
    title: Line = Field(min_length=1)
    team: Line = ""
    language: Language = "zh"
    style: Style = Style()
    characters: dict[Name, Text] = Field({}, max_length=64, description="Name -> description for {name} in prompts.")
    dataset: Dataset
    train: Train = Train()
    render: Render = Render()
    panels: tuple[Panel, ...] = Field(max_length=1000)
    gate: Gate = Gate()
    submission: Submission = Submission()
    bases: dict[str, BaseOverrides] = Field({}, max_length=32)

    @model_validator(mode="after")
    def _sample_panel_exists(self) -> Story:
        if self.train.sample_panel > len(self.panels):
            raise ValueError(f"train.sample_panel is {self.train.sample_panel} of {len(self.panels)} panels")
        return self
