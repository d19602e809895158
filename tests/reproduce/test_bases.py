"""Which base an entry is rendered on: never another than its own, and none that is fetched without the judge's word."""

from __future__ import annotations

import pytest

from kolors_submit import cli
from kolors_submit.errors import OutsideError
from kolors_submit.report import quiet
from kolors_submit.reproduce import Request
from kolors_submit.reproduce.bases import among, finder, found_beforehand
from kolors_submit.weights import open_base
from tests.bundle.spoil import edit_json, rebuild
from tests.reproduce.test_batch import judge, tampered
from tests.reproduce.test_table import table


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """A weights folder without any, and what is asked of `weights.find_base` meanwhile: name, question, --yes."""
    monkeypatch.setenv("KOLORS_SUBMIT_WEIGHTS", str(tmp_path / "weights"))
    asked = []

    def find_base(name, report, device, ask, yes):
        asked.append((name, None if ask is None else ask("Download 19.0 GB?"), yes))
        return f"the base {name}"

    monkeypatch.setattr("kolors_submit.weights.find_base", find_base)
    return asked


def test_what_the_entry_names_is_not_fetched_where_nobody_can_be_asked(nothing_here):
    with pytest.raises(OutsideError, match=r"19\.0 GB of which are not in .*weights; --base kolors or --yes fetches"):
        finder(Request("x"), quiet(), None)("kolors")
    assert nothing_here == []
    assert finder(Request("x"), quiet(), None)("picturebook") == "the base picturebook"


@pytest.mark.parametrize("agreed", [{"base": "kolors"}, {"yes": True}])
def test_what_the_judge_agreed_to_is(nothing_here, agreed):
    assert finder(Request("x", **agreed), quiet(), None)("kolors") == "the base kolors"
    assert nothing_here == [("kolors", None, agreed.get("yes", False))]


def test_at_a_terminal_the_judge_is_asked_and_no_is_an_answer(nothing_here):
    assert finder(Request("x"), quiet(), lambda question: True)("kolors") == "the base kolors"
    with pytest.raises(OutsideError, match="an entry made on it is rendered on no other base"):
        finder(Request("x"), quiet(), lambda question: False)("kolors")


def test_several_processes_get_what_was_found_before_they_start(nothing_here):
    asked = []
    found = found_beforehand(Request("x"), quiet(), lambda question: bool(asked.append(question)) or True)
    assert found == {"kolors": "the base kolors", "picturebook": "the base picturebook"} and len(asked) == 2
    assert among(found)("kolors") == "the base kolors" and len(asked) == 2
    lacking = found_beforehand(Request("x"), quiet(), None)
    assert lacking.keys() == {"picturebook"}
    with pytest.raises(OutsideError, match="--base kolors or --yes fetches them"):
        among(lacking)("kolors")
    assert found_beforehand(Request("x", base="mine"), quiet(), None) == {"mine": "the base mine"}


def test_the_command_line_fetches_nothing_unasked(made, tmp_path, monkeypatch, capsys):
    """No hub answers at this address, so whoever asks one says so."""
    monkeypatch.setenv("KOLORS_SUBMIT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    for name in ("train.json", "environment.json"):
        edit_json(made.bundle, name, lambda value: value.get("render", value)["base"].update(name="kolors"))
    rebuild(made.bundle)
    words = ["reproduce", str(made.bundle), "--out", str(made.out), "--device", "cpu"]
    assert cli.run(words) == 3
    said = capsys.readouterr().err
    assert "--base kolors or --yes fetches them" in said and "cannot be fetched" not in said
    (tmp_path / "list").write_text(f"{made.bundle}\n")
    assert cli.run(["reproduce", "--list", str(tmp_path / "list"), *words[2:]]) == 3
    (row,) = table(made.out)
    assert row["status"] == "failed here" and "--base kolors or --yes fetches them" in row["problems"]
    assert not (tmp_path / "weights").exists()


def test_a_judges_other_base_is_no_verdict_and_the_right_one_is_tried(made, tmp_path):
    from tests.tiny import build_tiny_base

    other = build_tiny_base(tmp_path / "bases" / "tiny", seed=1)
    entries = [made.bundle, tampered(made, "unbased", lambda folder: edit_json(folder, "train.json", unbase))]
    with pytest.raises(OutsideError, match="1 of 2"):
        judge(made, entries, base=str(other))
    statuses = {row["entry"]: row["status"] for row in table(made.out)}
    assert statuses == {str(entries[0]): "failed here", str(entries[1]): "invalid"}
    assert any("is another base" in row["problems"] and "--base" in row["problems"] for row in table(made.out))
    assert judge(made, entries)["statuses"] == {"identical": 1, "invalid": 1}


def unbase(value: dict) -> None:
    """train.json without a base, which no base can mend."""
    value.pop("base")


def test_a_base_is_handed_to_a_process_as_it_is(made):
    import pickle

    base = open_base(made.base)
    assert pickle.loads(pickle.dumps({"tiny": base})) == {"tiny": base}
