"""A LoRA in memory, into and out of a UNet. Its files are `lora_files`'.

One number scales a LoRA here: the update of a weight is B·A · alpha / rank · strength (B: `up`, A: `down`).
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from kolors_submit.engine.architecture import build_unet, on_meta
from kolors_submit.engine.blocks import Config
from kolors_submit.engine.conversion import unet_to_diffusers
from kolors_submit.errors import InputError
from kolors_submit.files import canonical_json

MAX_RANK = 1024
CONFIGS = 16
"""UNets whose layers are remembered: at the full size finding their names takes half a second."""
_NAMED_IN_ERRORS = 5


@dataclass(frozen=True)
class LoraModule:
    """The update of one layer: `down` [rank, in, …] and `up` [out, rank, …] (convolutions with their kernel), alpha."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Width between down and up."""
        return self.down.shape[0]

    def update(self, strength: float = 1.0) -> torch.Tensor:
        """What is added to the layer's weight, float32 [out, in, …]."""
        down, up = self.down.float(), self.up.float()
        product = up.flatten(1) @ down.flatten(1)
        return product.reshape(up.shape[0], *down.shape[1:]) * (self.alpha / self.rank * strength)


@dataclass(frozen=True)
class Lora:
    """A LoRA for one UNet: DiffSynth's layer names -> updates, and what its file says about it."""

    modules: dict[str, LoraModule]
    metadata: dict[str, Any] = field(default_factory=dict)


def layer_shapes(config: Config) -> Mapping[str, torch.Size]:
    """DiffSynth's name -> shape of the weight, for every layer of the UNet that a LoRA can update."""
    return _layer_shapes(canonical_json(config))


@functools.lru_cache(maxsize=CONFIGS)
def _layer_shapes(config: str) -> Mapping[str, torch.Size]:
    with on_meta():
        network = build_unet(json.loads(config))
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    shapes = {name: module.weight.shape for name, module in network.named_modules() if isinstance(module, kinds)}
    return MappingProxyType(shapes)


def diffusers_names(config: Config) -> Mapping[str, str]:
    """DiffSynth's name -> diffusers' name, for every layer that a LoRA can update."""
    return _diffusers_names(canonical_json(config))


@functools.lru_cache(maxsize=CONFIGS)
def _diffusers_names(config: str) -> Mapping[str, str]:
    ours = list(_layer_shapes(config))
    # Renaming keeps the order, and builds the network once for all names.
    theirs = unet_to_diffusers(dict.fromkeys((f"{name}.weight" for name in ours), torch.empty(0)), json.loads(config))
    return MappingProxyType(dict(zip(ours, (name.removesuffix(".weight") for name in theirs), strict=True)))


def check(modules: Mapping[str, LoraModule], shapes: Mapping[str, Sequence[int]], where: str) -> None:
    """Raise InputError for what cannot belong to a UNet of these layer shapes: names, shapes, ranks, values.

    A stranger may have made the file, so shapes are compared before anything is computed.
    """
    if not modules:
        raise InputError(f"{where} holds no LoRA layer for this base; was it made for another model?")
    problems = [problem for name, module in modules.items() if (problem := _problem(name, module, shapes.get(name)))]
    if problems:
        more = f" and {len(problems) - _NAMED_IN_ERRORS} more" if len(problems) > _NAMED_IN_ERRORS else ""
        found = "; ".join(problems[:_NAMED_IN_ERRORS])
        raise InputError(f"{where} does not fit this base: {found}{more}")


def _problem(name: str, module: LoraModule, weight: Sequence[int] | None) -> str | None:
    """What is wrong with one layer's update, if anything."""
    down, up = module.down, module.up
    if weight is None:
        return f"{name} is no layer of it"
    if down.ndim != len(weight) or up.ndim != len(weight) or not 1 <= down.shape[0] <= MAX_RANK:
        return f"{name} has shapes {list(down.shape)} and {list(up.shape)} for a weight {list(weight)}"
    wanted_down = [down.shape[0], *weight[1:]]
    wanted_up = [weight[0], down.shape[0], *[1] * (len(weight) - 2)]
    if list(down.shape) != wanted_down or list(up.shape) != wanted_up:
        return f"{name} has shapes {list(down.shape)} and {list(up.shape)} for a weight {list(weight)}"
    if not (down.isfinite().all() and up.isfinite().all() and abs(module.alpha) < float("inf")):
        return f"{name} holds values that are not finite"
    return None


def inject(unet: torch.nn.Module, rank: int, alpha: float, targets: Sequence[str], seed: int) -> int:
    """Put trainable LoRA layers (float32) into every layer whose name ends in a target, with peft; returns how many.

    A starts as Kaiming noise from the seed, B as zero. Raises InputError where no layer has such a name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), init_lora_weights=True)  # type: ignore[arg-type]  # a float too
    unet.requires_grad_(False)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(config, unet)
    except ValueError as error:
        raise InputError(f"train.targets {', '.join(targets)}: no such layers in this base ({error})") from error
    for parameter in injected_parameters(unet).values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return len(_injected(unet))


def injected_parameters(unet: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The weights that `inject` put in, under their names in the UNet."""
    return {name: parameter for name, parameter in unet.named_parameters() if "lora_" in name}


def from_injected(unet: torch.nn.Module) -> Lora:
    """A copy on the CPU of the LoRA that `inject` put in."""
    modules = {}
    for name, layer in _injected(unet).items():
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        alpha = float(layer.lora_alpha["default"])
        modules[name] = LoraModule(down.detach().cpu().clone(), up.detach().cpu().clone(), alpha)
    return Lora(modules)


def from_parameters(parameters: Mapping[str, torch.Tensor], alpha: float) -> Lora:
    """A LoRA from trained parameters under their names in the UNet, as a checkpoint has them."""
    down, up = ".lora_A.default.weight", ".lora_B.default.weight"
    names = [name.removesuffix(down) for name in parameters if name.endswith(down)]
    return Lora({name: LoraModule(parameters[name + down], parameters[name + up], alpha) for name in names})


def _injected(unet: torch.nn.Module) -> dict[str, Any]:
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in unet.named_modules() if isinstance(module, LoraLayer)}


def merge(unet: torch.nn.Module, lora: Lora, strength: float) -> int:
    """Add the LoRA to the UNet's weights in place; returns the number of layers changed, which is all of the LoRA's.

    The sum is formed in float32. Raises InputError, before anything is changed, where a layer does not fit.
    """
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    layers = {name: module for name, module in unet.named_modules() if isinstance(module, kinds)}
    check(lora.modules, {name: layer.weight.shape for name, layer in layers.items()}, "the LoRA")
    for name, module in lora.modules.items():
        weight = layers[name].weight
        on_device = dataclasses.replace(module, down=module.down.to(weight.device), up=module.up.to(weight.device))
        weight.data = (weight.data.float() + on_device.update(strength)).to(weight.dtype)
    return len(lora.modules)
