"""A LoRA file from one program's keys into another's, proved by reading the new file back.

Heavy imports wait until there is something to convert.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit import base_names
from kolors_submit.errors import InputError
from kolors_submit.files import atomic_path, expanded
from kolors_submit.weights import PICTUREBOOK, Base

if TYPE_CHECKING:
    from kolors_submit.engine.blocks import Config
    from kolors_submit.engine.lora import Lora

SUFFIXES = {"kohya": "_kohya.safetensors", "diffusers": "_diffusers.safetensors", "diffsynth": ".ckpt"}
"""What an exported file's name ends with where none is given."""

KOLORS_UNET: dict[str, Any] = {
    "act_fn": "silu",
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "encoder_hid_dim": 4096,
    "encoder_hid_dim_type": "text_proj",
    "in_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 4,
    "projection_class_embeddings_input_dim": 5632,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": True,
}
"""The settings of Kolors' UNet, so that a LoRA is converted where its 18 GB of weights are not."""

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Exported:
    """A written file: the name of the base that it fits, its number of layers, and their different ranks and alphas."""

    path: Path
    base: str
    modules: int
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]

    @property
    def scale(self) -> float | None:
        """Alpha / rank, where all layers have the same."""
        return self.alphas[0] / self.ranks[0] if len(self.alphas) == len(self.ranks) == 1 else None


def export(
    source: Path,
    to: str,
    base: str = "auto",
    keys: str | None = None,
    alpha: float | None = None,
    out: Path | None = None,
    force: bool = False,
) -> Exported:
    """Write a LoRA in another program's keys; equal LoRAs give equal bytes.

    kohya keeps alpha, diffusers gets alpha / rank multiplied in, DiffSynth's file has no place for it. `alpha` says
    what a file without one was trained with. Only `force` overwrites a file. Raises InputError where the file is no
    LoRA of the base, where the new one may not lie at `out`, or where it does not read back as the same update of every
    layer.
    """
    from kolors_submit.engine import lora_files

    out = out or source.with_name(source.stem.removesuffix("_diffusers").removesuffix("_kohya") + SUFFIXES[to])
    _refuse_place(out, to, source, force)
    name, config, lora = read(source, base, keys, alpha)
    alphas = tuple(sorted({module.alpha for module in lora.modules.values()}))
    if to == "diffsynth" and len(alphas) > 1:
        raise InputError(
            f"the LoRA has {len(alphas)} different alphas, for which DiffSynth's format has no place; use --to kohya"
        )
    with atomic_path(out) as partial:  # a file that is there is replaced by a proved one only
        if to == "diffsynth":
            lora_files.write_ckpt(partial, lora)
        else:
            tensors = (lora_files.to_kohya if to == "kohya" else lora_files.to_diffusers)(lora, config)
            lora_files.write_safetensors(partial, tensors, lora.metadata)
        _prove(partial, to, lora, config, alphas)
    ranks = tuple(sorted({module.rank for module in lora.modules.values()}))
    return Exported(out, name, len(lora.modules), ranks, alphas)


def _refuse_place(out: Path, to: str, source: Path, force: bool) -> None:
    """Raises InputError for a name that readers would take for another format, and for a file that is not ours to lose.

    A bundle is what its manifest says, so that one more file, or another in a file's place, spoils it.
    """
    suffix = "." + SUFFIXES[to].rpartition(".")[2]
    if out.suffix != suffix:
        raise InputError(f"--out {out}: a LoRA for {to} is a {suffix} file; name one that ends so")
    if out.resolve() == source.resolve():
        raise InputError(f"{out} is the input file itself; name another with --out")
    bundle = next((folder for folder in out.resolve().parents[:2] if (folder / "manifest.json").is_file()), None)
    if bundle is not None:
        raise InputError(f"{out} lies in the bundle {bundle}, which it would spoil; name a file outside with --out")
    if out.exists() and not force:
        raise InputError(f"{out} already exists; name another --out, or overwrite it with --force")


def read(source: Path, base: str, keys: str | None = None, alpha: float | None = None) -> tuple[str, Config, Lora]:
    """The name and UNet config of the base that a LoRA fits, and the LoRA.

    `base` is kolors, picturebook, a base's folder, or `auto`: Kolors or the picture book, whichever fits. `keys` and
    `alpha` are those of `lora_files.read`. Raises InputError where it fits none.
    """
    from kolors_submit.engine import lora_files

    reasons = []
    for name, config in _configs(base):
        try:
            return name, config, lora_files.read(source, config, alpha, keys)
        except InputError as error:
            reasons.append(error)
    raise reasons[0]


def _configs(base: str) -> Iterable[tuple[str, Config]]:
    from kolors_submit.engine import base as bases

    if base in ("auto", base_names.KOLORS):
        yield base_names.KOLORS, KOLORS_UNET
    if base in ("auto", base_names.PICTUREBOOK):
        yield base_names.PICTUREBOOK, bases.config(Base(base_names.PICTUREBOOK, PICTUREBOOK, {}), "unet")
    if base not in ("auto", *base_names.NAMED):
        folder = expanded(base)
        if not folder.is_dir():
            raise InputError(f"{base} is not a base; name {', '.join(base_names.NAMED)} or a base's folder")
        name = folder.resolve().name
        yield name, bases.config(Base(name, folder, {}), "unet")


def _prove(path: Path, to: str, lora: Lora, config: Config, alphas: tuple[float, ...]) -> None:
    """Read the written file as its readers do and compare every layer's update."""
    from kolors_submit.engine import lora_files

    back = lora_files.read(path, config, alphas[0] if to == "diffsynth" else None, to)
    for name, module in lora.modules.items():
        ours = module.update()
        other = back.modules.get(name)
        if other is None or float((other.update() - ours).norm()) > TOLERANCE * float(ours.norm()):
            raise InputError(f"in {to}'s keys it does not read back as the same LoRA at {name}; nothing was written")
