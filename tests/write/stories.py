"""Answers of a model that writes stories: a good one, and ways to spoil it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

Story = dict[str, Any]

DOINGS = (
    "坐在房间里看书，早晨，全身像",
    "走在小路上，旁边有一只猫，中午，全身像",
    "在湖边画画，旁边有画架，中午，半身像",
    "撑着伞走在小镇上，下雨，全身像",
    "提着灯笼走在森林里，夜晚，全身像",
    "站在桥上，旁边有一只猫，日落，半身像",
    "和{奶奶}在樱花树下说话，早晨，全身像",
    "睡在房间的床上，旁边有一只猫，夜晚，全身像",
)


def good() -> Story:
    """A story of eight panels that breaks no rule."""
    return {
        "title": "雨天的猫",
        "characters": [
            {"name": "小红", "description": "一位红色长发、身穿蓝色连衣裙的女孩"},
            {"name": "奶奶", "description": "一位银色短发、身穿紫色长袍的老奶奶"},
        ],
        "panels": [{"scene": f"Scene {n}", "prompt": f"{{小红}}{doing}"} for n, doing in enumerate(DOINGS, 1)],
    }


def good_english() -> Story:
    """The same in English, as far as the rules go."""
    doings = ("reading in a room, morning", "walking in the rain, noon", "painting by the lake, sunset") * 3
    return {
        "title": "The Cat in the Rain",
        "characters": [{"name": "Anna", "description": "a girl with long red hair, wearing a blue dress"}],
        "panels": [{"scene": f"Scene {n}", "prompt": f"{{Anna}}, {doing}, full figure"} for n, doing in
                   enumerate(doings[:8], 1)],
    }  # fmt: skip


def said(story: Story) -> str:
    """A story as a model answers it."""
    return json.dumps(story, ensure_ascii=False)


def spoiled(change: Callable[[Story], object]) -> str:
    """The good story with one thing wrong, as a model answers it."""
    story = copy.deepcopy(good())
    change(story)
    return said(story)
