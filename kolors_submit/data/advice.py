"""What to do about pictures that were left out, by what they were left out for, or that are poor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kolors_submit.data.account import CAPTIONER, Fate, some
from kolors_submit.data.captions import own_column
from kolors_submit.data.sample import Sample
from kolors_submit.story import Dataset

CAPTION, PICTURE = "caption", "picture"
"""What a fate names where a picture's own caption, or its bytes, cannot be used."""

ENLARGED = 1.5
"""Times a picture's own size from which it is seen that it was enlarged."""


def advice(settings: Dataset, found: Sequence[Sample], fates: Iterable[Fate]) -> str:
    """One clause a cause, the commonest first; `found` are the source's pictures."""
    causes = Counter(_cause(fate) for fate in fates if fate.result != "kept")
    words = {
        CAPTION: caption_advice(settings, found),
        CAPTIONER: "write the captions that no model could",
        PICTURE: "fix the pictures that cannot be read",
        "filter": "loosen dataset.filters",
    }
    return "; ".join(words[cause] for cause, _ in causes.most_common())


def _cause(fate: Fate) -> str:
    return fate.by if fate.by in (CAPTION, CAPTIONER, PICTURE) else "filter"


def caption_advice(settings: Dataset, found: Sequence[Sample]) -> str:
    """How pictures come by captions where these have none that the story can use."""
    template = settings.captions if isinstance(settings.captions, str) else None
    own = next((name for sample in found if (name := own_column(sample.columns))), None)
    if own is not None and template is not None and f"{{{own}}}" not in template.replace(" ", ""):
        return f"the pictures' own captions are in {{{own}}}: write that in dataset.captions"
    written = "set dataset.captions to wd14, vlm or data-juicer, which write captions"
    if any(sample.sidecar is not None for sample in found):
        named = "" if template is None else " and {text} in dataset.captions"
        return f"write NAME.txt beside each picture{named}, or {written}"
    return f"set dataset.captions to one caption for all, or {written}"


def remarks(
    settings: Dataset, found: Sequence[Sample], fates: Iterable[Fate], entries: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Sentences on what a person should not miss where pictures are left; `entries` are data.json's."""
    if lacking := sum(fate.by == CAPTION for fate in fates):
        said = f"{lacking} of {len(found)} pictures are left out for want of a caption"
        yield f"{said}; {caption_advice(settings, found)}"
    if small := [_shape(entry) for entry in entries if _enlargement(entry) >= ENLARGED]:
        said = f"{len(small)} of {len(entries)} pictures are blurred, for they are enlarged to {settings.size}"
        yield f"{said} ({some(small)}); dataset.filters.shape leaves out what is too small"


def _enlargement(entry: Mapping[str, Any]) -> float:
    """How many times as wide the prepared picture is as the part of the original that it shows."""
    return float(entry["width"] / (entry["crop_right"] - entry["crop_left"]))


def _shape(entry: Mapping[str, Any]) -> str:
    """A picture as a message names it."""
    return f"{entry['name']} {entry['original_width']}x{entry['original_height']}"
