"""The story's filters as a Data-Juicer recipe: the same operators by `dj-process --config recipe.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from kolors_submit.story import Filters

INPUT = "pictures.jsonl"
"""One row a picture: id, name, text, images (a list of one path), sha256 of the original file."""

PREDICTOR = "aesthetics-predictor-v2-linear"
"""The predictor's folder as the recipe names it. Data-Juicer picks the model's class from this text ("v2", "linear")
and divides the score by ten only where the text has "aesthetics-predictor" in it."""

Operator = dict[str, dict[str, Any]]

_HEADER = """\
# The filters of the story, in Data-Juicer's own format. To run them by themselves:
#     dj-process --config recipe.yaml
# in a folder with pictures.jsonl, one row a picture:
#     {"id": 1, "name": "a.png", "text": "caption", "images": ["pictures/1.png"], "sha256": "..."}
"""


def operators(filters: Filters) -> list[Operator]:
    """The operators of Data-Juicer that the story asks for, in the order in which pictures pass them.

    `batch_size: 1` because an operator that fails on one row drops its whole batch.
    """
    chosen: list[Operator] = []
    if filters.shape is not None:
        limits = {"min_width": filters.shape.min_width, "min_height": filters.shape.min_height}
        chosen.append({"image_shape_filter": {**limits, "any_or_all": "any", "batch_size": 1}})
    if filters.aspect_ratio is not None:
        ratios = {"min_ratio": filters.aspect_ratio.min_ratio, "max_ratio": filters.aspect_ratio.max_ratio}
        chosen.append({"image_aspect_ratio_filter": {**ratios, "any_or_all": "any", "batch_size": 1}})
    if filters.exact_duplicates:
        chosen.append({"document_deduplicator": {"text_key": "sha256"}})  # equal digests are equal files
    if filters.near_duplicates:
        chosen.append({"image_deduplicator": {"method": "phash"}})
    if filters.aesthetics is not None:
        scores = {"min_score": filters.aesthetics.min_score / 10, "max_score": 1.0}
        chosen.append(
            {"image_aesthetics_filter": {"hf_scorer_model": PREDICTOR, **scores, "any_or_all": "any", "batch_size": 1}}
        )
    return chosen


def captioning(model: str) -> Operator:
    """Data-Juicer's operator that has a model (its folder's path) describe each picture; one caption a picture."""
    return {
        "image_captioning_mapper": {
            "hf_img2seq": model,
            "caption_num": 1,
            "keep_original_sample": False,
            "batch_size": 1,
        }
    }


def recipe(process: Sequence[Operator]) -> dict[str, Any]:
    """The whole recipe, with paths relative to the folder it is run in."""
    return {
        "project_name": "kolors-submit",
        "dataset_path": f"./{INPUT}",
        "export_path": "./kept.jsonl",
        "work_dir": "./juicer",
        "job_id": "pictures",
        "np": 1,
        "use_cache": False,
        "ds_cache_dir": "./cache",
        "temp_dir": "./temp",
        "text_keys": "text",
        "image_key": "images",
        "keep_stats_in_res_ds": True,
        "open_tracer": False,
        "process": list(process),
    }


def recipe_yaml(process: Sequence[Operator]) -> str:
    """recipe.yaml as text."""
    return _HEADER + yaml.safe_dump(recipe(process), sort_keys=False, allow_unicode=True)
