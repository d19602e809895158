"""The parts of training that are pure functions: draws, sizes, learning rate, disk."""

from __future__ import annotations

import dataclasses
import io
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from kolors_submit.data.dataset import Picture, read_prepared
from kolors_submit.engine import base as bases
from kolors_submit.report import Reporter
from kolors_submit.run import Run
from kolors_submit.story import Train
from kolors_submit.train import cache
from kolors_submit.train.batches import draw_batch
from kolors_submit.train.cache import time_id
from kolors_submit.train.plan import disk_bytes, learning_rate_factor
from tests.train.conftest import NewJob

SQUARE, WIDE = (8, 8), (4, 16)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    settings = Train(batch_size=2, seed=3)
    shapes = (SQUARE,) * 5
    for number in (0, 7, 1000):
        one, two = draw_batch(settings, shapes, number), draw_batch(settings, shapes, number)
        assert [draw.picture for draw in one] == [draw.picture for draw in two]
        assert all(torch.equal(a.noise, b.noise) for a, b in zip(one, two, strict=True))
    other = draw_batch(Train(batch_size=2, seed=4), shapes, 0)
    assert not torch.equal(draw_batch(settings, shapes, 0)[0].noise, other[0].noise)


def test_every_pass_shows_every_picture_and_batches_have_one_shape() -> None:
    settings = Train(batch_size=4)
    shapes = (*[SQUARE] * 6, *[WIDE] * 3)
    for number_of_pass in range(5):
        batches = [draw_batch(settings, shapes, 3 * number_of_pass + i) for i in range(3)]  # 2 square and 1 wide
        assert all(len(batch) == 4 and len({draw.noise.shape for draw in batch}) == 1 for batch in batches)
        assert {draw.picture for batch in batches for draw in batch} == set(range(9))


def test_a_single_picture_fills_a_batch() -> None:
    assert [draw.picture for draw in draw_batch(Train(batch_size=3), (SQUARE,), 5)] == [0, 0, 0]


def test_draws_are_spread_as_they_should_be() -> None:
    settings = Train(batch_size=8)
    draws = [draw for number in range(250) for draw in draw_batch(settings, (SQUARE,) * 4, number)]
    assert all(0 <= draw.timestep < 1100 for draw in draws)
    assert sum(draw.timestep for draw in draws) / len(draws) == pytest.approx(549.5, abs=30)
    assert sum(draw.flipped for draw in draws) / len(draws) == pytest.approx(0.5, abs=0.05)
    assert set(Counter(draw.picture for draw in draws).values()) == {500}
    noise = torch.stack([draw.noise for draw in draws])
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert not any(draw.flipped for draw in draw_batch(Train(batch_size=8, flip=False), (SQUARE,), 0))


def test_bigger_batches_draw_what_several_small_ones_draw() -> None:
    shapes = (SQUARE,) * 8
    big = [draw for n in range(4) for draw in draw_batch(Train(batch_size=4), shapes, n)]
    small = [draw for n in range(8) for draw in draw_batch(Train(batch_size=2), shapes, n)]
    assert [(d.picture, d.flipped, d.timestep) for d in big] == [(d.picture, d.flipped, d.timestep) for d in small]
    assert all(torch.equal(a.noise, b.noise) for a, b in zip(big, small, strict=True))


def test_time_id_tells_original_size_and_crop_and_mirrors_it() -> None:
    # A 400x300 original of which the 200x200 square at (150, 40) was brought to 512x512.
    picture = Picture(Path("0001.png"), "", "", 400, 300, 150, 40, 350, 240, 512, 512)
    assert time_id(picture, flipped=False).tolist() == [300, 400, 102, 384, 512, 512]
    assert time_id(picture, flipped=True).tolist() == [300, 400, 102, 128, 512, 512]


def test_learning_rate_warms_up_and_follows_the_cosine() -> None:
    constant = Train(epochs=1, steps_per_epoch=10, warmup_steps=4)
    factors = [learning_rate_factor(constant, step) for step in range(10)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]
    cosine = Train(epochs=1, steps_per_epoch=10, schedule="cosine")
    factors = [learning_rate_factor(cosine, step) for step in range(11)]
    assert factors[0] == 1
    assert factors[5] == pytest.approx(0.5)
    assert factors[10] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)


def test_disk_forecast_covers_what_a_run_writes(unbroken: Run) -> None:
    from tests.train.jobs import story

    written = sum(path.stat().st_size for part in ("train", "cache") for path in (unbroken.folder / part).rglob("*"))
    tensors = torch.load(next((unbroken.train / "checkpoints").rglob("*.ckpt")), weights_only=True)["lora"]
    cache = sum(path.stat().st_size for path in unbroken.cache.rglob("*.safetensors"))
    forecast = disk_bytes(story().train, sum(value.numel() for value in tensors.values()), cache)
    assert written <= forecast <= 5 * written


def test_cache_holds_a_latent_for_each_picture_and_flip(unbroken: Run) -> None:
    from safetensors.torch import load_file

    latents = [load_file(path)["latent"] for path in (unbroken.cache / "latents").iterdir()]
    assert len(latents) == 6
    assert len({latent.numpy().tobytes() for latent in latents}) == 6


def test_latents_that_a_gpu_has_no_room_for_are_the_cpus(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed once; what a run on the CPU alone has left in the cache is not taken for them."""
    tried: list[str] = []

    def short(encoder: torch.nn.Module, pixels: torch.Tensor, by: str) -> torch.Tensor:
        tried.append(by)
        if by == "cuda":
            raise torch.OutOfMemoryError
        return real(encoder, pixels, by)

    real = cache._encode_one
    no_card(monkeypatch)
    monkeypatch.setattr(cache, "_encode_one", short)
    job, heard = new_job("short"), io.StringIO()
    on_cpu = cache._latents(job, read_prepared(job.run.data))
    assert tried == []
    job = dataclasses.replace(job, device="cuda", report=Reporter(Console(file=heard, width=200)))
    first, again = (cache._latents(job, read_prepared(job.run.data)) for _ in range(2))
    assert tried[0] == "cuda" and tried.count("cpu") == 6
    assert heard.getvalue().count("going on with latents on the CPU") == 1
    assert len(list((job.run.cache / "latents").iterdir())) == 12
    assert same(first, on_cpu) and same(again, on_cpu)


def test_a_gpu_encodes_one_picture_at_a_time(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose others are read meanwhile; the latents are the pictures', whoever came first."""
    real, busy, most = cache._encode_one, [0], [0]

    def watched(encoder: torch.nn.Module, pixels: torch.Tensor, by: str) -> torch.Tensor:
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        time.sleep(0.01)
        latent = real(encoder, pixels, "cpu")
        busy[0] -= 1
        return latent

    no_card(monkeypatch)
    job = new_job("turns")
    on_cpu = cache._latents(job, read_prepared(job.run.data))
    monkeypatch.setattr(cache, "_encode_one", watched)
    on_gpu = cache._latents(dataclasses.replace(job, device="cuda"), read_prepared(job.run.data))
    assert most == [1] and same(on_gpu, on_cpu)


def same(ours: list[tuple[torch.Tensor, ...]], theirs: list[tuple[torch.Tensor, ...]]) -> bool:
    return all(torch.equal(a, b) for one, two in zip(ours, theirs, strict=True) for a, b in zip(one, two, strict=True))


def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is for a GPU is loaded on the CPU."""
    load = bases.load_vae_encoder
    monkeypatch.setattr(bases, "load_vae_encoder", lambda base, device, dtype: load(base, "cpu", dtype))
    monkeypatch.setattr("torch.cuda.set_device", lambda index: None)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)


def test_the_cpu_encodes_as_many_at_once_as_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = [(1024, 1024), (512, 768)]
    pictures = [SimpleNamespace(width=width, height=height) for width, height in sides]
    for free, many in ((16_000_000_000, 7), (1_000_000, 1)):
        monkeypatch.setattr(cache, "free_main_memory", lambda free=free: free)
        assert cache._room(pictures) == many  # type: ignore[arg-type]


def test_the_panels_prompts_are_encoded_with_the_captions(unbroken: Run) -> None:
    """So that rendering loads no text encoder: three captions, eight prompts and their one negative prompt."""
    assert len(list((unbroken.cache / "text").iterdir())) == 3 + 8 + 1
