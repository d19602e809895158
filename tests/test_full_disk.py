"""Publishing and fetching on a disk that is really full: a small tmpfs in a mount namespace of the test's own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest

from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from tests.hub.conftest import entry, hub, packed_entry  # noqa: F401 - fixtures

NAME = "alice/Rainy-Cat"
HUBS = ("modelscope", "huggingface")
FILL = "cat /dev/zero > filler 2>/dev/null || true"


def in_namespace(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["unshare", "-Ur", "-m", "sh", "-c", script], capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path):
    """Runs a shell script on a tmpfs of 24 MB; `$submit` is the program. Its exit statuses come on stdout."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=24m tmpfs {folder} && cd {folder}"
    if shutil.which("unshare") is None or in_namespace(mount).returncode != 0:
        pytest.skip("this system lets nobody mount a tmpfs in a namespace of their own")
    submit = shlex.join([sys.executable, "-m", "kolors_submit"])
    return lambda script: in_namespace(
        f"set -e\n{mount}\nsubmit={shlex.quote(submit)}\nexport HF_HUB_OFFLINE=0\n{script}"
    )


@pytest.mark.parametrize("where", HUBS)
def test_publishing_where_the_disk_is_full(hub, entry, disk, where):
    result = disk(f"""
        cp -r {entry.parent} run
        {FILL}
        $submit publish run/bundle --repo {NAME} --hub {where} || echo $?
        test ! -e run/published.json
        rm filler
        $submit publish run/bundle --repo {NAME} --hub {where} || echo $?
        test -s run/published.json && test -s run/post.md && echo mended""")
    assert result.stdout.split() == ["3", "mended"], result.stderr
    assert "run/post.md: the disk is full; free some space and run again" in result.stderr
    assert "Traceback" not in result.stderr
    held = {path: data for path, data in hub.repositories[NAME].files.items() if path != ".gitattributes"}
    assert held == {
        path.relative_to(entry).as_posix(): path.read_bytes() for path in entry.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("where", HUBS)
def test_fetching_where_the_disk_becomes_full(hub, entry, disk, where):
    """The look at the free space is passed, as if another program had filled the disk right after it."""
    publish(entry, Target(NAME, where), quiet())
    program = (
        "import sys; from kolors_submit import cli; from kolors_submit.hub import source\n"
        "source.free_bytes = lambda folder: 10**12; sys.exit(cli.run(sys.argv[1:]))"
    )
    reproduce = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} reproduce {where}:{NAME} --out out"
    result = disk(f"""
        mkdir out
        {FILL}
        {reproduce} || echo $?
        find out -name '*.png' -size +0 | wc -l
        rm filler
        {reproduce} --base picturebook || echo $?
        find out/bundle -type f | wc -l""")
    said = f"{result.stdout}{result.stderr}"
    assert result.stdout.split() == ["3", "0", "2", str(sum(path.is_file() for path in entry.rglob("*")))], said
    told = "the disk is full" in result.stderr or "No space left on device; fix this and run again" in result.stderr
    assert told and "Traceback" not in result.stderr
    assert "the entry was made on kolors" in result.stderr, "all was fetched; it is only for another base"


def test_fetching_where_the_disk_is_too_small_is_said_before(hub, entry, disk):
    publish(entry, Target(NAME), quiet())
    asked = len(hub.asked)
    result = disk(f"$submit reproduce modelscope:{NAME} --out out || echo $?")
    assert result.stdout.split() == ["3"] and "too little room" in result.stderr
    assert not [path for _, path in hub.asked[asked:] if path.endswith((".png", ".ckpt"))]
