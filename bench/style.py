"""What a LoRA does on the picture-book base: `python bench/style.py watercolor=runs/watercolor/picturebook …`.

For each run folder named, it draws held-out prompts with the run's LoRA at strengths 0, 0.5 and 1, and prints how often
a style classifier calls them by the style's name, how often the attribute classifier reads what the prompt said (both
trained on drawn pictures alone), and what the attribute classifier reads in the run's own panels, misses by name.
All of it is written to bench/results/style.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from readings import READ, known

from kolors_submit.engine.lora import merge
from kolors_submit.engine.lora_files import read as read_lora
from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample_held_out
from kolors_submit.picturebook.paint import draw
from kolors_submit.picturebook.pretrain import classifier, sampling
from kolors_submit.picturebook.pretrain.reader import ATTRIBUTES, Reader, attribute_reader, style_reader
from kolors_submit.picturebook.samples import STYLE_WORDS
from kolors_submit.picturebook.scenes import Scene
from kolors_submit.picturebook.styles import STYLES

HERE = Path(__file__).parent
STRENGTHS = (0.0, 0.5, 1.0)
# What each panel of the shipped stories says: place, time, animal, pose; hair and clothes are the first person's.
STORIES = {
    "watercolor": ("red", "blue", [
        ("room", "morning", "none", "reading"), ("classroom", "noon", "none", "standing"),
        ("lake", "noon", "none", "painting"), ("road", "noon", "cat", "walking"), ("town", "sunset", "cat", "walking"),
        ("forest", "night", "cat", "walking"), ("cherry trees", "morning", "none", "talking"),
        ("room", "night", "cat", "sleeping")]),
    "ink": ("black", "green", [
        ("room", "night", "none", "reading"), ("road", "morning", "horse", "riding"),
        ("lake", "noon", "none", "standing"), ("lake", "noon", "none", "standing"),
        ("forest", "night", "none", "walking"), ("temple", "morning", "none", "talking"),
        ("mountains", "noon", "none", "painting"), ("cherry trees", "sunset", "dog", "walking")]),
    "storybook-en": ("golden", "red", [
        ("classroom", "noon", "none", "reading"), ("town", "sunset", "dog", "walking"),
        ("town", "sunset", "none", "talking"), ("forest", "night", "dog", "walking"),
        ("lake", "night", "none", "standing"), ("mountains", "morning", "dog", "walking"),
        ("road", "morning", "horse", "riding"), ("room", "night", "dog", "sleeping")]),
    "contest-baseline": ("black", "pink", [
        ("classroom", "morning", "none", "standing"), ("classroom", "noon", "none", "talking"),
        ("road", "sunset", "dog", "walking"), ("room", "night", "none", "reading"),
        ("town", "noon", "none", "standing"), ("lake", "sunset", "bird", "sitting"),
        ("mountains", "noon", "none", "standing"), ("cherry trees", "morning", "none", "standing")]),
}  # fmt: skip


def main() -> None:
    options = _options()
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    attributes = classifier.load(options.readers / "reader-attributes.safetensors", attribute_reader(), where)
    styles = classifier.load(options.readers / "reader-style.safetensors", style_reader(len(STYLES)), where)
    figures: dict[str, object] = {"prompts": options.count, "steps": options.steps, "device": where.type}
    for run in options.runs:
        style, folder = run.split("=", 1)
        drawn_style, _, story = style.partition("@")
        lora, panels = Path(folder) / "train/lora.safetensors", Path(folder) / "render"
        figures[style] = {
            "held_out": _held_out(drawn_style, lora, options, attributes, styles, where) if options.count else None,
            "story": _panels(story or drawn_style, drawn_style, panels, attributes, styles, where),
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "style.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(figures, indent=2, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="STYLE=RUN_FOLDER, or STYLE@STORY=RUN_FOLDER")
    parser.add_argument("--base", type=Path, default=HERE.parent / "kolors_submit/picturebook/base")
    parser.add_argument("--readers", type=Path, default=HERE / "data")
    parser.add_argument("--count", type=int, default=200, help="held-out prompts; 0: only the runs' own panels")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def _held_out(
    style: str, lora: Path, options: argparse.Namespace, attributes: Reader, styles: Reader, where: torch.device
) -> dict[str, object]:
    rng = Random(13)
    scenes: list[Scene] = []
    while len(scenes) < options.count:
        scene = sample_held_out(rng)
        if len(scene.people) == 1:
            scenes.append(scene)
    prompts = [
        caption(scene, rng, ("zh", "en")[i % 2], complete=True).rstrip("。.")
        + ("，", ", ")[i % 2]
        + STYLE_WORDS[style][i % 2]
        for i, scene in enumerate(scenes)
    ]
    answers = known(scenes, where)
    base = sampling.load(options.base, where)
    config = json.loads((options.base / "unet/config.json").read_text())
    table: dict[str, object] = {}
    merged = 0.0
    for strength in STRENGTHS:
        if strength > merged:
            merge(base.unet, read_lora(lora, config), strength - merged)
            merged = strength
        start = sampling.noise(range(len(prompts)))
        latents = sampling.latents_for(base, prompts, start, options.steps, batch=200 if where.type == "cuda" else 8)
        made = (sampling.decode(base, latents, 50 if where.type == "cuda" else 4).permute(0, 2, 3, 1) * 255).round()
        table[f"strength {strength}"] = _read(made.byte().cpu(), answers, style, attributes, styles, where)
    drawn = torch.from_numpy(np.stack([np.asarray(draw(scene, style=style)) for scene in scenes]))
    table["drawn"] = _read(drawn, answers, style, attributes, styles, where)
    return table


def _read(
    pictures: torch.Tensor,
    answers: dict[str, torch.Tensor],
    style: str,
    attributes: Reader,
    styles: Reader,
    where: torch.device,
) -> dict[str, float]:
    found = classifier.read(styles, pictures, where)["style"]
    accuracy = classifier.accuracy(attributes, pictures, answers, where)
    five = {name: accuracy[head] for name, head in READ.items()}
    share = float((found == STYLES.index(style)).float().mean())
    return {"style": share, "attributes": sum(five.values()) / 5, **five, "pose": accuracy["pose"]}


def _panels(
    story: str, style: str, folder: Path, attributes: Reader, styles: Reader, where: torch.device
) -> dict[str, object]:
    """What the readers see in a story's own panels."""
    hair, clothes, panels = STORIES[story]
    files = sorted(folder.glob("[0-9]*.png"))
    pictures = torch.stack([torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()) for path in files])
    found = {head: values.tolist() for head, values in classifier.read(attributes, pictures, where).items()}
    seen = classifier.read(styles, pictures, where)["style"].tolist()
    misses, told = [], 0
    for i, (place, time, animal, pose) in enumerate(panels):
        said = {"place": place, "time": time, "animal": animal, "pose": pose}
        two = found["people"][i] == 1
        pairs = {
            (found[f"hair_{side}"][i], found[f"clothes_{side}"][i])
            for side in (("left", "right") if two else ("left",))
        }
        person = (ATTRIBUTES["hair_left"].index(hair), ATTRIBUTES["clothes_left"].index(clothes))
        told += len(said) + 1
        if person not in pairs:
            misses.append(f"panel {i + 1}: {hair} hair and {clothes} clothes, read {sorted(pairs)}")
        for name, value in said.items():
            read = ATTRIBUTES[name][found[name][i]]
            if read != value:
                misses.append(f"panel {i + 1}: {name} {value}, read {read}")
    right = sum(index == STYLES.index(style) for index in seen) / len(seen)
    return {"style": right, "told": told, "read": told - len(misses), "misses": misses}


if __name__ == "__main__":
    main()
