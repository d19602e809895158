"""LoRA: one scale, three file formats, equal bytes, and strangers' files."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kolors_submit.engine import base as bases
from kolors_submit.engine import lora_files
from kolors_submit.engine.lora import Lora, LoraModule, from_injected, inject, layer_shapes, merge
from kolors_submit.errors import InputError
from kolors_submit.weights import Base, open_base
from tests.engine.parts import TARGETS, random_lora, relative_error, same
from tests.tiny import UNET


@pytest.fixture
def base(tiny_base: Path) -> Base:
    return open_base(tiny_base)


@pytest.fixture
def unet(base: Base) -> torch.nn.Module:
    return bases.load_unet(base, "cpu", torch.float32)


def run(unet: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    sample, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 16, 16, generator=generator)
    sizes, pooled = torch.tensor([[64.0, 64, 0, 0, 64, 64]]), torch.randn(1, 16, generator=generator)
    with torch.no_grad():
        return unet(sample, torch.tensor([500.0]), text, sizes, pooled)


def test_kohya_round_trip(tmp_path: Path) -> None:
    lora = random_lora(UNET, alpha=3.0)
    tensors = lora_files.to_kohya(lora, UNET)
    assert "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out_0.lora_down.weight" in tensors
    path = lora_files.write_safetensors(tmp_path / "lora.safetensors", tensors, {"b": 1, "a": {"name": "猫"}})
    back = lora_files.read(path, UNET)
    assert same(lora, back)
    assert {module.alpha for module in back.modules.values()} == {3.0}
    assert back.metadata == {"b": 1, "a": {"name": "猫"}}


@pytest.mark.parametrize("text", ['{"x":NaN}', '{"x":"\\ud800"}', '{"x":[' + '{"a":' * 500, "[]", "{"])
def test_metadata_that_cannot_be_written_again_is_not_ours(tmp_path: Path, text: str) -> None:
    path, tensors = tmp_path / "lora.safetensors", lora_files.to_kohya(random_lora(UNET), UNET)
    save_file(tensors, path, metadata={lora_files.METADATA_KEY: text})
    metadata = lora_files.read(path, UNET).metadata
    assert metadata == {}
    lora_files.write_safetensors(path, tensors, metadata)


def test_diffusers_round_trip_has_alpha_in_it(tmp_path: Path) -> None:
    lora = random_lora(UNET, rank=4, alpha=1.0)
    path = lora_files.write_safetensors(tmp_path / "peft.safetensors", lora_files.to_diffusers(lora, UNET), {})
    assert same(lora, lora_files.read(path, UNET), 1e-6)


def test_ckpt_round_trip_with_the_alpha_said(tmp_path: Path) -> None:
    lora = random_lora(UNET, rank=4, alpha=1.0)
    path = lora_files.write_ckpt(tmp_path / "lora.ckpt", lora)
    assert same(lora, lora_files.read(path, UNET, alpha=1.0))
    unscaled = lora_files.read(path, UNET)
    assert {module.alpha for module in unscaled.modules.values()} == {4.0}


def test_alpha_that_diffusers_stores_is_used(tmp_path: Path) -> None:
    lora = random_lora(UNET, rank=4, alpha=4.0)
    path = tmp_path / "peft.safetensors"
    stored = json.dumps({"unet.r": 4, "unet.lora_alpha": 2})
    save_file(lora_files.to_diffusers(lora, UNET), path, metadata={"lora_adapter_metadata": stored})
    assert {module.alpha for module in lora_files.read(path, UNET).modules.values()} == {2.0}


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ('{"unet.lora_alpha": 1' + "0" * 400 + "}", "not finite"),
        ('{"unet.lora_alpha": 2, "unet.alpha_pattern": {"to_q": 8}}', "alpha_pattern, which is not read"),
        ('{"unet.lora_alpha": 2, "unet.use_rslora": true}', "use_rslora, which is not read"),
    ],
)
def test_a_scale_that_is_no_one_number_is_refused(tmp_path: Path, stored: str, message: str) -> None:
    path, tensors = tmp_path / "peft.safetensors", lora_files.to_diffusers(random_lora(UNET), UNET)
    save_file(tensors, path, metadata={"lora_adapter_metadata": stored})
    with pytest.raises(InputError, match=message):
        lora_files.read(path, UNET)


def test_a_header_whose_length_begins_like_a_pickle(tmp_path: Path) -> None:
    """A safetensors file's first bytes are its header's length: one in 8192 begins with those of a pickle."""
    path, tensors = tmp_path / "lora.safetensors", lora_files.to_kohya(random_lora(UNET), UNET)
    save_file(tensors, path, metadata={"x": ""})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    save_file(tensors, path, metadata={"x": "y" * (0x10280 - length)})
    assert path.read_bytes()[:4] == b"\x80\x02\x01\x00"
    assert same(lora_files.read(path, UNET), random_lora(UNET))


def test_equal_loras_give_equal_bytes(tmp_path: Path) -> None:
    written = []
    for number in range(3):
        lora, folder = random_lora(UNET), tmp_path / str(number)
        one = lora_files.write_safetensors(
            folder / "x.safetensors", lora_files.to_kohya(lora, UNET), {str(n): n for n in range(20)}
        )
        other = lora_files.write_ckpt(folder / f"{number}.ckpt", Lora(dict(reversed(lora.modules.items()))))
        written.append((one.read_bytes(), other.read_bytes()))
    assert written[0] == written[1] == written[2]


def test_merging_is_what_peft_computes(base: Base, unet: torch.nn.Module) -> None:
    injected = bases.load_unet(base, "cpu", torch.float32)
    count = inject(injected, rank=4, alpha=2, targets=TARGETS, seed=1)
    with torch.no_grad():
        for name, parameter in injected.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(len(name)))
    lora = from_injected(injected)
    plain = run(unet)
    assert merge(unet, lora, 1.0) == count == len(lora.modules) > 0
    assert relative_error(run(unet), run(injected)) < 1e-5
    assert relative_error(run(unet), plain) > 1e-3


def test_injection_starts_from_its_seed_and_changes_nothing(base: Base, unet: torch.nn.Module) -> None:
    plain = run(unet)
    before = torch.get_rng_state()
    inject(unet, rank=2, alpha=2, targets=("to_q",), seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(run(unet), plain)
    other = bases.load_unet(base, "cpu", torch.float32)
    inject(other, rank=2, alpha=2, targets=("to_q",), seed=7)
    pairs = zip(from_injected(unet).modules.values(), from_injected(other).modules.values(), strict=True)
    assert all(torch.equal(one.down, two.down) and not one.up.any() for one, two in pairs)
    trainable = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    assert trainable
    assert all("lora_" in name for name in trainable)


def test_targets_that_no_layer_has(unet: torch.nn.Module) -> None:
    with pytest.raises(InputError, match=r"train\.targets to_nowhere"):
        inject(unet, rank=2, alpha=2, targets=("to_nowhere",), seed=0)


def test_strength_is_linear_and_zero_is_nothing(base: Base, unet: torch.nn.Module) -> None:
    plain, lora = run(unet), random_lora(UNET)
    assert merge(unet, lora, 0.0) == len(lora.modules)
    assert torch.equal(run(unet), plain)
    weights = {name: value.clone() for name, value in unet.state_dict().items()}
    merge(unet, lora, 0.5)
    name, module = next(iter(lora.modules.items()))
    expected = module.up @ module.down * (module.alpha / module.rank * 0.5)
    assert torch.allclose(unet.state_dict()[f"{name}.weight"] - weights[f"{name}.weight"], expected, atol=1e-6)


def test_a_convolution_is_updated_too(unet: torch.nn.Module) -> None:
    shape = layer_shapes(UNET)["blocks.0.conv1"]
    down, up = torch.randn(2, *shape[1:]), torch.randn(shape[0], 2, 1, 1)
    before = unet.state_dict()["blocks.0.conv1.weight"].clone()
    assert merge(unet, Lora({"blocks.0.conv1": LoraModule(down, up, 2.0)}), 1.0) == 1
    change = unet.state_dict()["blocks.0.conv1.weight"] - before
    assert torch.allclose(change, torch.einsum("or,rihw->oihw", up[..., 0, 0], down), atol=1e-5)


def test_a_lora_for_another_base(tmp_path: Path, unet: torch.nn.Module) -> None:
    wide = UNET | {"block_out_channels": [32, 64, 128], "attention_head_dim": [1, 2, 4]}
    foreign = random_lora(wide)
    path = lora_files.write_safetensors(tmp_path / "wide.safetensors", lora_files.to_kohya(foreign, wide), {})
    with pytest.raises(InputError, match="does not fit this base"):
        lora_files.read(path, UNET)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    with pytest.raises(InputError, match="does not fit this base"):
        merge(unet, foreign, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())


def test_a_lora_that_matches_nothing(tmp_path: Path, unet: torch.nn.Module) -> None:
    with pytest.raises(InputError, match="holds no LoRA layer"):
        merge(unet, Lora({}), 1.0)
    path = tmp_path / "other.safetensors"
    save_file({"lora_te1_text_model.lora_down.weight": torch.zeros(4, 4)}, path)
    for keys in (None, "diffusers"):
        with pytest.raises(InputError, match="no LoRA key of this base"):
            lora_files.read(path, UNET, keys=keys)


def broken(case: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    down = next(key for key in tensors if key.endswith("lora_down.weight"))
    changes: dict[str, Any] = {
        "not finite": {down: torch.full_like(tensors[down], float("nan"))},
        "only one half": {down: None},
        "has shapes": {down: torch.zeros(4, 3)},
        "no plain tensor": {down: torch.zeros(4, 64, dtype=torch.int64)},
        "not one number": {down.replace("lora_down.weight", "alpha"): torch.zeros(3)},
    }
    return {key: value for key, value in (tensors | changes[case]).items() if value is not None}


@pytest.mark.parametrize("case", ["not finite", "only one half", "has shapes", "no plain tensor", "not one number"])
def test_a_broken_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "lora.safetensors"
    save_file(broken(case, lora_files.to_kohya(random_lora(UNET), UNET)), path)
    with pytest.raises(InputError, match=case):
        lora_files.read(path, UNET)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 4, struct.pack("<Q", 1 << 40) + b"{}", b"not a lora at all", b"PK\x03\x04"]
)
def test_a_file_that_is_no_lora(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lora.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError):
        lora_files.read(path, UNET)


def test_a_pickle_that_would_run_a_program(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"blocks.0.lora_A.default.weight": Bomb()}, tmp_path / "lora.ckpt")
    with pytest.raises(InputError, match="no plain dict of tensors"):
        lora_files.read(tmp_path / "lora.ckpt", UNET)
    assert not (tmp_path / "ran").exists()


def test_a_tensor_that_pretends_to_be_huge(tmp_path: Path) -> None:
    tensors = lora_files.to_diffsynth(random_lora(UNET))
    name = next(iter(tensors))
    torch.save(tensors | {name: torch.zeros(1, 1).expand(1 << 20, 1 << 20)}, tmp_path / "lora.ckpt")
    with pytest.raises(InputError, match="has shapes"):
        lora_files.read(tmp_path / "lora.ckpt", UNET)


def test_too_much_metadata(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    metadata = {"x": "y" * (lora_files.MAX_METADATA_BYTES + 1)}
    save_file(lora_files.to_kohya(random_lora(UNET), UNET), path, metadata=metadata)
    with pytest.raises(InputError, match="more tensors or metadata"):
        lora_files.read(path, UNET)


def test_diffusers_loads_our_files_with_the_same_effect(tmp_path: Path, tiny_base: Path, unet: torch.nn.Module) -> None:
    from diffusers import KolorsPipeline

    lora = random_lora(UNET, alpha=2.0)
    merge(unet, lora, 1.0)
    for name, tensors in (("kohya", lora_files.to_kohya(lora, UNET)), ("peft", lora_files.to_diffusers(lora, UNET))):
        path = lora_files.write_safetensors(tmp_path / f"{name}.safetensors", tensors, {})
        assert all(value.dtype == torch.float32 for value in load_file(path).values())
        pipeline = KolorsPipeline.from_pretrained(tiny_base)
        pipeline.load_lora_weights(tmp_path, weight_name=path.name)
        assert relative_error(_diffusers_run(pipeline.unet), run(unet)) < 1e-4, name


def _diffusers_run(unet: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    sample, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 16, 16, generator=generator)
    sizes, pooled = torch.tensor([[64.0, 64, 0, 0, 64, 64]]), torch.randn(1, 16, generator=generator)
    conditions = {"text_embeds": pooled, "time_ids": sizes}
    with torch.no_grad():
        return unet(sample, torch.tensor([500.0]), text, added_cond_kwargs=conditions).sample
