"""Every rule, broken one at a time, with a manifest that was made true again: the rule itself has to see it."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kolors_submit.bundle import manifest
from kolors_submit.bundle.check import MAX_FINDINGS, RULES, CheckError, check, check_bundle
from kolors_submit.bundle.finding import fail
from kolors_submit.bundle.manifest import NewerFormat
from kolors_submit.bundle.opened import open_values
from kolors_submit.bundle.pack import pack
from kolors_submit.cli import run
from kolors_submit.errors import InputError
from kolors_submit.report import Reporter, quiet
from tests.bundle.cases import (
    CASES,
    scored,
    without_text,
)
from tests.bundle.runs import LORA, make_run, story
from tests.bundle.spoil import edit_json, rebuild, replace, rewrite

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("case", CASES)
def test_each_rule_sees_what_breaks_it(bundle: Path, case: str) -> None:
    spoil, expected = CASES[case]
    spoil(bundle)
    rebuild(bundle)
    with pytest.raises(CheckError, match="failure") as raised:
        check_bundle(bundle, quiet())
    found = [f"{one.rule}: {one.message}" for one in raised.value.problems if one.level == "fail"]
    assert any(expected.replace(" ", "") in line.replace(" ", "") for line in found), found


def test_no_rule_is_said_to_have_looked_at_a_link(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "link").symlink_to("/etc")
    with pytest.raises(CheckError):
        check_bundle(bundle, Reporter())
    assert f"stopped before any of {len(RULES)} rules" in capsys.readouterr().err


def test_a_file_that_breaks_a_rule_a_million_times_is_said_in_a_hundred_lines(bundle: Path) -> None:
    edit_json(bundle, "data.json", lambda data: data.update(pictures=[0] * 200_000))
    edit_json(bundle, "train.json", lambda train: train["settings"].update({f"key{n}": n for n in range(20_000)}))
    rebuild(bundle)
    found = [one for one in check(bundle) if one.level == "fail"]
    assert len(found) < 4 * MAX_FINDINGS
    for rule in ("data", "training"):
        assert fail(rule, f"there is more than these {MAX_FINDINGS}") in found


ODD: tuple[Any, ...] = ("\x1b[2J\u202e", 5, [], {}, None, -1, 1e308)


@pytest.mark.parametrize("name", ["scores", "train", "data", "environment", "configuration"])
def test_odd_values_are_findings_that_a_terminal_can_show(packed: Path, name: str) -> None:
    rules = [rule for _, rule in RULES if rule.__module__.endswith("rules_contents")]
    opened, _ = open_values(packed, manifest.files_below(packed))
    value = getattr(opened, name)
    places = [(key,) for key in value]
    places += [(key, inner) for key in value if isinstance(value[key], dict) for inner in value[key]]
    for odd, place in itertools.product(ODD, places):
        spoilt = copy.deepcopy(value)
        (spoilt if len(place) == 1 else spoilt[place[0]])[place[-1]] = odd
        found = [finding for rule in rules for finding in rule(dataclasses.replace(opened, **{name: spoilt}))]
        assert all(str(finding).isprintable() for finding in found), (place, odd)


@pytest.mark.parametrize("name", ["story.yaml", "scores.json", "images/05.png", f"lora/{LORA}.ckpt", "index.html"])
def test_the_manifest_sees_every_changed_byte(bundle: Path, failures: Callable[[Path], list[str]], name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    assert f"manifest: {name} was changed: its SHA-256 is not the manifest's" in failures(bundle)


def test_the_manifest_sees_more_and_less(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "images/09.png").write_bytes(b"1")
    (bundle / "post.md").unlink()
    found = failures(bundle)
    assert "manifest: images/09.png is not in the manifest" in found and "manifest: post.md is missing" in found


@pytest.mark.parametrize(
    "text",
    ['{"format": 1}', "[]", '{"format": 1, "files": {"../a": {}}}',
     '{"format": 1, "files": {"a": {"sha256": "x", "size": 1}}}',
     '{"format": true, "files": {}}', '{"files": {}}', "[" * 100_000, '{"format": 1, "files": {"a": 1, "a": 1}}'],
)  # fmt: skip
def test_manifests_that_are_none(bundle: Path, failures: Callable[[Path], list[str]], text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    assert any(line.startswith("manifest: manifest.json") for line in failures(bundle))


NEWEST = {"manifest.json": 1, "scores.json": 3, "train.json": 1, "data.json": 1, "environment.json": 1}
NEWEST["history.json"] = 1


@pytest.mark.parametrize("name", NEWEST)
def test_a_newer_format_is_refused(bundle: Path, name: str) -> None:
    newest = NEWEST[name]
    edit_json(bundle, name, lambda value: value.update(format=newest + 1))
    with pytest.raises(NewerFormat, match=f"is format {newest + 1}; this program reads up to {newest}: up") as error:
        check(bundle)
    assert error.value.exit_status == 2


def test_a_newer_story_is_refused(bundle: Path) -> None:
    replace(bundle, "story.yaml", "schema: 1", "schema: 2")
    with pytest.raises(NewerFormat, match="is format 2"):
        check(bundle)


def test_links_are_not_followed(bundle: Path, tmp_path: Path, failures: Callable[[Path], list[str]]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (bundle / "post.md").unlink()
    (bundle / "post.md").symlink_to(secret)
    assert failures(bundle) == ["paths: post.md is a link or not a regular file"]
    (bundle / "post.md").unlink()
    shutil.rmtree(bundle / "comfyui")
    (bundle / "comfyui").symlink_to(tmp_path)
    assert "paths: comfyui is a link or not a regular file" in failures(bundle)


def test_nothing_is_opened_where_sizes_are_wrong(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    os.truncate(bundle / "story.yaml", 2_000_000)
    assert failures(bundle) == ["sizes: story.yaml has 2,000,000 bytes; at most 1,000,000 are allowed"]


def test_a_second_name_does_not_hide_a_files_size(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    os.truncate(bundle / "story.yaml", 2_000_000)
    os.link(bundle / "story.yaml", bundle.parent / "another name")
    assert failures(bundle) == ["sizes: story.yaml has 2,000,000 bytes; at most 1,000,000 are allowed"]


def test_names_that_collide(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "images/A.png").write_bytes(b"1")
    (bundle / "images/a.png").write_bytes(b"1")
    if len(list((bundle / "images").iterdir())) == 10:
        assert failures(bundle) == ["paths: images/A.png and images/a.png would be one file on some systems"]


def test_all_findings_at_once(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    (bundle / "images/08.png").unlink()
    scored(bundle, mean=9.0)
    replace(bundle, "README.md", "license: other", "license: mit")
    (bundle / "stray").write_text("x")
    rules = {line.split(":")[0] for line in failures(bundle)}
    assert {"panels", "scores", "card", "files", "manifest"} <= rules


def test_rules_without_anything_to_look_at_are_not_ok(bundle: Path) -> None:
    (bundle / "prompts.csv").unlink()
    assert not [finding for finding in check(bundle) if finding.level == "ok"]


def test_a_lowered_gate_only_warns_on_a_demonstration(tmp_path: Path) -> None:
    for base, level in (("tiny", "warn"), ("kolors", "fail")):
        job = make_run(tmp_path, base=base, chosen=story(gate={"threshold": 3.0}), mean=4.0)
        pack(job)
        levels = {finding.level for finding in check(job.run.bundle) if finding.rule == "score"}
        assert levels <= {level, "warn"} and level in levels


def test_panels_that_say_nothing_only_warn(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    without_text(bundle / "images/02.png")
    rebuild(bundle)
    assert failures(bundle) == []
    assert "images/02.png does not say" in next(one.message for one in check(bundle) if one.level == "warn")


def test_pillows_warning_of_a_large_picture_is_nobodys(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    Image.new("1", (2048, 50_000)).save(bundle / "images/03.png")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert any("images/03.png has 2048x50000 pixels" in line for line in failures(bundle))
    assert heard == []


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        check(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    (finding,) = check(tmp_path / "empty")
    assert finding.level == "fail" and "name the folder that holds manifest.json" in finding.message


def test_a_zip_of_a_folder_is_told_apart(bundle: Path, tmp_path: Path) -> None:
    for folder, expected in ((bundle.parent, "zip what is in 'bundle', not that folder"), (tmp_path / "golden", "")):
        folder.mkdir(exist_ok=True)
        (folder / "notes").mkdir(exist_ok=True)
        path = Path(shutil.make_archive(f"{tmp_path}-{folder.name}", "zip", folder, "bundle" if expected else "notes"))
        (finding,) = check(path)
        assert (finding.level, finding.rule) == ("fail", "files")
        assert expected in finding.message and "`kolors-submit bundle --zip`" in finding.message
        assert "manifest.json" not in finding.message


def test_the_answer_counts_rules_and_findings(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle.parent)
    without_text(bundle / "images/02.png")
    without_text(bundle / "images/03.png")
    rebuild(bundle)
    assert run(["check", str(bundle), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["metrics"] == {"rules": len(RULES), "findings": len(check(bundle))}
    assert value["metrics"]["findings"] == len(RULES) + 1 and len(value["problems"]) == 2


def unmeasured(bundle: Path) -> None:
    edit_json(bundle, "scores.json", lambda value: (value.pop("coherence"), value.update(format=1)))
    rewrite(bundle)


def test_scores_from_before_there_was_coherence(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    unmeasured(bundle)
    assert failures(bundle) == []
    (found,) = [one for one in check(bundle) if one.level == "warn"]
    assert str(found).startswith("warn coherence: not measured")


def test_a_gate_on_coherence_holds_at_any_format(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    replace(bundle, "story.yaml", "coherence: null", "coherence: 0.9999")
    unmeasured(bundle)
    expected = "coherence: the story asks for a mean coherence of 0.9999, and scores.json does not give one"
    assert failures(bundle) == [expected]


def test_settings_that_a_training_does_not_say(bundle: Path, failures: Callable[[Path], list[str]]) -> None:
    edit_json(bundle, "train.json", lambda value: (value["settings"].pop("flip"), value["settings"].pop("seed")))
    rebuild(bundle)
    assert failures(bundle) == ["train: train.json does not say flip, seed, which story.yaml does"]
    edit_json(bundle, "history.json", lambda value: value.update(writer="0" * 64))
    rebuild(bundle)
    assert failures(bundle) == []
    assert "warn train: train.json does not say flip, seed, which story.yaml does" in map(str, check(bundle))


LINKS = [
    "> [x]: javascript:alert(1)", "- [x]: javascript:alert(1)", "[a\nb]: javascript:alert(1)",
    "[a\\]b]: javascript:alert(1)", "a [b\\\\]: javascript:alert(1)", "1. > [x]:\n   > javascript:alert(1)",
    "> [x](\n> javascript:alert(1))", "[x]: < javascript:alert(1)>", "[x\\]: javascript:alert(1)",
    "[[a](https://(](javascript:alert(1))", "[[a](<https:// ](javascript:alert(1))> x)",
]  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_links_that_run_wherever_they_are_defined(
    bundle: Path, failures: Callable[[Path], list[str]], link: str
) -> None:
    path = bundle / "post.md"
    path.write_text(f"{path.read_text()}\n{link}\n")
    edit_json(bundle, "history.json", lambda value: value.update(writer="0" * 64))
    rebuild(bundle)
    assert failures(bundle) == ["mark-up: post.md holds HTML or a link that runs something"]


def test_a_prompt_may_look_like_a_definition(tmp_path: Path) -> None:
    words = [
        "[a]: b:c",
        "[镜头一]: 4:3 & <x>",
        "a]: b:c",
        "\\]: javascript:x",
        "a](b:c)",
        "> [a]: b:c",
        "[a\\]: b:c",
        "a [b]",
    ]
    panels = [{"scene": text, "prompt": text, "seed": n} for n, text in enumerate(words, start=1)]
    for language in ("zh", "en"):
        job = make_run(tmp_path / language, chosen=story(panels=panels, title="[a]: b:c", language=language))
        pack(job)
        assert [str(one) for one in check(job.run.bundle) if one.level == "fail"] == []


def test_golden_bundle_of_format_1() -> None:
    findings = check(GOLDEN / "bundle-1")
    assert not [finding for finding in findings if finding.level == "fail"], findings


def test_the_pages_script_is_a_known_one() -> None:
    import base64
    import hashlib

    from kolors_submit.bundle.page import script_source
    from kolors_submit.bundle.rules_pages import SCRIPTS

    assert base64.b64encode(hashlib.sha256(script_source().encode()).digest()).decode() in SCRIPTS


def test_check_and_pack_import_no_torch(packed: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "import kolors_submit.bundle.pack, kolors_submit.environment\n"
        "from kolors_submit.bundle.check import check\n"
        f"assert all(one.level == 'ok' for one in check(Path({str(packed)!r})))\n"
        "heavy = {'torch', 'diffsynth', 'transformers', 'diffusers', 'lightning', 'peft', 'datasets', 'modelscope'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
