"""Bases and other weights: where they are, what they must be, and how they are fetched.

    base     a base folder and the digests of what a result depends on
    parts    which files of a base hold a part's weights
    digests  SHA-256 of large files, read once and then trusted by size and time
    known    the published weights that this program knows by name
    download fetch them from ModelScope or Hugging Face, resumed and checked
    find     the base and the predictor that a command means

Nothing here imports torch, so that a finished run says so at once.
"""

from kolors_submit.weights.base import PARTS, PICTUREBOOK, Base, choose_files, open_base, side_of
from kolors_submit.weights.download import fetch
from kolors_submit.weights.find import find_base, find_clip, find_predictor, find_tower, find_weights
from kolors_submit.weights.known import CLIP, KNOWN, OFFICIAL_PREDICTOR, Weights, weights_folder
from kolors_submit.weights.parts import count_parameters

__all__ = [
    "CLIP",
    "KNOWN",
    "OFFICIAL_PREDICTOR",
    "PARTS",
    "PICTUREBOOK",
    "Base",
    "Weights",
    "choose_files",
    "count_parameters",
    "fetch",
    "find_base",
    "find_clip",
    "find_predictor",
    "find_tower",
    "find_weights",
    "open_base",
    "side_of",
    "weights_folder",
]
