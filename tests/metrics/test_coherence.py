"""How panels belong together: the figures of a set, and the panel of another style."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from kolors_submit.metrics.coherence import coherence, stands_out
from kolors_submit.picturebook.grammar import sample
from kolors_submit.picturebook.paint import draw
from kolors_submit.picturebook.styles import STYLES

PANELS = 8
Picture = Image.Image


def measured(pictures: Sequence[Picture], folder: Path, threshold: float | None = None) -> dict:
    """The figures of a set, with features that say nothing."""
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(folder / f"{number}.png")
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        paths[-1].write_bytes(buffer.getvalue())
    return coherence(paths, [np.array([1.0, 0.0], np.float32)] * len(paths), threshold)


def drawn(count: int, style: str, seed: int = 3) -> list[Picture]:
    rng = Random(seed)
    return [draw(sample(rng), style=style) for _ in range(count)]


def test_the_figures_of_a_set(tmp_path: Path) -> None:
    found = measured(drawn(5, "watercolor"), tmp_path)
    for name, diagonal in (("similarity", 1), ("style", 1), ("palette", 0)):
        table = np.array(found[name])
        assert table.shape == (5, 5) and (table == table.T).all()
        assert np.diag(table) == pytest.approx(diagonal, abs=1e-4)
    style = np.array(found["style"])
    assert found["mean"] == pytest.approx(style[np.triu_indices(5, 1)].mean(), abs=1e-4)
    assert len(found["apart"]) == 5 and found["threshold"] is found["passed"] is None
    assert measured(drawn(5, "watercolor"), tmp_path, 0.1)["passed"] is True
    assert measured(drawn(5, "watercolor"), tmp_path, 0.99)["passed"] is False


def test_few_or_equal_panels_have_no_outlier(tmp_path: Path) -> None:
    alone = measured(drawn(1, "ink"), tmp_path)
    assert (alone["mean"], alone["outlier"], alone["style"], alone["apart"]) == (1.0, None, [[1.0]], [1.0])
    assert measured([*drawn(2, "ink"), *drawn(1, "plain")], tmp_path)["outlier"] is None
    same = measured(drawn(1, "ink") * 8, tmp_path)
    assert (same["mean"], same["outlier"], same["apart"]) == (1.0, None, [0.0] * 8)


PAIRS = [(own, other) for own in STYLES for other in STYLES if own != other]
"""Every pair of styles once: the set in one, a panel of it in the other."""


def named(pairs: Sequence[tuple[str, str]], folder: Path) -> int:
    """In how many sets of the first style the panel of the second is named."""
    rng = Random(2)
    count = 0
    for own, other in pairs:
        swapped = rng.randrange(PANELS)
        pictures = [draw(sample(rng), style=other if index == swapped else own) for index in range(PANELS)]
        count += measured(pictures, folder)["outlier"] == swapped + 1
    return count


def test_a_panel_of_another_style_is_named(tmp_path: Path) -> None:
    each = [next(pair for pair in PAIRS if pair[0] == style) for style in STYLES]
    assert named(each, tmp_path) == len(each) == 5


@pytest.mark.slow
def test_a_panel_of_any_other_style_is_mostly_named(tmp_path: Path) -> None:
    count = named(PAIRS, tmp_path)
    print(f"the panel of another style was named in {count} of {len(PAIRS)} sets")
    assert len(PAIRS) == 20 and count >= 18


def test_how_far_a_panel_stands_apart_does_not_depend_on_itself() -> None:
    textures = np.random.default_rng(1).normal(size=(8, 74)).astype(np.float32)
    textures[2] += 4
    apart, outlier = stands_out(textures)
    far = textures.copy()
    far[2] += 4
    assert outlier == 3 and stands_out(far)[1] == 3
    assert apart[2] > 3 and stands_out(far)[0][2] == pytest.approx(2 * apart[2], rel=0.1)
    assert (np.delete(apart, 2) < 1).all(), "the others are near each other and the odd one widens their spread"


@pytest.mark.slow
def test_sets_of_one_style_mostly_have_no_outlier(tmp_path: Path) -> None:
    """Scenes that have nothing in common; a story's panels share people and places."""
    rng = Random(2)
    sets = [[draw(sample(rng), style=style) for _ in range(PANELS)] for style in STYLES * 4]
    false = sum(measured(pictures, tmp_path)["outlier"] is not None for pictures in sets)
    print(f"a panel was named in {false} of {len(sets)} sets of one style")
    assert false <= 4
