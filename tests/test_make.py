"""The Makefile: its targets, and how it sets itself up. Everything happens in a copy below tmp_path."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from kolors_submit.cli import VERBS
from tests import loopback
from tests.hub.conftest import hub  # noqa: F401 - a fixture
from tests.pipeline import story_values, write_pictures, write_story

ROOT = Path(__file__).parents[1]
TOOLS = ("awk", "bash", "env", "head", "make", "mkdir", "printf", "sort", "touch", "tr")
UV = next((str(path) for path in (ROOT / ".tools/bin/uv", shutil.which("uv")) if path and Path(path).exists()), None)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")
needs_uv = pytest.mark.skipif(UV is None, reason="uv is not installed here")


def make(folder, *arguments, **environment):
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"HOME": os.environ["HOME"], "PATH": os.environ["PATH"], **environment},
    )


@pytest.fixture
def clone(tmp_path):
    """A folder with the Makefile and the lock, whose name make would take for two words."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "uv.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def bare_path(tmp_path):
    """A PATH with the usual small programs, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        program = shutil.which(name)
        assert program is not None, name
        (folder / name).symlink_to(program)
    return folder


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def test_make_alone_lists_every_target(clone):
    text = make(clone).stdout
    listed = set(re.findall(r"^  ([a-z-]+) ", text, re.MULTILINE))
    assert listed >= {"setup", "lint", "test", "test-all", "clean", *VERBS}
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("verb", ["submission", "data", "train", "render", "score", "bundle"])
def test_a_verb_gets_its_variables(clone, verb):
    (clone / ".venv").mkdir()
    (clone / ".venv/.locked").touch()
    result = make(clone, "-n", verb, "STORY=stories/my story.yaml", "BASE=kolors", "RUNS=/data/runs", "ARGS=--name r32")
    program = f'"{clone}/.venv/bin/kolors-submit"'
    arguments = f'{verb} "stories/my story.yaml" --base "kolors" --runs "/data/runs" --name r32'
    assert result.stdout.strip() == f"{program} {arguments}"


@pytest.mark.parametrize("verb", ["check", "publish"])
def test_any_bundle_is_checked_and_published_by_its_name(clone, verb):
    (clone / ".venv").mkdir()
    (clone / ".venv/.locked").touch()
    said = make(clone, "-n", verb, "ENTRY=my entry.zip", "ARGS=--json").stdout.strip()
    assert said == f'"{clone}/.venv/bin/kolors-submit" {verb} "my entry.zip" --json'


def test_every_verb_sets_itself_up_first(clone):
    for verb in (*VERBS, "lint", "test", "test-all"):
        assert "sync --locked" in make(clone, "-n", verb).stdout, verb


def test_without_python_or_pip_one_line_says_what_to_install(clone, bare_path):
    result = make(clone, "setup", PATH=str(bare_path))
    assert result.returncode != 0
    assert "make: no python3; install Python 3.11 or 3.12" in result.stderr
    program(bare_path, "python3", 'echo "No module named pip" >&2; exit 1')
    result = make(clone, "setup", PATH=str(bare_path))
    assert result.returncode != 0
    assert "make: python3 has no pip; install it (Debian, Ubuntu: apt install python3-pip)" in result.stderr


def test_uv_is_fetched_where_it_is_absent_or_too_old(clone, bare_path):
    """A pip that notes its call and leaves a uv behind; the uv notes its call."""
    program(
        bare_path,
        "python3",
        f"""
[ "$3" = --version ] && exit 0
echo "$@" > "{clone}/pip-called"
mkdir -p "{clone}/.tools/bin" "{clone}/.venv"
echo '#!/bin/bash
[ "$1" = --version ] && echo "uv 0.13.8" || echo "$@" >> "{clone}/uv-called"' > "{clone}/.tools/bin/uv"
/bin/chmod +x "{clone}/.tools/bin/uv"
""",
    )
    program(bare_path, "uv", 'echo "uv 0.9.30"')
    result = make(clone, "setup", PATH=str(bare_path))
    assert result.returncode == 0, result.stderr
    called = (clone / "pip-called").read_text()
    assert f"--target {clone}/.tools uv==0.13.8" in called
    assert (clone / "uv-called").read_text() == "sync --locked\n"
    assert make(clone, "setup", PATH=str(bare_path)).returncode == 0
    assert (clone / "uv-called").read_text() == "sync --locked\n", "set up once"
    (clone / "pip-called").unlink()
    os.utime(clone / "uv.lock", (later := time.time() + 2, later))  # a clock's tick may be coarse
    assert make(clone, "setup", PATH=str(bare_path)).returncode == 0
    assert (clone / "uv-called").read_text() == "sync --locked\n" * 2, "a new lock is a new set-up"
    assert not (clone / "pip-called").exists(), "uv is fetched once"


def test_a_recent_uv_from_path_is_used(clone, bare_path):
    program(
        bare_path,
        "uv",
        f'[ "$1" = --version ] && echo "uv 0.14.0" || {{ mkdir -p .venv; echo "$@" > "{clone}/uv-called"; }}',
    )
    assert make(clone, "setup", PATH=str(bare_path)).returncode == 0
    assert (clone / "uv-called").read_text() == "sync --locked\n"
    assert not (clone / ".tools").exists()


# ---------------------------------------------------------------------------------------------- a mirror

BACKEND = """
import base64, hashlib, zipfile
def get_requires_for_build_editable(settings=None): return []
def build_editable(folder, settings=None, metadata=None):
    name = "project-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("project-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1\\n")
        wheel.writestr("project-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("project-1.dist-info/RECORD", "")
    return name
"""
PROJECT = """
[project]
name = "project"
version = "1"
requires-python = ">=3.11,<3.13"
dependencies = ["demo==1.0"]
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def write_wheel(folder: Path, body: str) -> None:
    """A simple index (PEP 503) that holds the package demo 1.0."""
    folder.mkdir(parents=True)
    name = "demo-1.0-py3-none-any.whl"
    files = {
        "demo.py": body,
        "demo-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        "demo-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}"
        for path, text in files.items()
    ]
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path), text)
        wheel.writestr(
            zipfile.ZipInfo("demo-1.0.dist-info/RECORD"), "\n".join([*record, "demo-1.0.dist-info/RECORD,,"])
        )
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "index.html").write_text(f'<a href="{name}#sha256={sha256}">{name}</a>')


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def index(tmp_path):
    """The address of a server with three indexes: the lock's own, a true mirror, and one with other bytes."""
    root = tmp_path / "indexes"
    write_wheel(root / "own/demo", "value = 1\n")
    shutil.copytree(root / "own", root / "mirror")
    write_wheel(root / "false/demo", "value = 2\n")
    with loopback.serve(partial(_Silent, directory=str(root))) as address:
        yield address


@needs_uv
def test_a_mirror_installs_the_same_hashes_and_no_others(tmp_path, index):
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    environment = {
        "PATH": f"{Path(str(UV)).parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
    }
    locking = [str(UV), "lock", "--quiet", "--default-index", f"{index}/own"]
    subprocess.run(locking, cwd=folder, check=True, env=os.environ | environment)

    result = make(folder, "setup", f"INDEX={index}/false", **environment)
    assert result.returncode != 0
    assert "Hash mismatch" in result.stderr
    assert not (folder / ".venv/.locked").exists()

    result = make(folder, "setup", f"INDEX={index}/mirror", **environment)
    assert result.returncode == 0, result.stderr
    assert "--hash=sha256:" in (folder / ".tools/requirements.txt").read_text()
    python = folder / ".venv/bin/python"
    shown = subprocess.run([python, "-c", "import demo; print(demo.value)"], capture_output=True, text=True, check=True)
    assert shown.stdout == "1\n"
    assert make(folder, "-q", "setup", **environment).returncode == 0, "set up: nothing more to do"


# ---------------------------------------------------------------------------------------------- publishing at the end


def test_push_says_what_publish_is_told(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv/.locked").touch()
    for push, said in (("1", ""), ("--demonstration --repo a/B", "--demonstration --repo a/B")):
        lines = make(clone, "-n", "submission", f"PUSH={push}", "STORY=s.yaml").stdout.splitlines()
        publish = f'"{clone}/.venv/bin/kolors-submit" publish --story "s.yaml" --base "auto" --runs "runs"'
        assert lines[1].split() == f"{publish} {said}".split()
    assert len(make(clone, "-n", "submission").stdout.splitlines()) == 1


def test_doctor_looks_at_the_story_on_its_base(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv/.locked").touch()
    said = make(clone, "-n", "doctor", "STORY=my story.yaml", "BASE=kolors").stdout
    assert said.strip().endswith('kolors-submit" doctor --story "my story.yaml" --base "kolors" --runs "runs"')


def test_reproduce_takes_an_entry_or_a_list(clone):
    (clone / ".venv").mkdir()
    (clone / ".venv/.locked").touch()
    assert (
        make(clone, "-n", "reproduce", "ENTRY=a/B")
        .stdout.splitlines()[-1]
        .startswith(f'"{clone}/.venv/bin/kolors-submit" reproduce "a/B" --base')
    )
    assert (
        make(clone, "-n", "reproduce", "LIST=my entries.txt")
        .stdout.splitlines()[-1]
        .startswith(f'"{clone}/.venv/bin/kolors-submit" reproduce --list "my entries.txt" --base')
    )
    result = make(clone, "reproduce")
    assert result.returncode == 2 and "LIST=entries.txt" in result.stderr


@pytest.mark.slow
def test_a_submission_that_is_pushed_can_be_reproduced(clone, hub, tiny_base, tmp_path):
    """The three make commands of an entrant and of a judge, with a hub on this machine."""
    values = story_values(write_pictures(tmp_path / "pictures"))
    values["submission"] = {"repository": "alice/Rainy-Day"}
    story = write_story(tmp_path / "story.yaml", values)
    (clone / ".venv").mkdir()
    (clone / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (clone / ".venv/.locked").touch()
    there = [f"STORY={story}", f"BASE={tiny_base}", f"RUNS={tmp_path / 'runs'}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    refused = make(clone, "submission", "PUSH=1", "ARGS=--device cpu", *there, **environment)
    assert refused.returncode == 2, refused.stderr
    assert "a demonstration, which no contest accepts" in refused.stderr and "PUSH=--demonstration" in refused.stderr
    assert hub.asked == [] and (tmp_path / "runs/story/tiny/bundle/manifest.json").is_file()

    pushed = make(clone, "submission", "PUSH=--demonstration", "ARGS=--device cpu", *there, **environment)
    assert pushed.returncode == 0, pushed.stderr
    assert "nothing to do" in pushed.stderr and f"{hub.address}/models/alice/Rainy-Day" in pushed.stderr
    assert set(hub.repositories["alice/Rainy-Day"].files) > {"manifest.json", "README.md", "images/08.png"}

    judged = {**environment, "MODELSCOPE_API_TOKEN": "", "MODELSCOPE_HOME": str(tmp_path / "judge")}
    arguments = ["ENTRY=alice/Rainy-Day", f"BASE={tiny_base}", f"ARGS=--device cpu --out {tmp_path / 'judged'}"]
    judgement = make(clone, "reproduce", *arguments, **judged)
    assert judgement.returncode == 0, judgement.stderr
    assert "identical (8 of 8 panels); see" in judgement.stderr
