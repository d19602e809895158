"""Captions from columns and templates."""

from __future__ import annotations

import pytest

from kolors_submit.data.captions import BadCaption, caption


@pytest.mark.parametrize(
    ("template", "columns", "text"),
    [
        (None, {"text": " 一只\n猫 "}, "一只 猫"),
        (None, {"Prompt": "a cat", "caption": "a dog"}, "a dog"),
        ("二次元", {}, "二次元"),
        ("{prompt}, watercolor style", {"Prompt": "a cat"}, "a cat, watercolor style"),
        ("{{{ kind }}}", {"kind": "cat"}, "{cat}"),
        ("{a}", {"a": "{b}", "b": "never read"}, "{b}"),
    ],
)
def test_captions(template: str | None, columns: dict[str, str], text: str) -> None:
    assert caption(template, columns) == text


@pytest.mark.parametrize(
    ("template", "columns", "why"),
    [
        (None, {"title": "a cat"}, "no caption"),
        (None, {"text": " \n"}, "empty"),
        ("{text}", {}, "no column 'text'.*none"),
        (None, {"text": "x" * 5000}, "5,000 characters"),
        (None, {"text": "a\x1b[31mb"}, "control characters"),
        ("{text, ink", {"text": "a"}, "a lone '{' in it; write {{ for a brace"),
        ("text}, ink", {"text": "a"}, "a lone '}' in it; write }} for a brace"),
        ("{text.__class__}", {"text": "a"}, "no column"),
    ],
)
def test_captions_that_cannot_be_used(template: str | None, columns: dict[str, str], why: str) -> None:
    with pytest.raises(BadCaption, match=why):
        caption(template, columns)
