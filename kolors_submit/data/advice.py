"""What to do about pictures that were left out, by what they were left out for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from kolors_submit.data.account import CAPTIONER, Fate
from kolors_submit.data.captions import own_column
from kolors_submit.data.sample import Sample
from kolors_submit.story import Dataset

CAPTION, PICTURE = "caption", "picture"
"""What a fate names where a picture's own caption, or its bytes, cannot be used."""


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
