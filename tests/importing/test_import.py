"""The whole import: where an entry comes from, which LoRA is meant, what the bundle says, the command line."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import replace as replace_fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save

from kolors_submit import cli
from kolors_submit.bundle import archive, layout
from kolors_submit.bundle.check import check
from kolors_submit.bundle.opened import open_values
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.export import comfyui, graph
from kolors_submit.hub.source import parse
from kolors_submit.importing import Request, import_entry
from kolors_submit.importing.advice import on_this_device
from kolors_submit.importing.entry import name_of
from kolors_submit.importing.lora import choose, open_lora, scale
from kolors_submit.importing.settle import Notes
from kolors_submit.importing.source import open_entry
from kolors_submit.report import quiet
from kolors_submit.story import StoryError, load_story
from tests.bundle.printed import printed
from tests.bundle.spoil import edit_json, rebuild, replace
from tests.hub.conftest import hub  # noqa: F401 - a fixture
from tests.hub.server import Stored
from tests.importing.old import ALPHA, NODE_ALPHA, STORY, as_csv, rows, shot

HUBS = ("modelscope", "huggingface")


@pytest.fixture
def entry(old):
    """A sound entry: a .ckpt, eight pictures, a table."""
    return old.lora("diffsynth", "猫.ckpt").pictures("作品/{}.png").add("提示词.csv", as_csv(rows()))


@pytest.fixture
def bundle(entry):
    """The sound entry, imported."""
    return Path(entry.imported(noise="cpu-float32")["bundle"])


def findings(bundle, level):
    return [str(one) for one in check(bundle) if one.level == level]


def zip_of(folder: Path, path: Path, encoding: str | None) -> Path:
    """A zip file of a folder below a folder of its own; names in GBK are written as Chinese Windows does."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
            shown = name if encoding is None else name.encode(encoding).decode("cp437")
            archive.writestr(zipfile.ZipInfo(shown), file.read_bytes())
        archive.writestr("__MACOSX/._x.png", b"x")
    if encoding is None:
        return path
    # cp437's own letters made zipfile say UTF-8; the archive is written again with the names' bytes as they are.
    return _with_plain_names(path, encoding)


def _with_plain_names(path: Path, encoding: str) -> Path:
    class Plain(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):
            return self.filename.encode("cp437"), 0

    with zipfile.ZipFile(path) as source:
        entries = [(info.filename, source.read(info)) for info in source.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(Plain(name), data)
    return path


@pytest.mark.parametrize("encoding", [None, "gbk", "utf-8"])
def test_a_zip_with_chinese_names(entry, tmp_path, encoding):
    value = entry.imported(source=zip_of(entry.folder, tmp_path / "entry.zip", encoding), noise="cpu-float32")
    assert value["files"]["images/02.png"]["from"] == "旧作品/作品/2.png"
    assert value["source"] == "entry.zip"
    assert load_story(Path(value["bundle"]) / "story.yaml").panels == STORY.panels


@pytest.mark.parametrize("where", HUBS)
def test_a_repository_on_a_hub(hub, entry, where):
    files = {str(p.relative_to(entry.folder)): p.read_bytes() for p in entry.folder.rglob("*.*")}
    hub.repositories["alice/Old-Cat"] = Stored(files | {"run_me.py": b"raise SystemExit", ".gitattributes": b"x"})
    value = entry.imported(source=f"{where}:alice/Old-Cat")
    assert value["source"] == f"{where}:alice/Old-Cat"
    assert load_story(Path(value["bundle"]) / "story.yaml").panels == STORY.panels
    fetched = entry.folder.parent / "out/entry"
    assert {str(p.relative_to(fetched)) for p in fetched.rglob("*.*") if ".cache" not in p.parts} == files.keys()
    before = hub.count("GET")
    del hub.repositories["alice/Old-Cat"].files["作品/8.png"]
    hub.repositories["alice/Old-Cat"].files["作品/第8张.png"] = files["作品/8.png"]
    with open_entry(parse(f"{where}:alice/Old-Cat"), fetched, quiet()) as folder:
        assert folder == fetched and replace_fields(entry, folder=folder).read()[0].pictures[7] == "作品/第8张.png"
    assert hub.count("GET") - before <= 4, "what was fetched is fetched again"
    assert not (fetched / "作品/8.png").exists()


@pytest.mark.parametrize("where", HUBS)
def test_a_repository_that_cannot_be_fetched(hub, entry, where):
    with pytest.raises(
        InputError,
        match="alice/Nothing was not found on .*; check the name, log in if .*, or name its branch after @",
    ):
        entry.imported(source=f"{where}:alice/Nothing")
    hub.repositories["alice/Hostile"] = Stored({"a/../../../outside.csv": b"x"})
    with pytest.raises(InputError, match="cannot be fetched"):
        entry.imported(source=f"{where}:alice/Hostile")
    hub.repositories["alice/Changing"] = Stored({"提示词.csv": b"x" * 100, "a.csv": b"y"})
    hub.corrupt = {"a.csv"}
    with pytest.raises(OutsideError):
        entry.imported(source=f"{where}:alice/Changing")
    assert not (entry.folder.parent / "out/entry/a.csv").exists()


def test_what_the_bundle_says_and_does_not_say(bundle):
    opened, unreadable = open_values(bundle, [path.relative_to(bundle).as_posix() for path in bundle.rglob("*.*")])
    assert unreadable == [] and opened.is_imported and opened.base == "tiny"
    assert opened.train.keys() == {"format", "base", "modules"}
    for name in (layout.DATA, layout.ENVIRONMENT):
        assert name in opened.imported["absent"] and not (bundle / name).exists()
    story = (bundle / "story.yaml").read_text("utf-8")
    assert "epochs" not in story and "learning_rate" not in story and "threshold" not in story
    assert opened.scores["predictor"]["name"] == "tiny's own predictor" and len(opened.scores["panels"]) == 8
    assert str(bundle.parent.parent) not in (bundle / "import.json").read_text("utf-8")
    guesses = [one for one in findings(bundle, "warn") if "values were guessed" in one]
    assert len(guesses) == 1 and "4 values" in guesses[0]
    card = (bundle / "README.md").read_text("utf-8")
    page = (bundle / "index.html").read_text("utf-8")
    for text in (card, page):
        assert "render.steps" in text and "导入的作品" in text
        assert "学习率" not in text and "Data-Juicer" not in text, "nothing is invented"
    with Image.open(bundle / "story.jpg") as sheet:
        assert sheet.width > 1000


def test_a_bundle_is_not_let_off_by_an_import_file(bundle):
    (bundle / "images/03.png").write_bytes((bundle / "images/04.png").read_bytes())
    edit_json(bundle, "train.json", lambda value: value.update(base={"name": "tiny", "digest": "x"}))
    replace(bundle, "story.yaml", "rank: 4", "rank: 8")
    rebuild(bundle)
    failures = "\n".join(findings(bundle, "fail"))
    for said in ("images/04.png is the same picture", "on which base it trained", "rank is 4, the story says 8"):
        assert said in failures
    edit_json(bundle, "import.json", lambda value: value.update(format=2))
    with pytest.raises(InputError, match="import.json is format 2"):
        check(bundle)
    (bundle / "import.json").unlink()
    assert any("environment.json is missing" in one for one in findings(bundle, "fail"))


def test_several_loras(entry):
    entry.lora("kohya", "other/猫.safetensors")
    with pytest.raises(InputError, match=r"2 LoRA files: other/猫\.safetensors, 猫\.ckpt; name one with --lora"):
        entry.read()
    with pytest.raises(InputError, match=r"no LoRA 'x\.ckpt'"):
        entry.read(lora="x.ckpt")
    assert entry.read(lora="other/猫.safetensors")[0].lora.keys == "kohya"
    origin, story, _ = entry.contest_workflows().read()
    assert origin.lora.keys == "diffsynth", "the one that the workflows name"
    assert (story.train.alpha, story.render.lora_strength) == (NODE_ALPHA, 1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_lora_in_half_precision(old, dtype):
    import torch
    from safetensors.torch import load_file, save

    tensors = load_file(old.rendered / "train/lora.safetensors")
    half = {key: value.to(getattr(torch, dtype)) for key, value in tensors.items()}
    old.add("猫.safetensors", save(half, {"ss_base_model": "/home/me/Kolors"})).pictures("{}.png")
    bundle = Path(old.add("a.csv", as_csv(rows())).imported()["bundle"])
    assert findings(bundle, "fail") == []
    written = next(path for path in (bundle / "lora").glob("*.safetensors") if "diffusers" not in path.name)
    back = load_file(written)
    assert all(torch.equal(back[key], value) for key, value in half.items() if "alpha" not in key)
    assert b"/home/me" not in written.read_bytes()


def test_an_alpha_that_newer_diffusers_store_is_the_loras(entry):
    path = entry.folder / "newer.safetensors"
    written = load_file(entry.rendered / "lora/diffusers.safetensors")
    path.write_bytes(save(written, {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 8})}))
    assert scale(open_lora(path, str(entry.base)), [], Notes()).alpha == 8


def test_no_lora(old):
    old.pictures("{}.png").add("a.csv", as_csv(rows()))
    with pytest.raises(InputError, match="has no LoRA"):
        old.imported()


def test_the_contests_alpha_is_taken_where_nobody_says_one(entry):
    _, story, notes = entry.read()
    assert (story.train.rank, story.train.alpha, story.render.lora_strength) == (4, 2.0, 1.0)
    assert {"train.alpha", "render.noise"} <= {one.field for one in notes.guesses}
    assert story.render.noise == "cuda-float16", "what both readers of DiffSynth's keys do"


def test_what_a_lora_is_cannot_be_set(old):
    old.lora("kohya", "猫.safetensors").pictures("{}.png").add("a.csv", as_csv(rows()))
    for setting in (f"train.alpha={ALPHA * 2}", "train.rank=8"):
        with pytest.raises(InputError, match="--set cannot change what it is"):
            old.imported(settings=[setting])
    with pytest.raises(StoryError, match=r"render\.sampler"):
        old.imported(settings=["render.sampler=magic"])


def test_jpegs_and_other_pictures(old):
    old.lora("kohya", "猫.safetensors").pictures("作品/{}.jpg").add("提示词.csv", as_csv(rows()))
    bundle = Path(old.imported()["bundle"])
    assert findings(bundle, "fail") == []
    with Image.open(bundle / "images/01.png") as made, Image.open(old.folder / "作品/1.jpg") as given:
        assert made.format == "PNG" and np.array_equal(np.asarray(made), np.asarray(given.convert("RGB")))


@pytest.mark.parametrize(
    ("size", "said"), [((72, 64), "different sizes"), ((100, 100), "were scaled or cut"), ((32, 32), "were scaled")]
)
def test_pictures_that_no_story_draws(entry, size, said):
    for number in range(1, 2 if size == (72, 64) else 9):
        Image.effect_noise(size, 90).save(entry.folder / f"作品/{number}.png")
    with pytest.raises(InputError, match=said):
        entry.imported()


def test_a_lora_of_kolors_whose_base_is_not_here(old):
    from kolors_submit.bundle.lora import kohya_key

    down, up = np.zeros((2, 640), np.float32) + 0.1, np.zeros((640, 2), np.float32) + 0.1
    tensors = {}
    for half, value in (("A", down), ("B", up)):
        tensors[kohya_key(f"blocks.41.transformer_blocks.0.attn1.to_q.lora_{half}.default.weight")] = value
    name = next(iter(tensors)).removesuffix(".lora_down.weight")
    tensors[f"{name}.alpha"] = np.array(2.0, np.float32)
    old.pictures("{}.png").add("a.csv", as_csv(rows())).add("猫.safetensors", save(tensors))
    value = old.imported(base="auto")
    bundle = Path(value["bundle"])
    assert json.loads((bundle / "train.json").read_text())["base"] == {"name": "kolors", "digest": None}
    assert "weights fetch" in value["absent"]["scores.json"] and not (bundle / "scores.json").exists()
    assert findings(bundle, "fail") == []
    assert any("have not been scored" in one for one in findings(bundle, "warn"))


def test_the_entry_itself_is_no_place_for_the_bundle(entry, monkeypatch, capsys):
    with pytest.raises(InputError, match="choose another folder"):
        entry.imported(out=entry.folder.parent)
    with pytest.raises(InputError, match="lies inside the entry"):
        entry.imported(out=entry.folder / "imported")
    before = sorted(entry.folder.rglob("*"))
    monkeypatch.chdir(entry.folder)
    assert cli.run(["import", ".", "--base", str(entry.base)]) == 2
    assert "imports/旧作品, which lies inside the entry" in capsys.readouterr().err
    assert sorted(entry.folder.rglob("*")) == before


def test_entries_of_one_name_do_not_replace_each_other(entry, tmp_path, monkeypatch, capsys):
    words = ["--base", str(entry.base), "--device", "cpu", "--noise", "cpu-float32"]
    monkeypatch.chdir(tmp_path)
    for team in ("team1", "team2"):
        (tmp_path / team).mkdir()
        zip_of(entry.folder, tmp_path / team / "bundle.zip", None)
    assert cli.run(["import", "team1/bundle.zip", *words, "--set", "title=改好的"]) == 0
    story = tmp_path / "imports/bundle/bundle/story.yaml"
    assert "改好的" in story.read_text("utf-8")
    capsys.readouterr()
    assert cli.run(["import", "team2/bundle.zip", *words]) == 2
    assert "holds the results of another entry" in (said := capsys.readouterr().err) and "--out" in said
    assert "改好的" in story.read_text("utf-8")
    assert cli.run(["import", "team2/bundle.zip", *words, "--out", "second"]) == 0
    assert cli.run(["import", "team1/bundle.zip", *words]) == 0, "the same entry again"
    assert "改好的" not in story.read_text("utf-8")


@pytest.mark.parametrize("where", HUBS)
def test_another_version_of_a_repository_is_another_entry(hub, entry, where):
    files = {str(p.relative_to(entry.folder)): p.read_bytes() for p in entry.folder.rglob("*.*")}
    hub.repositories["alice/Old-Cat"] = Stored(files, tags={"v1"})
    entry.imported(source=f"{where}:alice/Old-Cat@v1")
    with pytest.raises(InputError, match="another entry"):
        entry.imported(source=f"{where}:alice/Old-Cat")


def test_a_long_chinese_name_is_a_folders_name(entry, tmp_path, monkeypatch):
    path = zip_of(entry.folder, tmp_path / f"{'雨' * 80}.zip", None)
    monkeypatch.chdir(tmp_path)
    bundle = Path(entry.imported(source=path, out=None)["bundle"])
    assert bundle.parent == Path("imports") / ("雨" * 66)


def test_a_device_that_is_not_here_is_said_before_anything_is_replaced(entry, bundle, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    before = {path: path.read_bytes() for path in bundle.parent.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="--device cuda"):
        entry.imported(device="cuda")
    assert {path: path.read_bytes() for path in bundle.parent.rglob("*") if path.is_file()} == before


def test_a_second_import_scores_its_own_pictures_alone(entry):
    """Nine panels, and then eight into the same folder: what is left of the ninth has no part in the mean."""
    shutil.copyfile(entry.folder / "作品/1.png", entry.folder / "作品/9.png")
    table = rows()
    entry.add("提示词.csv", as_csv([*table, ["图片9", *table[1][1:]]]))
    first = Path(entry.imported()["bundle"])
    assert len(json.loads((first / "scores.json").read_text())["panels"]) == 9
    (entry.folder / "作品/9.png").unlink()
    entry.add("提示词.csv", as_csv(table))
    again, fresh = (Path(entry.imported(out=out)["bundle"]) for out in (first.parent, first.parent.parent / "fresh"))
    assert again == first and (again / "scores.json").read_bytes() == (fresh / "scores.json").read_bytes()
    assert findings(again, "fail") == []


def with_alpha(old, alpha: float):
    """An entry whose LoRA has kohya's keys and this alpha in every layer."""
    tensors = load_file(old.rendered / "train/lora.safetensors")
    for key in tensors:
        if key.endswith(".alpha"):
            tensors[key] = np.array(alpha, tensors[key].dtype)
    return old.add("猫.safetensors", save(tensors)).pictures("{}.png").add("a.csv", as_csv(rows()))


def test_a_lora_with_alpha_zero_changes_nothing(old):
    for workflows in (False, True):  # which say at which strength it was used
        entry = with_alpha(old, 0.0)
        if workflows:
            entry.contest_workflows("{}.json")
        with pytest.raises(InputError, match=r"猫\.safetensors has alpha 0, so it changes nothing"):
            entry.read()


def test_an_alpha_below_zero_is_a_strength_below_zero(old):
    """What is multiplied is the same; a story's alpha is positive."""
    entry = with_alpha(old, -ALPHA)
    origin, story, _ = entry.read()
    assert (story.train.alpha, story.render.lora_strength) == (ALPHA, -1.0)
    assert {module.alpha for module in origin.lora.lora.modules.values()} == {-ALPHA}
    bundle = Path(entry.imported()["bundle"])
    assert findings(bundle, "fail") == [] and load_story(bundle / "story.yaml").train.alpha == ALPHA
    (written,) = (path for path in (bundle / "lora").glob("*.safetensors") if "diffusers" not in path.name)
    assert {float(value) for key, value in load_file(written).items() if key.endswith(".alpha")} == {ALPHA}


@pytest.mark.parametrize(("said", "alpha", "strength"), [(-2.0, 2.0, -1.0), (-1.5, 1.5, -1.0), (0.0, 2.0, 0.0)])
def test_a_lora_alpha_that_no_story_has(old, said, alpha, strength):
    old.lora("diffsynth", "猫.ckpt").pictures("{}.png")
    for number in range(1, 9):
        nodes = graph.prompt(comfyui.contest(shot(number), ALPHA))
        next(one for one in nodes.values() if one["class_type"] == "LoadKolorsLoRA")["inputs"]["lora_alpha"] = float(
            said
        )
        old.add(f"{number}.json", json.dumps(nodes))
    _, story, _ = old.read()
    assert (story.train.alpha, story.render.lora_strength) == (alpha, strength)


def test_a_zip_of_a_version_that_is_not_known(entry, tmp_path):
    path = zip_of(entry.folder, tmp_path / "entry.zip", None)
    data = bytearray(path.read_bytes())
    for place in [at for at in range(len(data) - 4) if data[at : at + 4] == b"PK\1\2"]:
        data[place + 6] = 99  # needs version 9.9 to be unpacked
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"zip file version 9\.9"):
        entry.imported(source=path)


def test_the_command_that_card_and_page_print(old, tmp_path, monkeypatch):
    """Run as it is printed, in the bundle's folder; the tiny base stands for the one that comes with the program."""
    for module in ("export.formats", "importing.lora", "weights.find"):
        monkeypatch.setattr(f"kolors_submit.{module}.PICTUREBOOK", old.base)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    old.lora("kohya", "lora.safetensors").pictures(texts=("prompt", "workflow"))
    bundle = Path(old.imported(base="picturebook")["bundle"])
    words = printed(bundle)
    assert words == ["reproduce", ".", "--out", "../reproduction"]
    monkeypatch.chdir(bundle)
    assert cli.run([*words, "--panels", "2"]) == 0
    assert json.loads((bundle.parent / "reproduction/reproduction.json").read_text())["verdict"] == "identical"


def test_the_command_line(entry, tmp_path, capsys):
    words = ["import", str(entry.folder), "--base", str(entry.base), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert cli.run([*words, "--noise", "cpu-float32", "--set", "panels.3.seed=7", "--json"]) == 0
    heard = capsys.readouterr()
    value = json.loads(heard.out)
    assert value["verb"] == "import" and value["outputs"] == {"bundle": str(tmp_path / "out/bundle")}
    fields = {one["field"] for one in value["metrics"]["guessed"]}
    assert fields == {"train.alpha", "render.steps", "render.guidance_scale", "render.sampler"}
    assert "render.steps" in heard.err and "no data.json" in heard.err
    assert load_story(tmp_path / "out/bundle/story.yaml").panels[2].seed == 7
    assert cli.run(["import", "nothing-there"]) == 2
    assert cli.run([*words, "--images", "nowhere"]) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["s-step=100.ckpt", "s-step=1000.ckpt", "s-step=500.ckpt"], "stages of one training, of which s-step=1000"),
        (["e1-s300.ckpt", "e2-s200.ckpt"], "count in several ways, so which of them is the last is not clear"),
        (["e1-s200.ckpt", "e2-s300.ckpt"], "of which e2-s300.ckpt is the last"),
        (["a-1.ckpt", "b-2.ckpt"], "a-1.ckpt, b-2.ckpt; name one with --lora"),
    ],
)
def test_stages_of_one_training_are_told_from_other_loras(names, said):
    with pytest.raises(InputError, match=re.escape(said)):
        choose(names, [], None)


def test_what_needs_no_import_is_said(bundle, tmp_path):
    request = Request(str(bundle), out=tmp_path / "again")
    with pytest.raises(InputError, match="is a bundle of this program already; .*reproduce .* takes it as it is"):
        import_entry(request, quiet())
    zipped = archive.write_zip(bundle, tmp_path / "bundle.zip")
    with pytest.raises(InputError, match=r"bundle\.zip is a bundle of this program already"):
        import_entry(Request(str(zipped), out=tmp_path / "again"), quiet())
    (tmp_path / "run/stages").mkdir(parents=True)
    with pytest.raises(InputError, match="is a run folder of this program; `kolors-submit check .*run/bundle`"):
        import_entry(Request(str(tmp_path / "run"), out=tmp_path / "again"), quiet())


def test_no_two_folders_have_one_name(tmp_path):
    for version in ("rain-1.1", "rain-1.2"):
        (tmp_path / version).mkdir()
        assert name_of(parse(str(tmp_path / version))) == version
    (tmp_path / "rain.zip").touch()
    assert name_of(parse(str(tmp_path / "rain.zip"))) == "rain"
    assert name_of(parse("modelscope:alice/Old-Cat")) == "Old-Cat"


def test_what_to_expect_of_this_device():
    assert on_this_device("float32", "cpu-float32", "cuda") is None
    assert "come out equivalent rather than identical" in on_this_device("bfloat16", "cuda-float16", "cuda")
    assert "--device cuda" in on_this_device("float16", "cpu-float32", "cuda")
    assert "only a machine with a CUDA device" in on_this_device("float32", "cuda-float16", "cpu")
    assert on_this_device("bfloat16", "cpu-float32", "cpu") is None


def test_a_log_that_cannot_be_used_is_left_out_with_a_word(entry):
    (entry.folder / "train_log.txt").write_text("\x1b[32mstep 1\x1b[0m")
    (entry.folder / "long.txt").write_text("x" * 1_000_001)
    value = entry.imported()
    said = " ".join(value["remarks"])
    assert "train_log.txt is not used: train_log.txt holds the control character '\\x1b'" in said
    assert "long.txt is not used: long.txt is larger than 1,000,000 bytes" in said


def test_a_broken_table_stops_an_import_only_if_it_has_the_prompts(entry):
    (entry.folder / "loss.csv").write_text('step,loss\n1,"0.5" broken\n')
    said = " ".join(entry.imported()["remarks"])
    assert "loss.csv is not used: loss.csv is not a table: ',' expected after '\"'" in said
    (entry.folder / "more.csv").write_text('file,"prompt"\n1.png,"a cat" broken\n')
    with pytest.raises(InputError, match="more.csv is not a table"):
        entry.imported()
