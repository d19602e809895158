"""Trains the two readers on drawn pictures alone: attributes on plain and styled ones, styles on the mix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from kolors_submit.picturebook.pretrain.dataset import open_set, scene_at, style_at
from kolors_submit.picturebook.pretrain.loop import Run, Training, compile_for, device, generator, half
from kolors_submit.picturebook.pretrain.reader import ATTRIBUTES, Reader, attribute_reader, labels, style_reader
from kolors_submit.picturebook.styles import STYLES

KEPT = 0.05  # the share of drawn pictures kept for measuring


def train(run: Run) -> bool:
    """Train both readers; True when both are done. Prints their accuracy on drawn pictures they never saw."""
    where = device()
    torch.manual_seed(run.seed)
    plain, mix = open_set(run.out, "plain"), open_set(run.out, "mix")
    count = min(plain.count, 40_000)
    classes = [labels(scene_at("plain", i)) for i in range(count)]
    classes += [labels(scene_at("mix", i)) for i in range(mix.count)]
    order = np.random.default_rng(run.seed).permutation(len(classes))
    known = {name: torch.tensor([classes[i][name] for i in order]) for name in ATTRIBUTES}
    images = np.concatenate([plain.images[:count], mix.images])[order]
    if not _train("attributes", attribute_reader(), images, known, run, where):
        return False
    styles = {"style": torch.tensor([STYLES.index(style_at("mix", i)) for i in range(mix.count)])}
    return _train("style", style_reader(len(STYLES)), mix.images, styles, replace(run, steps=run.steps // 3), where)


def _train(
    name: str, reader: Reader, images: np.ndarray, known: dict[str, torch.Tensor], run: Run, where: torch.device
) -> bool:
    pictures = torch.from_numpy(np.ascontiguousarray(images)).to(where)
    known = {head: values.to(where) for head, values in known.items()}
    training_count = int(len(pictures) * (1 - KEPT))
    training = Training(f"reader-{name}", reader, run, where)
    forward = compile_for(run, reader)

    def loss(step: int) -> torch.Tensor:
        source = generator(run.seed, step, where)
        chosen = torch.randint(training_count, (run.batch,), generator=source, device=where)
        picture = roughened(pictures[chosen].permute(0, 3, 1, 2).float() / 255, source)
        with half(where):
            scores = forward(picture)
        # Heads whose labels are all unread in a batch would divide by nothing.
        losses = [
            functional.cross_entropy(scores[head].float(), values[chosen], reduction="sum")
            / (values[chosen] >= 0).sum().clamp(min=1)
            for head, values in known.items()
        ]
        return torch.stack(losses).mean()

    finished = training.steps(loss)
    if finished:
        trained: Reader = training.use_average()  # type: ignore[assignment]
        kept = {head: values[training_count:] for head, values in known.items()}
        right = accuracy(trained, pictures[training_count:], kept, where)
        print(f"{name}: " + "  ".join(f"{head} {share:.3f}" for head, share in right.items()), flush=True)
        save(run.out / f"reader-{name}.safetensors", trained)
    return finished


def roughened(picture: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Pictures with a little noise, blur and change of light, as generated ones have."""
    count, where = len(picture), picture.device
    strength = torch.rand((count, 3, 1, 1, 1), generator=source, device=where)
    blurred = functional.avg_pool2d(functional.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
    picture = torch.lerp(picture, blurred, strength[:, 0])
    picture = picture * (0.94 + 0.12 * strength[:, 1])
    noise = torch.randn(picture.shape, generator=source, device=where)
    return (picture + noise * 0.05 * strength[:, 2].square()).clamp(0, 1)


@torch.no_grad()
def read(reader: Reader, pictures: torch.Tensor, where: torch.device) -> dict[str, torch.Tensor]:
    """The most likely class of each head for pictures (count, h, w, 3) uint8."""
    found: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(pictures), 128):
        scores = reader(pictures[start : start + 128].to(where).permute(0, 3, 1, 2).float() / 255)
        for head, value in scores.items():
            found.setdefault(head, []).append(value.argmax(1))
    return {head: torch.cat(values) for head, values in found.items()}


def accuracy(
    reader: Reader, pictures: torch.Tensor, known: dict[str, torch.Tensor], where: torch.device
) -> dict[str, float]:
    """The share read rightly, of those that can be read."""
    found = read(reader, pictures, where)
    return {
        head: float((found[head] == values)[values >= 0].float().mean()) if (values >= 0).any() else float("nan")
        for head, values in known.items()
    }


def save(path: Path, reader: Reader) -> None:
    """Write a reader's weights in half precision."""
    from safetensors.torch import save_file

    save_file({name: value.half().contiguous().cpu() for name, value in reader.state_dict().items()}, path)


def load(path: Path, reader: Reader, where: torch.device) -> Reader:
    """Read a reader's weights."""
    from safetensors.torch import load_file

    reader.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return reader.to(where).eval().requires_grad_(False)
