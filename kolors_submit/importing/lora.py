"""The LoRA of an entry: which file it is, what it holds, at which strength it was used, and all three formats of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kolors_submit.base_names import KOLORS, NAMED
from kolors_submit.bundle import layout
from kolors_submit.bundle.ckpt import read_ckpt
from kolors_submit.bundle.lora import LoraSummary, summarise, write_diffusers
from kolors_submit.bundle.tensors import read_header
from kolors_submit.errors import InputError
from kolors_submit.export import formats
from kolors_submit.export.comfyui import lora_name
from kolors_submit.files import file_digest
from kolors_submit.importing.advice import stages_of
from kolors_submit.importing.settle import CONTEST_ALPHA, NOTEBOOK, UNSAID, Notes, Scale, ToldPanel
from kolors_submit.importing.source import LORAS, of_kind
from kolors_submit.weights import PICTUREBOOK

if TYPE_CHECKING:
    from kolors_submit.engine.blocks import Config
    from kolors_submit.engine.lora import Lora


_KEYS = {"lora_unet_": "kohya", "unet.": "diffusers"}
"""How the tensors' names start in each format; DiffSynth's with the layer itself."""


@dataclass(frozen=True)
class Found:
    """An entry's LoRA: the base that it fits (its folder, where that is not Kolors), whose keys, rank and alpha.

    `alpha` is the rank where the file has none.
    """

    base: str
    folder: Path | None
    config: Config
    keys: str
    rank: int
    alpha: float
    lora: Lora


def choose(names: Sequence[str], panels: Sequence[ToldPanel], wanted: str | None) -> str:
    """The LoRA's file: `wanted`, the only one, or the one that the workflows name; raises InputError else."""
    found = of_kind(names, LORAS)
    if wanted is not None:
        if str(PurePosixPath(wanted)) not in found:
            raise InputError(f"the entry has no LoRA {wanted!r}; there are {', '.join(found[:10]) or 'none'}")
        return str(PurePosixPath(wanted))
    if not found:
        raise InputError("the entry has no LoRA: no .ckpt and no .safetensors file")
    if len(found) == 1:
        return found[0]
    used = {told.lora for panel in panels for told in panel.told if told.lora}
    named = [name for name in found if PurePosixPath(name).name in used]
    if len(named) != 1:
        listed = ", ".join(found[:10])
        raise InputError(
            f"the entry has {len(found)} LoRA files: {listed}; {stages_of(found)}name one with --lora FILE"
        )
    return named[0]


def open_lora(path: Path, base: str) -> Found:
    """Read a LoRA in any of the three formats and check it against a base (`auto`: the one that it fits).

    A .ckpt has to pass the closed list of pickle instructions first. Raises InputError for what is no LoRA of the
    base, or one with several ranks or alphas, which a bundle's has not.
    """
    is_pickle = path.suffix.lower() == ".ckpt"
    names = [name for name, _ in read_ckpt(path)] if is_pickle else list(read_header(path).tensors)
    keys = next((k for start, k in _KEYS.items() if any(name.startswith(start) for name in names)), "diffsynth")
    name, config, lora = formats.read(path, base, keys)
    ranks = sorted({module.rank for module in lora.modules.values()})
    alphas = sorted({module.alpha for module in lora.modules.values()})
    if len(ranks) > 1:
        raise InputError(f"{path.name} has layers of rank {ranks[0]} to {ranks[-1]}; a bundle's LoRA has one rank")
    if len(alphas) > 1:
        raise InputError(f"{path.name} has alphas from {alphas[0]:g} to {alphas[-1]:g}; a bundle's LoRA has one")
    if alphas == [0]:
        raise InputError(f"{path.name} has alpha 0, so it changes nothing; save it with the alpha it was trained with")
    own = None if name == KOLORS else PICTUREBOOK
    folder = own if base in ("auto", *NAMED) else Path(base)
    return Found(name, folder, config, keys, ranks[0], alphas[0], lora)


def scale(found: Found, panels: Sequence[ToldPanel], notes: Notes) -> Scale:
    """The LoRA's alpha, and the strength that the panels were rendered with, in a story's terms.

    The contest's programs apply lora_alpha/rank and know no other alpha, so a file in DiffSynth's keys gets that
    lora_alpha as its own, and strength 1. In diffusers' keys alpha / rank is part of the numbers already, but for an
    alpha that newer versions store beside them. A story's alpha is positive: the sign of one that is not goes into the
    strength.
    """
    node, strength = (_told(panels, name) for name in ("node_alpha", "strength"))
    used = 1.0 if strength is None else strength
    if found.keys == "diffsynth":
        if node is None:
            notes.guess("train.alpha", CONTEST_ALPHA, f"the lora_alpha of the panels is {NOTEBOOK}")
        alpha, used = node or CONTEST_ALPHA, 0.0 if node == 0 else used
    else:
        alpha = found.alpha
        if node is not None:
            used = node / alpha
        elif strength is None:
            notes.guess("render.lora_strength", used, UNSAID)
    return Scale(found.rank, abs(alpha), used if alpha > 0 else 0.0 - used, found.keys)


def _told(panels: Sequence[ToldPanel], name: str) -> float | None:
    """What most panels say; a story has one LoRA strength."""
    said = Counter(value for panel in panels if (value := panel.first(name)[0]) is not None)
    return said.most_common(1)[0][0] if said else None


def write(found: Found, alpha: float, folder: Path) -> tuple[LoraSummary, list[Path]]:
    """Write the LoRA with this alpha in kohya's, DiffSynth's and diffusers' keys; its summary and files."""
    from kolors_submit.engine import lora_files

    modules = {layer: replace(module, alpha=alpha) for layer, module in found.lora.modules.items()}
    lora = replace(found.lora, modules=modules)
    draft = folder / "lora.safetensors"
    lora_files.write_safetensors(draft, lora_files.to_kohya(lora, found.config), lora.metadata)
    name = lora_name(file_digest(draft))
    kohya = draft.rename(folder / f"{name}.safetensors")
    ckpt = lora_files.write_ckpt(folder / f"{name}.ckpt", lora)
    diffusers = write_diffusers(kohya, ckpt, folder / f"{name}{layout.DIFFUSERS}")
    return summarise(kohya), [kohya, ckpt, diffusers]
