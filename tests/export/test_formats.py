"""Exported LoRA files in the programs that read them: the same UNet output as ours, every layer matched.

DiffSynth's loader of kohya keys computes on a hard-coded CUDA device, so that one proof needs a GPU.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kolors_submit.bundle import lora as bundled
from kolors_submit.bundle.entry import Strengths
from kolors_submit.cli import run as command_line
from kolors_submit.engine import base as bases
from kolors_submit.engine import lora_files
from kolors_submit.engine.lora import Lora, LoraModule, merge
from kolors_submit.errors import InputError
from kolors_submit.export.formats import KOLORS_UNET, SUFFIXES, export
from kolors_submit.weights import open_base
from tests.engine.parts import TARGETS, random_lora, relative_error, same
from tests.tiny import UNET

RANK, ALPHA, STRENGTH = 4, 2.0, 0.75
CARD = Strengths(STRENGTH, ALPHA, RANK)
"""The numbers that a bundle's card gives for the strength its panels were rendered with."""

FORMATS = tuple(SUFFIXES)


@pytest.fixture
def kohya(tmp_path: Path) -> Path:
    """A LoRA of the tiny base as training writes it."""
    tensors = lora_files.to_kohya(random_lora(UNET, rank=RANK, alpha=ALPHA), UNET)
    return lora_files.write_safetensors(tmp_path / "lora.safetensors", tensors, {"alpha": ALPHA})


@pytest.fixture
def to(tiny_base: Path, kohya: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The same LoRA in another program's keys."""
    return lambda name: export(kohya, name, str(tiny_base), out=tmp_path / f"out{SUFFIXES[name]}").path


def parts() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = {"sample": (1, 4, 8, 8), "text": (1, 16, 16), "pooled": (1, 16)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


SIZES, STEP = torch.tensor([[64.0, 64, 0, 0, 64, 64]]), torch.tensor([500.0])


@torch.no_grad()
def ours(unet: torch.nn.Module) -> torch.Tensor:
    of = parts()
    return unet(of["sample"], STEP, of["text"], SIZES, of["pooled"])


@torch.no_grad()
def theirs(unet: torch.nn.Module) -> torch.Tensor:
    of = parts()
    return unet(
        of["sample"], STEP, of["text"], added_cond_kwargs={"text_embeds": of["pooled"], "time_ids": SIZES}
    ).sample


@pytest.fixture
def expected(tiny_base: Path) -> torch.Tensor:
    """Our UNet's output at the card's strength; without the LoRA it is far from it."""
    unet = bases.load_unet(open_base(tiny_base), "cpu", torch.float32)
    plain = ours(unet)
    merge(unet, random_lora(UNET, rank=RANK, alpha=ALPHA), STRENGTH)
    assert relative_error(plain, ours(unet)) > 0.05
    return ours(unet)


@pytest.mark.parametrize("name", ["kohya", "diffusers"])
def test_diffusers_gives_our_output(
    name: str, tiny_base: Path, to: Callable[[str], Path], expected: torch.Tensor
) -> None:
    from diffusers import KolorsPipeline

    path = to(name)
    pipeline = KolorsPipeline.from_pretrained(tiny_base)
    pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name="story")
    pipeline.set_adapters("story", CARD.comfyui)
    injected = [module for module in pipeline.unet.modules() if hasattr(module, "lora_A") and len(module.lora_A)]
    assert len(injected) == len(random_lora(UNET).modules)
    assert relative_error(theirs(pipeline.unet), expected) < 1e-3


def test_diffsynth_gives_our_output(tiny_base: Path, to: Callable[[str], Path], expected: torch.Tensor) -> None:
    from diffsynth import ModelManager

    manager = ModelManager(torch_dtype=torch.float32, device="cpu")
    unet = bases.load_unet(open_base(tiny_base), "cpu", torch.float32)
    manager.model, manager.model_name, manager.model_path = [unet], ["kolors_unet"], [str(tiny_base)]
    manager.load_lora(str(to("diffsynth")), lora_alpha=CARD.diffsynth)
    assert relative_error(ours(unet), expected) < 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_diffsynth_reads_kohya_keys_on_a_gpu(
    tiny_base: Path, kohya: Path, expected: torch.Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    """It computes B·A in half precision, and ignores alpha: so lora_alpha is strength · alpha / rank here too.

    Seen to hold on an H200 with torch 2.11; the same arithmetic on a CPU is 1.8e-4 off.
    """
    from diffsynth import ModelManager

    unet = bases.load_unet(open_base(tiny_base), "cuda", torch.float32)
    manager = ModelManager(torch_dtype=torch.float32, device="cuda")
    manager.model, manager.model_name, manager.model_path = [unet], ["kolors_unet"], [str(tiny_base)]
    manager.load_lora(str(kohya), lora_alpha=CARD.diffsynth)
    assert f"{len(random_lora(UNET).modules)} tensors are updated" in capsys.readouterr().out
    assert relative_error(ours(unet.cpu()), expected) < 1e-3


def test_the_contests_node_gives_our_output(tiny_base: Path, to: Callable[[str], Path], expected: torch.Tensor) -> None:
    """LoadKolorsLoRA injects by peft with lora_alpha over the file's rank, and loads the .ckpt's keys by name."""
    from peft import LoraConfig, inject_adapter_in_model

    unet = bases.load_unet(open_base(tiny_base), "cpu", torch.float32)
    state = torch.load(to("diffsynth"), map_location="cpu", weights_only=True)
    rank = next(value for key, value in state.items() if ".lora_A." in key).shape[0]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=CARD.node, target_modules=list(TARGETS)), unet)
    assert not unet.load_state_dict(state, strict=False).unexpected_keys
    assert relative_error(ours(unet), expected) < 1e-3


def comfyui_names(config: dict) -> dict[str, str]:
    """ComfyUI's key map, `lora_unet_` and diffusers' name with underscores, from diffusers' own UNet of a config."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    return {
        "lora_unet_" + name.replace(".", "_"): name
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }


def test_comfyui_matches_all_560_layers_of_kolors(tmp_path: Path) -> None:
    shapes = lora_files.layer_shapes(KOLORS_UNET)
    targeted = {name: shape for name, shape in shapes.items() if name.rsplit(".", 1)[-1] in TARGETS}
    lora = Lora({n: LoraModule(torch.ones(1, s[1]), torch.ones(s[0], 1), 0.5) for n, s in targeted.items()})
    path = lora_files.write_safetensors(tmp_path / "a.safetensors", lora_files.to_kohya(lora, KOLORS_UNET), {})
    keys = {key.split(".")[0] for key in load_file(path)}
    assert len(keys) == 560
    assert keys <= comfyui_names(KOLORS_UNET).keys()
    done = export(path, "diffusers")
    assert (done.base, done.modules) == ("kolors", 560)


def test_comfyui_gives_our_output(tiny_base: Path, to: Callable[[str], Path], expected: torch.Tensor) -> None:
    """What LoraLoaderModelOnly computes: weight + strength_model · alpha / rank · up @ down, by its key map."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(tiny_base, subfolder="unet")
    tensors, names = load_file(to("kohya")), comfyui_names(UNET)
    layers = dict(unet.named_modules())
    prefixes = {key.split(".")[0] for key in tensors}
    for prefix in prefixes:
        down, up, alpha = (tensors[f"{prefix}.{part}"] for part in ("lora_down.weight", "lora_up.weight", "alpha"))
        layers[names[prefix]].weight.data += CARD.comfyui * float(alpha) / down.shape[0] * (up @ down)
    assert len(prefixes) == len(random_lora(UNET).modules)
    assert relative_error(theirs(unet), expected) < 1e-3


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FORMATS, 2)))
def test_alpha_comes_through_every_round_trip(
    first: str, second: str, tiny_base: Path, kohya: Path, tmp_path: Path
) -> None:
    original = random_lora(UNET, rank=RANK, alpha=ALPHA)
    paths = [kohya]
    for number, name in enumerate((first, second, "kohya")):
        # The .ckpt has no alpha, and diffusers' keys have it inside B, so that theirs is the rank.
        alpha = None if "diffusers" in (first, second)[:number] else ALPHA
        out = tmp_path / f"{number}{SUFFIXES[name]}"
        paths.append(export(paths[-1], name, str(tiny_base), alpha=alpha, out=out).path)
    assert same(original, lora_files.read(paths[-1], UNET), 1e-6)


def test_equal_loras_give_equal_bytes_and_the_bundles(tiny_base: Path, kohya: Path, tmp_path: Path) -> None:
    for name in FORMATS:
        files = [export(kohya, name, str(tiny_base), out=tmp_path / f"{n}{SUFFIXES[name]}").path for n in (1, 2)]
        assert files[0].read_bytes() == files[1].read_bytes()
    ckpt, peft = tmp_path / "1.ckpt", tmp_path / "1_diffusers.safetensors"
    assert bundled.differences(kohya, ckpt) == []
    assert bundled.diffusers_differences(kohya, ckpt, peft) == []
    written = load_file(bundled.write_diffusers(kohya, ckpt, tmp_path / "b.safetensors"))
    assert written.keys() == load_file(peft).keys()
    assert all(torch.equal(value, written[key]) for key, value in load_file(peft).items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", FORMATS)
def test_half_precision_and_an_alpha_that_is_no_power_of_two(
    name: str, dtype: torch.dtype, tiny_base: Path, tmp_path: Path
) -> None:
    lora = random_lora(UNET, rank=RANK, alpha=2.5)
    half = {key: LoraModule(one.down.to(dtype), one.up.to(dtype), one.alpha) for key, one in lora.modules.items()}
    source = lora_files.write_safetensors(tmp_path / "half.safetensors", lora_files.to_kohya(Lora(half), UNET), {})
    out = export(source, name, str(tiny_base), out=tmp_path / f"out{SUFFIXES[name]}").path
    assert same(Lora(half), lora_files.read(out, UNET, 2.5 if name == "diffsynth" else None), 1e-6)


def test_a_file_is_replaced_by_a_proved_one_only(
    tiny_base: Path, kohya: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "lora.ckpt"
    there.write_bytes(b"mine")
    monkeypatch.setattr("kolors_submit.export.formats.TOLERANCE", -1)
    with pytest.raises(InputError, match="does not read back as the same LoRA"):
        export(kohya, "diffsynth", str(tiny_base), force=True)
    assert there.read_bytes() == b"mine" and not list(tmp_path.glob(".*"))


def test_alpha_is_of_a_file_that_states_none(tiny_base: Path, kohya: Path, tmp_path: Path) -> None:
    peft = tmp_path / "peft.safetensors"
    tensors = lora_files.to_diffusers(random_lora(UNET, rank=RANK, alpha=RANK), UNET)
    save_file(tensors, peft, {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": ALPHA})})
    for source in (kohya, peft):
        with pytest.raises(InputError, match=f"states alpha {ALPHA:g} itself, not 9; leave --alpha out"):
            export(source, "diffsynth", str(tiny_base), alpha=9.0, out=tmp_path / "out.ckpt")
    for alpha in (None, ALPHA):
        assert export(peft, "kohya", str(tiny_base), alpha=alpha, force=True).alphas == (ALPHA,)


def test_a_file_that_cannot_be_exported(tiny_base: Path, kohya: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is the input file itself"):
        export(kohya, "kohya", str(tiny_base), out=kohya)
    with pytest.raises(InputError, match="has kohya keys, not diffsynth"):
        export(kohya, "diffusers", str(tiny_base), keys="diffsynth")
    with pytest.raises(InputError, match="does not fit|no LoRA key"):
        export(kohya, "diffusers")
    with pytest.raises(InputError, match="is not a base"):
        export(kohya, "diffusers", str(tmp_path / "nowhere"))
    lora = random_lora(UNET, alpha=ALPHA)
    name, module = next(iter(lora.modules.items()))
    mixed = Lora(lora.modules | {name: LoraModule(module.down, module.up, 3.0)})
    lora_files.write_safetensors(kohya, lora_files.to_kohya(mixed, UNET), {})
    with pytest.raises(InputError, match="2 different alphas"):
        export(kohya, "diffsynth", str(tiny_base))
    assert not (tmp_path / "lora.ckpt").exists()


@pytest.mark.parametrize(("name", "out"), [("kohya", "q.ckpt"), ("diffusers", "q"), ("diffsynth", "q.safetensors")])
def test_a_name_for_another_format_is_refused(
    name: str, out: str, tiny_base: Path, kohya: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"a LoRA for {name} is a .{SUFFIXES[name].split('.')[-1]} file"):
        export(kohya, name, str(tiny_base), out=tmp_path / out)
    assert not (tmp_path / out).exists()


def test_no_file_is_overwritten_unless_it_is_asked_for(tiny_base: Path, kohya: Path, tmp_path: Path) -> None:
    there = tmp_path / "lora.ckpt"
    there.write_bytes(b"mine")
    with pytest.raises(InputError, match="already exists; name another --out, or overwrite it with --force"):
        export(kohya, "diffsynth", str(tiny_base))
    assert there.read_bytes() == b"mine"
    assert command_line(["export", str(kohya), "--to", "diffsynth", "--base", str(tiny_base), "--force"]) == 0
    assert there.read_bytes() != b"mine"


def test_nothing_is_written_into_a_bundle(tiny_base: Path, kohya: Path, tmp_path: Path) -> None:
    lora = tmp_path / "bundle/lora/lora.safetensors"
    lora.parent.mkdir(parents=True)
    shutil.copy(kohya, lora)
    (tmp_path / "bundle/manifest.json").write_text("{}")
    for name in FORMATS:
        with pytest.raises(InputError, match="lies in the bundle .* name a file outside with --out"):
            export(lora, name, str(tiny_base), force=True)
    assert [path.name for path in lora.parent.iterdir()] == ["lora.safetensors"]
    assert export(lora, "kohya", str(tiny_base), out=tmp_path / "out.safetensors").path.is_file()


def test_the_verb(tiny_base: Path, kohya: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["export", str(kohya), "--to", "diffsynth", "--base", str(tiny_base), "--json"]) == 0
    heard = capsys.readouterr()
    answer = json.loads(heard.out)
    count = len(random_lora(UNET).modules)
    assert answer["metrics"]["modules"] == count and answer["metrics"]["alphas"] == [ALPHA]
    assert f"{count} of {count} layers" in heard.err and "lora_alpha to 0.5 in DiffSynth" in heard.err
    assert Path(answer["outputs"]["lora"]).name == "lora.ckpt"
    assert command_line(["export", str(kohya), "--to", "diffsynth"]) == 2
