"""Rules about a bundle's files: which there are, the manifest, the LoRA, the pictures."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from kolors_submit.bundle import layout, lora, manifest, rules_texts, workflows
from kolors_submit.bundle.finding import Finding, fail, warn
from kolors_submit.bundle.opened import Opened, at
from kolors_submit.decoders import UNSOUND
from kolors_submit.errors import InputError
from kolors_submit.files import file_digest
from kolors_submit.story.model import PANELS

KOLORS_CONTEXT = 2048
"""Width of what Kolors' cross-attention reads."""

_TOKENS = re.compile(rb"hf_[A-Za-z0-9]{30,}|ms-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def shape(folder: Path, names: list[str]) -> Iterator[Finding]:
    """Names, places, kinds and sizes; where one of these fails, nothing is opened."""
    for name in names:
        path = folder / name
        problem = layout.path_problem(name)
        if problem:
            yield fail("paths", f"{name[:200]!r} {problem}")
        elif path.is_symlink() or not path.is_file():
            yield fail("paths", f"{name} is a link or not a regular file")
        elif path.stat().st_size > layout.size_limit(name):
            yield fail(
                "sizes", f"{name} has {path.stat().st_size:,} bytes; at most {layout.size_limit(name):,} are allowed"
            )
        elif path.stat().st_nlink > 1:
            yield warn("paths", f"{name} has a second name outside the bundle (a hard link)")
    for one, other in layout.collisions(names):
        yield fail("paths", f"{one} and {other} would be one file on some systems")


def places(bundle: Opened) -> Iterator[Finding]:
    """Every file has its place, nothing is missing and nothing is extra."""
    for name in bundle.names:
        problem = layout.place_problem(name)
        if problem:
            yield fail("files", f"{name} {problem}; remove it")
    for name in layout.required(bundle.names):
        if name not in bundle.names:
            yield fail("files", f"{name} is missing; run `kolors-submit bundle` again")


def manifest_is_true(bundle: Opened) -> Iterator[Finding]:
    """The manifest names every file with its SHA-256 and size, and no other."""
    if layout.MANIFEST in bundle.names:
        for difference in manifest.differences(bundle.folder, manifest.read(bundle.folder / layout.MANIFEST)):
            yield fail("manifest", difference)


def secrets(bundle: Opened) -> Iterator[Finding]:
    """No text file holds what looks like a hub's token."""
    for name in bundle.names:
        if name.endswith((".md", ".json", ".yaml", ".csv", ".html")) and _TOKENS.search(
            (bundle.folder / name).read_bytes()
        ):
            yield fail("secrets", f"{name} holds what looks like a hub's token; revoke it and remove it")


def lora_files(bundle: Opened) -> Iterator[Finding]:
    """One LoRA in kohya's, DiffSynth's and diffusers' keys, sound, alike, of the story's rank and alpha."""
    ckpts, third = bundle.in_folder(layout.LORA, ".ckpt"), bundle.in_folder(layout.LORA, layout.DIFFUSERS)
    tensors = [name for name in bundle.in_folder(layout.LORA, ".safetensors") if name not in third]
    if not tensors or not ckpts:
        yield fail("lora", "lora/ needs the LoRA as .safetensors and as .ckpt; run `kolors-submit bundle` again")
        return
    for files, kind in ((tensors, ".safetensors"), (ckpts, ".ckpt"), (third, f"*{layout.DIFFUSERS}")):
        if len(files) > 1:
            yield fail("lora", f"lora/ has {len(files)} {kind} files; it holds one")
    path = bundle.folder / tensors[0]
    found = lora.summarise(path)
    yield from _against_story(bundle, found)
    yield from _against_records(bundle, path, found)
    differences = lora.differences(path, bundle.folder / ckpts[0])
    if not differences:
        for name in third:
            differences += lora.diffusers_differences(path, bundle.folder / ckpts[0], bundle.folder / name)
    for difference in differences[:20]:
        yield fail("lora", difference)
    if not third:
        yield warn("lora", f"lora/ has no *{layout.DIFFUSERS}; `kolors-submit export --to diffusers` makes it")


def _against_story(bundle: Opened, found: lora.LoraSummary) -> Iterator[Finding]:
    if bundle.story is not None:
        train = bundle.story.train
        if (found.rank, found.max_rank) != (train.rank, train.rank):
            ranks = f"{found.rank}" if found.rank == found.max_rank else f"{found.rank} to {found.max_rank}"
            yield fail("lora", f"the LoRA's rank is {ranks}, the story says {train.rank}")
        if any(abs(alpha - train.alpha) > 1e-3 * train.alpha for alpha in found.alphas):
            yield fail("lora", f"the LoRA's alpha is {sorted(found.alphas)}, the story says {train.alpha:g}")
    if not bundle.is_demonstration and found.context not in (None, KOLORS_CONTEXT):
        yield fail(
            "base", f"the LoRA is for a model of another width ({found.context}), not for Kolors ({KOLORS_CONTEXT})"
        )


def _against_records(bundle: Opened, path: Path, found: lora.LoraSummary) -> Iterator[Finding]:
    """What training and rendering noted about the LoRA."""
    if bundle.train is not None and bundle.train.get("modules") != found.modules:
        yield fail("lora", f"the LoRA has {found.modules} modules, train.json says {bundle.train.get('modules')}")
    used = at(bundle.environment, "render", "lora", "sha256")
    if bundle.environment is not None and used != file_digest(path):
        yield fail("lora", f"the panels were rendered with another LoRA (SHA-256 {str(used)[:16]}…)")


def pictures(bundle: Opened) -> Iterator[Finding]:
    """At least eight panels and nothing else in images/, each a sound PNG that says what it was rendered from."""
    names = bundle.in_folder(layout.IMAGES, ".png")
    if len(names) < PANELS:
        yield fail("panels", f"images/ has {len(names)} pictures; the contest asks for at least {PANELS}")
    if bundle.story is not None:
        expected = [layout.panel_file(number) for number in range(1, len(bundle.story.panels) + 1)]
        for name in sorted(set(expected) ^ set(names)):
            yield fail("panels", f"{name} {'is missing' if name in expected else 'belongs to no panel of the story'}")
    digests: dict[str, str] = {}
    for name in names:
        sha = file_digest(bundle.folder / name)
        if sha in digests:
            yield fail("panels", f"{name} is the same picture as {digests[sha]}")
        digests.setdefault(sha, name)
        yield from _panel(bundle, name)


def before(bundle: Opened) -> Iterator[Finding]:
    """Each picture in before/ is of a panel, from its prompt and seed, and says that it had no LoRA."""
    for name in bundle.in_folder(layout.BEFORE, ".png"):
        if name.replace(layout.BEFORE, layout.IMAGES, 1) not in bundle.names:
            yield fail("before", f"{name} belongs to no panel of the story")
        else:
            yield from _panel(bundle, name, bare=True)


def _panel(bundle: Opened, name: str, *, bare: bool = False) -> Iterator[Finding]:
    """A picture against the panel of its number; a `bare` one was rendered without the LoRA."""
    size, info = open_picture(bundle.folder / name, "PNG", layout.MAX_PANEL_SIDE**2)
    story, number = bundle.story, Path(name).stem
    if story is None or not number.isdecimal() or not 1 <= int(number) <= len(story.panels):
        return
    if size != (story.render.width, story.render.height):
        wanted = f"{story.render.width}x{story.render.height}"
        yield fail("panels", f"{name} is {size[0]}x{size[1]} pixels, the story renders {wanted}")
    yield from rules_texts.texts(bundle, name, info, bare=bare)


def workflow_files(bundle: Opened) -> Iterator[Finding]:
    """Each workflow in comfyui/ is of a panel of the story, and has no node, LoRA, prompt, seed or setting but ours."""
    if bundle.story is None:
        return
    for name in bundle.in_folder(layout.COMFYUI, ".json"):
        stem = Path(name).stem
        number = stem.removesuffix(workflows.CONTEST)
        if not number.isdecimal() or not 1 <= int(number) <= len(bundle.story.panels):
            yield fail("workflows", f"{name} belongs to no panel of the story")
            continue
        nodes = workflows.nodes_of(bundle.story, int(number), contest=stem.endswith(workflows.CONTEST))
        value = manifest.read_json_strictly(bundle.folder / name)
        for problem in workflows.problems(value, nodes, bundle.lora_files):
            yield fail("workflows", f"the ComfyUI workflow in {name} {problem}")


def is_in_bounds(path: Path) -> bool:
    """Whether a panel is there and its header is that of a PNG no larger than panels may be."""
    try:
        with _quietly(), Image.open(path, formats=["PNG"]) as picture:
            return picture.width * picture.height <= layout.MAX_PANEL_SIDE**2
    except UNSOUND:
        return False


def open_picture(path: Path, format: str, max_pixels: int) -> tuple[tuple[int, int], dict[str, Any]]:
    """Size and texts of a picture, decoded whole within a bound; raises InputError where that fails."""
    try:
        with _quietly(), Image.open(path, formats=[format]) as picture:
            if picture.width * picture.height > max_pixels or getattr(picture, "n_frames", 1) > 1:
                raise InputError(f"{path} has {picture.width}x{picture.height} pixels or several frames; too large")
            picture.load()
            return picture.size, {str(key): value for key, value in picture.info.items()}
    except UNSOUND as error:
        raise InputError(f"{path} is not a sound {format} picture: {error}") from error


def _quietly() -> warnings.catch_warnings[None]:
    """Without Pillow's warning of a large picture, whose size is asked about anyway."""
    return warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning)
