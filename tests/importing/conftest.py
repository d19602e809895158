"""Panels that were really rendered on the tiny base, and the old entries that somebody could have made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.importing.old import Old, render_panels


@pytest.fixture(scope="session")
def rendered(tiny_base, tmp_path_factory) -> Path:
    """The render folder and LoRA of a story on the tiny base; not to be changed."""
    return render_panels(tmp_path_factory.mktemp("rendered"), tiny_base)


@pytest.fixture
def old(rendered, tiny_base, tmp_path) -> Old:
    """An empty entry beside what it can be filled with."""
    return Old(tmp_path / "旧作品", shutil.copytree(rendered, tmp_path / "rendered"), tiny_base)
