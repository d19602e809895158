"""A scene in words: many wordings, orders and lengths, in Chinese and English.

A caption mostly names all that the picture shows and now and then leaves something out, the looks of a person least
often: a model learns to leave to chance what captions leave out. Words that name nothing in the picture stand between
the others, so that the text encoder learns to pass over what it does not know.
"""

from __future__ import annotations

from random import Random

from kolors_submit.picturebook.captions_en import english
from kolors_submit.picturebook.captions_zh import chinese
from kolors_submit.picturebook.lexicon import Language
from kolors_submit.picturebook.scenes import Scene


def caption(scene: Scene, rng: Random, language: Language = "zh", complete: bool = False) -> str:
    """Describe the scene in one of many ways; the same state of `rng` gives the same words.

    A `complete` caption leaves nothing out that the picture shows (but the clear sky).
    """
    return chinese(scene, rng, complete) if language == "zh" else english(scene, rng, complete)
