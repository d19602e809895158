"""Which panels a judge renders: nothing that an entrant writes decides it, and a call that was cut keeps its draw."""

from __future__ import annotations

import json

import pytest

from kolors_submit.errors import InputError
from kolors_submit.reproduce.choice import Choice, choose

BUNDLE = "a" * 64


def test_all_of_them_without_a_wish(tmp_path):
    assert choose(tmp_path, BUNDLE, 8, None, ()) == Choice(tuple(range(1, 9)), "all")
    assert choose(tmp_path, BUNDLE, 8, 8, ()).how == choose(tmp_path, BUNDLE, 8, 99, ()).how == "all"
    assert not (tmp_path / "drawn.json").exists()


def test_one_bundle_is_drawn_differently_each_time(tmp_path):
    drawn = {choose(tmp_path / str(n), BUNDLE, 8, 2, ()).numbers for n in range(40)}
    assert len(drawn) > 5, "28 pairs are equally likely"
    assert all(len(set(pair)) == 2 and 1 <= min(pair) < max(pair) <= 8 for pair in drawn)


def test_a_call_that_was_cut_keeps_its_draw(tmp_path):
    first = choose(tmp_path, BUNDLE, 1000, 3, ())
    assert first.how == "drawn" and choose(tmp_path, BUNDLE, 1000, 3, ()) == first
    assert json.loads((tmp_path / "drawn.json").read_text())["panels"] == list(first.numbers)


@pytest.mark.parametrize("changed", [{"bundle": "b" * 64}, {"panels": 1001}, {"sample": 4}])
def test_another_bundle_or_wish_is_drawn_anew(tmp_path, changed):
    wish = {"bundle": BUNDLE, "panels": 1000, "sample": 3}
    before = choose(tmp_path, named=(), **wish)
    after = choose(tmp_path, named=(), **wish | changed)
    assert before != after and choose(tmp_path, named=(), **wish | changed) == after


def test_the_judge_names_panels(tmp_path):
    choose(tmp_path, BUNDLE, 8, 2, ())
    assert choose(tmp_path, BUNDLE, 8, None, (5, 2, 5)) == Choice((2, 5), "named")


@pytest.mark.parametrize(("sample", "named", "said"), [(0, (), "at least one"), (2, (1,), "one of the two"),
    (None, (9,), "1 to 8"), (None, (0, 3), "1 to 8")])  # fmt: skip
def test_choices_that_cannot_be(tmp_path, sample, named, said):
    with pytest.raises(InputError, match=said):
        choose(tmp_path, BUNDLE, 8, sample, named)
