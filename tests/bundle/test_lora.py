"""The LoRA readers against the real writers, and the names against the engine's."""

from __future__ import annotations

import io
import json
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kolors_submit.bundle import ckpt, lora, tensors
from kolors_submit.engine.lora import layer_shapes
from kolors_submit.errors import InputError
from kolors_submit.export.formats import KOLORS_UNET
from tests.bundle.runs import lora_arrays, write_lora
from tests.hostile.archives import million_entries
from tests.tiny import UNET


@pytest.mark.parametrize(("config", "count"), [(KOLORS_UNET, 560), (UNET, None)])
def test_names_are_the_engines(config: dict, count: int | None) -> None:
    from kolors_submit.engine.lora_files import _kohya_names

    names = _kohya_names(config)
    targeted = [name for name in layer_shapes(config) if name.endswith(("to_q", "to_k", "to_v", "to_out"))]
    assert count is None or len(targeted) == count
    for name in layer_shapes(config):
        assert lora.kohya_key(f"{name}.lora_A.default.weight") == f"{names[name]}.lora_down.weight"
        assert lora.kohya_key(f"{name}.lora_B.default.weight") == f"{names[name]}.lora_up.weight"
    assert lora.kohya_key("blocks.1.attn.lora_A.default.weight") is None, "a push block has no weights"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_both_files_of_any_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    from safetensors.torch import save_file

    down, up = torch.randn(4, 8).to(dtype), torch.randn(8, 4).to(dtype)
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    alpha = torch.tensor(2.0)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": alpha}, tmp_path / "a")
    key = "blocks.21.transformer_blocks.0.attn1.to_q"
    torch.save({f"{key}.lora_A.default.weight": down, f"{key}.lora_B.default.weight": up}, tmp_path / "b.ckpt")
    assert lora.differences(tmp_path / "a", tmp_path / "b.ckpt") == []
    summary = lora.summarise(tmp_path / "a")
    assert (summary.modules, summary.rank, summary.alphas) == (1, 4, frozenset({2.0}))
    assert dict(ckpt.read_ckpt(tmp_path / "b.ckpt"))[f"{key}.lora_A.default.weight"].shape == (4, 8)


def test_the_engines_files_agree(tiny_base: Path, tmp_path: Path) -> None:
    from kolors_submit.engine.lora import Lora, LoraModule
    from kolors_submit.engine.lora_files import to_kohya, write_ckpt, write_safetensors

    shapes = {name: shape for name, shape in layer_shapes(UNET).items() if name.endswith(("to_q", "to_out"))}
    modules = {name: LoraModule(torch.randn(2, s[1]), torch.randn(s[0], 2), 4.0) for name, s in shapes.items()}
    made = Lora(modules, {})
    write_safetensors(tmp_path / "a.safetensors", to_kohya(made, UNET), {"rank": 2})
    write_ckpt(tmp_path / "a.ckpt", made)
    assert lora.differences(tmp_path / "a.safetensors", tmp_path / "a.ckpt") == []
    assert lora.summarise(tmp_path / "a.safetensors").modules == len(shapes)


def test_a_changed_tensor_is_found(tmp_path: Path) -> None:
    arrays = lora_arrays(4, 24)
    write_lora(tmp_path / "one", arrays, 4.0)
    (block, inside), (down, up) = next(iter(arrays.items()))
    arrays[block, inside] = (down, up * 1.0001)
    write_lora(tmp_path / "two", arrays, 4.0)
    found = lora.differences(tmp_path / "one" / "lora.safetensors", tmp_path / "two" / "lora.ckpt")
    assert len(found) == 1 and "lora_B" in found[0] and "differs" in found[0]
    del arrays[block, inside]
    write_lora(tmp_path / "three", arrays, 4.0)
    assert len(lora.differences(tmp_path / "one" / "lora.safetensors", tmp_path / "three" / "lora.ckpt")) == 2
    assert len(lora.differences(tmp_path / "three" / "lora.safetensors", tmp_path / "one" / "lora.ckpt")) == 2


class Evil:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple:
        import os

        return os.system, ("touch /tmp/pwned",)


def zipped(path: Path, program: bytes, **files: bytes) -> Path:
    """A .ckpt with this pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        for name, data in files.items():
            archive.writestr(f"a/data/{name.removeprefix('n')}", data)
    return path


GOOD = pickle.dumps({"a": 1}, protocol=2)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (pickle.dumps({"a": Evil()}, protocol=2), "names posix.system"),
        (pickle.dumps({"a": Evil()}, protocol=4), "has the instruction"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "names builtins.eval"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "calls something"),
        (b"ctorch\nFloatStorage\n)R.", "calls something"),
        (b"\x80\x02}q\x00(K\x01K\x02u.", "a key twice, or one that is not text"),
        (GOOD, "is not a tensor"),
        (b"\x80\x02}.", "holds no table"),
        (b"\x80\x02]q\x00.", "has the instruction EMPTY_LIST"),
        (b"\x80\x02}q\x00h\x05.", "is damaged"),
        (b"", "damaged|ends too early"),
        (GOOD[:-1], "damaged|ends too early"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "not a storage of numbers"),
        (b"\x80\x02(((((.", "holds no table"),
    ],
)
def test_pickles_that_do_more_than_name_tensors(tmp_path: Path, program: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(ckpt.read_ckpt(zipped(tmp_path / "x.ckpt", program)))
    assert not Path("/tmp/pwned").exists()


@pytest.mark.parametrize(
    "table",
    [
        {"a": torch.randn(4, 6).t()},
        {"a": (base := torch.randn(6)), "b": base},
        {"a": torch.randn(6)[2:], "b": torch.zeros(2, dtype=torch.int64)},
        {"a": torch.nn.Parameter(torch.randn(3))},
        {"a": [torch.randn(3)]},
        torch.randn(3),
    ],
)
def test_tables_that_are_not_plain(tmp_path: Path, table: object) -> None:
    torch.save(table, tmp_path / "x.ckpt")
    with pytest.raises(InputError):
        list(ckpt.read_ckpt(tmp_path / "x.ckpt"))


def test_storages_that_are_too_short(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.randn(6)}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        program = archive.read(name)
    with pytest.raises(InputError, match="has 8 bytes, not 24"):
        list(ckpt.read_ckpt(zipped(tmp_path / "x.ckpt", program, n0=b"12345678")))
    with pytest.raises(InputError, match="lacks a/data/0"):
        list(ckpt.read_ckpt(zipped(tmp_path / "x.ckpt", program)))
    (tmp_path / "legacy.ckpt").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match="not a .ckpt that torch.save wrote"):
        list(ckpt.read_ckpt(tmp_path / "legacy.ckpt"))


def test_a_huge_table_of_contents_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(million_entries())
    start = time.process_time()
    with pytest.raises(InputError, match="has a table of contents of 60,000,000 bytes; 5,120,000 are allowed"):
        list(ckpt.read_ckpt(tmp_path / "x.ckpt"))
    assert time.process_time() - start < 2


def test_the_bound_on_a_table_of_contents_is_no_bound_for_torch(tmp_path: Path) -> None:
    """Each tensor has an entry; a prefix as long as any file's name makes it longer."""
    path = tmp_path / f"{'x' * 120}.ckpt"
    torch.save({str(n): torch.zeros(1) for n in range(500)}, path)
    assert len(list(ckpt.read_ckpt(path))) == 500
    with zipfile.ZipFile(path) as archive:
        table = path.stat().st_size - archive.start_dir
    assert table / 500 < ckpt.MAX_TABLE / tensors.MAX_TENSORS


def safetensors_file(path: Path, header: bytes, data: bytes = b"") -> Path:
    """A file with this header."""
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b"{}", b"spare"),
        (b"[]", b""),
        (b"{" * 100_000, b""),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', b"1234"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"12345678"),
        (b'{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}', b"1234"),
        (b'{"a":{"dtype":"F32","shape":[1e3],"data_offsets":[0,4]}}', b"1234"),
        (b'{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}', b"12345678"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{}}', b"1234"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1},"b":{"dtype":"F32","shape":[1],'
         b'"data_offsets":[0,4]}}', b"1234"),
        (b'{"__metadata__":{"a":1}}', b""),
        (b'{"__metadata__":{"a":"' + b"x" * 2_000_000 + b'"}}', b""),
    ],
)  # fmt: skip
def test_headers_that_lie(tmp_path: Path, header: bytes, data: bytes) -> None:
    with pytest.raises(InputError):
        tensors.read_header(safetensors_file(tmp_path / "x", header, data))


SOUND = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
ODD = [None, True, 5, -1, 1.0, "", "ab", [], {}, [0], [[0], [4]], ["0", "4"], {"0": 0, "4": 4}, [0, 4, 8], 10**4000]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize("place", ["entry", *SOUND])
def test_headers_with_values_of_other_kinds(tmp_path: Path, place: str, odd: object) -> None:
    entry = odd if place == "entry" else SOUND | {place: odd}
    path = safetensors_file(tmp_path / "x", json.dumps({"a": entry}).encode(), b"1234")
    if (place, odd) == ("shape", []):
        assert tensors.read_header(path).tensors["a"].shape == (), "one number"
        return
    with pytest.raises(InputError, match="'a'|describes"):
        tensors.read_header(path)
    path = safetensors_file(tmp_path / "x", json.dumps({"__metadata__": odd}).encode())
    if odd != {}:
        with pytest.raises(InputError):
            tensors.read_header(path)


def test_numbers_that_no_file_has(tmp_path: Path) -> None:
    most = 10**4299  # as many digits as Python reads; the sum with the header's length has one more
    entry = {"dtype": "F64", "shape": [most // 8 * 10 - 1], "data_offsets": [0, (most // 8 * 10 - 1) * 8]}
    with pytest.raises(InputError, match="is not valid in a safetensors header"):
        tensors.read_header(safetensors_file(tmp_path / "x", json.dumps({"a": entry}).encode()))


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(InputError, match="not a safetensors file"):
        tensors.read_header(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(InputError, match="not a safetensors file"):
        tensors.read_header(tmp_path / "x")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    arrays = lora_arrays(4, 24)
    next(iter(arrays.values()))[0][0, 0] = value
    write_lora(tmp_path, arrays, 4.0)
    with pytest.raises(InputError, match="not a finite number"):
        lora.summarise(tmp_path / "lora.safetensors")


def test_ranks_and_halves(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    name = "lora_unet_mid_block_attentions_0_proj_in"
    down, up, alpha = np.ones((4, 8), "f4"), np.ones((8, 4), "f4"), np.array(4.0, "f4")
    whole = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": alpha}
    for spoiled in (
        {key: value for key, value in whole.items() if "up" not in key},
        whole | {f"{name}.lora_up.weight": np.ones((8, 5), "f4")},
        whole | {f"{name}.alpha": np.ones(2, "f4")},
        whole
        | {f"{name}.lora_down.weight": np.ones((2000, 1), "f4"), f"{name}.lora_up.weight": np.ones((1, 2000), "f4")},
        whole | {"lora_te_text_model.alpha": alpha},
    ):
        save_file(spoiled, tmp_path / "x")
        with pytest.raises(InputError):
            lora.summarise(tmp_path / "x")
