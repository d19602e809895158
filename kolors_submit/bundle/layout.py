"""The names of a bundle's files, which names are allowed, and how large they may be."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import PurePosixPath

MANIFEST, README, CONFIGURATION = "manifest.json", "README.md", "configuration.json"
STORY, PROMPTS, SCORES = "story.yaml", "prompts.csv", "scores.json"
TRAIN, DATA, ENVIRONMENT = "train.json", "data.json", "environment.json"
PAGE, SHEET, POST = "index.html", "story.jpg", "post.md"
FILES = (README, CONFIGURATION, STORY, PROMPTS, SCORES, TRAIN, DATA, ENVIRONMENT, MANIFEST, PAGE, SHEET, POST)
"""Every bundle has these beside lora/ and images/."""

IMPORT = "import.json"
"""In a bundle that `import` made from another program's entry: what it was made from, and what had to be guessed."""

HISTORY = "history.json"
"""What card and page tell of the making, and no other file says; bundles of early versions have none."""

UNKNOWN_OF_IMPORTED = frozenset({SCORES, DATA, ENVIRONMENT})
"""Files that such a bundle may lack, because nobody knows what they would say."""

LORA, IMAGES, BEFORE, COMFYUI = "lora", "images", "before", "comfyui"
FOLDERS = {LORA: (".safetensors", ".ckpt"), IMAGES: (".png",), BEFORE: (".png",), COMFYUI: (".json",)}
"""The folders a bundle may have, none of them nested, and what may lie in each."""

MEGABYTE = 1_000_000
MAX_FILES = 4000
MAX_BYTES = 8_000 * MEGABYTE
LIMITS = {
    ".md": 4 * MEGABYTE,
    ".json": 32 * MEGABYTE,
    ".yaml": MEGABYTE,
    ".csv": 32 * MEGABYTE,
    ".html": 256 * MEGABYTE,
    ".jpg": 64 * MEGABYTE,
    ".png": 64 * MEGABYTE,
    ".safetensors": 4_000 * MEGABYTE,
    ".ckpt": 4_000 * MEGABYTE,
}
"""The most bytes a file with each suffix may have."""

MAX_PANEL_SIDE = 2048
MAX_SHEET_PIXELS = 100_000_000

_WINDOWS = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in range(1, 10))}


DIFFUSERS = "_diffusers.safetensors"
"""How the LoRA's third file ends, in diffusers' own keys; the others are the same name with .safetensors and .ckpt."""


def panel_file(number: int) -> str:
    """The path of panel `number`, counted from 1."""
    return f"{IMAGES}/{number:02d}.png"


def before_file(number: int) -> str:
    """The path of panel `number` as the base alone draws it."""
    return f"{BEFORE}/{number:02d}.png"


def path_problem(name: str) -> str | None:
    """Why a file must not be called so, or None.

    Allowed is a relative path of plain parts that means one file inside the folder on every system: no `..`, no
    drive, no backslash, no control or direction-changing character, no name that Windows keeps, no blank at an end.
    """
    if not name or len(name) > 240:
        return "is empty or longer than 240 characters"
    if name.startswith("/") or "\\" in name or ":" in name:
        return "is not a relative path with forward slashes"
    for part in name.split("/"):
        if part in ("", ".", ".."):
            return "has an empty part, . or .."
        if part != part.strip() or part.endswith("."):
            return "has a part that starts or ends with a blank, or ends with a dot"
        if part.split(".")[0].lower() in _WINDOWS:
            return "contains a name reserved on Windows"
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for character in name):
        return "has a control or formatting character"
    return None


def collisions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that are one file on a system that ignores case or normalises Unicode; also exact repeats."""
    seen: dict[str, str] = {}
    found = []
    for name in names:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())
        if key in seen:
            found.append((seen[key], name))
        seen.setdefault(key, name)
    return found


def required(names: Collection[str]) -> list[str]:
    """The files that a bundle with these has to have beside lora/ and images/."""
    return [name for name in FILES if IMPORT not in names or name not in UNKNOWN_OF_IMPORTED]


def place_problem(name: str) -> str | None:
    """Why a file has no place in a bundle, or None; `name` is a path that path_problem allows."""
    path = PurePosixPath(name)
    if len(path.parts) == 1:
        return None if name in (*FILES, IMPORT, HISTORY) else "is not a bundle file"
    if len(path.parts) > 2 or path.parts[0] not in FOLDERS:
        return "is in a folder that a bundle does not have"
    allowed = FOLDERS[path.parts[0]]
    return None if path.suffix in allowed else f"does not belong in {path.parts[0]}/, which is for {', '.join(allowed)}"


def size_limit(name: str) -> int:
    """The most bytes this file may have."""
    return LIMITS.get(PurePosixPath(name).suffix, MEGABYTE)


def listing_problems(files: Sequence[tuple[str, int]], limit: Callable[[str], int | None] = size_limit) -> list[str]:
    """Why files that a stranger lists, by name and bytes, are not to be fetched, in a sentence each.

    `limit` is the most bytes of one; together they may have as much as a bundle.
    """
    if len(files) > MAX_FILES:
        return [f"there are {len(files):,} files; at most {MAX_FILES:,} are allowed"]
    found = [f"{name[:200]!r} {problem}" for name, _ in files if (problem := path_problem(name))]
    found += [
        f"{name} has {size:,} bytes; at most {most:,} are allowed for its kind"
        for name, size in files
        if size > (most := limit(name) or 0)
    ]
    found += [f"{one} and {other} would be one file" for one, other in collisions(name for name, _ in files)]
    total = sum(size for _, size in files)
    if total > MAX_BYTES:
        found.append(f"all files together have {total:,} bytes; at most {MAX_BYTES:,} are allowed")
    return found
