"""README.md, the model card that ModelScope and Hugging Face show, and post.md, the text for the contest's forum."""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from kolors_submit.base_names import KOLORS
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.markdown import Raw, environment, escape
from kolors_submit.bundle.words import STEPS
from kolors_submit.hub.known import KNOWN
from kolors_submit.weights import OFFICIAL_PREDICTOR

LICENSE_LINK = "https://huggingface.co/Kwai-Kolors/Kolors/blob/main/MODEL_LICENSE"
BASE_MODEL = "Kwai-Kolors/Kolors"
REQUIRED_KEYS = ("license", "tasks", "frameworks", "language", "tags", "base_model_relation", "domain")
"""What ModelScope expects in a card's front matter; `base_model` too where the base has a page."""

MIN_CHARACTERS = 200
"""ModelScope hides a model whose README is shorter."""


def card_text(entry: Entry) -> str:
    """The whole README.md: front matter with the hubs' keys, then the introduction in the story's language.

    Every word of the story is escaped.
    """
    data = ModelCardData(**_front_matter(entry))
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{_rendered('card', entry)}"))


def post_text(entry: Entry) -> str:
    """The text of post.md."""
    return _rendered("post", entry)


def _rendered(kind: str, entry: Entry) -> str:
    """A template in the story's language; of an imported entry, one that tells what is known of it and what is not."""
    name = f"{'imported.' if entry.imported is not None else ''}{kind}.{entry.story.language}.md"
    return environment().get_template(name).render(**_values(entry))


def _front_matter(entry: Entry) -> dict[str, Any]:
    """The card's keys: ModelScope's, and those that Hugging Face reads for the same things."""
    values: dict[str, Any] = {
        "license": entry.license,
        "tasks": ["text-to-image-synthesis"],
        "frameworks": ["pytorch"],
        "language": [entry.story.language],
        "tags": list(dict.fromkeys(["LoRA", *entry.story.submission.tags])),
        "base_model_relation": "adapter",
        "domain": ["multi-modal"],
        "pipeline_tag": "text-to-image",
        "library_name": "diffusers",
    }
    if entry.trigger_words:
        values["trigger_words"] = entry.trigger_words
        values["instance_prompt"] = entry.trigger_words[0]
    if not entry.is_demonstration:
        values |= {"base_model": [BASE_MODEL], "license_name": "kolors-model-license", "license_link": LICENSE_LINK}
    return values


def number(value: float) -> str:
    """A number with at most four digits after the point that say something."""
    text = f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 or value == 0 else f"{value:.3g}"
    return text or "0"


def _values(entry: Entry) -> dict[str, Any]:
    """What the templates name; an imported entry may have no scores. `raw` is only given words made or checked here."""
    train, predictor = entry.train, entry.scores.get("predictor", {"name": "", "digest": ""})
    base_name = re.sub(r"[^\w.-]", "-", entry.base["name"], flags=re.ASCII)
    known = {KOLORS: {"zh": "快手可图 Kolors ", "en": "Kwai's Kolors"}}
    branch = KNOWN[entry.story.submission.hub].branch
    return {
        "entry": entry,
        "imported": entry.imported,
        "story": entry.story,
        "train": entry.story.train,
        "rows": entry.rows,
        "scores": entry.panel_scores if entry.scores else None,
        "strengths": entry.strengths,
        "losses": (train["loss_first"], train["loss_last"]) if "loss_first" in train else None,
        "base_name": base_name,
        "base_words": Raw(known.get(entry.base["name"], {}).get(entry.story.language, f"`{base_name}`")),
        "license_link": LICENSE_LINK,
        "official": predictor["name"] == OFFICIAL_PREDICTOR,
        "predictor_digest": re.sub(r"[^0-9a-f]", "", predictor["digest"])[:64],
        "sheet": f"{entry.address}/resolve/{branch}/story.jpg" if entry.address else "story.jpg",
        "number": number,
        "megabytes": lambda size: f"{size / 1e6:.1f}",
        "raw": Raw,
        "funnel_table": lambda step, left: _funnel_table(entry, step, left),
    }


def _funnel_table(entry: Entry, step: str, left: str) -> Raw:
    lines = [f"| {step} | {left} |", "|---|---|"]
    names = STEPS[entry.story.language]
    lines += [f"| {escape(names.get(part.name, part.name))} | {part.left} |" for part in entry.funnel]
    return Raw("\n".join(lines))
