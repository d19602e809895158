"""The training pictures: from a folder, a hub or the picture book to a prepared dataset.

sources    where pictures and their captions come from: drawn, or read by `folder` and `hub`
sample     one picture of a source, not yet read
captions   a picture's caption: its own, or the story's template
captioning captions that a model writes, in files that a person corrects; `tagger`, `vision` and `blip` write them
pictures   bytes of any format to RGB, strictly checked
recipe     the story's filters as a Data-Juicer recipe
filtering  the recipe run in a process of its own, and every picture accounted for
juicer     the program in that process: Data-Juicer's own operators
crop       buckets, and the attention crop that keeps heads
inputs     all that the stage's result depends on
dataset    the stage: `prepare` writes what training reads, `read_prepared` reads it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kolors_submit.run import Job


def prepare(job: Job, known: Mapping[str, str] | None = None) -> bool:
    """The data stage; see `dataset.prepare`, which is imported only when it is called."""
    from kolors_submit.data import dataset

    return dataset.prepare(job, known)


__all__ = ["prepare"]
