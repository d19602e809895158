"""A base is a folder in the layout of the published Kolors; this reads which files a result depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kolors_submit.errors import InputError
from kolors_submit.files import digest, read_json
from kolors_submit.weights.digests import digests_of

PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
PICTUREBOOK = Path(__file__).parents[1] / "picturebook" / "base"

PIXELS = 8
"""Pixels of a picture along one of its latent."""

WEIGHTS = (".safetensors", ".bin")
_SETTINGS = (".json", ".txt", ".model")
_DIGESTS = "digests.json"
"""What the maker of a base says of its files; nothing depends on it but the trust in them."""


@dataclass(frozen=True)
class Base:
    """A base folder and the SHA-256 of each file in it that a result depends on."""

    name: str
    folder: Path
    digests: dict[str, str]

    @property
    def digest(self) -> str:
        """One digest for the model itself, its own predictor left out: another predictor trains no other LoRA."""
        return digest({path: sha for path, sha in self.digests.items() if not path.startswith("predictor/")})

    @property
    def is_demonstration(self) -> bool:
        """Whether this is the small base inside the package, which no contest accepts."""
        return self.folder.resolve() == PICTUREBOOK.resolve()

    @property
    def predictor(self) -> Path | None:
        """The base's own aesthetics predictor, where it has one."""
        folder = self.folder / "predictor"
        return folder if folder.is_dir() else None


def side_of(folder: Path) -> int | None:
    """Side in pixels of the pictures that a base was made for, as its UNet's settings say; None where they do not."""
    settings = read_json(folder / "unet/config.json")
    side = settings.get("sample_size") if isinstance(settings, dict) else None
    return PIXELS * side if isinstance(side, int) and side > 0 else None


def open_base(folder: Path, name: str | None = None) -> Base:
    """The base in a folder; raises InputError where a part is missing."""
    missing = [part for part in ("model_index.json", *PARTS) if not (folder / part).exists()]
    if missing:
        raise InputError(
            f"{folder} is not a base: {', '.join(missing)} missing; a base has the layout of the published Kolors"
        )
    found = (path for path in folder.rglob("*") if path.is_file())
    names = choose_files(str(path.relative_to(folder)) for path in found)
    return Base(name or folder.resolve().name, folder, digests_of(folder, names))


def choose_files(names: Iterable[str]) -> list[str]:
    """The files of a folder of weights that may be read: paths below it, sorted.

    Of each folder below: its settings, and its weights in safetensors, or in .bin where there are none. Code that lies
    beside the weights is never among them, nor are `digests.json` and anything hidden.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.name != _DIGESTS and not any(part.startswith(".") for part in path.parts):
            folders.setdefault(str(path.parent), []).append(name)
    chosen = []
    for members in folders.values():
        chosen += [name for name in members if name.endswith(_SETTINGS)]
        tensors = [name for name in members if name.endswith(".safetensors")]
        chosen += tensors or [name for name in members if name.endswith(".bin")]
    return sorted(chosen)
