"""The image's scripts, without an engine: what they call, what they list and compare, what they refuse."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def load(name):
    spec = importlib.util.spec_from_file_location(name, DOCKER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(name):
    return (ROOT / name).read_text("utf-8")


# ------------------------------------------------------------------------------------------------ the build's files


def test_the_image_installs_the_uv_that_the_makefile_does():
    (made,) = re.findall(r"^UV_VERSION := (\S+)$", text_of("Makefile"), re.MULTILINE)
    assert re.findall(r"^ARG UV_VERSION=(\S+)$", text_of("Dockerfile"), re.MULTILINE) == [made]
    assert f'name = "uv"\nversion = "{made}"' in text_of("uv.lock"), "the Dockerfile goes on with the locked one"


def test_the_base_has_the_cuda_of_the_locked_torch():
    (cuda,) = re.findall(r"^ARG BASE_IMAGE=nvidia/cuda:(\d+\.\d+)\.\d+-base-ubuntu24\.04$", text_of("Dockerfile"), re.M)
    (runtime,) = re.findall(r'name = "nvidia-cuda-runtime-cu12"\nversion = "(\d+\.\d+)', text_of("uv.lock"))
    assert cuda == runtime


def test_nothing_that_git_ignores_gets_into_the_build():
    ignored = [line.strip("/") for line in text_of(".gitignore").splitlines() if line and not line.startswith("#")]
    left_out = {line.removeprefix("**/") for line in text_of(".dockerignore").splitlines()}
    assert set(ignored) | {".git"} <= left_out


# ------------------------------------------------------------------------------------------------ listing and comparing


@pytest.fixture
def build(tmp_path):
    """Something like an image's /app: two packages, the project's own entry, a source file."""
    packages = tmp_path / "one/.venv/lib/python3.12/site-packages"
    for name, version in (("torch", "2.10.0"), ("click", "8.3.1"), ("kolors_submit", "0.1.0")):
        (packages / f"{name}-{version}.dist-info").mkdir(parents=True)
        (packages / f"{name}-{version}.dist-info/METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (packages / "click").mkdir()
    (packages / "click/core.py").write_text("value = 1\n")
    (tmp_path / "one/kolors_submit").mkdir()
    (tmp_path / "one/kolors_submit/run.py").write_text("value = 1\n")
    return tmp_path / "one"


def listing(folder):
    program = [DOCKER / "listing.sh", ".venv/lib", "kolors_submit"]
    lines = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True).stdout
    path = folder.with_suffix(".sha256")
    path.write_text(lines)
    return path


def compare(one, other):
    program = [sys.executable, DOCKER / "compare.py", listing(one), listing(other)]
    return subprocess.run(program, capture_output=True, text=True)


def test_a_listing_is_what_sha256sum_checks(build):
    subprocess.run(["sha256sum", "--check", "--quiet", listing(build)], cwd=build, check=True)
    assert "kolors_submit-0.1.0" not in listing(build).read_text()


def test_two_builds_that_differ_in_times_only_are_the_same(build, tmp_path):
    other = shutil.copytree(build, tmp_path / "other")
    os.utime(other / "kolors_submit/run.py", (1, 1))
    entry = other / ".venv/lib/python3.12/site-packages/kolors_submit-0.1.0.dist-info"
    (entry / "uv_cache.json").write_text('{"timestamp": 1}')
    result = compare(build, other)
    assert result.returncode == 0, result.stdout
    (packages, files) = [line.split() for line in result.stdout.splitlines()]
    assert (packages[0], packages[1]) == ("packages", packages[2])
    assert (files[0], files[1]) == ("files", files[2])


def test_another_version_and_another_byte_are_seen(build, tmp_path):
    other = shutil.copytree(build, tmp_path / "other")
    packages = other / ".venv/lib/python3.12/site-packages"
    (packages / "click/core.py").write_text("value = 2\n")
    result = compare(build, other)
    assert result.returncode == 1
    assert [line.split()[-1] for line in result.stdout.splitlines()[:2]] == ["same", "DIFFERENT"]
    assert "click/core.py" in result.stdout
    (packages / "torch-2.10.0.dist-info").rename(packages / "torch-2.10.1.dist-info")
    result = compare(build, other)
    assert result.returncode == 1
    assert "torch==2.10.0 only in " in result.stdout
    assert "torch==2.10.1 only in " in result.stdout


# ------------------------------------------------------------------------------------------------ the bill of materials

LOCK = {
    "bomFormat": "CycloneDX",
    "serialNumber": "urn:uuid:1",
    "metadata": {"timestamp": "now", "component": {"bom-ref": "project", "name": "kolors-submit"}},
    "components": [
        {"bom-ref": "numpy-1", "name": "numpy", "version": "2.4"},
        {"bom-ref": "numpy-2", "name": "numpy", "version": "2.5"},
        {"bom-ref": "torch-3", "name": "torch", "version": "2.10"},
    ],
    "dependencies": [
        {"ref": "project", "dependsOn": ["torch-3", "numpy-1", "numpy-2"]},
        {"ref": "torch-3", "dependsOn": ["numpy-1", "numpy-2"]},
        {"ref": "numpy-1"},
        {"ref": "numpy-2"},
    ],
}


def test_the_bill_holds_what_is_installed_and_no_time():
    sbom = load("sbom")
    value = sbom.bill(LOCK, {("numpy", "2.5"): "BSD", ("torch", "2.10"): "BSD-3-Clause"})
    assert [(part["name"], part["version"]) for part in value["components"]] == [("numpy", "2.5"), ("torch", "2.10")]
    assert value["components"][1]["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert {entry["ref"]: entry["dependsOn"] for entry in value["dependencies"]} == {
        "project": ["torch-3", "numpy-2"],
        "torch-3": ["numpy-2"],
        "numpy-2": [],
    }
    assert "serialNumber" not in value
    assert "timestamp" not in value["metadata"]


def test_a_package_that_the_lock_does_not_know_ends_the_build():
    with pytest.raises(SystemExit, match=r"not in uv\.lock: stranger 1\.0"):
        load("sbom").bill(LOCK, {("stranger", "1.0"): "MIT"})


def test_licences_are_read_from_what_is_installed():
    found = {name: text for (name, _), text in load("sbom").installed().items()}
    assert found["torch"] == "BSD-3-Clause"
    assert found["nvidia-cublas-cu12"] == "NVIDIA Proprietary Software"
    assert found["pydantic"] == "MIT"
    assert "kolors-submit" not in found


# ------------------------------------------------------------------------------------------------ the scripts

ENGINE = """#!/bin/bash
[ "$1" = info ] && exit 0
[ "$2" = inspect ] && echo "somewhere@sha256:0123" && exit 0
echo "$@" >> {log}
"""


@pytest.fixture
def engine(tmp_path):
    """A docker that works and notes how it is called; podman and buildah beside it that nobody should call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("docker", "podman", "buildah"):
        (folder / name).write_text(ENGINE.format(log=tmp_path / f"{name}.log"))
        (folder / name).chmod(0o755)
    return folder


def script(engine, *arguments, **environment):
    path = f"{engine}:{os.environ['PATH']}"
    program = [DOCKER / "image.sh", *arguments]
    kept = {name: value for name, value in os.environ.items() if name not in ("ENGINE", "IMAGE", "BASE_IMAGE", "RUNS")}
    return subprocess.run(program, capture_output=True, text=True, env=kept | {"PATH": path} | environment)


def test_build_names_version_and_lock(engine, tmp_path):
    assert script(engine, "build", BASE_IMAGE="debian:bookworm-slim").returncode == 0
    called = (tmp_path / "docker.log").read_text()
    lock = subprocess.run(["sha256sum", ROOT / "uv.lock"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert called.startswith("build --target image --tag kolors-submit:0.1.0 --build-arg VERSION=0.1.0 ")
    assert f"--build-arg LOCK_SHA256={lock}" in called
    assert "--build-arg BASE_IMAGE=debian:bookworm-slim" in called
    assert not (tmp_path / "podman.log").exists()


def test_run_mounts_yours_and_passes_user_and_shared_memory(engine, tmp_path):
    (tmp_path / "my stories").mkdir()
    places = {"RUNS": str(tmp_path / "runs"), "KOLORS_SUBMIT_WEIGHTS": str(tmp_path / "weights")}
    places |= {"STORIES": str(tmp_path / "my stories"), "CACHE": str(tmp_path / "cache"), "HF_TOKEN": "hf_secret"}
    result = script(engine, "run", "submission", "stories/mine.yaml", **places)
    assert result.returncode == 0, result.stderr
    called = (tmp_path / "docker.log").read_text()
    assert called.startswith(f"run --rm --user {os.getuid()}:{os.getgid()} --shm-size 1g ")
    for source, target in (("my stories", "stories:ro"), ("runs", "runs"), ("weights", "weights"), ("cache", "home")):
        assert f"--volume {tmp_path}/{source}:/app/{target}" in called
    assert "--env KOLORS_SUBMIT_IMAGE_DIGEST=sha256:0123 " in called
    assert "--env HF_TOKEN" in called
    assert "hf_secret" not in called
    assert called.endswith("kolors-submit:0.1.0 submission stories/mine.yaml\n")


def test_push_tags_first(engine, tmp_path):
    assert script(engine, "push", "registry.example.com/me/it:1", ENGINE="podman").returncode == 0
    assert (tmp_path / "podman.log").read_text().splitlines() == [
        "tag kolors-submit:0.1.0 registry.example.com/me/it:1",
        "push registry.example.com/me/it:1",
    ]


def test_push_does_not_replace_what_was_built_under_that_name_since(engine, tmp_path):
    program = (engine / "podman").read_text()
    dates = '[ "$2" = inspect ] && case "$5" in kolors-submit:*) echo 2026-01-01;; *) echo 2026-01-02;; esac && exit 0'
    (engine / "podman").write_text(program.replace("\n", f"\n{dates}\n", 1))
    assert script(engine, "push", "registry.example.com/me/it:1", ENGINE="podman").returncode == 0
    assert (tmp_path / "podman.log").read_text() == "push registry.example.com/me/it:1\n"


def test_without_an_engine_one_line_says_what_to_install(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "sed", "env"):
        (folder / name).symlink_to(shutil.which(name))
    result = subprocess.run(
        [folder / "bash", DOCKER / "image.sh", "build"], capture_output=True, text=True, env={"PATH": str(folder)}
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "apt install buildah" in result.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")
def test_make_passes_the_story_and_asks_where_to_push(engine, tmp_path):
    clone = tmp_path / "clone"
    (clone / "docker").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", clone)
    (clone / "docker/image.sh").write_text(f'#!/bin/bash\necho "$STORIES|$RUNS|$*" >> {tmp_path}/called\n')
    (clone / "docker/image.sh").chmod(0o755)

    def make(*arguments):
        return subprocess.run(["make", *arguments], cwd=clone, capture_output=True, text=True)

    make("image-run", "STORY=/somewhere/my own.yaml", "RUNS=/data/runs", "BASE=kolors", "ARGS=--yes")
    assert (tmp_path / "called").read_text() == (
        "/somewhere|/data/runs|run submission stories/my own.yaml --base kolors --yes\n"
    )
    assert "make: say where" in make("image-push").stderr


def test_a_volume_that_cannot_be_written_is_one_sentence(tmp_path):
    result = subprocess.run(
        [DOCKER / "entrypoint.sh", "--help"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
    )
    assert result.returncode == 3
    assert re.fullmatch(r"error: user \d+:\d+ cannot write /\S+, which belongs to \S+: .+ --user .+\n", result.stderr)
