"""The training programs at toy size: they run, stop, go on to the same bytes, and export what stock programs load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kolors_submit.picturebook.grammar import held_out
from kolors_submit.picturebook.pretrain import __main__ as program
from kolors_submit.picturebook.pretrain import damage, dataset, loop, settings, unet, vae
from kolors_submit.picturebook.pretrain.reader import ATTRIBUTES, attribute_reader, style_reader

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = {"vae": "5", "unet": "5", "classifier": "3", "predictor": "2", "export": "1"}


def part(name: str, out: Path, *more: str) -> int:
    return program.main([name, "--toy", "--out", str(out), "--minutes", "5", *more])


def flat(state: object, name: str = "") -> dict[str, object]:
    """All values of a checkpoint by their place in it, tensors as bytes."""
    if isinstance(state, torch.Tensor):
        return {name: state.contiguous().numpy().tobytes()}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else None
    if items is None:
        return {name: state}
    return {place: value for key, inner in items for place, value in flat(inner, f"{name}.{key}").items()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn sets and a trained VAE: what the UNet starts from."""
    out = tmp_path_factory.mktemp("pretrain")
    for name in ("mix", "plain"):
        assert part("data", out, "--set", name, "--count", "64", "--processes", "2") == 0
    assert part("vae", out, "--steps", STEPS["vae"], "--batch", "4") == 0
    return out


@pytest.fixture(scope="module")
def base(drawn: Path) -> Path:
    """The exported base folder."""
    assert part("unet", drawn, "--steps", STEPS["unet"], "--batch", "4") == 0
    assert part("predictor", drawn, "--steps", STEPS["predictor"], "--batch", "24", "--generated", "3") == 0
    assert part("export", drawn) == 0
    return drawn / "base"


def test_the_sets_hold_what_their_seeds_say(drawn: Path) -> None:
    from kolors_submit.picturebook.paint import draw

    plain, mix = dataset.open_set(drawn, "plain"), dataset.open_set(drawn, "mix")
    assert plain.images.shape == mix.images.shape == (64, 64, 64, 3)
    for index in (0, 40, 63):
        scene = dataset.scene_at("mix", index)
        picture = draw(scene, width=64, height=64, style=dataset.style_at("mix", index))
        assert np.array_equal(mix.images[index], np.asarray(picture))
    assert not any(held_out(dataset.scene_at("plain", i)) for i in range(64))
    assert {dataset.style_at("plain", i) for i in range(64)} == {"plain"}
    assert len({dataset.style_at("mix", i) for i in range(64)}) > 1
    assert plain.tokens is not None
    first = plain.tokens[0, 0]
    assert first[first > 0][:2].tolist() == [64790, 64792]


def test_an_unfinished_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run `pretrain data"):
        dataset.open_set(tmp_path, "plain")
    assert not dataset.draw_set(tmp_path, "mix", 128, 64, 1, lambda: True)
    with pytest.raises(ValueError, match="chunks are drawn"):
        dataset.open_set(tmp_path, "mix")
    with pytest.raises(ValueError, match="another set"):
        dataset.draw_set(tmp_path, "mix", 64, 64, 1, lambda: True)


@pytest.mark.parametrize(("name", "train"), [("vae", vae.train), ("unet", unet.train)])
def test_a_killed_training_ends_with_the_same_bytes(
    name: str, train: Callable[[loop.Run], bool], drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for out in (whole, killed):
        out.mkdir()
        (out / "data").symlink_to(drawn / "data")
        if name == "unet":
            shutil.copy(drawn / "vae.ckpt", out / "vae.ckpt")
    run = loop.Run(whole, settings.TOY, 5, 2, 1e-3, 5, settings.SEED, compiled=False, save_every=2)
    assert train(run)
    update = loop.Training._update

    def fail_at_three(self: loop.Training, loss: torch.Tensor) -> None:
        if self.step == 3:
            raise KeyboardInterrupt
        update(self, loss)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Training, "_update", fail_at_three)
        train(replace(run, out=killed))
    assert torch.load(killed / f"{name}.ckpt", weights_only=True)["step"] == 2
    assert train(replace(run, out=killed))
    ends = [flat(torch.load(out / f"{name}.ckpt", weights_only=True)) for out in (whole, killed)]
    assert len(ends[0]) > 100 and ends[0] == ends[1]


def test_a_part_that_runs_out_of_time_says_so(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(drawn / "data")
    arguments = ["vae", "--toy", "--out", str(tmp_path), "--minutes", "0.02", "--steps", "100000", "--batch", "2"]
    assert program.main(arguments) == 3
    assert (tmp_path / "vae.ckpt").exists()


def test_the_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    assert loop.learning_rate(1.0, 0, 10_000) < 0.01
    assert loop.learning_rate(1.0, 5000, 10_000) == 1.0
    assert loop.learning_rate(1.0, 9_999, 10_000) < 1e-5


def test_diffusers_loads_the_base_and_draws(base: Path) -> None:
    from diffusers import KolorsPipeline

    pipeline = KolorsPipeline.from_pretrained(base, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    images = pipeline("一个女孩坐在湖边", height=64, width=64, num_inference_steps=2, generator=generator).images
    assert images[0].size == (64, 64)
    assert pipeline.vae.config.scaling_factor != 1.0
    assert pipeline.scheduler.config.num_train_timesteps == 1100


def test_our_loader_and_diffusers_see_the_same_text(base: Path) -> None:
    from diffusers import KolorsPipeline

    from kolors_submit.picturebook.pretrain import sampling, text

    ours = sampling.load(base, torch.device("cpu"))
    theirs = KolorsPipeline.from_pretrained(base, torch_dtype=torch.float32)
    prompt = "a girl with long red hair by the lake"
    context, pooled = ours.text_encoder(text.padded_tokens([prompt], ours.tokenizer))
    reference, _, other, _ = theirs.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
    assert torch.allclose(context, reference, atol=1e-5)
    assert torch.allclose(pooled, other, atol=1e-5)


def test_the_predictor_loads_as_the_official_one_does(base: Path) -> None:
    from aesthetics_predictor import AestheticsPredictorV2Linear
    from PIL import Image
    from transformers import CLIPProcessor

    from kolors_submit.picturebook.pretrain.predictor import pixels

    processor = CLIPProcessor.from_pretrained(base / "predictor")
    model = AestheticsPredictorV2Linear.from_pretrained(base / "predictor").eval()
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    inputs = processor(images=Image.fromarray(picture), text="hello", return_tensors="pt", padding=True)
    trained_on = pixels(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255, 224)
    assert (inputs["pixel_values"] - trained_on).abs().mean() < 0.02
    with torch.no_grad():
        assert model(pixel_values=inputs["pixel_values"]).logits.isfinite().all()


def test_the_folder_is_complete_and_its_digests_hold(base: Path) -> None:
    import hashlib

    digests = json.loads((base / "digests.json").read_text())["sha256"]
    files = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}
    assert set(digests) == files - {"digests.json"}
    assert all(hashlib.sha256((base / name).read_bytes()).hexdigest() == digest for name, digest in digests.items())


def test_the_full_base_fits_into_the_package() -> None:
    from kolors_submit.picturebook.pretrain.predictor import build

    with torch.device("meta"):
        networks = [unet.Denoiser(settings.FULL), vae.VAE(settings.VAE)]
    networks.append(build(settings.PREDICTOR))
    weights = sum(value.numel() for network in networks for value in network.parameters()) * 2
    assert weights + 1_018_370 + 100_000 < 40e6  # with the tokenizer and the small files


def test_the_classifier_trains(drawn: Path) -> None:
    assert part("classifier", drawn, "--steps", STEPS["classifier"], "--batch", "8") == 0
    sizes = [(drawn / f"reader-{name}.safetensors").stat().st_size for name in ("attributes", "style")]
    assert sum(sizes) < 2.1e6
    scores = attribute_reader()(torch.rand(2, 3, 256, 256))
    assert {name: value.shape for name, value in scores.items()} == {
        name: (2, len(values)) for name, values in ATTRIBUTES.items()
    }
    assert style_reader(5)(torch.rand(1, 3, 256, 256))["style"].shape == (1, 5)


@pytest.mark.parametrize("kind", list(damage.WEIGHTS))
def test_damage_grows_with_its_severity(kind: str) -> None:
    from random import Random

    from kolors_submit.picturebook.grammar import sample
    from kolors_submit.picturebook.paint import draw

    picture = torch.from_numpy(np.asarray(draw(sample(Random(2)), width=128, height=128))).permute(2, 0, 1) / 255
    pictures = picture[None].expand(2, -1, -1, -1)
    severity = torch.tensor([0.05, 1.0])
    worse = damage.damaged(pictures, kind, severity, loop.generator(1, 1))
    assert worse.shape == pictures.shape and worse.min() >= 0 and worse.max() <= 1
    slight, severe = (worse - pictures).abs().mean((1, 2, 3))
    assert 0 < slight < severe
    good = damage.goodness(pictures)
    left = damage.quality(good, kind, severity)
    assert 6.5 <= good.min() <= good.max() <= 7.5
    assert left[1] < left[0] < good[0] and left[1] < 4
