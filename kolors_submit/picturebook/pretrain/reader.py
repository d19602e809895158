"""A small convolutional network that reads attributes from a picture: the evaluation's measuring instrument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import torch
from torch.nn import functional

from kolors_submit.picturebook.scenes import Animal, ClothesColour, HairColour, Place, Pose, Scene, Time

UNREAD = -100  # no such person, or not visible: no loss

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "hair_left": get_args(HairColour),
    "clothes_left": get_args(ClothesColour),
    "hair_right": get_args(HairColour),
    "clothes_right": get_args(ClothesColour),
    "animal": get_args(Animal),
    "place": get_args(Place),
    "time": get_args(Time),
    "pose": get_args(Pose),
    "people": ("1", "2"),
}


def labels(scene: Scene) -> dict[str, int]:
    """The class of each attribute; of one person the left heads tell, and a close view shows no pose."""
    people = scene.people
    values: dict[str, str | None] = {
        "hair_left": people[0].hair_colour,
        "clothes_left": people[0].clothes_colour,
        "hair_right": people[1].hair_colour if len(people) > 1 else None,
        "clothes_right": people[1].clothes_colour if len(people) > 1 else None,
        "animal": scene.animal,
        "place": scene.place,
        "time": scene.time,
        "pose": None if scene.view == "close" else people[0].pose,
        "people": str(len(people)),
    }
    return {name: UNREAD if value is None else ATTRIBUTES[name].index(value) for name, value in values.items()}


class Reader(torch.nn.Module):
    """Each head looks where it wants: its own attention over the last feature map, then one linear layer."""

    def __init__(self, heads: Mapping[str, int], width: int) -> None:
        super().__init__()
        widths = (width // 4, width // 2, width, width)
        layers: list[torch.nn.Module] = []
        before = 3
        for level in widths:
            layers += [_convolution(before, level, 2), _Residual(level)]
            before = level
        self.features = torch.nn.Sequential(*layers, _Residual(width))
        self.look = torch.nn.Conv2d(width + 2, len(heads), 1)
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(2 * width, count) for name, count in heads.items()})

    def forward(self, picture: torch.Tensor) -> dict[str, torch.Tensor]:
        """Class scores of each head from pictures (count, 3, 256, 256) in 0..1."""
        hidden = self.features(functional.avg_pool2d(picture - 0.5, 2))
        count, _, rows, columns = hidden.shape
        y = torch.linspace(-1, 1, rows, device=hidden.device).view(1, 1, -1, 1).expand(count, 1, rows, columns)
        x = torch.linspace(-1, 1, columns, device=hidden.device).view(1, 1, 1, -1).expand(count, 1, rows, columns)
        weight = self.look(torch.cat([hidden, x.to(hidden), y.to(hidden)], 1)).flatten(2).softmax(-1)
        seen = torch.einsum("nhp,ncp->hnc", weight, hidden.flatten(2))
        whole = hidden.mean((2, 3))
        return {name: head(torch.cat([seen[i], whole], 1)) for i, (name, head) in enumerate(self.heads.items())}


def _convolution(before: int, after: int, stride: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Conv2d(before, after, 3, stride, 1, bias=False), torch.nn.GroupNorm(4, after), torch.nn.SiLU()
    )


class _Residual(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(_convolution(width, width, 1), torch.nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + self.inner(hidden)


def attribute_reader() -> Reader:
    """Reads hair, clothes, animal, place, time, pose from plain pictures."""
    return Reader({name: len(values) for name, values in ATTRIBUTES.items()}, 112)


def style_reader(count: int) -> Reader:
    """Tells styles apart."""
    return Reader({"style": count}, 32)
