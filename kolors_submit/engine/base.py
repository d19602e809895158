"""The networks of a base folder, built at the widths in its configs, every weight checked by name and shape."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from kolors_submit.engine import architecture, conversion, pickled, schedule
from kolors_submit.engine.conversion import State
from kolors_submit.engine.kept import kept, shelved
from kolors_submit.errors import InputError
from kolors_submit.threads import in_threads
from kolors_submit.weights.parts import read_config, weight_files

if TYPE_CHECKING:
    from diffsynth.models.kolors_text_encoder import ChatGLMModel
    from diffsynth.models.sdxl_unet import SDXLUNet
    from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
    from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder
    from diffsynth.prompters import KolorsPrompter

    from kolors_submit.weights import Base

Network = TypeVar("Network", bound=torch.nn.Module)
Renamed = TypeVar("Renamed")

READERS = 4
"""Threads that bring weights to a GPU: an H200 got 14 GB/s from the page cache by four, 5 by one, no more by eight."""
_NAMED_IN_ERRORS = 5


def config(base: Base, part: str) -> dict[str, Any]:
    """The config of a part (`unet`, `vae`, `text_encoder`, `scheduler`); raises InputError if it is no JSON object."""
    path = base.folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    return read_config(path)


@kept
def load_unet(base: Base, device: str, dtype: torch.dtype) -> SDXLUNet:
    """The UNet in evaluation mode; raises InputError where configs or weights are not a Kolors UNet's."""
    schedule.check(config(base, "scheduler"), f"{base.folder / 'scheduler'}")
    settings = config(base, "unet")
    network = _on_meta(base, "unet", lambda: architecture.build_unet(settings))
    state = _read(base, "unet", device, dtype)
    state = _renamed(base, "unet", lambda: conversion.unet_from_diffusers(state, settings))
    return _fill(base, "unet", network, state)


@kept
def load_vae_decoder(base: Base, device: str, dtype: torch.dtype) -> SDXLVAEDecoder:
    """The VAE's decoder, in float32 unless its config says that half precision is safe; InputError as for the UNet."""
    settings = config(base, "vae")
    network = _on_meta(base, "vae", lambda: architecture.build_vae_decoder(settings))
    state = _read(base, "vae", device, _vae_dtype(settings, dtype), lambda key: not conversion.is_encoders(key))
    _, decoder = _renamed(base, "vae", lambda: conversion.vae_from_diffusers(state, settings))
    return _fill(base, "vae", network, decoder)


def load_vae_encoder(base: Base, device: str, dtype: torch.dtype) -> SDXLVAEEncoder:
    """The VAE's encoder, in float32 unless its config says that half precision is safe; InputError as for the UNet."""
    settings = config(base, "vae")
    network = _on_meta(base, "vae", lambda: architecture.build_vae_encoder(settings))
    state = _read(base, "vae", device, _vae_dtype(settings, dtype), conversion.is_encoders)
    encoder, _ = _renamed(base, "vae", lambda: conversion.vae_from_diffusers(state, settings))
    return _fill(base, "vae", network, encoder)


@kept
def load_text_encoder(base: Base, device: str, dtype: torch.dtype) -> ChatGLMModel:
    """ChatGLM without its output layer, which conditioning never uses; InputError as for the UNet."""
    settings = config(base, "text_encoder")
    network = _on_meta(base, "text_encoder", lambda: architecture.build_text_encoder(settings))
    state = {
        key.removeprefix("transformer."): value
        for key, value in _read(base, "text_encoder", device, dtype, lambda key: "output_layer." not in key).items()
    }
    return _fill(base, "text_encoder", network, state)


def stream_text_encoder(base: Base, device: str, dtype: torch.dtype) -> tuple[ChatGLMModel, Iterator[torch.nn.Module]]:
    """ChatGLM with only its embeddings loaded, and its layers in order, each on the device until the next is asked for.

    The values are `load_text_encoder`'s; raises InputError as it does.
    """
    settings = config(base, "text_encoder")
    network = _on_meta(base, "text_encoder", lambda: architecture.build_text_encoder(settings))

    def read(prefix: str) -> State:
        state = _read(
            base, "text_encoder", device, dtype, lambda key: key.removeprefix("transformer.").startswith(prefix)
        )
        return {key.removeprefix("transformer.").removeprefix(prefix): value for key, value in state.items()}

    def layers() -> Iterator[torch.nn.Module]:
        for i, layer in enumerate(network.encoder.layers):
            yield _fill(base, "text_encoder", layer, read(f"encoder.layers.{i}."))
            layer.to("meta")

    _fill(base, "text_encoder", network.embedding, read("embedding."))
    _fill(base, "text_encoder", network.rotary_pos_emb, read("rotary_pos_emb."))
    return network, layers()


def load_prompter(base: Base) -> KolorsPrompter:
    """DiffSynth's prompter with the base's own tokenizer; raises InputError where that cannot be read."""
    from diffsynth.prompters import KolorsPrompter

    folder = base.folder / "tokenizer"
    try:
        # A copy of its own: the caller puts a text encoder into it.
        prompter = copy.copy(shelved(("prompter", folder), lambda: KolorsPrompter(tokenizer_path=str(folder))))
    except (OSError, ValueError, RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"{folder} holds no ChatGLM tokenizer ({error}); fetch the base again") from error
    if not prompter.tokenizer:  # transformers' way to say that sentencepiece could not read the model
        raise InputError(f"{folder} holds no ChatGLM tokenizer; fetch the base again")
    return prompter


def _vae_dtype(settings: dict[str, Any], dtype: torch.dtype) -> torch.dtype:
    """Kolors' own VAE overflows in float16 (black pictures); a VAE that does not says `force_upcast: false`."""
    return dtype if settings.get("force_upcast", True) is False else torch.float32


def _on_meta(base: Base, part: str, build: Callable[[], Network]) -> Network:
    try:
        with architecture.on_meta():
            return build()
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(f"{base.folder / part}/config.json describes no network of Kolors' kind: {error}") from error


def _renamed(base: Base, part: str, rename: Callable[[], Renamed]) -> Renamed:
    try:
        return rename()
    except KeyError as error:
        message = f"{base.folder / part}: {error.args[0]}; config and weights belong to different models"
        raise InputError(message) from error


def _fill(base: Base, part: str, network: Network, state: State) -> Network:
    """Put the weights into a network that lies on the meta device, after a check of every key."""
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    problems = [f"{key} is missing" for key in wanted.keys() - state.keys()]
    problems += [f"{key} is unexpected" for key in state.keys() - wanted.keys()]
    problems += [
        f"{key} has shape {list(state[key].shape)} instead of {list(shape)}"
        for key, shape in wanted.items()
        if key in state and state[key].shape != shape
    ]
    if problems:
        problems.sort()
        more = f" and {len(problems) - _NAMED_IN_ERRORS} more" if len(problems) > _NAMED_IN_ERRORS else ""
        what = "; ".join(problems[:_NAMED_IN_ERRORS])
        raise InputError(f"{base.folder / part}: {what}{more}; the weights do not fit the config, fetch the base again")
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _read(
    base: Base, part: str, device: str, dtype: torch.dtype, wanted: Callable[[str], bool] = lambda key: True
) -> State:
    """The wanted weights of a part under the names in its files, straight on the device and in the dtype."""
    found = {key: value for path in weight_files(base.folder / part) for key, value in _tensors(path, wanted)}
    where = torch.device(device)
    if where.type == "cuda" and where.index is None:  # other threads have a current device of their own
        where = torch.device(device, torch.cuda.current_device())

    def placed(value: torch.Tensor) -> torch.Tensor:
        here = value.to(where)
        return here.to(dtype) if here.is_floating_point() else here

    values = map(placed, found.values()) if device == "cpu" else in_threads(placed, found.values(), threads=READERS)
    return dict(zip(found, values, strict=True))


def _tensors(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and weights of one file, read when they are used; a pickle with torch's closed list of types only."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                yield from ((key, file.get_tensor(key)) for key in file.keys() if wanted(key))  # noqa: SIM118
            return
        yield from ((key, value) for key, value in pickled.load_tensors(path, mapped=True).items() if wanted(key))
    except ValueError as error:
        raise InputError(f"{path} is no plain file of weights, or was cut short; fetch the base again") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}); fetch the base again") from error
