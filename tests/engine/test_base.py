"""Loaders: every file name and format that bases come in, and every way in which one can be broken."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kolors_submit.engine import base as bases
from kolors_submit.errors import InputError
from kolors_submit.weights import Base, open_base

UNET_FILE = "unet/diffusion_pytorch_model.safetensors"
TEXT_FILE = "text_encoder/model.safetensors"


@pytest.fixture
def copy(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def base_at(folder: Path) -> Base:
    return Base("copy", folder, {})


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


def unet(folder: Path) -> torch.nn.Module:
    return bases.load_unet(base_at(folder), "cpu", torch.float32)


def test_networks_are_diffsynths_own_and_frozen(tiny_base: Path) -> None:
    from diffsynth.models.kolors_text_encoder import ChatGLMModel
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
    from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder

    base = open_base(tiny_base)
    loaders: list[tuple[Callable[..., torch.nn.Module], type]] = [
        (bases.load_unet, SDXLUNet),
        (bases.load_vae_decoder, SDXLVAEDecoder),
        (bases.load_vae_encoder, SDXLVAEEncoder),
        (bases.load_text_encoder, ChatGLMModel),
    ]
    for load, kind in loaders:
        network = load(base, "cpu", torch.float32)
        assert isinstance(network, kind)
        assert not network.training
        assert not any(parameter.requires_grad or parameter.is_meta for parameter in network.parameters())


def test_a_gpu_gets_the_same_weights_in_the_same_order(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By several threads, on the caller's device, not on a thread's own."""
    placed: set[tuple[str, int]] = set()

    def to(value: torch.Tensor, where: object, *rest: object) -> torch.Tensor:
        if isinstance(where, torch.device) and where.type == "cuda":
            placed.add((threading.current_thread().name, where.index))
            time.sleep(0.001)
            return value
        return real(value, where, *rest)

    base, real = open_base(tiny_base), torch.Tensor.to
    plain = bases.load_unet(base, "cpu", torch.float16).state_dict()
    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 3)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    found = bases.load_unet(base, "cuda", torch.float16).state_dict()
    assert len({name for name, _ in placed}) == bases.READERS and {index for _, index in placed} == {3}
    assert list(found) == list(plain) and all(torch.equal(found[name], plain[name]) for name in plain)


def test_half_precision_and_the_vae(copy: Path) -> None:
    def dtypes(network: torch.nn.Module) -> set[torch.dtype]:
        return {parameter.dtype for parameter in network.parameters()}

    base = base_at(copy)
    assert dtypes(bases.load_unet(base, "cpu", torch.float16)) == {torch.float16}
    assert dtypes(bases.load_vae_decoder(base, "cpu", torch.float16)) == {torch.float32}
    edit_config(copy / "vae/config.json", force_upcast=False)
    assert dtypes(bases.load_vae_decoder(base, "cpu", torch.float16)) == {torch.float16}


def test_an_fp16_file_is_read(copy: Path, tiny_base: Path) -> None:
    path = copy / UNET_FILE
    save_file({key: value.half() for key, value in load_file(path).items()}, path.with_suffix(".fp16.safetensors"))
    path.unlink()
    wanted = bases.load_unet(open_base(tiny_base), "cpu", torch.float16)
    assert same_weights(bases.load_unet(base_at(copy), "cpu", torch.float16), wanted)


def shards_of(state: dict[str, torch.Tensor], name: str) -> dict[str, dict[str, torch.Tensor]]:
    keys = sorted(state)
    return {name.format(n + 1): {key: state[key] for key in keys[n::3]} for n in range(3)}


def write_index(path: Path, shards: dict[str, dict[str, torch.Tensor]]) -> None:
    weight_map = {key: name for name, shard in shards.items() for key in shard}
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_a_sharded_index_is_read(copy: Path, tiny_base: Path) -> None:
    path = copy / UNET_FILE
    shards = shards_of(load_file(path), "diffusion_pytorch_model-{:05d}-of-00003.safetensors")
    for name, shard in shards.items():
        save_file(shard, path.with_name(name))
    write_index(path.with_name("diffusion_pytorch_model.safetensors.index.json"), shards)
    path.unlink()
    assert same_weights(unet(copy), unet(tiny_base))


@pytest.mark.parametrize("zipped", [True, False])
def test_the_published_pickled_shards_are_read(copy: Path, tiny_base: Path, zipped: bool) -> None:
    path = copy / TEXT_FILE
    state = {f"transformer.{key}": value for key, value in load_file(path).items()}
    shards = shards_of(state, "pytorch_model-{:05d}-of-00003.bin")
    for name, shard in shards.items():
        torch.save(shard, path.with_name(name), _use_new_zipfile_serialization=zipped)
    write_index(path.with_name("pytorch_model.bin.index.json"), shards)
    path.unlink()
    one = bases.load_text_encoder(base_at(copy), "cpu", torch.float32)
    assert same_weights(one, bases.load_text_encoder(open_base(tiny_base), "cpu", torch.float32))


def test_the_output_layer_may_be_absent(copy: Path) -> None:
    path = copy / TEXT_FILE
    state = load_file(path)
    assert any(key.startswith("output_layer") for key in state)
    save_file({key: value for key, value in state.items() if not key.startswith("output_layer")}, path)
    assert bases.load_text_encoder(base_at(copy), "cpu", torch.float32)


def test_a_pickle_that_would_run_a_program(copy: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (copy / "ran",)

    (copy / TEXT_FILE).unlink()
    torch.save({"transformer.x": Bomb()}, copy / "text_encoder/pytorch_model.bin")
    with pytest.raises(InputError, match="no plain file of weights"):
        bases.load_text_encoder(base_at(copy), "cpu", torch.float32)
    assert not (copy / "ran").exists()


def edit_config(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    state = load_file(path)
    change(state)
    save_file(state, path)


def edit_unet(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    return lambda folder: edit_weights(folder / UNET_FILE, change)


BROKEN: dict[str, Callable[[Path], Any]] = {
    "conv_out.bias is missing": edit_unet(lambda state: state.__delitem__("conv_out.bias")),
    "conv_out.bias has shape": edit_unet(lambda state: state.update({"conv_out.bias": torch.zeros(5)})),
    "no layer of this config": edit_unet(lambda state: state.update({"extra.weight": torch.zeros(1)})),
    "is unexpected": edit_unet(lambda state: state.update({"conv_in.scale": torch.zeros(1)})),
    "cut short|cannot be read": lambda folder: os.truncate(folder / UNET_FILE, 5000),
    "has no weights": lambda folder: (folder / UNET_FILE).unlink(),
    "cannot be read as JSON": lambda folder: (folder / "unet/config.json").write_text("{"),
    "not a JSON object": lambda folder: (folder / "unet/config.json").write_text("[]"),
    "no network of Kolors' kind": lambda folder: edit_config(folder / "unet/config.json", norm_num_groups=16),
    "beta_end is 0.012": lambda folder: edit_config(folder / "scheduler/scheduler_config.json", beta_end=0.012),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_base_is_refused(copy: Path, message: str) -> None:
    BROKEN[message](copy)
    with pytest.raises(InputError, match=message):
        unet(copy)


def test_an_index_names_no_file_elsewhere(copy: Path) -> None:
    (copy / UNET_FILE).rename(copy / "weights.safetensors")
    index = {"weight_map": {"conv_in.bias": "../weights.safetensors"}}
    (copy / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="outside its folder"):
        unet(copy)


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_folder_without_a_tokenizer(copy: Path, content: bytes | None) -> None:
    path = copy / "tokenizer/tokenizer.model"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no ChatGLM tokenizer"):
        bases.load_prompter(base_at(copy))
