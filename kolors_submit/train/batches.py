"""Which picture is trained on when, and with which noise: a pure function of the seed and the step.

Nothing here keeps a state, so a run that goes on at step 200 sees what an unbroken one sees at step 200.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import torch

from kolors_submit.engine.schedule import TRAIN_TIMESTEPS
from kolors_submit.story import Train

Shape = tuple[int, int]
"""Height and width of a latent."""


class Batch(NamedTuple):
    """What the UNet is given for n pictures of one shape, and the noise that it should see."""

    noisy: torch.Tensor
    """[n, 4, h, w]."""
    timesteps: torch.Tensor
    """[n]."""
    text: torch.Tensor
    """[n, 256, C]."""
    sizes: torch.Tensor
    """[n, 6], float32."""
    pooled: torch.Tensor
    """[n, C]."""
    noise: torch.Tensor
    """[n, 4, h, w], float32."""


@dataclass(frozen=True)
class Draw:
    """What chance decides for one sample."""

    picture: int
    flipped: bool
    timestep: int
    noise: torch.Tensor
    """[4, height, width] of the latent, float32, on the CPU."""


def generator(seed: int, stream: str, number: int) -> torch.Generator:
    """A generator of its own for one purpose and one number."""
    key = hashlib.blake2b(f"{seed}/{stream}/{number}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(key) >> 1)


def draw_batch(settings: Train, shapes: tuple[Shape, ...], number: int) -> list[Draw]:
    """The samples of batch `number`, counted from 0 over the whole run; all of one shape."""
    pictures = _pictures(settings.seed, settings.batch_size, shapes, number)
    first = number * settings.batch_size
    return [_draw(settings, picture, shapes[picture], first + index) for index, picture in enumerate(pictures)]


def _draw(settings: Train, picture: int, shape: Shape, sample: int) -> Draw:
    """A sample's numbers depend on its place in the run alone, so accumulation draws what a bigger batch draws."""
    chance = generator(settings.seed, "sample", sample)
    flipped = bool(torch.rand((), generator=chance) < 0.5) and settings.flip
    timestep = int(torch.randint(TRAIN_TIMESTEPS, (), generator=chance))
    return Draw(picture, flipped, timestep, torch.randn((4, *shape), generator=chance))


def _pictures(seed: int, batch_size: int, shapes: tuple[Shape, ...], number: int) -> tuple[int, ...]:
    """The pictures of a batch: every pass over the data shows each at least once."""
    batches_per_pass = sum(math.ceil(count / batch_size) for count in Counter(shapes).values())
    return _one_pass(seed, batch_size, shapes, number // batches_per_pass)[number % batches_per_pass]


@functools.lru_cache(maxsize=4)
def _one_pass(seed: int, batch_size: int, shapes: tuple[Shape, ...], number: int) -> list[tuple[int, ...]]:
    """All pictures in a random order, in batches of one shape each; what is left over is filled up from its start."""
    order = torch.randperm(len(shapes), generator=generator(seed, "order", number)).tolist()
    batches: list[tuple[int, ...]] = []
    waiting: dict[Shape, list[int]] = defaultdict(list)
    seen: dict[Shape, list[int]] = defaultdict(list)
    for picture in order:
        shape = shapes[picture]
        seen[shape].append(picture)
        waiting[shape].append(picture)
        if len(waiting[shape]) == batch_size:
            batches.append(tuple(waiting.pop(shape)))
    for shape, rest in waiting.items():
        filler = [seen[shape][i % len(seen[shape])] for i in range(batch_size - len(rest))]
        batches.append((*rest, *filler))
    return batches
