"""What is known of the container image that the program runs in."""

from __future__ import annotations

import pytest

from kolors_submit import container, device, doctor, environment
from kolors_submit.files import file_digest

REGISTRY = "sha256:" + "5" * 64


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A folder as the Dockerfile leaves it, of one source file and a lock, in which the program believes itself."""
    monkeypatch.delenv(container.DIGEST_VARIABLE, raising=False)
    (tmp_path / "kolors_submit").mkdir()
    (tmp_path / "image").mkdir()
    (tmp_path / "kolors_submit/run.py").write_text("value = 1\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "image/packages.sha256").write_text(
        f"{'0' * 64}  .venv/lib/python3.12/site-packages/torch/version.py\n"
    )
    lines = [f"{file_digest(tmp_path / name)}  {name}\n" for name in ("kolors_submit/run.py", "uv.lock")]
    (tmp_path / "image/source.sha256").write_text("".join(lines))
    for module in (environment, device, doctor):
        monkeypatch.setattr(module, "this_image", lambda: container.this_image(tmp_path))
    monkeypatch.setattr(doctor, "changed_source", lambda: container.changed_source(tmp_path))
    return tmp_path


def findings(folder):
    return [(f.state, f.text) for f in doctor.examine(None, folder, offline=True) if f.subject == "image"]


def test_outside_an_image_nothing_is_recorded_and_nothing_said(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "this_image", lambda: container.this_image(tmp_path))
    monkeypatch.setattr(doctor, "this_image", lambda: container.this_image(tmp_path))
    assert environment.describe("cpu")["image"] is None
    assert findings(tmp_path) == []


def test_the_environment_records_the_image(built, monkeypatch):
    record = environment.describe("cpu")["image"]
    assert record == {
        "packages_sha256": file_digest(built / "image/packages.sha256"),
        "source_sha256": file_digest(built / "image/source.sha256"),
        "digest": None,
    }
    monkeypatch.setenv(container.DIGEST_VARIABLE, f"registry.example.com:5000/private/kolors-submit@{REGISTRY}")
    assert environment.describe("cpu")["image"] == record | {"digest": REGISTRY}, "and no registry's name"
    monkeypatch.setenv(container.DIGEST_VARIABLE, "latest")
    assert environment.describe("cpu")["image"] == record


def test_doctor_says_whether_the_image_is_as_built(built):
    ((state, text),) = findings(built)
    assert state == "ok"
    assert file_digest(built / "image/source.sha256")[:12] in text
    (built / "uv.lock").write_text("version = 2\n")
    ((state, text),) = findings(built)
    assert (state, text.startswith("uv.lock not as built")) == ("warn", True)
    (built / "kolors_submit/run.py").unlink()
    ((state, text),) = findings(built)
    assert text.startswith("kolors_submit/run.py and 1 more not as built")


def test_a_container_without_a_gpu_is_told_how_to_get_one(built):
    assert "--gpus all" in device.why_no_cuda(None)
