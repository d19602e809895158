"""The forms in which entries tell their prompts and settings, and what is done where they are odd or disagree."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from kolors_submit.errors import InputError
from kolors_submit.export import comfyui, graph
from kolors_submit.importing.evidence import read_panels, title_in
from kolors_submit.importing.labels import field_of, ordinal
from kolors_submit.importing.settle import Notes, Scale, story_values
from kolors_submit.importing.source import names_in
from tests.importing.old import ALPHA, HEADINGS, NODE_ALPHA, STORY, STRENGTH, as_csv, as_markdown, rows, shot

WORDS = [(panel.prompt, panel.negative, panel.seed) for panel in STORY.panels]
SCALE = Scale(4, ALPHA, STRENGTH, "kohya")


@pytest.fixture
def entry(tmp_path):
    """A folder with eight pictures, and what reads it."""
    return Entry(tmp_path / "entry")


class Entry:
    def __init__(self, folder):
        self.folder, self.notes = folder, Notes()

    def pictures(self, name="{}.png", count=8, size=(64, 64)):
        for number in range(1, count + 1):
            path = self.folder / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, (number, 0, 0)).save(path)
        return self

    def add(self, name, text, encoding="utf-8"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return self

    def panels(self, images=None):
        return read_panels(self.folder, names_in(self.folder), images, self.notes)

    def words(self):
        return [(one["prompt"], one["negative"], one["seed"]) for one in self.story()["panels"]]

    def story(self, **options):
        given = {"size": (64, 64), "lora": SCALE, "noise": None, "notes": self.notes} | options
        return story_values("title", self.panels(), **given)

    def guessed(self):
        return {one.field: one.because for one in self.notes.guesses}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_csv_in_any_encoding(entry, encoding, end):
    entry.pictures().add("提示词.csv", as_csv(rows(), end), encoding)
    assert entry.words() == WORDS


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_csv_with_other_delimiters(entry, delimiter):
    assert entry.pictures().add("a.csv", as_csv(rows(), delimiter=delimiter)).words() == WORDS


@pytest.mark.parametrize(
    "headings",
    [HEADINGS, ("序号", "画面描述", "提示词", "负面提示词", "种子"), ("panel", "scene", "prompt", "negative", "seed"),
     ("**No.**", "Title", "Positive prompt", "Negative Prompt", "Seed")],
    ids=" ".join,
)  # fmt: skip
def test_a_markdown_table_with_other_headings(entry, headings):
    entry.pictures("images/第{}幕.png").add("README.md", "# 猫\n\n" + as_markdown(rows(headings)))
    assert entry.words() == WORDS
    assert [panel["scene"] for panel in entry.story()["panels"]] == [panel.scene for panel in STORY.panels]
    assert title_in(entry.folder, names_in(entry.folder)) == "猫"


def test_a_table_that_names_pictures_in_another_order(entry):
    table = [["图片", "提示词", "种子"]]
    table += [[f"![](images/{n}.png)", f"一只猫 \\| {n}<br>走路", str(n)] for n in range(8, 0, -1)]
    panels = entry.pictures("images/{}.png").add("README.md", as_markdown(table)).story()["panels"]
    assert [panel["seed"] for panel in panels] == list(range(1, 9))
    assert panels[2]["prompt"] == "一只猫 | 3 走路"


LABELLED = """## 第{hanzi}幕：{scene}
![](images/{number}.png)
- **正向提示词**：{prompt}
- **反向提示词**: {negative}
- seed: {seed}
"""
BULLETS = """* 正向提示词：{prompt}
* 负面提示词：{negative}
* 随机种子：{seed}

<img src="images/{number}.png" alt="x">
"""
BRACKETS = """### 图片{number}
【提示词】{prompt}

【负向提示】{negative}

【种子】{seed}
"""
FENCED = """**场景 {number}** {scene}

Prompt:
```
{prompt}
```
Negative prompt:
```
{negative}
```
Seed: {seed}
"""
IN_A_LINE = """图{number} 提示词：{prompt}
反向提示词：{negative}
种子：{seed}
"""


@pytest.mark.parametrize("form", [LABELLED, BULLETS, BRACKETS, FENCED, IN_A_LINE])
def test_running_text(entry, form):
    parts = [
        form.format(number=n, hanzi="一二三四五六七八"[n - 1], **panel.model_dump())
        for n, panel in enumerate(STORY.panels, start=1)
    ]
    entry.pictures("images/{}.png").add("README.md", "# 雨天的猫\n\n一个故事。\n\n" + "\n".join(parts))
    assert entry.words() == WORDS


@pytest.mark.parametrize("form", ["{}. {}\n", "{}、{}\n\n", "{}） {}\n"])
def test_a_plain_list_of_prompts(entry, form):
    prompts = [panel.prompt for panel in STORY.panels]
    text = "".join(form.format(number, prompt) for number, prompt in enumerate(prompts, start=1))
    assert [prompt for prompt, _, _ in entry.pictures().add("prompts.txt", text).words()] == prompts


@pytest.mark.parametrize("spoil", ["9. step\n", "Install these:\n", ""])
def test_a_list_with_something_else_in_it_is_no_list_of_prompts(entry, spoil):
    text = "".join(f"{number}. step\n" for number in range(1, 8)) + spoil
    with pytest.raises(InputError, match="0 pictures have a prompt"):
        entry.pictures().add("README.md", text).story()


def test_settings_in_running_text_and_in_a_table_of_two_columns(entry):
    entry.pictures().add("a.csv", as_csv(rows()))
    entry.add(
        "README.md", "| 参数 | 值 |\n|---|---|\n| 采样步数 | 30 |\n| 采样器 | Euler |\n\n- CFG: 5.5\n\n训练步数：500\n"
    )
    render = entry.story()["render"]
    assert (render["steps"], render["sampler"], render["guidance_scale"]) == (30, "euler", 5.5)
    assert entry.guessed().keys() == {"render.noise"}


def test_nothing_said_is_guessed_and_listed(entry):
    table = [row[:3] for row in rows()]
    story = entry.pictures().add("a.csv", as_csv(table)).story()
    assert story["render"]["steps"] == 50 and story["render"]["noise"] == "cpu-float32"
    assert entry.guessed().keys() == {
        *(f"panels.{n}.seed" for n in range(1, 9)),
        *("panels.negative", "render.steps", "render.guidance_scale", "render.sampler", "render.noise"),
    }
    entry.notes.forget(["panels.1.seed"])
    assert "panels.1.seed" not in entry.guessed()


def test_a_notebooks_second_picture_of_one_seed_has_none(entry):
    picture = 'image = pipe(prompt="猫", negative_prompt="糊", cfg_scale=4)\nimage.save("{}.png")\n'
    code = "torch.manual_seed(0)\n" + "".join(picture.format(n) for n in range(1, 9))
    panels = entry.pictures().add("README.md", f"```python\n{code}```\n").story()["panels"]
    assert [panel["prompt"] for panel in panels] == ["猫"] * 8
    assert {f"panels.{n}.seed" for n in range(2, 9)} <= entry.guessed().keys()
    assert "panels.1.seed" not in entry.guessed()
    assert "does it this way" in entry.guessed()["render.noise"]


def server_form(number):
    return graph.prompt(comfyui.contest(shot(number), ALPHA))


def editor_form(number):
    return graph.workflow(comfyui.contest(shot(number), ALPHA))


def without_the_seeds_control(number):
    value = editor_form(number)
    sampler = next(node for node in value["nodes"] if node["type"] == "KolorsSampler")
    sampler["widgets_values"].remove("fixed")
    return value


def with_prompts_from_other_nodes(number):
    value = server_form(number)
    encoder = next(node for node in value.values() if node["class_type"] == "KolorsTextEncode")["inputs"]
    value["90"] = {"class_type": "Text Multiline", "inputs": {"text": encoder["prompt"]}}
    value["91"] = {"class_type": "PrimitiveInt", "inputs": {"value": shot(number).seed}}
    encoder["prompt"] = ["90", 0]
    next(node for node in value.values() if node["class_type"] == "KolorsSampler")["inputs"]["seed"] = ["91", 0]
    return value


@pytest.mark.parametrize(
    "form",
    [server_form, editor_form, without_the_seeds_control, with_prompts_from_other_nodes],
    ids=lambda f: f.__name__,
)
def test_workflow_files(entry, form):
    entry.pictures("images/{}.png")
    for number in range(1, 9):
        entry.add(f"workflows/{number}.json", json.dumps(form(number)))
    assert entry.words() == WORDS
    told = entry.panels()[0].told[0]
    assert (told.steps, told.guidance, told.sampler, told.lora) == (2, 3.5, "euler", "猫.ckpt")
    assert (told.width, told.height, told.node_alpha, told.noise) == (64, 64, NODE_ALPHA, "cuda-float16")
    assert told.remarks == ()


def test_one_workflow_for_all_gives_settings_but_no_words(entry):
    entry.pictures().add("a.csv", as_csv(rows())).add("workflow.json", json.dumps(editor_form(3)))
    assert entry.words() == WORDS
    assert entry.story()["render"]["steps"] == 2


def edited(change):
    value = server_form(1)
    change({node["class_type"]: node["inputs"] for node in value.values()}, value)
    return value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda nodes, _: nodes["KolorsSampler"].update(denoise_strength=0.5), "starts from another picture"),
        (lambda nodes, _: nodes["KolorsTextEncode"].update(num_images_per_prompt=4), "draws 4 pictures"),
        (lambda nodes, _: nodes["KolorsTextEncode"].update(prompt="一只{黑|白}猫"), "at random"),
        (lambda nodes, _: nodes["KolorsTextEncode"].update(prompt="猫|狗"), "splits the prompt"),
        (lambda nodes, _: nodes["KolorsSampler"].update(scheduler="DDPM"), "'DDPM' is not known"),
        (lambda nodes, _: nodes["KolorsSampler"].update(kolors_model=["1", 0]), "applies no LoRA"),
    ],
    ids=["image to image", "batch", "random words", "split", "scheduler", "no LoRA"],
)
def test_what_a_workflow_did_that_cannot_come_out_again_is_said(entry, change, said):
    entry.pictures().add("a.csv", as_csv(rows())).add("1.json", json.dumps(edited(change)))
    entry.panels()
    assert any(said in remark for remark in entry.notes.remarks), entry.notes.remarks


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"nodes": [{"id": 1, "type": "SaveImage"}], "links": []}, "0 known samplers"),
        ({"1": {"class_type": "KSampler", "inputs": {}}, "2": {"class_type": "KSampler", "inputs": {}}}, "2 known"),
    ],
)
def test_a_workflow_that_says_nothing_is_left_out_and_named(entry, value, said):
    entry.pictures().add("a.csv", as_csv(rows())).add("flow.json", json.dumps(value))
    assert entry.words() == WORDS
    assert any("flow.json" in remark and said in remark for remark in entry.notes.remarks)


def test_a_bypassed_lora_is_not_applied(entry):
    value = editor_form(1)
    next(node for node in value["nodes"] if node["type"] == "LoadKolorsLoRA")["mode"] = 4
    entry.pictures().add("a.csv", as_csv(rows())).add("1.json", json.dumps(value)).panels()
    assert any("applies no LoRA" in remark for remark in entry.notes.remarks)


def test_a_workflow_is_believed_before_a_table_and_the_difference_is_listed(entry):
    table = rows()
    table[3][4] = "7"
    entry.pictures().add("a.csv", as_csv(table)).add("README.md", "- 采样步数: 99\n")
    for number in range(1, 9):
        entry.add(f"{number}.json", json.dumps(server_form(number)))
    assert entry.words() == WORDS
    assert "a.csv, row 3 says 7" in entry.guessed()["panels.3.seed"]
    assert "README.md says 99" in entry.guessed()["render.steps"]


def test_a_panel_with_other_settings_is_named(entry):
    for number in range(1, 9):
        value = server_form(number)
        if number == 5:
            next(node for node in value.values() if node["class_type"] == "KolorsSampler")["inputs"]["steps"] = 9
        entry.add(f"{number}.json", json.dumps(value))
    assert entry.pictures().story()["render"]["steps"] == 2
    assert "5.json says 9" in entry.guessed()["render.steps"]


def test_training_pictures_nested_folders_and_collages_are_no_panels(entry):
    entry.pictures("作品集/故事/第{}幕.png").pictures("作品集/lora_dataset/train/{}.png", 20)
    entry.pictures("作品集/训练集/{}.png", 9).pictures("作品集/故事/合集.png", 1)
    entry.add("作品集/lora_dataset/train/metadata.csv", "file_name,prompt\n1.png,二次元\n")
    entry.add("作品集/说明.md", as_markdown(rows()))
    assert entry.words() == WORDS
    assert any("left out" in remark and "合集.png" in remark for remark in entry.notes.remarks)


def test_several_folders_of_panels_have_to_be_told_apart(entry):
    entry.pictures("a/{}.png").pictures("b/{}.png").add("a.csv", as_csv(rows()))
    with pytest.raises(InputError, match=r"a \(8\), b \(8\); name one with --images"):
        entry.panels()
    assert {panel.picture.split("/")[0] for panel in entry.panels("b")} == {"b"}
    with pytest.raises(InputError, match="no pictures in 'c'"):
        entry.panels("c")


@pytest.mark.parametrize("count", [0, 7])
def test_fewer_than_eight_pictures(entry, count):
    entry.add("a.csv", as_csv(rows())).pictures(count=count)
    with pytest.raises(InputError, match="no folder of the entry has 8 pictures"):
        entry.panels()


def test_pictures_without_prompts_are_named(entry):
    entry.pictures(count=12).add("a.csv", as_csv(rows()[:6]))
    with pytest.raises(InputError, match=r"5 pictures have a prompt, the contest asks for 8.*6\.png, 7\.png"):
        entry.panels()


def test_prompts_that_fit_by_order_alone_are_named(entry):
    names = "abcdefgh"
    for name in names:
        entry.pictures(f"{name}.png", 1)
    table = [row[1:] for row in rows()]
    entry.add("a.csv", as_csv(table))
    assert entry.words() == WORDS
    assert any("by their order" in remark for remark in entry.notes.remarks)


def test_a_prompt_longer_than_the_model_reads_is_cut_and_named(entry):
    table = rows()
    table[2][2] = "一只猫在雨里走路，" * 60
    panel = entry.pictures().add("a.csv", as_csv(table)).story()["panels"][1]
    assert table[2][2].startswith(panel["prompt"]) and len(panel["prompt"]) < len(table[2][2])
    assert "of which the model reads 256" in entry.guessed()["panels.2.prompt"]


def test_braces_stay_braces(entry):
    table = rows()
    table[1][2] = "a {cat}"
    assert entry.pictures().add("a.csv", as_csv(table)).story()["panels"][0]["prompt"] == "a {{cat}}"


@pytest.mark.parametrize(
    ("label", "field"),
    [("**正向提示词**", "prompt"), ("反向提示词", "negative"), ("Negative prompt", "negative"), ("promts", "prompt"),
     ("随机种子", "seed"), ("CFG Scale", "guidance"), ("采样步数", "steps"), ("图片编号", "number"),
     ("场景描述", "scene"),
     ("lora_alpha", "node_alpha"), ("分辨率", "size"), ("评分", None), ("一只猫", None)],
)  # fmt: skip
def test_labels(label, field):
    assert field_of(label) == field


@pytest.mark.parametrize(
    ("words", "number"),
    [("图片3", 3), ("第三幕", 3), ("十", 10), ("第十二章", 12), ("二十一", 21), ("03.png", 3), ("Panel 8", 8),
     ("1-2", None), ("合集", None), ("百", None)],
)  # fmt: skip
def test_ordinals(words, number):
    assert ordinal(words) == number


def test_a_table_without_a_column_of_prompts_is_explained(entry):
    entry.pictures().add("labels.csv", "image,label\n1.png,cat\n").add("captions.txt", "a cat\na dog\n")
    with pytest.raises(InputError) as raised:
        entry.panels()
    said = str(raised.value)
    assert "labels.csv is not used: none of its columns ('image', 'label') is called prompt or 提示词" in said
    assert "no prompt was found in captions.txt: a line starts with “prompt:”" in said


def test_two_columns_for_one_thing_are_named(entry):
    table = [[*row, "other words"] for row in rows()]
    entry.pictures().add("a.csv", as_csv([[*rows()[0], "Prompt"], *table[1:]]))
    assert entry.words() == WORDS, "the first counts"
    assert any("a.csv has 2 columns for the prompt, " in one and "'Prompt'" in one for one in entry.notes.remarks)


@pytest.mark.parametrize(("number", "scene"), [(1, "第 1 幅"), (8, "第 8 幅")])
def test_a_picture_that_is_only_a_number_has_a_title_with_a_word(entry, number, scene):
    nameless = [[row[0], *row[2:]] for row in rows()]
    entry.pictures().add("a.csv", as_csv(nameless))
    assert entry.story()["panels"][number - 1]["scene"] == scene
