"""Readers of strangers' files over generated ones: a value or one of our errors comes out, and nothing lies outside."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolors_submit.bundle import archive, layout, manifest
from kolors_submit.bundle.check import check
from kolors_submit.bundle.ckpt import read_ckpt
from kolors_submit.bundle.contents import read_prompts
from kolors_submit.bundle.finding import Finding
from kolors_submit.bundle.lora import summarise
from kolors_submit.errors import InputError
from kolors_submit.story import Story, load_story
from kolors_submit.text import STEERING
from tests.bundle.conftest import packed  # noqa: F401 - a fixture
from tests.hostile.corpus import LOADER

GENERATED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 200), st.one_of(st.binary(max_size=40), st.just(bytes(8)))), max_size=5
)
"""Where in a file (as a part of its length), how many bytes are taken out there, and what comes in."""

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
)
names = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(["..", ".", "", "a", "A", "\u00e9", "e\u0301", "con", "images", "C:", "\\", "x.png", "\0"]),
        max_size=4,
    ).map("/".join),
)


def edited(data: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for place, length, insert in changes:
        at = int(place * len(data))
        data = data[:at] + insert + data[at + length :]
    return data


def ours(read: Callable[[], Any]) -> Any:
    """What a reader gives, or None where it refuses with a sentence; any other error fails the test."""
    said = "one sentence"
    value = None
    try:
        value = read()
    except InputError as error:
        said = str(error)
    assert 0 < len(said) < 100_000
    return value


def written(data: bytes, name: str, read: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        value = ours(lambda: read(path))
        assert [one.name for one in Path(folder).iterdir()] == [name]
        return value


# ---------------------------------------------------------------------------------------------------- manifest


def sound_manifest(data: bytes) -> None:
    found = written(data, "manifest.json", manifest.read)
    if found is not None:
        assert all(layout.path_problem(name) is None for name in found.files)
        assert all(len(entry.sha256) == 64 and 0 <= entry.size <= layout.MAX_BYTES for entry in found.files.values())
        assert len(found.digest) == 64


@GENERATED
@given(st.binary(max_size=300))
def test_manifest_of_any_bytes(data):
    sound_manifest(data)


@GENERATED
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "format": st.one_of(st.just(1), values),
            "files": st.one_of(
                values,
                st.dictionaries(
                    names,
                    st.one_of(
                        values,
                        st.fixed_dictionaries({"sha256": st.just("a" * 64), "size": st.one_of(st.integers(), values)}),
                    ),
                    max_size=5,
                ),
            ),
        },
    )
)
def test_manifest_of_any_value(value):
    sound_manifest(json.dumps(value).encode())


@GENERATED
@given(changes=edits)
def test_manifest_with_edits(packed, changes):
    sound_manifest(edited((packed / "manifest.json").read_bytes(), changes))


# ---------------------------------------------------------------------------------------------------- story

KEYS = (
    "schema",
    "title",
    "team",
    "style",
    "characters",
    "dataset",
    "train",
    "render",
    "panels",
    "gate",
    "submission",
    "bases",
)


def sound_story(data: bytes) -> None:
    found = written(data, "story.yaml", load_story)
    if found is not None:
        assert isinstance(found, Story) and len(found.panels) >= 8
        assert not STEERING.search(json.dumps(found.model_dump(mode="json"), ensure_ascii=False))


@GENERATED
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_story_of_any_bytes(data):
    sound_story(data)


@GENERATED
@given(changes=edits)
def test_story_with_edits(packed, changes):
    sound_story(edited((packed / "story.yaml").read_bytes(), changes))


@GENERATED
@given(data=st.data())
def test_story_with_any_value_somewhere(packed, data):
    """One part of a sound story, however deep it lies, is replaced by anything that YAML can write."""
    story = part = yaml.load((packed / "story.yaml").read_bytes(), LOADER)
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(part[key], dict | list) and part[key] and data.draw(st.booleans())):
            break
        part = part[key]
    part[key] = data.draw(st.one_of(values, st.datetimes(), st.binary(max_size=5), st.integers(10**400, 10**401)))
    sound_story(yaml.safe_dump(story, allow_unicode=True).encode("utf-8", "surrogatepass"))


# ---------------------------------------------------------------------------------------------------- archives


def unpacked(data: bytes) -> dict[str, bytes] | None:
    """The files of an archive, or None where it is refused; in either case nothing lies outside."""
    with tempfile.TemporaryDirectory() as temporary:
        outer = Path(temporary)
        (outer / "entry.zip").write_bytes(data)
        (outer / "a" / "folder").mkdir(parents=True)
        folder = outer / "a" / "folder"
        done = ours(lambda: archive.unpack(outer / "entry.zip", folder) or True)
        inside = list(folder.rglob("*"))
        others = {path for path in outer.rglob("*") if folder not in path.parents}
        assert others == {outer / "entry.zip", outer / "a", folder}
        assert all(not path.is_symlink() and (path.is_file() or path.is_dir()) for path in inside)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in inside if path.is_file()}
        return files if done else None


entries = st.lists(
    st.tuples(
        names,
        st.binary(max_size=50),
        st.sampled_from([0, 0o100644, 0o40755, 0o120777, 0o10644, 0o20644, 0o60644, 0o140644, 0o177777]),
        st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    ),
    max_size=5,
)


@GENERATED
@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(entries)
def test_archive_of_any_entries(entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data, mode, method in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.external_attr, info.compress_type = name, mode << 16, method
            file.writestr(info, data)
    files = unpacked(buffer.getvalue())
    if files is not None:
        assert files == {name: data for name, data, _, _ in entries if not name.endswith("/")}


@GENERATED
@given(st.binary(max_size=400))
def test_archive_of_any_bytes(data):
    unpacked(data)


@GENERATED
@given(changes=edits)
def test_archive_with_edits(changes):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("README.md", "lora/a.ckpt", "images/01.png"):
            file.writestr(name, name * 20)
    unpacked(edited(buffer.getvalue(), changes))


# ---------------------------------------------------------------------------------------------------- the others

READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "lora": ("lora/*[0-9a-f].safetensors", summarise),
    "diffusers lora": ("lora/*_diffusers.safetensors", summarise),
    "ckpt": ("lora/*.ckpt", lambda path: dict(read_ckpt(path))),
    "prompts": ("prompts.csv", read_prompts),
}


@GENERATED
@pytest.mark.parametrize("reader", READERS)
@given(changes=edits)
def test_other_readers_with_edits(packed, reader, changes):
    pattern, read = READERS[reader]
    path = next(packed.glob(pattern))
    written(edited(path.read_bytes(), changes), path.name, read)


@settings(GENERATED, max_examples=60)
@given(data=st.data(), changes=edits)
def test_check_of_a_bundle_with_edits(packed, data, changes):
    """A bundle of links to the sound one's files but for one that was edited; every answer is a list of findings."""
    chosen = data.draw(st.sampled_from(manifest.files_below(packed)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        for name in manifest.files_below(packed):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name == chosen:
                (folder / name).write_bytes(edited((packed / name).read_bytes(), changes))
            else:
                (folder / name).hardlink_to(packed / name)
        findings = ours(lambda: check(folder)) or []
        assert all(isinstance(finding, Finding) for finding in findings)
        assert {path.name for path in Path(temporary).iterdir()} == {"bundle"}
