"""What the model is told: how a prompt for Kolors is written, what is asked for, and what was wrong the last time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kolors_submit.endpoint import Message
from kolors_submit.write.order import Order

MAX_PROBLEMS = 40
"""Shown to the model at once; the rest come back the next time."""

EXAMPLE: dict[str, Any] = {
    "title": "雨天的猫",
    "characters": [{"name": "小红", "description": "一位红色长发、身穿蓝色连衣裙、头戴贝雷帽的女孩"}],
    "panels": [
        {"scene": "Somebody in the rain", "prompt": "{小红}撑着伞走在小路上，旁边有一只猫，下雨，中午，全身像"},
        {"scene": "Two friends asleep", "prompt": "{小红}睡在房间的床上，旁边有一只猫，夜晚，半身像"},
    ],
}
EXAMPLE_EN: dict[str, Any] = {
    "title": "The Boy Who Kept the Lantern",
    "characters": [{"name": "Tom", "description": "a boy with short golden hair, wearing a red sweater"}],
    "panels": [
        {"scene": "The bridge", "prompt": "{Tom}, standing on a bridge by the lake with a lantern, night, full figure"},
        {
            "scene": "Home at last",
            "prompt": "{Tom}, sleeping in a bed in his room, a dog beside him, night, half figure",
        },
    ],
}

_RULES = """\
You write picture stories as prompts for Kolors, a text-to-image model. Answer with one JSON object and nothing else:
title, characters (name, description) and panels (scene, prompt).

Characters
- One to three. The description says kind of person, hair, clothes and at most one more thing, within {limit}; the
  same words stand wherever the character is seen, so that looks stay the same. No mood, no action, no place in it.
- In prompts a character is written {{name}} in braces, never by name or description alone: {{name}} is replaced by the
  description. Every character is in at least one panel. At most two in one panel.

Panels
- scene: a short English title for people.
- prompt: in {language}, one sentence of comma-separated phrases in this order: who ({{name}}), what they do, where,
  what is beside them, weather or time of day, and last how much of the figure is seen: {figures}.
- Who is seen stands first. Say what is seen, not what is felt or meant. One moment a panel.
- No writing in the picture: no signs, letters, titles, books with visible words, no quotation marks.
- No style words: the style is added to every prompt. No braces other than around names, and none of | // /* .
- The panels tell one story from beginning to end, and differ in place, time of day, action and how near the figure is.
"""
_LANGUAGES = {
    "zh": ("Chinese", "40 characters", "全身像, 半身像 or 特写"),
    "en": ("English", "25 words", "full figure, half figure or close-up"),
}


def first_messages(order: Order) -> list[Message]:
    """The conversation that asks for the story."""
    language, limit, figures = _LANGUAGES[order.language]
    rules = _RULES.format(language=language, limit=limit, figures=figures)
    example = json.dumps(EXAMPLE if order.language == "zh" else EXAMPLE_EN, ensure_ascii=False)
    asked = [f"Write a story of exactly {order.panels} panels, for pictures in this style: {order.style}."]
    if order.idea:
        asked.append(f"The story: {order.idea}")
    if order.outline:
        asked.append("Panel by panel, these are its scenes; keep their order and what happens in each:")
        asked += [f"{number}. {scene}" for number, scene in enumerate(order.outline, 1)]
    asked.append(f"The form, by a shorter story: {example}")
    return [{"role": "system", "content": rules}, {"role": "user", "content": "\n".join(asked)}]


def repair_messages(answer: str, problems: Sequence[str]) -> list[Message]:
    """What follows an answer that does not pass: the answer itself, and everything that is wrong with it."""
    more = [f"- and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
    lines = [f"- {problem}" for problem in problems[:MAX_PROBLEMS]] + more
    said = "The story was checked, and these are its problems:\n" + "\n".join(lines)
    asked = f"{said}\nAnswer with the whole story again as one JSON object, with every problem fixed and the rest kept."
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": asked}]
