"""Which base a command means, which files count, and when they are read again."""

from __future__ import annotations

import os
import shutil

import pytest

from kolors_submit.device import Cuda, Gpu
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import file_digest
from kolors_submit.report import quiet
from kolors_submit.weights import (
    choose_files,
    count_parameters,
    find_base,
    find_clip,
    find_predictor,
    find_tower,
    open_base,
)
from kolors_submit.weights.digests import LARGE, digests_of, record_path
from kolors_submit.weights.known import FOR_KOLORS, KNOWN, OFFICIAL_PREDICTOR


@pytest.fixture(autouse=True)
def own_weights_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KOLORS_SUBMIT_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def picturebook(tiny_base, monkeypatch):
    """The tiny base in the place of the picture book."""
    monkeypatch.setattr("kolors_submit.weights.find.PICTUREBOOK", tiny_base)
    monkeypatch.setattr("kolors_submit.weights.base.PICTUREBOOK", tiny_base)
    return tiny_base


class Ears:
    """A reporter's console that keeps what was said."""

    def __init__(self):
        self.heard = []

    def print(self, text, **_):
        self.heard.append(str(text))


def listening():
    report = quiet().__class__(console=Ears(), quiet=False)
    return report, report.console.heard


def with_gpu(monkeypatch, memory, cuda=12080):
    monkeypatch.setattr("kolors_submit.weights.find.read_cuda", lambda: Cuda("570.1", cuda, (Gpu("a card", memory),)))


def pretend_fetched(name, folder):
    """A folder of weights whose fetch has finished."""
    (folder / name).mkdir(parents=True)
    (folder / f"{name}.digests.json").write_text('{"format": 1, "complete": true, "files": {}}')
    return folder / name


def test_a_base_has_the_digests_of_what_is_read(tiny_base, tmp_path):
    folder = shutil.copytree(tiny_base, tmp_path / "tiny")
    (folder / "unet" / "code.py").write_text("never read")
    (folder / "unet" / ".hidden.json").write_text("{}")
    (folder / "README.md").write_text("never read")
    base = open_base(folder)
    assert base.name == "tiny"
    assert base.digests == open_base(tiny_base).digests
    assert base.digests["unet/config.json"] == file_digest(folder / "unet/config.json")
    assert base.predictor == folder / "predictor"
    assert not base.is_demonstration


def test_another_predictor_is_no_other_model(tiny_base, tmp_path):
    folder = shutil.copytree(tiny_base, tmp_path / "tiny")
    (folder / "predictor/config.json").write_text("{}")
    assert open_base(folder).digests != open_base(tiny_base).digests
    assert open_base(folder).digest == open_base(tiny_base).digest
    (folder / "unet/config.json").write_text("{}")
    assert open_base(folder).digest != open_base(tiny_base).digest


def test_what_a_base_says_of_itself_is_no_input(tmp_path, tiny_base):
    folder = shutil.copytree(tiny_base, tmp_path / "tiny")
    (folder / "README.md").write_text("other words")
    (folder / "digests.json").write_text('{"format": 1, "sha256": {}}')
    assert open_base(folder).digests == open_base(tiny_base).digests


def test_a_folder_that_is_no_base_is_refused(tmp_path, tiny_base):
    with pytest.raises(InputError, match=r"not a base: model_index.json, unet, vae"):
        find_base(str(tmp_path), quiet())
    for name in (str(tmp_path / "nowhere"), "~nobody-here"):
        with pytest.raises(InputError, match="no such folder; choose auto, kolors, picturebook"):
            find_base(name, quiet())
    assert find_base(str(tiny_base), quiet()).folder == tiny_base


def test_a_base_below_the_home_folder(tiny_base, tmp_path, monkeypatch):
    """As --base=~/bases/kolors is, which no shell expands."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bases").symlink_to(tiny_base.parent, target_is_directory=True)
    base = find_base(f"~/bases/{tiny_base.name}", quiet())
    assert base.folder.samefile(tiny_base) and base.digest == open_base(tiny_base).digest


def test_safetensors_are_read_before_bin_and_code_never():
    names = ["a/config.json", "a/x.bin", "a/x.safetensors", "b/y.bin", "b/y.py", "b/tokenizer.model", ".git/z.json"]
    assert choose_files(names) == ["a/config.json", "a/x.safetensors", "b/tokenizer.model", "b/y.bin"]


def test_weights_in_two_precisions_are_counted_once(tiny_base, tmp_path):
    """As the published diffusers layout has them: one of them is read."""
    folder = shutil.copytree(tiny_base, tmp_path / "tiny")
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_suffix(".fp16.safetensors"))
    count = count_parameters(open_base(folder), "unet")
    assert count == count_parameters(open_base(tiny_base), "unet") > 0
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"diffusion_pytorch_model\.safetensors cannot be read"):
        count_parameters(open_base(folder), "unet")


def test_large_files_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    folder = tmp_path / "base"
    folder.mkdir()
    large = folder / "large.safetensors"
    with large.open("wb") as file:
        file.truncate(LARGE)
    (folder / "small.json").write_text("{}")
    read = []
    monkeypatch.setattr(
        "kolors_submit.weights.digests.file_digest", lambda path: read.append(path.name) or file_digest(path)
    )
    first = digests_of(folder, ["large.safetensors", "small.json"])
    assert record_path(folder) == tmp_path / "base.digests.json"
    assert digests_of(folder, ["large.safetensors", "small.json"]) == first
    assert read == ["large.safetensors", "small.json", "small.json"]
    with large.open("r+b") as file:
        file.write(b"x")
    os.utime(large, ns=(1, 1))
    assert digests_of(folder, ["large.safetensors"]) != first
    assert read[-1] == "large.safetensors"


def test_auto_without_a_gpu_is_the_picture_book_and_says_why(picturebook, monkeypatch):
    monkeypatch.setattr("kolors_submit.weights.find.read_cuda", lambda: None)
    report, heard = listening()
    base = find_base("auto", report)
    assert (base.name, base.folder, base.is_demonstration) == ("picturebook", picturebook, True)
    assert [line.partition(" driver")[0] for line in heard] == ["base    picturebook, a demonstration: no NVIDIA"]


def test_auto_says_what_is_missing_for_kolors(picturebook, monkeypatch):
    for memory, cuda, why in (
        (4_000_000_000, 12080, "the GPU has 4.0 GB, Kolors needs 7.5 GB"),
        (80_000_000_000, 11040, "driver 570.1 knows CUDA 11.4 only"),
        (80_000_000_000, 12080, "Kolors' weights are not here"),
    ):
        with_gpu(monkeypatch, memory, cuda)
        report, heard = listening()
        assert find_base("auto", report).name == "picturebook"
        assert why in heard[-1]
    report, heard = listening()
    find_base("auto", report, device="cpu")
    assert heard == ["base    picturebook, a demonstration: --device cpu"]


def test_auto_takes_kolors_where_it_is_and_a_gpu_carries_it(tiny_base, tmp_path, monkeypatch):
    for name in FOR_KOLORS:
        shutil.copytree(tiny_base, pretend_fetched(name, tmp_path / "weights"), dirs_exist_ok=True)
    with_gpu(monkeypatch, 8_000_000_000)
    report, heard = listening()
    base = find_base("auto", report)
    assert base.name == "kolors"
    assert base.digest == open_base(tiny_base).digest
    assert heard == ["base    kolors: a GPU with 8.0 GB and the weights are here"]


def test_a_base_without_a_predictor_is_scored_by_the_contests(tiny_base, tmp_path):
    assert find_predictor(open_base(tiny_base)) == ("tiny's own predictor", tiny_base / "predictor")
    folder = shutil.copytree(tiny_base, tmp_path / "bare")
    shutil.rmtree(folder / "predictor")
    with pytest.raises(OutsideError, match="weights fetch aesthetics-predictor") as raised:
        find_predictor(open_base(folder))
    assert raised.value.exit_status == 3
    pretend_fetched(OFFICIAL_PREDICTOR, tmp_path / "weights")
    assert find_predictor(None) == (OFFICIAL_PREDICTOR, KNOWN[OFFICIAL_PREDICTOR].folder)


def test_the_tower_is_dinov2_where_it_is_here_and_the_base_has_no_predictor(tiny_base, tmp_path):
    bare = open_base(shutil.copytree(tiny_base, tmp_path / "bare", ignore=shutil.ignore_patterns("predictor")))
    with pytest.raises(OutsideError, match="weights fetch"):
        find_tower(bare)
    pretend_fetched(OFFICIAL_PREDICTOR, tmp_path / "weights")
    assert find_tower(bare)[0] == OFFICIAL_PREDICTOR
    folder = pretend_fetched("dinov2-base", tmp_path / "weights")
    assert find_tower(bare) == ("dinov2-base", folder)
    assert find_tower(open_base(tiny_base)) == ("tiny's own predictor", tiny_base / "predictor")


def test_clip_is_the_one_that_reads_the_language(tmp_path):
    assert find_clip("zh") is None
    folder = pretend_fetched("chinese-clip-vit-base-patch16", tmp_path / "weights")
    assert find_clip("zh") == ("chinese-clip-vit-base-patch16", folder)
    assert find_clip("en") is None
