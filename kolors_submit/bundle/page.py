"""index.html: the entry on one page that needs no network and allows nothing but its own style, letters and script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kolors_submit.bundle import exhibits
from kolors_submit.bundle.card import number
from kolors_submit.bundle.charts import loss_curve, score_x, ticks
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.typeface import font_faces
from kolors_submit.bundle.words import WORDS
from kolors_submit.pages import asset, filled, whole
from kolors_submit.weights import OFFICIAL_PREDICTOR

PACKAGE = "kolors_submit.bundle"


def page_text(
    entry: Entry, pictures: Sequence[Path], before: Mapping[int, Path], shown: exhibits.Show = exhibits.embedded
) -> str:
    """The whole page; every word of the story is escaped.

    `pictures` are the panels in order, `before` those that were also rendered without the LoRA, by number; `shown`
    makes of each what stands in the page. What had to be guessed of an imported entry stands on its page, and what
    nobody knows (the training, the data, the environment, perhaps the scores) does not.
    """
    panels = exhibits.panels(entry, pictures, before, shown)
    body = filled(PACKAGE, "page.body.html", _values(entry, panels))
    script = script_source()
    css = font_faces(exhibits.PICTURE.sub("", body) + script) + asset(PACKAGE, "page.css")
    inside = "img-src data:; font-src data:"
    values = {"language": entry.story.language, "title": entry.title}
    return whole(PACKAGE, "page.html", body, css, script, inside, values)


def script_source() -> str:
    """The only script that a page of ours holds."""
    return asset(PACKAGE, "page.js")


def _values(entry: Entry, panels: Sequence[exhibits.ShownPanel]) -> dict[str, Any]:
    """What the template names."""
    words = WORDS[entry.story.language]
    return {
        "entry": entry,
        "imported": entry.imported,
        "story": entry.story,
        "words": words,
        "panels": panels,
        "pairs": [panel for panel in panels if panel.before is not None],
        "score_bars": exhibits.score_bars(entry) if entry.scores else (),
        "threshold_x": score_x(entry.scores["threshold"]) if entry.scores else None,
        "score_ticks": ticks(0, 10, 5),
        "coherence": exhibits.coherence(entry),
        "funnel": exhibits.data_funnel(entry),
        "curve": loss_curve(entry.losses),
        "training_rows": exhibits.training_rows(entry, words),
        "strengths": entry.strengths,
        "official": bool(entry.scores) and entry.scores["predictor"]["name"] == OFFICIAL_PREDICTOR,
        "environment_rows": exhibits.environment_rows(entry, words),
        "number": number,
    }
