"""What this program rendered, stripped to old entries of several forms, imported, checked and reproduced."""

from __future__ import annotations

import pytest

from kolors_submit.bundle.check import check
from tests.importing.old import NODE_ALPHA, as_csv, as_markdown, rows

SETTINGS = ("render.steps=2", "render.guidance_scale=3.5", "gate.threshold=0")


def assert_sound(bundle):
    failures = [str(one) for one in check(bundle) if one.level == "fail"]
    assert failures == []


def test_ckpt_and_csv(old):
    entry = old.lora("diffsynth", "模型/epoch=0-step=500.ckpt").pictures("图/图{}.png")
    entry.add("提示词.csv", as_csv(rows()))
    value = entry.imported(noise="cpu-float32", settings=(*SETTINGS, f"train.alpha={NODE_ALPHA}"))
    bundle = entry.folder.parent / "out/bundle"
    assert_sound(bundle)
    print(value)
    again = entry.reproduced(bundle)
    assert [p["verdict"] for p in again["panels"]] == ["identical"] * 8
