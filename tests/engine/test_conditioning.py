"""Conditionings: diffusers' numbers, no influence of other prompts, the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine import conditioning
from kolors_submit.engine.conditioning import Conditioning, add_time_id, encode, encode_cached
from kolors_submit.errors import OutsideError
from kolors_submit.weights import Base, open_base
from tests.engine.parts import relative_error

PROMPTS = ["一个女孩", "", "a girl by the lake", "很长 " * 400]


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> Base:
    return open_base(tiny_base)


def test_conditionings_are_diffusers(base: Base) -> None:
    from diffusers import KolorsPipeline

    pipeline = KolorsPipeline.from_pretrained(base.folder)
    for prompt, ours in zip(PROMPTS, encode(base, PROMPTS, "cpu", torch.float32), strict=True):
        with torch.no_grad():
            embedding, _, pooled, _ = pipeline.encode_prompt(prompt, "cpu", do_classifier_free_guidance=False)
        assert ours.embedding.shape == (256, 16)
        assert relative_error(ours.embedding, embedding[0]) < 1e-5
        assert relative_error(ours.pooled, pooled[0]) < 1e-5


def test_a_prompt_has_the_same_bytes_alone_and_in_any_order(base: Base) -> None:
    together = encode(base, PROMPTS[:3], "cpu", torch.float32)
    turned = encode(base, PROMPTS[2::-1], "cpu", torch.float32)[::-1]
    alone = [encode(base, [prompt], "cpu", torch.float32)[0] for prompt in PROMPTS[:3]]
    for one, two, three in zip(together, turned, alone, strict=True):
        assert torch.equal(one.embedding, two.embedding)
        assert torch.equal(one.embedding, three.embedding)
        assert torch.equal(one.pooled, three.pooled)


def test_the_cache_saves_the_encoder(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "text"
    first = encode_cached(base, ["a", "b", "a"], "cpu", torch.float32, cache, False, pytest.fail)
    assert len(list(cache.iterdir())) == 2
    asked: list[str] = []

    def counted(base: Base, prompts: list[str], *how: object) -> list[conditioning.Conditioning]:
        asked.extend(prompts)
        return encode(base, prompts, *how)

    monkeypatch.setattr(conditioning, "encode", counted)
    again = encode_cached(base, ["a", "b", "a"], "cpu", torch.float32, cache, False, pytest.fail)
    assert asked == []
    assert all(torch.equal(one.embedding, two.embedding) for one, two in zip(first, again, strict=True))
    next(cache.iterdir()).write_bytes(b"damaged")
    encode_cached(base, ["a", "b", "c"], "cpu", torch.float32, cache, False, pytest.fail)
    assert len(asked) == 2
    assert "c" in asked


@pytest.mark.parametrize("stream", [False, True])
def test_prompts_go_through_the_encoder_in_groups_each_kept_when_it_is_done(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    prompts = [*PROMPTS, "five"]
    together = encode(base, prompts, "cpu", torch.float32)
    cache, groups = tmp_path / "text", list[list[str]]()
    real = conditioning.encode_with

    def short(network: Any, layers: Any, prompter: Any, group: list[str], device: str) -> list[Conditioning]:
        groups.append(list(group))
        if len(groups) == 3:
            raise OSError("the power fails")
        return real(network, layers, prompter, group, device)

    monkeypatch.setattr(conditioning, "GROUP", 2)
    monkeypatch.setattr(conditioning, "encode_with", short)
    with pytest.raises(OSError, match="the power fails"):
        encode_cached(base, prompts, "cpu", torch.float32, cache, stream, pytest.fail)
    assert len(list(cache.iterdir())) == 4
    found = encode_cached(base, prompts, "cpu", torch.float32, cache, stream, pytest.fail)
    assert groups == [prompts[:2], prompts[2:4], ["five"], ["five"]]
    for one, two in zip(found, together, strict=True):
        assert torch.equal(one.embedding, two.embedding) and torch.equal(one.pooled, two.pooled)


def test_where_memory_ends_in_between_only_the_rest_is_encoded_again(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, groups = conditioning.encode_with, list[list[str]]()

    def short(network: Any, layers: Any, prompter: Any, group: list[str], device: str) -> list[Conditioning]:
        groups.append(list(group))
        if len(groups) == 2:
            raise torch.OutOfMemoryError
        return real(network, layers, prompter, group, device)

    monkeypatch.setattr(conditioning, "GROUP", 2)
    monkeypatch.setattr(conditioning, "encode_with", short)
    notes: list[str] = []
    encode_cached(base, PROMPTS, "cpu", torch.float32, tmp_path, False, notes.append)
    assert groups == [PROMPTS[:2], PROMPTS[2:], PROMPTS[2:]]
    assert len(notes) == 1


def test_layer_by_layer_gives_the_same_bytes(base: Base) -> None:
    at_once = encode(base, PROMPTS, "cpu", torch.float32)
    for one, other in zip(at_once, encode(base, PROMPTS, "cpu", torch.float32, stream=True), strict=True):
        assert torch.equal(one.embedding, other.embedding)
        assert torch.equal(one.pooled, other.pooled)


def test_layer_by_layer_holds_one_layer(base: Base) -> None:
    network, layers = bases.stream_text_encoder(base, "cpu", torch.float32)
    before = None
    for layer in layers:
        assert not any(parameter.is_meta for parameter in layer.parameters())
        held = [one for one in network.encoder.layers if not next(one.parameters()).is_meta]
        assert held == [layer]
        before = layer
    assert before is network.encoder.layers[-1]


def test_sizes_are_in_the_trained_order() -> None:
    assert add_time_id(1, 2, 3, 4, 5, 6).tolist() == [1, 2, 3, 4, 5, 6]


def test_where_memory_is_short_the_encoder_goes_layer_by_layer(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(
        base: Base, prompts: list[str], device: str, dtype: torch.dtype, stream: bool, *keep: Any
    ) -> list[Conditioning]:
        if not stream:
            raise torch.OutOfMemoryError
        return encode(base, prompts, device, dtype, stream, *keep)

    notes: list[str] = []
    plain = encode(base, ["a"], "cpu", torch.float32)[0]
    monkeypatch.setattr(conditioning, "encode", short)
    (found,) = encode_cached(base, ["a"], "cpu", torch.float32, tmp_path, False, notes.append)
    assert torch.equal(found.embedding, plain.embedding) and torch.equal(found.pooled, plain.pooled)
    assert notes == [
        "the GPU's memory was not enough for the whole text encoder; going on with the text encoder layer by layer"
    ]
    monkeypatch.setattr(conditioning, "encode", lambda *_: short(base, [], "cpu", torch.float32, False))
    with pytest.raises(OutsideError, match="not enough for the text encoder layer by layer, the leanest way"):
        encode_cached(base, ["b"], "cpu", torch.float32, tmp_path, True, pytest.fail)
