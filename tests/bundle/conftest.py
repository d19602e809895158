"""A packed bundle to copy and to spoil."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kolors_submit import environment
from kolors_submit.bundle.pack import pack
from tests.bundle.runs import make_run


@pytest.fixture(scope="session", autouse=True)
def same_packages() -> Iterator[None]:
    """The packages that are installed are asked for once: hundreds of files, and no test installs one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(environment, "packages", functools.cache(environment.packages))
        yield


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound bundle on Kolors, by the contest's predictor; not to be changed."""
    job = make_run(tmp_path_factory.mktemp("packed"))
    assert pack(job)
    return job.run.bundle


@pytest.fixture
def bundle(packed: Path, tmp_path: Path) -> Path:
    """A copy of the sound bundle that a test may spoil."""
    return shutil.copytree(packed, tmp_path / "bundle")


@pytest.fixture
def failures() -> Callable[[Path], list[str]]:
    """The rules that a bundle breaks, as `rule: message`."""
    from kolors_submit.bundle.check import check

    return lambda path: [f"{one.rule}: {one.message}" for one in check(path) if one.level == "fail"]
