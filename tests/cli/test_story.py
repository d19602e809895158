"""`kolors-submit story`: check, show, schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from kolors_submit.cli import run
from kolors_submit.cli.story import schema_text

STORIES = Path(__file__).parents[2] / "stories"
SHIPPED = sorted(STORIES.glob("*.yaml"))


def test_there_are_stories():
    assert {path.stem for path in SHIPPED} >= {"watercolor", "ink", "storybook-en", "contest-baseline"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_story_passes(path, capsys):
    assert run(["story", "check", str(path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["ok"]
    assert value["problems"] == [], "what ships is what the hints ask for"
    jsonschema.validate(yaml.safe_load(path.read_text("utf-8")), json.loads(schema_text()))


def test_all_problems_of_all_files_at_once(tmp_path, capsys):
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        SHIPPED[0].read_text("utf-8").replace("title:", "tittle:").replace("seed: 1", "seed: -1"), "utf-8"
    )
    status = run(["story", "check", str(broken), str(SHIPPED[1]), str(tmp_path / "nowhere.yaml"), "--json"])
    heard = capsys.readouterr()
    problems = [problem for problem in json.loads(heard.out)["problems"] if not problem["hint"]]
    assert status == 2
    assert {problem["file"] for problem in problems} == {str(broken), str(tmp_path / "nowhere.yaml")}
    assert any(problem.get("panel") and problem["line"] for problem in problems)
    assert f"{broken}:" in heard.err
    assert f"{SHIPPED[1]}: 8 panels, no problems" in heard.err


def test_show_expands_prompts_and_counts_their_tokens(capsys):
    assert run(["story", "show", str(STORIES / "watercolor.yaml"), "--json"]) == 0
    panels = json.loads(capsys.readouterr().out)["metrics"]["panels"]
    assert len(panels) == 8
    assert panels[0]["prompt"].startswith("一位红色长发")
    assert panels[0]["prompt"].endswith("水彩画风格")
    assert all(2 < panel["tokens"] <= 256 for panel in panels)


def test_show_cuts_no_prompt(capsys):
    assert run(["story", "show", str(STORIES / "ink.yaml")]) == 0
    assert "…" not in capsys.readouterr().err


def test_a_title_is_no_markup(tmp_path, capsys):
    story = tmp_path / "story.yaml"
    text = (STORIES / "watercolor.yaml").read_text("utf-8").replace("雨天的猫", "[/x] a [bold]cat[/bold]", 1)
    story.write_text(text.replace("title: [", "title: '[").replace("[/bold]\n", "[/bold]'\n", 1), "utf-8")
    assert run(["story", "show", str(story)]) == 0
    assert "[/x] a [bold]cat[/bold] (at most 256 tokens)" in capsys.readouterr().err


def test_the_schema_beside_the_stories_is_current(tmp_path):
    assert (STORIES / "story.schema.json").read_text("utf-8") == schema_text(), "run `kolors-submit story schema`"
    assert run(["story", "schema", str(tmp_path / "schema.json")]) == 0
    assert (tmp_path / "schema.json").read_text("utf-8") == schema_text()


def test_the_schema_refuses_what_the_program_refuses():
    values = yaml.safe_load((STORIES / "ink.yaml").read_text("utf-8"))
    values["panels"][0]["sead"] = 1
    with pytest.raises(jsonschema.ValidationError, match="sead"):
        jsonschema.validate(values, json.loads(schema_text()))


def test_show_refuses_a_base_that_nobody_knows(tiny_base, capsys):
    story = str(STORIES / "watercolor.yaml")
    assert run(["story", "show", story, "--base", "picturebok"]) == 2
    assert "--base picturebok: no such base; choose kolors, picturebook or a base's folder" in capsys.readouterr().err
    assert run(["story", "show", story, "--base", str(tiny_base), "--quiet"]) == 0
