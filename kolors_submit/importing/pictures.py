"""Which pictures of an entry are its panels, and which of the rows that somebody wrote belongs to which of them."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from kolors_submit.data.pictures import SUFFIXES, BadPicture, decode
from kolors_submit.decoders import UNSOUND
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest
from kolors_submit.importing import workflow
from kolors_submit.importing.labels import ordinal
from kolors_submit.importing.source import of_kind
from kolors_submit.importing.told import Told
from kolors_submit.story.model import GREATEST_SIDE, LEAST_SIDE, PANELS, SIDE_MULTIPLE

_TRAINING = re.compile(
    r"(lora[_-]?)?(train\w*|dataset\w*|data|samples?|checkpoints?)|.{0,6}(训练(集|数据|图片|样本|素材)|数据集|素材|样本).{0,4}",
    re.IGNORECASE,
)
"""Folders of pictures that the LoRA learned from, or that training drew on its way."""

_PANELS = re.compile(r"images?|pictures?|panels?|outputs?|results?|story|作品|图片|成果|结果|故事|分镜", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """One picture of an entry: its path below it, SHA-256, what its own workflow says, or why that says nothing."""

    name: str
    sha256: str
    told: Told | None = None
    remark: str | None = None

    @property
    def stem(self) -> str:
        """Its name without folders and suffix."""
        return PurePosixPath(self.name).stem


def candidates(names: Sequence[str], wanted: str | None) -> list[str]:
    """The pictures of the folder that holds the panels, in their natural order.

    `wanted` names that folder. Raises InputError where it is not clear which it is, or it holds fewer than eight.
    """
    folders: dict[str, list[str]] = {}
    for name in of_kind(names, SUFFIXES):
        folders.setdefault(str(PurePosixPath(name).parent), []).append(name)
    if wanted is not None:
        chosen = folders.get(str(PurePosixPath(wanted)))
        if chosen is None:
            raise InputError(f"the entry has no pictures in {wanted!r}; it has some in {_listed(folders)}")
        return sorted(chosen, key=natural)
    likely = {folder: found for folder, found in folders.items() if not is_training(folder)}
    enough = {folder: found for folder, found in likely.items() if len(found) >= PANELS}
    if not enough:
        raise InputError(
            f"no folder of the entry has {PANELS} pictures, the fewest that the contest accepts; "
            f"there are {_listed(folders) or 'none'}"
        )
    named = [folder for folder in enough if _PANELS.search(PurePosixPath(folder).name)]
    if len(enough) > 1 and len(named) != 1:
        raise InputError(f"several folders may hold the panels: {_listed(enough)}; name one with --images FOLDER")
    return sorted(enough[named[0] if named else next(iter(enough))], key=natural)


def open_picture(folder: Path, name: str) -> Picture:
    """A picture with what its own workflow says; a workflow that says nothing leaves a remark."""
    path = folder / name
    sha256 = file_digest(path)
    for key, text in _texts(path).items():
        value = workflow.parse(text)
        if value is None:
            continue
        try:
            return Picture(name, sha256, workflow.read(value, f"{name} ({key})"))
        except workflow.Unreadable as error:
            return Picture(name, sha256, remark=f"the workflow in {name} is not used: {error}")
    return Picture(name, sha256)


def pixels(folder: Path, name: str) -> Image.Image:
    """A panel's pixels, RGB and upright; raises InputError where it is no sound picture or far too large."""
    try:
        return decode((folder / name).read_bytes())
    except BadPicture as error:
        raise InputError(f"{name} {error}") from error


def one_size(folder: Path, names: Sequence[str]) -> tuple[int, int]:
    """Width and height in pixels that all panels have; raises InputError where they differ or no story can have it."""
    sizes = Counter(pixels(folder, name).size for name in names)
    if len(sizes) > 1:
        said = ", ".join(f"{count} of {width}x{height}" for (width, height), count in sizes.most_common(5))
        raise InputError(f"the panels have different sizes ({said}); a story has one")
    size = next(iter(sizes))
    if any(not LEAST_SIDE <= side <= GREATEST_SIDE or side % SIDE_MULTIPLE for side in size):
        raise InputError(
            f"the panels are {size[0]}x{size[1]} pixels, but Kolors draws sides of {LEAST_SIDE} to {GREATEST_SIDE} in "
            f"multiples of {SIDE_MULTIPLE}: they were scaled or cut afterwards. Import them as they were drawn"
        )
    return size


def match(rows: Sequence[Told], pictures: Sequence[Picture], where: str) -> tuple[dict[str, Told], str | None]:
    """Each row's picture: picture's name -> row, and a word where only the order says so.

    By the name that the row gives, else by the number in both, else by order where there are equally many. Nothing
    where none of these holds.
    """
    by_file = {PurePosixPath(picture.name).name.lower(): picture.name for picture in pictures}
    by_stem = {picture.stem.lower(): picture.name for picture in pictures}
    by_name: dict[str, Told] = {}
    for row in rows:
        file = PurePosixPath((row.picture or "").replace("\\", "/")).name.lower()
        name = by_file.get(file) or by_stem.get(file) or by_stem.get(PurePosixPath(file).stem)
        if row.picture is not None and name is not None:
            by_name.setdefault(name, row)
    if by_name:
        return by_name, None
    numbered = [picture for picture in pictures if ordinal(picture.stem) is not None]
    by_number = {ordinal(picture.stem): picture.name for picture in numbered}
    numbers = {row.number for row in rows}
    if len(by_number) == len(numbered) and len(numbers) == len(rows) and numbers <= by_number.keys():
        return {by_number[row.number]: row for row in rows}, None
    for group in (pictures, numbered):
        if rows and len(rows) == len(group):
            word = f"the {len(rows)} rows of {where} were given to {len(group)} pictures by their order"
            return {picture.name: row for picture, row in zip(group, rows, strict=True)}, word
    return {}, None


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts 2.png before 10.png."""
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", name.lower())
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def is_training(folder: str) -> bool:
    """Whether a folder's name says that it holds what the LoRA learned from."""
    return any(_TRAINING.fullmatch(part) for part in PurePosixPath(folder).parts)


def _texts(path: Path) -> dict[str, str]:
    """ComfyUI's texts in a PNG, the server's first: it is what was run, random choices made."""
    if path.suffix.lower() != ".png":
        return {}
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=["PNG"]) as image:
            info = dict(image.info)
    except UNSOUND:
        return {}  # `pixels` says what is wrong with it, if it is a panel
    return {key: str(info[key]) for key in ("prompt", "workflow") if isinstance(info.get(key), str)}


def _listed(folders: dict[str, list[str]]) -> str:
    return ", ".join(f"{folder} ({len(found)})" for folder, found in sorted(folders.items())[:10])
