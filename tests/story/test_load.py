"""Story files: what is read, what is refused, and that every problem is said at once with its place."""

import time
from pathlib import Path

import pytest

from kolors_submit.errors import InputError
from kolors_submit.story import (
    EXAMPLE_TEAMS,
    JuicerCaptions,
    StoryError,
    TaggerCaptions,
    VisionCaptions,
    keys,
    load_story,
    panel_prompt,
    read_document,
    token_count,
)
from kolors_submit.story.hints import hints

STORIES = sorted((Path(__file__).parents[2] / "stories").glob("*.yaml"))

GOOD = """\
schema: 1
title: A story
characters: {小雨: 一位红发女孩}
style: {prefix: 插画, suffix: 水彩}
dataset: {source: pictures}
panels:
""" + "".join(f'- {{scene: s{n}, prompt: "{{小雨}}走路，全身像", seed: {n}}}\n' for n in range(8))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "story.yaml"
    path.write_text(text, "utf-8")
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(StoryError) as caught:
        load_story(write(tmp_path, text))
    assert caught.value.exit_status == 2
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_shipped_stories_are_valid_on_both_bases(path):
    for base in (None, "kolors", "picturebook"):
        assert len(load_story(path, base).panels) == 8
    story = load_story(path)
    assert story.team in EXAMPLE_TEAMS
    assert [str(hint) for hint in hints(read_document(path), story) if "late" in str(hint)] == []


def test_shipped_stories_are_four():
    assert {path.stem for path in STORIES} >= {"watercolor", "ink", "storybook-en", "contest-baseline"}


def test_prompt_is_prefix_prompt_suffix(tmp_path):
    story = load_story(write(tmp_path, GOOD))
    assert panel_prompt(story, story.panels[0]).positive == "插画，一位红发女孩走路，全身像，水彩"


def test_double_braces_are_braces(tmp_path):
    story = load_story(write(tmp_path, GOOD.replace("走路", "走{{路}}", 1)))
    assert "走{路}" in panel_prompt(story, story.panels[0]).positive


def test_ten_mistakes_are_ten_findings(tmp_path):
    text = """\
schema: 1
title: ""
colour: red
style: {sufix: x}
characters: {小雨: 一位女孩}
dataset: {sauce: pictures}
train: {rank: -1, optimizer: adamw2, alpha: nine}
panels:
- {scene: a, prompt: "{小雪}走路", seed: 1}
- {scene: b, prompt: "{小雨}走路", seed: -5}
"""
    found = problems(tmp_path, text)
    fields = ("title", "colour", "style.sufix", "dataset.source", "dataset.sauce", "train.rank", "train.optimizer")
    for field in (*fields, "train.alpha", "panel 1: prompt", "panel 2: seed", "panels: the contest asks"):
        assert sum(f": {field}" in line for line in found) == 1, (field, found)
    assert len(found) == 11


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("title: A story", "title: A story\ntitle: B", 3, "title is given twice"),
        ("title: A story", "title: &a A story", 2, "anchors and aliases"),
        ("title: A story", "title: !!python/name:os.system A", 2, "the tag"),
        ("schema: 1", "schema: 99", 1, "format 99"),
        ("schema: 1", "schema: 0", 1, "the first format is 1"),
        ("走路", "{x}", 7, "{x} names no character (known: 小雨)"),
        ("走路", "}", 7, "a lone '}'"),
        ("title: A story", "title: [", 4, "is not YAML"),
        ("title: A story", 'title: "A\\nverdict identical"', 2, "has a line break; it has to be one line"),
    ],
)
def test_refused_with_its_line(tmp_path, old, new, line, said):
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert len(found) == 1
    assert found[0].startswith(f"story.yaml:{line}: ")
    assert said in found[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "where"),
    [
        ("title: A story", 'title: "A \\e[2J story"', 2, "title"),
        ('prompt: "{小雨}走路', 'prompt: "走\\u202e路', 7, "panel 1: prompt"),
        ('prompt: "{小雨}走路', 'prompt: "走\\ud800路', 7, "panel 1: prompt"),
        ("scene: s2", 'scene: "s\\a2"', 9, "panel 3: scene"),
        ("{小雨: 一位红发女孩}", '{小雨: "一位\\u2028女孩"}', 3, "characters.小雨"),
        ("{prefix: 插画", '{"pre\\u0007": 1, prefix: 插画', 4, "style.pre\ufffd"),
        ("title: A story", "title: A\x1b story", 2, ""),
        ("title: A story", "title: A story # \u202e", 2, ""),
    ],
)
def test_characters_that_nobody_sees(tmp_path, old, new, line, where):
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    prefix = f"story.yaml:{line}: {where}: " if where else f"story.yaml:{line}: "
    assert any(one.startswith(f"{prefix}holds the control character U+") for one in found), found
    assert all(one.isprintable() for one in found)


def test_lines_tabs_emoji_and_windows_line_ends_are_no_control_characters(tmp_path):
    text = (
        GOOD.replace("title: A story", 'title: "A\\tstory 👩\u200d🎨"')
        .replace("插画", '"插\\n画"')
        .replace("\n", "\r\n")
    )
    (tmp_path / "story.yaml").write_bytes(text.encode())
    story = load_story(tmp_path / "story.yaml")
    assert (story.title, story.style.prefix) == ("A\tstory 👩\u200d🎨", "插\n画")


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n", "[" * 100 + "]" * 100, "a: \x00"])
def test_no_story_at_all(tmp_path, text):
    assert len(problems(tmp_path, text)) == 1


def test_exploding_and_huge_files_are_refused(tmp_path):
    assert "at most 1,000,000" in problems(tmp_path, "a: " + "x" * 1_000_001)[0]
    with pytest.raises(StoryError, match="cannot be read"):
        load_story(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("".join(f"key{n}: 1\n" for n in range(3000)), "has 2,952 more mistakes"),
        (
            f"bad: 1\ncharacters: {{a: {'x' * 30_000}}}\npanels:\n" + f"- {{prompt: '{'{a}' * 3000}'}}\n" * 99,
            "panel 1: ",
        ),
    ],
    ids=["unknown keys", "descriptions"],
)
def test_a_story_that_would_be_endless_is_refused_in_time(tmp_path, added, said):
    begun = time.process_time()
    found = problems(tmp_path, f"schema: 1\ntitle: x\n{added}")
    assert time.process_time() - begun < 3
    assert any(said in one for one in found) and len(found) < 110
    assert sum(map(len, found)) < 20_000


def test_a_prompt_grows_no_longer_than_twenty_thousand_characters(tmp_path):
    text = GOOD.replace("一位红发女孩", "长" * 9000).replace("{小雨}走路", "{小雨}{小雨}{小雨}走路", 1)
    (long,) = (one for one in problems(tmp_path, text) if "panel 1" in one)
    assert "prompt: is longer than 20,000 characters with all that it consists of" in long


def test_too_long_a_prompt_shows_what_would_be_cut(tmp_path):
    long = "在湖边看着远处的山和树，" * 60
    found = problems(tmp_path, GOOD.replace("走路", long, 1))
    assert len(found) == 1 and "too many; the model would not read: …" in found[0] and "panel 1" in found[0]


def test_token_count_is_the_real_tokenizers():
    import importlib.util

    from diffsynth.models.kolors_text_encoder import ChatGLMModel  # noqa: F401  (the package itself, not a copy)
    from diffsynth.prompters.kolors_prompter import ChatGLMTokenizer

    origin = importlib.util.find_spec("diffsynth").origin
    tokenizer = ChatGLMTokenizer.from_pretrained(str(Path(origin).parent / "tokenizer_configs/kolors/tokenizer"))
    for text in ("一位红色长发的女孩，全身像", "A boy, 8 years old — riding a horse!", "水彩画 🙂 中文 mixed"):
        assert token_count(text) == len(tokenizer(text)["input_ids"])


def test_settings_win_over_base_overrides(tmp_path):
    text = GOOD + "bases: {tiny: {train: {rank: 4, alpha: 2}, dataset: {source: other}}}\n"
    path = write(tmp_path, text)
    assert load_story(path, "tiny").train.rank == 4
    assert load_story(path, "tiny").dataset.source == "other"
    assert load_story(path, "kolors").train.rank == 16
    story = load_story(path, "tiny", ["train.rank=8", "panels.2.seed=77", "style.suffix=墨"])
    assert (story.train.rank, story.train.alpha, story.panels[1].seed, story.style.suffix) == (8, 2, 77, "墨")


@pytest.mark.parametrize(
    "settings",
    [
        *(["rank"], ["=1"], ["panels.9.seed=1"], ["title.x=1"], ["train.rank=["], ["train..rank=1"]),
        *(["bases.tiny.train.rank=2"], ["panels.1=null", "panels.1.seed=3"], ["panels.1=7", "panels.1.seed=3"]),
    ],
    ids=" ".join,
)
def test_bad_settings_are_explained(tmp_path, settings):
    with pytest.raises(InputError, match="--set"):
        load_story(write(tmp_path, GOOD), None, settings)


def test_overrides_are_checked_like_settings(tmp_path):
    found = problems(tmp_path, GOOD + "bases:\n  tiny:\n    train: {rnk: 4}\n    render: {steps: 0}\n    trian: {}\n")
    assert found == [
        "story.yaml:17: bases.tiny.train.rnk: unknown key; did you mean rank?",
        "story.yaml:18: bases.tiny.render.steps: has to be greater than or equal to 1 (here: 0)",
        "story.yaml:19: bases.tiny.trian: unknown key; did you mean train?",
    ]


@pytest.mark.parametrize(
    ("added", "meant"),
    [
        ("rank: 3", "rank: unknown key; did you mean train.rank?"),
        ("seed: 3", "seed: unknown key; did you mean train.seed or panels.1.seed?"),
        ("learning-rate: 1", "learning-rate: unknown key; did you mean train.learning_rate?"),
        ("train: {steps: 3}", "train.steps: unknown key; did you mean steps_per_epoch or render.steps?"),
        ("train: {network_dim: 3}", "train.network_dim: unknown key; here it is train.rank"),
        ("render: {cfg: 3}", "render.cfg: unknown key; here it is render.guidance_scale"),
        (
            "train: {max_train_steps: 9}",
            "train.max_train_steps: unknown key; here it is train.steps_per_epoch, which train.epochs multiplies",
        ),
        ("gate: {qqq: 3}", "gate.qqq: unknown key; there are threshold, coherence"),
        ("train: {rnk: 3}", "train.rnk: unknown key; did you mean rank?"),
        ("train: {title: x}", "train.title: unknown key; did you mean title at the top of the story?"),
        ("bases: {kolors: {rank: 3}}", "bases.kolors.rank: unknown key; did you mean bases.kolors.train.rank?"),
    ],
)
def test_an_unknown_key_that_belongs_elsewhere_is_told_where(tmp_path, added, meant):
    assert problems(tmp_path, f"{GOOD}{added}\n") == [f"story.yaml:15: {meant}"]


def test_an_unknown_setting_is_told_where_it_belongs(tmp_path):
    with pytest.raises(StoryError) as caught:
        load_story(write(tmp_path, GOOD), None, ["rank=3"])
    assert str(caught.value) == "--set: rank: unknown key; did you mean train.rank?"


@pytest.mark.parametrize("value", ["[1", "2024-13-45"])
def test_a_setting_that_is_no_yaml_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="--set title=.*: is not YAML: .*; put texts in quotes"):
        load_story(write(tmp_path, GOOD), None, [f"title={value}"])


def test_an_aspect_filter_that_nothing_passes_is_refused(tmp_path):
    with pytest.raises(StoryError, match="min_ratio 2 is above max_ratio 1"):
        load_story(write(tmp_path, GOOD), None, ["dataset.filters.aspect_ratio={min_ratio: 2, max_ratio: 1}"])


def test_a_problem_of_a_setting_names_the_setting(tmp_path):
    with pytest.raises(StoryError) as caught:
        load_story(write(tmp_path, GOOD), None, ["train.rank=abc", "panels.2.seed=yes"])
    assert [str(problem) for problem in caught.value.problems] == [
        "--set: train.rank: has to be a whole number (here: 'abc')",
        "--set: panel 2: seed: has to be a whole number (here: True)",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A story", "title: A story\nfoo bar: 1", "3: foo bar: unknown key"),
        ("title: A story", "title: A story\ntrain: {learning-rate: 1}", "3: train.learning-rate: unknown key; did you"),
        ("title: A story", "title: yes", "2: title: has to be text; put it in quotes (here: True)"),
        ("title: A story", "title:", "2: title: is empty; write a value after the colon"),
        ("title: A story", "title: ''", "2: title: is empty; write a value after the colon"),
        ("title: A story", "title: A story\ntrain:", "3: train: is empty; write a value after the colon"),
        ("title: A story", "title: A story\ntrain: {weight_decay: .inf}", "train.weight_decay: has to be a finite num"),
        ("title: A story", "title: A story\ntrain: {targets: to_q}", "3: train.targets: has to be a list, as in [a"),
        ("scene: s2", f"scene: {'x' * 201}", "9: panel 3: scene: has 201 characters; write at most 200"),
        ("title: A story", f"title: {'x' * 2000}", "2: title: has 2,000 characters; write at most 200"),
        ("title: A story", f"title: A story\nteam: {'队' * 201}", "3: team: has 201 characters; write at most 200"),
        ("{小雨: 一位", "{1 小: x, 小雨: 一位", "3: characters.1 小: is not a name: start with letters or hanzi"),
        ("seed: 0", "seed: yes", "7: panel 1: seed: has to be a whole number (here: True)"),
        ("seed: 0", "seed: 1.5", "7: panel 1: seed: has to be a whole number (here: 1.5)"),
        (
            "title: A story",
            "\ttitle: A story",
            "2: is not YAML: found character '\\t' that cannot start any token (a tab",
        ),
        (
            "title: A story",
            "title： A story",
            "3: is not YAML: could not find expected ':' (a line without `key: value`",
        ),
        ("title: A story", "title: A: story", "2: is not YAML: mapping values are not allowed here (a second `: ` in"),
        ("schema: 1", "schema: 1\n  title: x", "2: is not YAML: mapping values are not allowed here (a second `: ` in"),
    ],
)
def test_typical_mistakes_are_said_in_plain_words(tmp_path, old, new, said):
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert len(found) == 1 and found[0].startswith("story.yaml:") and said in found[0], found


def test_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "story.yaml").write_bytes(GOOD.encode("gb18030"))
    with pytest.raises(StoryError, match=r"story.yaml:3: is not UTF-8; save it as UTF-8"):
        load_story(tmp_path / "story.yaml")


def test_a_title_may_look_like_a_date_and_a_file_may_start_with_a_byte_order_mark(tmp_path):
    assert load_story(write(tmp_path, "\ufeff" + GOOD.replace("A story", "2024-13-45"))).title == "2024-13-45"


def test_a_misspelt_base_is_a_hint(tmp_path):
    path = write(tmp_path, GOOD + "bases: {picturbook: {train: {rank: 4}}, mine: {train: {rank: 4}}}\n")
    (hint,) = [hint for hint in hints(read_document(path), load_story(path)) if hint.field.startswith("bases")]
    assert str(hint).endswith("story.yaml:15: bases.picturbook: is a base of your own; did you mean picturebook?")


def test_a_panel_that_the_unet_cannot_halve_is_refused_before_anything_is_trained(tmp_path):
    assert problems(tmp_path, GOOD + "render: {height: 336}\n") == [
        "story.yaml:15: render.height: has to be a multiple of 32 (here: 336)"
    ]


def test_a_misspelt_key_is_told_its_nearest_whichever_way_it_is_compared(tmp_path):
    found = problems(tmp_path, GOOD.replace("scene:", "sence:", 1))
    assert any(said.endswith("sence: unknown key; did you mean scene?") for said in found), found


def test_every_other_programs_key_leads_to_one_of_a_story():
    known = {".".join(path) for path in keys._paths()}
    assert {ours.partition(",")[0] for ours in keys.ELSEWHERE} <= known
    assert not {name for names in keys.ELSEWHERE.values() for name in names} & {path[-1] for path in keys._paths()}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{小雨}走路", "｛小雨｝走路", "｛小雨｝ has full-width braces; write {小雨}"),
        ("{小雨}走路，全身像", "“{小雨}走路，全身像”", "starts with “, which belongs to the words here"),
    ],
)
def test_signs_of_a_chinese_keyboard_are_pointed_out(tmp_path, old, new, said):
    path = write(tmp_path, GOOD.replace(old, new, 1))
    found = [str(hint) for hint in hints(read_document(path), load_story(path))]
    assert any(said in line for line in found), found


def test_hints(tmp_path):
    text = GOOD.replace("{小雨}走路，全身像", "牌子上写着“你好”的一个遥远山谷里面有很多花草树木和云彩的地方有女孩", 1)
    path = write(tmp_path, text)
    said = [hint.message for hint in hints(read_document(path), load_story(path))]
    assert [word for word in ("writing", "late", "full figure") if any(word in line for line in said)] == [
        "writing",
        "late",
        "full figure",
    ]


@pytest.mark.parametrize(
    ("first", "second", "many"),
    [
        ("一位红色长发、身穿蓝色连衣裙、头戴贝雷帽的女孩", "一位银色短发、身穿紫色长袍的老奶奶", False),
        (
            "一位红色长发、身穿蓝色连衣裙、头戴贝雷帽的女孩",
            "一位银发短发、身穿紫色的长袍、戴眼镜、围巾和帽子的老奶奶",
            True,
        ),
        ("a boy with short golden hair, wearing a red sweater", "a woman with silver hair and a green coat", False),
        (
            "a boy with golden hair, a red sweater, blue trousers and black boots",
            "a woman with silver hair, a green coat and a hat",
            True,
        ),
    ],
)
def test_a_colour_and_what_has_it_are_one_attribute(tmp_path, first, second, many):
    path = write(tmp_path, GOOD.replace("{小雨}走路", f"{first}, {second}", 1))
    said = [hint.message for hint in hints(read_document(path), load_story(path)) if hint.panel == 1]
    assert any("many attributes" in message for message in said) == many


def with_captions(tmp_path: Path, captions: str) -> Path:
    return write(tmp_path, GOOD.replace("{source: pictures}", f"{{source: pictures, captions: {captions}}}"))


def test_captions_are_words_or_who_writes_them(tmp_path):
    def captions(text: str):
        return load_story(with_captions(tmp_path, text), "picturebook").dataset.captions

    assert captions('"{prompt}, ink"') == "{prompt}, ink"
    assert captions("wd14") == captions("{by: wd14}") == TaggerCaptions(by="wd14", threshold=0.35)
    assert captions("{by: wd14, drop: [solo], trigger: ink}") == TaggerCaptions(
        by="wd14", drop=("solo",), trigger="ink"
    )
    assert captions("vlm") == VisionCaptions(by="vlm") and captions("data-juicer") == JuicerCaptions(by="data-juicer")


@pytest.mark.parametrize(
    ("captions", "problem"),
    [
        ("{by: wd14, threshold: 2}", "dataset.captions.threshold: has to be less than 1"),
        ("{by: wd14, tresh: 0.2}", "dataset.captions.tresh: unknown key"),
        ("{by: wd15}", "dataset.captions: write a caption, one of wd14, vlm, data-juicer, or settings with `by:`"),
        ("{threshold: 0.3}", "dataset.captions: write a caption"),
        ("[wd14]", "dataset.captions: write a caption"),
        ("5", "dataset.captions: write a caption"),
    ],
)
def test_a_captioner_that_is_none_is_named_with_its_line(tmp_path, captions, problem):
    with pytest.raises(StoryError) as caught:
        load_story(with_captions(tmp_path, captions))
    (found,) = caught.value.problems
    assert found.line == 5 and problem in str(found)
