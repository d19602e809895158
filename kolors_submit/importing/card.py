"""README.md and post.md of an imported entry: what is known, and plainly what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from kolors_submit.bundle.card import LICENSE_LINK, front_matter, number
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.markdown import Raw, environment
from kolors_submit.weights import OFFICIAL_PREDICTOR

_PACKAGE = "kolors_submit.importing"


def card_text(entry: Entry, imported: Mapping[str, Any]) -> str:
    """The whole README.md; `imported` is import.json's value. Every word of the entry is escaped."""
    template = environment(_PACKAGE).get_template(f"card.{entry.story.language}.md")
    body = template.render(imported=imported, **_values(entry))
    return str(ModelCard(f"---\n{ModelCardData(**front_matter(entry)).to_yaml()}\n---\n{body}"))


def post_text(entry: Entry) -> str:
    """The text of post.md."""
    return environment(_PACKAGE).get_template(f"post.{entry.story.language}.md").render(**_values(entry))


def _values(entry: Entry) -> dict[str, Any]:
    """What the templates name; `raw` is only given words that this program made or checked."""
    return {
        "entry": entry,
        "story": entry.story,
        "rows": entry.rows,
        "scores": entry.panel_scores if entry.scores else None,
        "strengths": entry.strengths,
        "base_name": re.sub(r"[^\w.-]", "-", entry.base["name"], flags=re.ASCII),
        "official": bool(entry.scores) and entry.scores["predictor"]["name"] == OFFICIAL_PREDICTOR,
        "license_link": LICENSE_LINK,
        "number": number,
        "raw": Raw,
    }
