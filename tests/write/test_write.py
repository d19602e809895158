"""`kolors-submit write` with the real client against an endpoint on 127.0.0.1."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kolors_submit.cli import run
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.report import quiet
from kolors_submit.story import Story, load_story
from kolors_submit.story.blanks import BLANKS
from kolors_submit.write import make_order, story_text, template_values, write_story
from kolors_submit.write.draft import judge
from kolors_submit.write.layout import story_values
from tests.chat import KEY, Chat, failing, serve, silent
from tests.write.stories import good, good_english, said, spoiled

ROOT = Path(__file__).parents[2]
OUT = Path("stories/new.yaml")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "DASHSCOPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chat(monkeypatch):
    """An endpoint that writes a good story, and the environment that leads to it."""
    with serve(Chat([said(good())])) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_MODEL", "test")
        yield served


def write(capsys, *arguments) -> tuple[int, dict, str]:
    """Exit status, answer and stderr of one call."""
    status = run(["write", *map(str, arguments), "--json"])
    heard = capsys.readouterr()
    return status, json.loads(heard.out), heard.err


def order(**settings):
    return make_order("雨天里的猫", "水彩", OUT, **settings)


def test_an_idea_becomes_a_story_that_passes(chat, capsys, tmp_path):
    status, value, heard = write(
        capsys, "一个女孩和猫的故事", "--style", "水墨", "--out", "stories/new.yaml", "--team", "队"
    )
    assert status == 0, heard
    assert value["outputs"] == {"story": "stories/new.yaml"} and value["metrics"] == {"panels": 8, "repairs": 0}
    story = load_story(OUT, "picturebook")
    assert story.dataset.source == "picturebook:ink" and story.style.suffix == "水墨画风格"
    assert story.team == "队" and story.submission.display_name == "队-可图Kolors训练-雨天的猫"
    assert story.characters["小红"].startswith("一位红色长发")
    assert [panel.scene for panel in story.panels] == [f"Scene {n}" for n in range(1, 9)]
    assert len({panel.seed for panel in story.panels}) == 8
    assert run(["story", "check", "stories/new.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == [], "not even a hint"
    asked = chat.words(0)
    for words in ("一个女孩和猫的故事", "exactly 8 panels", "水墨画风格", "全身像", "No writing in the picture"):
        assert words in asked
    schema = chat.requests[0]["response_format"]["json_schema"]["schema"]
    assert set(schema["required"]) == {"title", "characters", "panels"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY in path.read_text("utf-8", "replace")]


def test_it_is_laid_out_like_the_stories_beside_it():
    """The same parts in the same order as the shipped stories, each panel with scene, prompt, seed."""
    text = story_text(judge(said(good()), order()).values, order())
    ours = (ROOT / "stories/watercolor.yaml").read_text("utf-8")
    keys = [line.split(":")[0] for line in text.splitlines() if line and line[0].isalpha()]
    assert keys == [line.split(":")[0] for line in ours.splitlines() if line and line[0].isalpha()]
    assert text.startswith("# yaml-language-server: $schema=story.schema.json\n# ") and text.endswith("}\n")
    assert all(list(panel) == ["scene", "prompt", "seed"] for panel in yaml.safe_load(text)["panels"])


def test_problems_are_shown_to_the_model_until_they_are_mended(chat, capsys):
    wrong = [
        "I would rather tell you about cats.",
        spoiled(lambda story: story["panels"][2].update(prompt="{小明}在湖边画画，全身像")),
        spoiled(lambda story: story["panels"][4].update(prompt="{小红}看着写着“欢迎”的牌子，全身像")),
    ]
    chat.answers = [*wrong, said(good())]
    status, value, heard = write(capsys, "猫", "--out", "a.yaml")
    assert status == 0 and value["metrics"]["repairs"] == 3
    assert [len(request["messages"]) for request in chat.requests] == [2, 4, 4, 4]
    assert chat.requests[1]["messages"][2] == {"role": "assistant", "content": wrong[0]}
    assert "not one whole JSON object" in chat.words(1)
    assert "panel 3: prompt: {小明} names no character (known: 小红, 奶奶)" in chat.words(2)
    assert "panel 5: prompt: asks for writing in the picture" in chat.words(3)
    assert "repair 3 of 3" in heard


def test_a_story_that_only_hints_speak_against_is_kept(chat, capsys):
    chat.answers = [spoiled(lambda story: story["panels"][0].update(prompt="{小红}坐在房间里看书，早晨"))]
    status, value, _ = write(capsys, "猫", "--out", "a.yaml")
    assert status == 0 and len(chat.requests) == 4
    (hint,) = value["problems"]
    assert hint["hint"] and "does not say how much of the figure is seen" in hint["text"]
    assert load_story("a.yaml").title == "雨天的猫"


def test_a_model_that_never_gets_it_right_is_exit_3_with_its_problems(chat, capsys):
    chat.answers = [spoiled(lambda story: story["panels"].pop())]
    status, _, heard = write(capsys, "猫", "--out", "a.yaml")
    assert status == 3 and len(chat.requests) == 4 and not Path("a.yaml").exists()
    assert "wrote no story that passes, 3 repairs included" in heard
    assert "has 7 panels; exactly 8 are asked for" in heard


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("title"), "title: Field required"),
        (lambda s: s.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda s: s.update(panels="none"), "panels: Input should be a valid list"),
        (lambda s: s.update(title="长" * 61), "title: write one of at most 60 characters"),
        (lambda s: s.update(characters=[]), "give at least one"),
        (lambda s: s["characters"].append(dict(s["characters"][0])), "each its own name"),
        (lambda s: s["characters"].append({"name": "狗", "description": "一只狗"}), "{狗} stands in no prompt"),
        (lambda s: s["characters"][0].update(name="小 红"), "characters"),
        (lambda s: s["characters"][0].update(description="a\x1b[31m"), "plain words"),
        (lambda s: s["panels"][0].update(scene="早晨"), "panel 1: scene: write a short English title"),
        (lambda s: s["panels"][0].update(prompt="{小红} reading, full figure"), "panel 1: prompt: write it in Chinese"),
        (lambda s: s["panels"][1].update(prompt="小红走路，全身像"), "小红 stands without braces; write {小红}"),
        (
            lambda s: s["panels"][1].update(prompt="一位红色长发、身穿蓝色连衣裙的女孩走路，全身像"),
            "repeats a description",
        ),
        (lambda s: s["panels"][1].update(prompt="{小红}走路|睡觉，全身像"), "panel 2: prompt: has |"),
        (lambda s: s["panels"][1].update(prompt="{小红}{走路|睡觉}，全身像"), "names no character"),
        (lambda s: s["panels"][1].update(prompt="{小红" * 3), "lone"),
        (lambda s: s["panels"][1].update(prompt="{小红}" + "走在很长很长的小路上，" * 60), "too many"),
        (lambda s: s["panels"][1].update(prompt=""), "panel 2: prompt"),
        (lambda s: s["panels"][1].update(prompt="{小红\ud800}走路"), "unable to parse raw data as a unicode string"),
        (
            lambda s: s["panels"][1].update(prompt="{小红}走路\x1b"),
            "panel 2: prompt: holds the control character",
        ),
        (lambda s: s.update(title="\x1b[2J"), "title: write one"),
        (lambda s: s.update(characters=s["characters"] * 5000), "8 panels and 10000 characters: too many"),
    ],
)
def test_what_is_wrong_is_said_in_words_that_a_model_can_mend(change, problem):
    found = judge(spoiled(change), order())
    assert found.values is None and any(problem in text for text in found.problems), found.problems


@pytest.mark.parametrize("answer", ["", "{", "[]", "null", "{}", '{"a":' * 5000, "```json\n{]\n```"])
def test_nonsense_is_a_problem_and_no_crash(answer):
    assert judge(answer, order()).values is None


@pytest.mark.parametrize("around", ["```json\n{}\n```", "Here it is: {} Enjoy!"])
def test_words_around_the_json_do_no_harm(around):
    assert judge(around.replace("{}", said(good())), order()).problems == ()


def test_english_prompts_for_an_english_story(chat, capsys):
    chat.answers = [said(good_english())]
    status, _, heard = write(capsys, "a cat", "--out", "a.yaml", "--language", "en", "--style", "watercolor")
    assert status == 0, heard
    story = load_story("a.yaml")
    assert (story.language, story.style.suffix, story.dataset.subset) == ("en", "watercolor style", "Watercolor")
    assert "in English" in chat.words(0)


def test_given_scenes_are_told_panel_by_panel(chat, capsys):
    scenes = [f"第{n}场：小红出门" for n in range(1, 9)]
    Path("scenes.txt").write_text("\ufeff" + "\n\n".join(scenes), "utf-8")
    assert write(capsys, "--outline", "scenes.txt", "--out", "a.yaml")[0] == 0
    assert all(f"{n}. {scene}" in chat.words(0) for n, scene in enumerate(scenes, 1))


@pytest.mark.parametrize(
    ("outline", "arguments", "wrong"),
    [
        (b"one\ntwo\n", (), "2 panels: the contest asks for at least 8"),
        (b"x\n" * 9, ("--panels", 8), "has 9 scenes .one per line., but --panels says 8"),
        (b"x\n" * 8, ("--panels", 0), "has 8 scenes .one per line., but --panels says 0"),
        ("水彩".encode("gbk"), (), "is not UTF-8"),
        (b" \n", (), "is empty"),
        (b"x" * 2000, (), "one scene per line"),
        (b"x" * 200_000, (), "is too large"),
        (None, (), "cannot be read"),
        (b"x\n" * 41, (), "at most 40 are written"),
    ],
)
def test_an_outline_that_cannot_be_used(outline, arguments, wrong, chat, capsys):
    if outline is not None:
        Path("scenes.txt").write_bytes(outline)
    status, _, heard = write(capsys, "--outline", "scenes.txt", "--out", "a.yaml", *arguments)
    assert status == 2 and not chat.requests
    assert re.search(wrong, heard), heard


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a cat", "--panels", 3),
        ("x" * 5000,),
        ("a", "--team", "队" * 101),
        ("a\x07b",),
        ("a", "--style", " "),
        ("a", "--dataset", "x\ny"),
    ],
)
def test_a_call_that_makes_no_order_is_exit_2_and_asks_nobody(arguments, chat, capsys):
    assert write(capsys, *arguments, "--out", "a.yaml")[0] == 2
    assert not chat.requests and not Path("a.yaml").exists()


def test_a_story_that_is_there_is_overwritten_only_when_asked(chat, capsys):
    Path("a.yaml").write_text("mine")
    status, _, heard = write(capsys, "猫", "--out", "a.yaml")
    assert status == 2 and "a.yaml already exists" in heard and not chat.requests
    assert Path("a.yaml").read_text() == "mine"
    assert write(capsys, "猫", "--out", "a.yaml", "--force")[0] == 0
    assert load_story("a.yaml").title == "雨天的猫"
    Path("folder").mkdir()
    assert write(capsys, "猫", "--out", "folder", "--force")[0] == 2


def test_a_story_that_appears_while_the_model_writes_is_not_overwritten(chat, capsys):
    def answer(handler):
        Path("a.yaml").write_text("mine")
        handler.stream(said(good()))

    chat.answers = [answer]
    status, _, heard = write(capsys, "猫", "--out", "a.yaml")
    assert status == 2 and "was created in the meantime" in heard
    assert Path("a.yaml").read_text() == "mine" and [path.name for path in Path().iterdir() if path.is_file()] == [
        "a.yaml"
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_without_an_endpoint_there_is_a_template_that_passes(language, capsys):
    status, value, heard = write(capsys, "一只猫", "--out", "a.yaml", "--language", language)
    assert status == 2 and value["outputs"] == {"template": "a.yaml"}
    assert "set DASHSCOPE_API_KEY (Qwen)" in heard and "a.yaml is a story to fill in by hand" in heard
    capsys.readouterr()
    assert run(["story", "check", "a.yaml", "--json"]) == 0
    blank = [one for one in json.loads(capsys.readouterr().out)["problems"] if "the template's words" in one["text"]]
    assert [one["field"] for one in blank] == ["title", f"characters.{BLANKS[language].name}", *["scene", "prompt"] * 8]
    assert all(one["hint"] and one["line"] for one in blank)
    assert len(load_story("a.yaml").panels) == 8
    assert "to be filled in" in Path("a.yaml").read_text("utf-8")


def test_without_an_endpoint_force_spoils_no_story(capsys):
    Path("a.yaml").write_text("mine")
    status, value, _ = write(capsys, "猫", "--out", "a.yaml", "--force")
    assert status == 2 and value["outputs"] == {} and Path("a.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("answer", "status", "wrong"),
    [
        (failing(401, f"bad key {KEY}"), 2, "refuses the key"),
        (failing(429), 3, "429"),
        (failing(500), 3, "500"),
        (silent(2), 3, "sent nothing for 0.5 s"),
    ],
)
def test_an_endpoint_that_fails_is_one_sentence_and_leaves_no_file(answer, status, wrong, chat, capsys):
    chat.answers = [answer]
    ended, value, heard = write(capsys, "猫", "--out", "a.yaml", "--timeout", "0.5", "--debug")
    assert (ended, value["ok"]) == (status, False) and wrong in value["problems"][0]["text"]
    assert KEY not in heard + json.dumps(value) and not Path("a.yaml").exists()


@pytest.mark.parametrize(
    ("style", "picturebook", "source", "suffix"),
    [
        ("水彩", "watercolor", "modelscope:iic/style_custom_dataset", "水彩画风格"),
        ("中国水墨", "ink", "pictures/new", "水墨画风格"),
        ("paper-cut", "papercut", "pictures/new", "剪纸风格"),
        ("二次元", "watercolor", "modelscope:AI-ModelScope/lowres_anime", "二次元"),
        ("pink", "watercolor", "pictures/new", "pink风格"),
        ("赛博朋克风", "watercolor", "pictures/new", "赛博朋克风"),
    ],
)
def test_styles_by_their_names(style, picturebook, source, suffix):
    values = template_values(make_order("x", style, OUT))
    story = Story.model_validate(values)
    assert (story.dataset.source, story.style.suffix) == (source, suffix)
    assert values["bases"]["picturebook"]["dataset"]["source"] == f"picturebook:{picturebook}"


@pytest.mark.parametrize("name", ["watercolor", "ink", "contest-baseline"])
def test_a_try_out_on_the_picture_book_trains_as_the_stories_do(name):
    ours = load_story(ROOT / f"stories/{name}.yaml").bases["picturebook"]
    style = {"watercolor": "水彩", "ink": "水墨", "contest-baseline": "二次元"}[name]
    written = Story.model_validate(template_values(make_order("x", style, OUT))).bases["picturebook"]
    assert written == ours


def test_ones_own_pictures_take_the_place_of_the_public_ones(chat, capsys):
    assert write(capsys, "猫", "--out", "a.yaml", "--dataset", "modelscope:me/pictures")[0] == 0
    dataset = load_story("a.yaml").dataset
    assert (dataset.source, dataset.subset, dataset.captions) == ("modelscope:me/pictures", None, None)


@settings(deadline=None, max_examples=40)
@given(words=st.text(max_size=60))
def test_no_word_of_a_model_leaves_its_place(words):
    """Whatever the texts are, the file says them and nothing else."""
    made = order()
    panels = [{"scene": words, "prompt": words}] * 8
    values = story_values(words, {"小红": words}, panels, made)
    text = story_text(values, made)
    assert yaml.safe_load(text) == values
    assert text.count("\n") == story_text(template_values(made), made).count("\n")


def test_write_story_raises_what_the_endpoint_does():
    from kolors_submit.endpoint import Endpoint

    with serve(Chat([failing(404)])) as chat, pytest.raises(InputError, match="404"):
        write_story(order(), Endpoint(chat.url, "test", KEY), quiet())
    with serve(Chat(["{}"])) as chat, pytest.raises(OutsideError, match="characters: Field required"):
        write_story(order(), Endpoint(chat.url, "test", KEY), quiet())
