"""What the picture-book base shows, in figures: `python bench/picturebook.py --base DIR --readers DIR`.

On prompts whose combinations of hair, clothes, place and animal no training has seen, it prints how often a classifier
(trained on drawn pictures alone) reads what the prompt said, for generated and for drawn pictures and for chance; how
far two seeds of one prompt lie apart; how near the nearest training picture is; the VAE's PSNR; and whether the
predictor follows the quality function. All of it is written to bench/results/picturebook.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from random import Random

import numpy as np
import torch
from readings import READ, known, scores

from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample_held_out
from kolors_submit.picturebook.paint import draw
from kolors_submit.picturebook.pretrain import classifier, damage, sampling
from kolors_submit.picturebook.pretrain.dataset import open_set, scene_at
from kolors_submit.picturebook.pretrain.loop import generator, pieces
from kolors_submit.picturebook.pretrain.reader import ATTRIBUTES, Reader, attribute_reader
from kolors_submit.picturebook.pretrain.unet import save_sheet
from kolors_submit.picturebook.scenes import Scene
from kolors_submit.picturebook.styles import STYLES

Figures = dict[str, object]


def main() -> None:
    options = _options()
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = sampling.load(options.base, where)
    reader = classifier.load(options.readers / "reader-attributes.safetensors", attribute_reader(), where)
    began = time.monotonic()
    figures: Figures = {"device": str(where), "prompts": options.count, "steps": options.steps}
    rng = Random(options.seed)
    singles = _scenes(rng, options.count, people=1)
    pairs = _scenes(rng, options.count // 4, people=2)
    prompts = [caption(scene, rng, "zh" if i % 2 else "en", complete=True) for i, scene in enumerate(singles)]
    made = _generate(base, prompts, options.steps, 0)
    figures["attributes"] = _attributes(reader, singles, made, where)
    figures["two_people"] = _two_people(base, reader, pairs, rng, options.steps)
    figures["seeds"] = _seeds(base, singles[:40], prompts[:40], made[:40], options.steps)
    figures["nearest"] = _nearest(made, options.training, options.data)
    figures["vae_psnr_db"] = _vae(base, options.drawn)
    figures["predictor"] = _predictor(base, options.base / "predictor", made, prompts, options.drawn)
    figures["seconds"] = round(time.monotonic() - began, 1)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "picturebook.json").write_text(json.dumps(figures, indent=2) + "\n")
    save_sheet(options.out / "picturebook.png", _floats(made[:32]), 8)
    print(json.dumps(figures, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    package = Path(__file__).parents[1] / "kolors_submit" / "picturebook" / "base"
    parser.add_argument("--base", type=Path, default=package)
    parser.add_argument("--readers", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--count", type=int, default=400, help="prompts with one person; a quarter as many with two")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--drawn", type=int, default=200, help="drawn pictures for VAE and predictor")
    parser.add_argument("--training", type=int, default=2000, help="training pictures to compare with")
    parser.add_argument("--data", type=Path, help="where `pretrain data` drew them; without it they are drawn again")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def _scenes(rng: Random, count: int, people: int) -> list[Scene]:
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = sample_held_out(rng)
        if len(scene.people) == people:
            scenes.append(scene)
    return scenes


def _generate(base: sampling.Base, prompts: Sequence[str], steps: int, first_seed: int) -> torch.Tensor:
    """Pictures (count, h, w, 3) uint8 on the CPU."""
    side = 8 * 32
    start = sampling.noise(range(first_seed, first_seed + len(prompts)), side)
    latents = sampling.latents_for(base, prompts, start, steps, batch=200 if base.device.type == "cuda" else 8)
    pictures = sampling.decode(base, latents, batch=50 if base.device.type == "cuda" else 4)
    return (pictures.permute(0, 2, 3, 1) * 255).round().byte().cpu()


def _drawn(scenes: Sequence[Scene], style: str = "plain") -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(draw(scene, style=style)) for scene in scenes]))


def _attributes(reader: Reader, scenes: list[Scene], made: torch.Tensor, where: torch.device) -> Figures:
    """Accuracy of each attribute on generated and on drawn pictures, and what always naming the commonest gives."""
    answers = known(scenes, where)
    generated = classifier.accuracy(reader, made, answers, where)
    drawn = classifier.accuracy(reader, _drawn(scenes), answers, where)
    table = {}
    for name, head in (READ | {"pose": "pose"}).items():
        told = answers[head][answers[head] >= 0]
        chance = float(told.bincount().max() / len(told))
        table[name] = {"generated": generated[head], "drawn": drawn[head], "chance": chance}
    five = [table[name]["generated"] for name in READ]
    return {**table, "mean_of_five": sum(five) / 5}


def _two_people(base: sampling.Base, reader: Reader, scenes: list[Scene], rng: Random, steps: int) -> Figures:
    """How often hair and clothes colours belong together as the prompt says, whoever stands at the left."""
    prompts = [caption(scene, rng, "zh" if i % 2 else "en", complete=True) for i, scene in enumerate(scenes)]
    made = _generate(base, prompts, steps, 10_000)
    shuffled = Random(1)
    other = scenes[:]
    shuffled.shuffle(other)
    return {
        "generated": _bound(reader, scenes, made, base.device),
        "drawn": _bound(reader, scenes, _drawn(scenes), base.device),
        "chance": _bound(reader, other, made, base.device),
    }


def _bound(reader: Reader, scenes: list[Scene], pictures: torch.Tensor, where: torch.device) -> float:
    found = {head: values.tolist() for head, values in classifier.read(reader, pictures, where).items()}
    right = 0
    for i, scene in enumerate(scenes):
        read = [(found[f"hair_{side}"][i], found[f"clothes_{side}"][i]) for side in ("left", "right")]
        told = [
            (ATTRIBUTES["hair_left"].index(one.hair_colour), ATTRIBUTES["clothes_left"].index(one.clothes_colour))
            for one in scene.people
        ]
        right += max(sum(a == b for x, y in zip(told, order, strict=True) for a, b in zip(x, y, strict=True))
                     for order in permutations(read))  # fmt: skip
    return right / (4 * len(scenes))


def _seeds(base: sampling.Base, scenes: list[Scene], prompts: list[str], first: torch.Tensor, steps: int) -> Figures:
    """Mean absolute difference of pixels (0..1) between two seeds of one prompt.

    Its limit is the least between two drawings of one prompt, where the seed decides what no word names: a close view
    in a room leaves a painter little to choose either.
    """
    generated = _differences(first, _generate(base, prompts, steps, 20_000))
    again = [dataclasses.replace(scene, seed=scene.seed + 1) for scene in scenes]
    drawn = _differences(_drawn(scenes), _drawn(again))
    limit, least = float(drawn.min()), float(generated.min())
    return {
        "mean": float(generated.mean()),
        "least": least,
        "drawn_mean": float(drawn.mean()),
        "limit": limit,
        "holds": least > limit,
    }


def _differences(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (_floats(first) - _floats(second)).abs().mean((1, 2, 3))


def _nearest(made: torch.Tensor, count: int, data: Path | None) -> Figures:
    """Root mean square distance (0..1, at 32x32) to the nearest training picture.

    Beside it: that of training pictures to each other, and of freshly drawn held-out pictures to training.
    """
    if data:
        images = open_set(data, "plain").images
        count = len(images)
        training = torch.cat([_small(torch.from_numpy(np.array(images[piece]))) for piece in pieces(count, 1024)])
    else:
        training = _small(_drawn([scene_at("plain", i) for i in range(count)]))
    rng = Random(99)
    fresh = _small(_drawn([sample_held_out(rng) for _ in range(min(100, count))]))
    some = training[:200]
    among = torch.cdist(some, training)
    among[torch.arange(len(some)), torch.arange(len(some))] = float("inf")
    scale = some.shape[1] ** 0.5
    values = {
        "generated": torch.cdist(_small(made), training).min(1).values,
        "training": among.min(1).values,
        "drawn_held_out": torch.cdist(fresh, training).min(1).values,
    }
    table = {name: float(value.median() / scale) for name, value in values.items()}
    return {**table, "least_generated": float(values["generated"].min() / scale), "training_pictures": count}


def _small(pictures: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.adaptive_avg_pool2d(_floats(pictures), 32).flatten(1)


def _floats(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def _vae(base: sampling.Base, count: int) -> dict[str, float]:
    """Mean PSNR through 8-bit pixels, by style, on held-out scenes."""
    rng, table = Random(5), {}
    for style in STYLES:
        pictures = _drawn([sample_held_out(rng) for _ in range(count if style == "plain" else count // 4)], style)
        values = []
        for one in pictures.split(16):
            picture = _floats(one).to(base.device)
            rebuilt = sampling.decode(base, base.encoder(picture * 2 - 1))
            error = ((rebuilt * 255).round() - picture * 255).square().mean((1, 2, 3))
            values.append(10 * torch.log10(255.0**2 / error.clamp(min=1e-6)))
        table[style] = float(torch.cat(values).mean())
    return table


def _predictor(base: sampling.Base, folder: Path, made: torch.Tensor, prompts: list[str], count: int) -> Figures:
    """Spearman's rank correlation with the quality function, damaged twins, and generated pictures."""
    rng = Random(11)
    pictures = torch.cat([_floats(_drawn([sample_held_out(rng)], rng.choice(STYLES))) for _ in range(count)])
    good = damage.goodness(pictures)
    score = scores(folder, pictures, base.device)
    said, true, below = [score], [good], {}
    for number, kind in enumerate(damage.WEIGHTS):
        source = generator(1234, number)
        severity = torch.rand(count, generator=source)
        twin = scores(folder, damage.damaged(pictures, kind, severity, source), base.device)
        below[kind] = float((twin < score).float().mean())
        said.append(twin)
        true.append(damage.quality(good, kind, severity))
    few = _generate(base, prompts[:40], 3, 30_000)
    full, few_scores = scores(folder, _floats(made), base.device), scores(folder, _floats(few), base.device)
    return {
        "spearman": _spearman(torch.cat(said), torch.cat(true)),
        "twin_below_original": below,
        "drawn": _summary(score),
        "generated": _summary(full),
        "three_steps": _summary(few_scores),
    }


def _summary(scores: torch.Tensor) -> dict[str, float]:
    return {"mean": float(scores.mean()), "least": float(scores.min()), "greatest": float(scores.max())}


def _spearman(one: torch.Tensor, other: torch.Tensor) -> float:
    ranks = torch.stack([one.argsort().argsort(), other.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


if __name__ == "__main__":
    main()
