"""torch's own files, whole and damaged: whatever a byte does, the reader says one of two things."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kolors_submit.engine import pickled

Spoil = Callable[[bytes, random.Random], bytes]
VALUE = {"a": torch.ones(4, 3), "b": {"c": [1, 2.5]}}


def written(zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(VALUE, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def spoiled(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def spoiled_program(data: bytes, chance: random.Random) -> bytes:
    """A zip file that is whole, with a pickle in it that is not."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(buffer, "w") as target:
        for name in archive.namelist():
            content = archive.read(name)
            target.writestr(name, spoiled(content, chance) if name.endswith("data.pkl") else content)
    return buffer.getvalue()


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_wrote_is_read(tmp_path: Path, zipped: bool, mapped: bool) -> None:
    (tmp_path / "x.pt").write_bytes(written(zipped))
    found = pickled.load(tmp_path / "x.pt", mapped=mapped)
    assert torch.equal(found["a"], VALUE["a"]) and found["b"] == VALUE["b"]


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pickled.load(tmp_path / "x.pt")


@pytest.mark.parametrize("value", [[torch.ones(1)], {"a": 1.0}, {1: torch.ones(1)}])
def test_tensors_are_a_plain_dict_of_them(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="no plain dict of tensors"):
        pickled.load_tensors(tmp_path / "x.pt")
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pt")
    assert pickled.load_tensors(tmp_path / "x.pt").keys() == {"a"}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("data", "spoil"),
    [(written(True), spoiled), (written(True), spoiled_program), (written(False), spoiled)],
    ids=["zip", "pickle in a zip", "pickle"],
)
def test_damage_is_one_kind_of_error(tmp_path: Path, data: bytes, spoil: Spoil) -> None:
    """torch raises eight kinds, index errors and failed assertions among them."""
    chance, refused = random.Random(0), 0
    for _ in range(300):
        (tmp_path / "x.pt").write_bytes(spoil(data, chance))
        try:
            pickled.load(tmp_path / "x.pt")
        except ValueError:
            refused += 1
    assert refused > 100
