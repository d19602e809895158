"""Hints, not errors: what text-to-image models are known to fail at in prompts, and what looks misspelt."""

from __future__ import annotations

import difflib
import re

from kolors_submit.base_names import NAMED
from kolors_submit.story.blanks import unfilled
from kolors_submit.story.document import Document, Problem
from kolors_submit.story.model import Story
from kolors_submit.story.prompts import panel_prompt

_WIDE_BRACES = re.compile(r"｛([^｛｝{}]*)｝")
_QUOTED = re.compile(r"[“”「」『』‘’\"]")
_WRITING = re.compile(r"写着|写有|字样|文字|标语|\b(?:reads?|says?|saying|written|lettering|words)\b", re.IGNORECASE)
_FIGURE = re.compile(
    r"全身|半身|特写|近景|中景|远景|\b(?:full[- ](?:body|figure|length)|half[- ](?:body|figure|length)|"
    r"close[- ]?up|portrait|wide shot|medium shot)\b",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"女孩|男孩|女人|男人|少女|少年|老人|爷爷|奶奶|姑娘|先生|女士|公主|骑士|老师|渔夫|书生|"
    r"\b(?:girl|boy|woman|man|grandmother|grandfather|lady|child|princess|knight|painter|fisherman)\b",
    re.IGNORECASE,
)
_COLOUR = (
    r"[红橙黄绿蓝紫粉白黑金银棕褐灰]",
    r"\b(?:red|orange|yellow|green|blue|purple|pink|white|black|golden|silver|brown|grey|gray)\b",
)
_THING = (
    r"(?:长发|短发|卷发|直发|辫|帽|裙|衫|袍|外套|毛衣|裤|鞋|靴|围巾|眼镜|胡)",
    r"\b(?:hair|braids?|hat|cap|beret|dress|skirt|coat|shirt|sweater|robe|trousers|shoes|boots|scarf|glasses|beard)\b",
)
_ATTRIBUTE = re.compile(
    # A colour and the thing that has it are one attribute (紫色的长袍, long red hair), and so is either alone.
    rf"(?:{_COLOUR[0]}色?的?)?[\u4e00-\u9fff]{{0,2}}?{_THING[0]}|{_COLOUR[0]}色|"
    rf"(?:{_COLOUR[1]} (?:\w+ )?)?{_THING[1]}|{_COLOUR[1]}",
    re.IGNORECASE,
)
MANY = 6
"""Attributes of two people above which they are mixed up: more than three each."""


def hints(document: Document, story: Story) -> list[Problem]:
    """What is likely to fail in a story that is valid; one finding a panel and cause."""
    found = [
        document.problem(("bases", name), f"is a base of your own; did you mean {near[0]}?", hint=True)
        for name in story.bases
        if name not in NAMED and (near := difflib.get_close_matches(name, NAMED, 1))
    ]
    found += [
        document.problem(path, f"still holds the template's words ({words}); write your own", hint=True)
        for path, words in unfilled(story)
    ]
    for index, panel in enumerate(story.panels):
        prompt = panel_prompt(story, panel).positive
        own = panel_prompt(story.model_copy(update={"style": type(story.style)()}), panel).positive
        for message in (*_about_typing(panel.prompt), *_about(own, prompt)):
            found.append(document.problem(("panels", index, "prompt"), message, hint=True))
    return found


def _about_typing(written: str) -> list[str]:
    """Messages about the signs of a Chinese keyboard that stand where a story means the plain ones."""
    messages = [f"{found[0]} has full-width braces; write {{{found[1]}}}" for found in _WIDE_BRACES.finditer(written)]
    if written[:1] in ("“", "”", "‘", "’"):
        messages.append(f"starts with {written[0]}, which belongs to the words here; write straight quotes")
    return messages


def _about(own: str, whole: str) -> list[str]:
    """Messages about one prompt: `own` without the style around it, `whole` with it."""
    messages = []
    if _QUOTED.search(own) or _WRITING.search(own):
        messages.append("asks for writing in the picture; models draw letters badly, describe what is seen instead")
    person = _PERSON.search(own)
    if person is None:
        return messages
    if person.start() > max(24, len(own) // 2):
        messages.append("names its subject late; start with who is seen")
    if len(set(_PERSON.findall(own))) > 1 and len(_ATTRIBUTE.findall(own)) > MANY:
        messages.append("gives two people many attributes; models mix them up, keep each to two or three")
    if not _FIGURE.search(whole):
        messages.append("does not say how much of the figure is seen; add full figure, half figure or close-up")
    return messages
