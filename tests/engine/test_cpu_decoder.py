"""The decoder's convolutions on a CPU's cores: the same bytes, by more than one core."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from kolors_submit.engine import base as bases
from kolors_submit.engine.cpu_decoder import PARTS, WIDE, SharedConvolutions
from kolors_submit.engine.memory import arithmetic, core_pool
from kolors_submit.weights import PICTUREBOOK, open_base


@pytest.fixture
def cores() -> Iterator[ThreadPoolExecutor]:
    with arithmetic(), core_pool() as pool, torch.inference_mode():
        yield pool


@pytest.mark.parametrize("size", [(32, 32), (16, 24)])
def test_a_picture_has_the_bytes_that_one_core_gives_it(cores: ThreadPoolExecutor, size: tuple[int, int]) -> None:
    decoder = bases.load_vae_decoder(open_base(PICTUREBOOK), "cpu", torch.float32)
    latents = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(0))
    alone = decoder(latents)
    with SharedConvolutions(cores):
        shared = decoder(latents)
    assert torch.equal(shared, alone)


@pytest.mark.parametrize(("channels", "parts"), [(WIDE, PARTS), (WIDE + 1, PARTS), (WIDE - 1, 0), (3, 0)])
def test_a_wide_convolution_is_shared_out(
    cores: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, channels: int, parts: int
) -> None:
    handed = []
    submit = cores.submit
    monkeypatch.setattr(cores, "submit", lambda *given: [handed.append(given), submit(*given)][1])
    convolution = torch.nn.Conv2d(8, channels, 3, stride=2, padding=1)
    pixels = torch.randn(1, 8, 20, 12)
    with SharedConvolutions(cores):
        shared = convolution(pixels)
    assert len(handed) == parts
    assert torch.allclose(shared, convolution(pixels), atol=1e-6)


def test_other_threads_and_what_comes_after_compute_by_themselves(cores: ThreadPoolExecutor) -> None:
    convolution, pixels = torch.nn.Conv2d(8, WIDE, 3), torch.randn(1, 8, 20, 12)
    closed = ThreadPoolExecutor()
    closed.shutdown()
    with SharedConvolutions(closed):
        with pytest.raises(RuntimeError, match="shutdown"):
            convolution(pixels)
        cores.submit(convolution, pixels).result()
    convolution(pixels)
