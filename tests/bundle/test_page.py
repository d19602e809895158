"""The page's charts and letters, and what stands in it."""

from __future__ import annotations

import base64
import io
import math
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fontTools.ttLib import TTFont

from kolors_submit.bundle import charts
from kolors_submit.bundle.check import check
from kolors_submit.bundle.pack import pack
from kolors_submit.bundle.typeface import font_faces
from kolors_submit.files import read_json, write_json
from kolors_submit.run import Job
from tests.bundle.runs import BEFORE, DIGEST, make_run, story


def with_coherence(job: Job, size: int = 8, outlier: int | None = 3) -> Job:
    """The run with a set's fit in its scores."""
    alike = [[1.0 if i == j else 0.5 + 0.01 * (i + j) for i in range(size)] for j in range(size)]
    palette = [[0.0 if i == j else float(i + j) for i in range(size)] for j in range(size)]
    matrices = {"similarity": alike, "style": alike, "palette": palette}
    figures = {"mean": 0.8123, "apart": [0.5] * size, "outlier": outlier, "threshold": None, "passed": None}
    features = {"features": {"name": "a tower", "digest": DIGEST}}
    write_json(job.run.scores, read_json(job.run.scores) | {"coherence": features | matrices | figures})
    return job


def page_of(job: Job) -> str:
    pack(job)
    return (job.run.bundle / "index.html").read_text("utf-8")


def test_ticks_are_round_and_inside_the_axis() -> None:
    assert [(tick.at, tick.value) for tick in charts.ticks(0, 10, 5)] == [(20.0 * n, 2.0 * n) for n in range(6)]
    assert [tick.value for tick in charts.ticks(0, 1.2043, 4)] == [0, 0.5, 1]
    assert [tick.value for tick in charts.ticks(1, 250, 5)] == [50, 100, 150, 200, 250]
    assert [tick.value for tick in charts.ticks(0, 0.00035, 4)] == [0, 0.0001, 0.0002, 0.0003]
    assert charts.ticks(3, 3, 4) == []


def test_the_curve_runs_from_its_first_step_to_its_last_over_zero() -> None:
    curve = charts.loss_curve([(step, 2.0 if step == 1 else 1.0) for step in range(1, 1001)])
    assert curve is not None
    points = [tuple(map(float, pair.split(","))) for pair in curve.points.split()]
    assert points[0] == (0.0, 0.0) and points[-1] == (100.0, 50.0)
    assert charts.loss_curve([(1, 0.5)]) is None
    assert charts.loss_curve([(1, 0.5), (2, float("nan"))]) is None
    assert charts.loss_curve([(1, 0.0), (2, 0.0)]) is not None


@pytest.mark.parametrize("count", [2, 399, 400, 401, 402, 798, 799, 800, 801, 1000, 50_000])
def test_a_curve_has_at_most_so_many_points(count: int) -> None:
    curve = charts.loss_curve([(step, 1.0) for step in range(count)])
    assert curve is not None
    for series in (curve.points, curve.average):
        points = series.split()
        assert len(points) <= charts.MAX_POINTS and (points[0][:5], points[-1][:7]) == ("0.00,", "100.00,")
        assert len(points) == count or count > charts.MAX_POINTS


def test_the_average_is_that_of_the_points_around_at_once() -> None:
    losses = [(step, math.sin(step) + step % 7) for step in range(1, 300)]
    for (_, average), index in zip(charts._average(losses, 15), range(len(losses)), strict=True):
        around = [loss for _, loss in losses[max(0, index - 15) : index + 16]]
        assert average == pytest.approx(sum(around) / len(around))
    start = time.process_time()
    charts.loss_curve([(step, 1.0) for step in range(50_000)])
    assert time.process_time() - start < 1


def test_the_funnel_says_what_each_step_dropped() -> None:
    bars = charts.funnel_bars([("source", 40), ("size", 30), ("look-alikes", 30)])
    assert [(bar.left, bar.dropped, bar.width, bar.x) for bar in bars] == [
        (40, 0, 100.0, 0.0),
        (30, 10, 75.0, 12.5),
        (30, 0, 75.0, 12.5),
    ]
    assert charts.funnel_bars([]) == []
    assert charts.funnel_bars([("source", 0)])[0].width == 0


def test_in_a_matrix_the_darkest_pair_is_the_most_alike() -> None:
    near = charts.matrix_cells([[1, 0.2, 0.9], [0.2, 1, 0.5], [0.9, 0.5, 1]])
    assert {(cell.column, cell.row): cell.alike for cell in near}[2, 0] == 1
    far = charts.matrix_cells([[0, 3, 30], [3, 0, 9], [30, 9, 0]], distance=True)
    assert {(cell.column, cell.row): cell.alike for cell in far}[2, 0] == 0
    assert len(near) == len(far) == 6
    assert charts.matrix_cells([[1.0]]) == []
    assert {cell.alike for cell in charts.matrix_cells([[1, 1], [1, 1]])} == {0}


def test_the_letters_are_those_of_the_page() -> None:
    rules = font_faces("画猫 A\U0001f600")
    assert rules == font_faces("A画 猫\U0001f600")
    found = []
    for source in re.findall(r"base64,([A-Za-z0-9+/=]+)\)", rules):
        with TTFont(io.BytesIO(base64.b64decode(source))) as font:
            found.append({chr(code) for code in font.getBestCmap()})
    assert found == [set("画猫 A"), set("画猫")]
    assert font_faces("only Latin").count("@font-face") == 2


def test_every_part_is_there(tmp_path: Path) -> None:
    text = page_of(with_coherence(make_run(tmp_path, chosen=story(language="en"))))
    for id in ("story", "before", "scores", "coherence", "training", "data", "reproduce", "use", "environment"):
        assert f'<h2 id="{id}">' in text
    assert text.count('class="wipe"') == len(BEFORE)
    assert text.count('<rect class="cell"') == 3 * 8 * 7
    assert "Panel 3 stands out." in text and "kolors-submit reproduce modelscope:team/Rainy-Cat" in text
    assert not re.search(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!data:)[a-z./]", text.split("<script>")[0])
    assert "style=" not in text


def without(job: Job, part: str) -> Job:
    """The run without one of the things that a run may lack."""
    if part == "before":
        for number in BEFORE:
            job.run.before(number).unlink()
    if part == "curve":
        (job.run.train / "metrics.csv").unlink()
    return job


@pytest.mark.parametrize(("part", "gone"), [("before", 'id="before"'), ("curve", "<polyline")])
def test_what_a_run_lacks_is_left_out(tmp_path: Path, part: str, gone: str) -> None:
    whole, lacking = make_run(tmp_path / "whole"), without(make_run(tmp_path / "lacking"), part)
    assert gone in page_of(whole) and gone not in page_of(lacking)
    assert not [one for one in check(lacking.run.bundle) if one.level == "fail"]


@pytest.mark.parametrize(("size", "outlier", "cells"), [(1, None, 0), (2, None, 6), (30, 30, 0)])
def test_matrices_are_drawn_where_they_can_be_read(tmp_path: Path, size: int, outlier: Any, cells: int) -> None:
    text = page_of(with_coherence(make_run(tmp_path), size, outlier))
    assert text.count('<rect class="cell"') == cells and 'id="coherence"' in text


def test_a_failed_gate_is_seen(tmp_path: Path) -> None:
    job = make_run(tmp_path, mean=5.0)
    text = page_of(replace(job, story=story(language="en")))
    assert ">failed · threshold 6<" in text and 'class="seal failed"' in text and text.count('class="bar low"') == 8
