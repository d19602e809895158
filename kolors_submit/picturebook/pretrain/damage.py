"""The quality function: how good a picture is, from 0 to 10, and what makes one bad.

A drawing, or a picture that the base made in all its steps, is worth 6.5 to 7.5, more where it has contrast and colour:

    good = 6.5 + contrast + colour, each between 0 and 0.5,
        contrast = min(2 std(luma), 0.5),  colour = min(2 mean(max(r, g, b) - min(r, g, b)), 0.5)

Damage of severity s in 0..1 takes away from it, each kind by its own weight:

    quality = good - (0.6 + 4.9 s) * weight
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

WEIGHTS = {
    "blurred": 1.0,
    "noisy": 1.0,
    "banded": 0.9,
    "washed out": 0.9,
    "tilted": 0.8,
    "cropped": 0.8,
    "empty": 1.0,
    "scrambled": 1.0,
}
FEW_STEPS = (1, 2, 3, 4, 5)


def goodness(picture: torch.Tensor) -> torch.Tensor:
    """The worth (count,) of undamaged pictures (count, 3, h, w) in 0..1."""
    luma = (picture * picture.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    contrast = (2 * luma.flatten(1).std(1)).clamp(max=0.5)
    colour = (2 * (picture.amax(1) - picture.amin(1)).flatten(1).mean(1)).clamp(max=0.5)
    return 6.5 + contrast + colour


def quality(good: torch.Tensor, kind: str, severity: torch.Tensor) -> torch.Tensor:
    """What is left (count,) of a worth after damage of one kind and the severities (count,) in 0..1."""
    return (good - (0.6 + 4.9 * severity) * WEIGHTS[kind]).clamp(0, 10)


def few_steps_quality(steps: int) -> float:
    """The worth of what the base makes in one to five steps instead of thirty."""
    return 1.0 + 0.6 * steps


def damaged(picture: torch.Tensor, kind: str, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Pictures (count, 3, h, w) in 0..1 with damage of one kind; severities (count,) in 0..1."""
    return _DAMAGES[kind](picture, severity.view(-1, 1, 1, 1), source).clamp(0, 1)


Damage = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def _uniform(picture: torch.Tensor, source: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=source, device=picture.device)


def _blurred(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """A Gaussian of 0.8 to 8 pixels at 256, mixed from a ladder of widths, each picture at its own place on it."""
    widths = (0.0, 0.8, 1.5, 2.5, 4.0, 6.0, 8.0)
    ladder = [picture, *(_gaussian(picture, width * picture.shape[-1] / 256) for width in widths[1:])]
    place = 1 + severity * (len(widths) - 2)
    result = torch.zeros_like(picture)
    for i, step in enumerate(ladder):
        result += step * (1 - (place - i).abs()).clamp(min=0)
    return result


def _gaussian(picture: torch.Tensor, width: float) -> torch.Tensor:
    reach = int(3 * width) + 1
    at = torch.arange(-reach, reach + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-0.5 * (at / width) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1).expand(3, 1, -1)
    rows = functional.conv2d(
        functional.pad(picture, (reach, reach, 0, 0), mode="replicate"), kernel[:, :, None], groups=3
    )
    columns = functional.pad(rows, (0, 0, reach, reach), mode="replicate")
    return functional.conv2d(columns, kernel[..., None], groups=3)


def _noisy(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Gaussian noise of standard deviation 0.04 to 0.4, fine for half of the pictures and coarse for the others."""
    noise = torch.randn(picture.shape, generator=source, device=picture.device)
    coarse = functional.interpolate(noise[..., ::3, ::3], size=picture.shape[-2:], mode="bilinear") * 1.5
    noise = torch.where(_uniform(picture, source, len(picture), 1, 1, 1) < 0.5, noise, coarse)
    return picture + noise * (0.04 + 0.36 * severity)


def _banded(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Ten down to two levels a channel."""
    levels = (10 - 8 * severity).round().clamp(min=2) - 1
    return (picture * levels).round() / levels


def _washed_out(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Contrast and colour drawn towards one pale or dark grey."""
    grey = 0.25 + 0.6 * _uniform(picture, source, len(picture), 1, 1, 1)
    pale = picture.mean(1, keepdim=True) * 0.3 + grey * 0.7
    return torch.lerp(picture, pale, 0.3 + 0.65 * severity)


def _tilted(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Turned by 8 to 60 degrees, the corners left blank."""
    sign = torch.where(_uniform(picture, source, len(picture)) < 0.5, -1.0, 1.0)
    angle = sign * (8 + 52 * severity.view(-1)) * torch.pi / 180
    zero = torch.zeros_like(angle)
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1)], 1
    )
    grid = functional.affine_grid(turn, list(picture.shape), align_corners=False)
    blank = torch.where(_uniform(picture, source, 1) < 0.5, 0.0, 2.0)
    return functional.grid_sample(picture - blank, grid, align_corners=False) + blank


def _cropped(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Pushed out of the frame, so that most of it shows a blank margin."""
    share = 0.25 + 0.65 * severity.view(-1)
    sideways = _uniform(picture, source, len(picture)) < 0.5
    sign = torch.where(_uniform(picture, source, len(picture)) < 0.5, -1.0, 1.0)
    zero, one = torch.zeros_like(share), torch.ones_like(share)
    x, y = torch.where(sideways, 2 * share * sign, zero), torch.where(sideways, zero, 2 * share * sign)
    move = torch.stack([torch.stack([one, zero, x], 1), torch.stack([zero, one, y], 1)], 1)
    grid = functional.affine_grid(move, list(picture.shape), align_corners=False)
    blank = _uniform(picture, source, 1)
    return functional.grid_sample(picture - blank, grid, align_corners=False) + blank


def _empty(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """One colour or a plain gradient takes the picture's place."""
    count = len(picture)
    above, below = (_uniform(picture, source, count, 3, 1, 1) for _ in range(2))
    ramp = torch.linspace(0, 1, picture.shape[2], device=picture.device).view(1, 1, -1, 1)
    return torch.lerp(picture, torch.lerp(above, below, ramp).expand_as(picture), 0.5 + 0.5 * severity)


def _scrambled(picture: torch.Tensor, severity: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Patches of an eighth of the side change places; how many, the severity says."""
    count, _, height, width = picture.shape
    rows, columns = height // 8, width // 8
    patches = picture.unfold(2, rows, rows).unfold(3, columns, columns)[:, :, :8, :8].flatten(2, 3)
    order = torch.arange(64, device=picture.device).expand(count, -1)
    shuffled = _uniform(picture, source, count, 64).argsort(1)
    moved = _uniform(picture, source, count, 64) < 0.15 + 0.85 * severity.view(-1, 1)
    order = torch.where(moved, shuffled, order)
    patches = patches.gather(2, order.view(count, 1, 64, 1, 1).expand(-1, 3, -1, rows, columns))
    return patches.unflatten(2, (8, 8)).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, 8 * rows, 8 * columns)


_DAMAGES: dict[str, Damage] = {
    "blurred": _blurred,
    "noisy": _noisy,
    "banded": _banded,
    "washed out": _washed_out,
    "tilted": _tilted,
    "cropped": _cropped,
    "empty": _empty,
    "scrambled": _scrambled,
}
