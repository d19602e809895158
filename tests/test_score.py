"""The score stage and the scoring of a folder."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from kolors_submit import score as module
from kolors_submit.errors import InputError, OutsideError, RuleError
from kolors_submit.files import read_json
from kolors_submit.metrics.predictor import predictor_digest
from kolors_submit.report import Reporter, quiet
from kolors_submit.run import Job, Run
from kolors_submit.score import score, score_folder
from kolors_submit.weights import open_base
from tests.bundle.runs import panel_png, story


def make_job(tiny_base: Path, folder: Path, threshold: float) -> Job:
    """A job whose panels are rendered."""
    chosen = story(gate={"threshold": threshold})
    run = Run(folder / "run")
    run.render.mkdir(parents=True)
    for number in range(1, 9):
        run.panel(number).write_bytes(panel_png(chosen, number))
    return Job(chosen, open_base(tiny_base), run, "cpu", quiet())


def test_a_picture_that_would_start_another_program_is_left_out(tiny_base: Path, tmp_path: Path, monkeypatch) -> None:
    """Pillow hands an EPS, whatever it is called, to Ghostscript."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript was started"))
    chosen = story()
    (tmp_path / "1.png").write_bytes(panel_png(chosen, 1))
    (tmp_path / "2.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with Image.open(tmp_path / "2.png") as eps:
        assert eps.format == "EPS"
    scores = score_folder(tmp_path, ("tiny", tiny_base / "predictor"), quiet())
    assert [panel["file"] for panel in scores["panels"]] == ["1.png"]


def test_scores_panels_once(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tiny_base, tmp_path, 0.0)
    assert score(job)
    scores = read_json(job.run.scores)
    values = [panel["score"] for panel in scores["panels"]]
    assert scores["mean"] == pytest.approx(sum(values) / 8, abs=1e-5)
    assert scores["minimum"] == min(values) and scores["passed"] is True and scores["threshold"] == 0.0
    digest = predictor_digest(tiny_base / "predictor")
    assert scores["predictor"] == {"name": "tiny's own predictor", "digest": digest}
    assert not score(job)
    job.run.panel(3).write_bytes(panel_png(job.story, 4))
    assert score(job)
    assert read_json(job.run.scores)["panels"][2]["score"] == values[3]


def test_scoring_goes_on_where_the_gpus_memory_ends(tiny_base: Path, tmp_path: Path, monkeypatch) -> None:
    job = make_job(tiny_base, tmp_path, 0.0)
    score(job)
    plain = read_json(job.run.scores)
    for name in ("score_pictures", "features"):
        monkeypatch.setattr(module, name, _short_of_memory(getattr(module, name)))
    heard = io.StringIO()
    job.run.stage("score").path.unlink()
    score(replace(job, device="cuda", report=Reporter(Console(file=heard, width=200))))
    assert read_json(job.run.scores) == plain
    said = heard.getvalue()
    assert "going on with scoring on the CPU" in said and "going on with comparing on the CPU" in said


def _short_of_memory(measure):
    def on(folder: Path, pictures: list[Path], device: str):
        if device == "cuda":
            import torch

            yield next(measure(folder, pictures, "cpu"))
            raise torch.OutOfMemoryError
        yield from measure(folder, pictures, device)

    return on


def test_how_the_panels_belong_together_is_said(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tiny_base, tmp_path, 0.0)
    score(job)
    found = read_json(job.run.scores)["coherence"]
    digest = predictor_digest(tiny_base / "predictor")
    assert found["features"] == {"name": "tiny's own predictor", "digest": digest}
    assert [len(found[name]) for name in ("similarity", "style", "palette", "apart")] == [8] * 4
    assert 0 < found["mean"] < 1 and found["threshold"] is found["passed"] is None
    assert len({value for row in found["similarity"] for value in row}) > 8


def test_coherence_is_held_to_a_gate_only_where_the_story_has_one(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tiny_base, tmp_path, 0.0)
    score(job)
    mean = read_json(job.run.scores)["coherence"]["mean"]
    for limit, passes in ((mean, True), (mean + 0.01, False)):
        gated = replace(job, story=story(gate={"threshold": 0.0, "coherence": limit}))
        if passes:
            assert score(gated)
        else:
            with pytest.raises(RuleError, match=rf"coherence {mean:.3f}.*the story's gate\.coherence is {limit:g}"):
                score(gated)
        assert read_json(job.run.scores)["coherence"]["passed"] is passes


def test_below_the_threshold_is_a_rule_error_both_times(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tiny_base, tmp_path, 9.9)
    with pytest.raises(
        RuleError, match=r"below the threshold 9\.9; pulled down by panel \d \(.*Look at them in .*/render, then"
    ) as first:
        score(job)
    assert read_json(job.run.scores)["passed"] is False
    before = job.run.scores.stat().st_mtime_ns
    with pytest.raises(RuleError) as second:
        score(job)
    assert str(first.value) == str(second.value)
    assert job.run.scores.stat().st_mtime_ns == before


def test_a_finished_score_needs_no_torch(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tiny_base, tmp_path, 0.0)
    score(job)
    program = (
        "import sys; from pathlib import Path; from tests.test_score import story\n"
        "from kolors_submit.run import Job, Run; from kolors_submit.report import quiet\n"
        "from kolors_submit.weights import open_base; from kolors_submit.score import score\n"
        f"job = Job(story(gate={{'threshold': 0.0}}), open_base(Path({str(tiny_base)!r})),"
        f" Run(Path({str(job.run.folder)!r})), 'cpu', quiet())\n"
        "assert not score(job)\nassert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_missing_panel_is_named(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(tiny_base, tmp_path, 0.0)
    job.run.panel(5).unlink()
    with pytest.raises(InputError, match=r"lacks 05\.png; run `kolors-submit render` first"):
        score(job)


def test_without_any_predictor(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_base, base, ignore=shutil.ignore_patterns("predictor"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutsideError, match="weights fetch"):
        score(make_job(base, tmp_path, 0.0))


def test_a_folder_is_scored_without_what_is_no_picture(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for number in (1, 2):
        (folder / f"{number}.png").write_bytes(panel_png(story(), number))
    (folder / "scores.csv").write_text("a,b")
    (folder / "cut.png").write_bytes(panel_png(story(), 3)[:200])
    Image.effect_noise((64, 64), 80).save(folder / "bad.avif")
    (folder / "bad.avif").write_bytes((folder / "bad.avif").read_bytes().replace(b"iloc", b"xxxx"))
    scores = score_folder(folder, ("mine", tiny_base / "predictor"), Reporter())
    assert [panel["file"] for panel in scores["panels"]] == ["1.png", "2.png"]
    assert scores["predictor"]["name"] == "mine" and scores["passed"] is None
    assert "bad.avif, cut.png, more, scores.csv" in " ".join(capsys.readouterr().err.split())


def test_a_folder_without_pictures(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no readable picture"):
        score_folder(tmp_path / "home", ("mine", tiny_base / "predictor"), quiet())
    with pytest.raises(InputError, match="is not a folder"):
        score_folder(tmp_path / "absent", ("mine", tiny_base / "predictor"), quiet())
