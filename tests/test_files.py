"""Files: whole or not at all, refused in a sentence, and JSON with one form."""

import errno
import os
import subprocess
import sys

import pytest

from kolors_submit.errors import OutsideError
from kolors_submit.files import atomic_path, keep_only, write_json, write_new, write_text


@pytest.fixture
def folder(tmp_path):
    """An empty folder (the tests' home lies in tmp_path)."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def test_a_failed_write_leaves_the_old_file(folder):
    path = write_text(folder / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and os.listdir(folder) == ["a.txt"]


@pytest.mark.parametrize(("code", "said"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission")])
def test_a_refused_write_is_a_sentence(folder, code, said):
    with pytest.raises(OutsideError, match=said), atomic_path(folder / "a.txt") as partial:
        partial.write_text("half")
        raise OSError(code, os.strerror(code))
    assert os.listdir(folder) == []


def test_what_cannot_be_read_is_not_said_of_what_is_written(folder):
    missing = folder / "missing"
    with pytest.raises(OutsideError, match=f"^cannot read {missing}: No such file"), atomic_path(folder / "a"):
        missing.read_bytes()
    assert not list(folder.glob(".a*"))


@pytest.mark.parametrize("place", ["note/a.txt", "note/deeper/a.txt"])
def test_a_file_where_a_folder_has_to_be_is_a_sentence(folder, place):
    """The half-written file cannot even be looked for there (ENOTDIR)."""
    write_text(folder / "note", "")
    with pytest.raises(OutsideError, match=r"cannot write .*/a\.txt: a file stands where a folder has to be"):
        write_text(folder / place, "x")


def test_what_hinders_the_deletion_does_not_hide_what_hindered_the_write(folder, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(OutsideError, match="the file system is read-only"), atomic_path(folder / "a.txt"):
        refuse()
    with pytest.raises(ZeroDivisionError), atomic_path(folder / "a.txt"):
        raise ZeroDivisionError


def test_a_write_past_the_file_size_limit_leaves_nothing(folder):
    """A real refusal by the kernel, in the middle of a write."""
    program = f"""
import resource, signal
from pathlib import Path
from kolors_submit.files import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_bytes(Path({str(folder)!r}) / "big.bin", b"x" * 5000)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 1 and "OutsideError: cannot write" in result.stderr
    assert os.listdir(folder) == []


def test_keep_only_deletes_the_rest(folder):
    keep = write_text(folder / "a" / "keep.txt", "")
    write_text(folder / "b" / "old.txt", "")
    (folder / "link").symlink_to(keep)
    keep_only(folder, [keep])
    assert sorted(path.name for path in folder.rglob("*")) == ["a", "keep.txt"]


def test_json_has_one_form(folder):
    write_json(folder / "a.json", {"b": 1, "a": "中"})
    assert (folder / "a.json").read_text("utf-8") == '{\n  "a": "中",\n  "b": 1\n}\n'


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.ENOTSUP])
def test_a_new_file_never_takes_the_place_of_another(folder, code, monkeypatch):
    """Also where the file system has no hard links."""

    def refuse(*_):
        raise OSError(code, "no links here")

    if code is not None:
        monkeypatch.setattr(os, "link", refuse)
    path = folder / "deep/a.txt"
    assert write_new(path, "一\n") and not write_new(path, "two")
    assert path.read_text("utf-8") == "一\n" and os.listdir(path.parent) == ["a.txt"]
    path.unlink()
    path.symlink_to("nowhere")
    assert code or not write_new(path, "two"), "a link that leads nowhere is there too"


def test_a_new_file_that_cannot_be_written_is_a_sentence_and_leaves_nothing(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OutsideError, match=r"cannot write .*a\.txt: the disk is full"):
        write_new(folder / "a.txt", "x")
    assert os.listdir(folder) == []


def test_of_many_writers_of_a_new_file_one_wins(folder):
    program = (
        "import sys; from pathlib import Path; from kolors_submit.files import write_new\n"
        "print(sum(write_new(Path(sys.argv[1]) / f'{n}.txt', sys.argv[2]) for n in range(200)))"
    )
    command = [sys.executable, "-c", program, str(folder)]
    writers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "abc"]
    counts = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sum(counts) == 200 and len(os.listdir(folder)) == 200
