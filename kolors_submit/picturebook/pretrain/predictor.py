"""Trains the aesthetics predictor: a small CLIP vision tower with the official linear head.

It learns the quality function of `damage` from drawings of all styles, their damaged twins, and what the base makes:
in all its steps (good), in a few (bad), and from noise that was never denoised (bad).
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample_training
from kolors_submit.picturebook.pretrain import damage
from kolors_submit.picturebook.pretrain.dataset import open_set
from kolors_submit.picturebook.pretrain.loop import Run, Training, compile_for, device, generator, half, pieces, write
from kolors_submit.picturebook.pretrain.sampling import Base, decode, latents_for, noise

if TYPE_CHECKING:
    from aesthetics_predictor import AestheticsPredictorV2Linear

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's own normalisation
STD = (0.26862954, 0.26130258, 0.27577711)
GENERATED_SHARE = 0.25  # of a batch
PAIR_WEIGHT = 0.5
MARGIN = 0.3


def build(config: dict[str, Any]) -> AestheticsPredictorV2Linear:
    """The official predictor class on a tower of the config's widths, its scores starting near 5."""
    from aesthetics_predictor import AestheticsPredictorV2Linear
    from transformers.models.clip.configuration_clip import CLIPVisionConfig

    model = AestheticsPredictorV2Linear(CLIPVisionConfig(**config))
    torch.nn.init.constant_(model.layers[-1].bias, 5.0)
    return model


class Scorer(torch.nn.Module):
    """The predictor's own forward without its in-place division, which has no gradient."""

    def __init__(self, model: AestheticsPredictorV2Linear) -> None:
        super().__init__()
        self.model = model

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Scores (count,) of normalised pixels (count, 3, size, size)."""
        embeds = self.model.visual_projection(self.model.vision_model(pixel_values=values).pooler_output)
        return self.model.layers(embeds / embeds.norm(dim=-1, keepdim=True))[:, 0]


def pixels(picture: torch.Tensor, size: int) -> torch.Tensor:
    """Pictures (count, 3, h, w) in 0..1 as the CLIP processor makes them: bicubic to `size`, 8 bits, normalised."""
    small = functional.interpolate(picture, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    small = (small.clamp(0, 1) * 255).round() / 255
    mean, std = (small.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (small - mean) / std


def train(run: Run, base: Base, generated: int) -> bool:
    """Train the predictor; True when all steps are done. `generated` pictures of each kind come from the base."""
    where = device()
    made, worth = _generated(run, base, generated)
    torch.manual_seed(run.seed)
    images = torch.from_numpy(np.ascontiguousarray(open_set(run.out, "mix").images)).to(where)
    network = Scorer(build(run.sizes.predictor))
    training = Training("predictor", network, run, where)
    forward = compile_for(run, network)
    made_count = max(1, int(run.batch * GENERATED_SHARE))
    pairs = (run.batch - made_count) // 2

    def loss(step: int) -> torch.Tensor:
        torch.manual_seed(run.seed * 1_000_003 + step)  # the head's dropout draws from the global generator
        source = generator(run.seed, step, where)
        chosen = torch.randint(len(images), (pairs,), generator=source, device=where)
        picture = _flipped(images[chosen].permute(0, 3, 1, 2).float() / 255, source)
        good = damage.goodness(picture)
        twin, left = _twins(picture, good, source)
        other = torch.randint(len(made), (made_count,), generator=source, device=where)
        batch = torch.cat([picture, twin, made[other].permute(0, 3, 1, 2).float() / 255])
        target = torch.cat([good, left, worth[other]])
        with half(where):
            score = forward(pixels(batch, run.sizes.predictor["image_size"])).float()
        behind = functional.relu(MARGIN - (score[:pairs] - score[pairs : 2 * pairs]))
        return functional.smooth_l1_loss(score, target) + PAIR_WEIGHT * behind.mean()

    return training.steps(loss)


def _flipped(picture: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    turn = torch.rand((len(picture), 1, 1, 1), generator=source, device=picture.device) < 0.5
    return torch.where(turn, picture.flip(3), picture)


def _twins(picture: torch.Tensor, good: torch.Tensor, source: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A damaged twin of each picture, and what it is still worth; the batch is split among the kinds."""
    severity = torch.rand(len(picture), generator=source, device=picture.device)
    twins, left = [], []
    kinds = list(damage.WEIGHTS)
    share = -(-len(picture) // len(kinds))
    for kind, piece in zip(kinds, pieces(len(picture), share), strict=False):
        twins.append(damage.damaged(picture[piece], kind, severity[piece], source))
        left.append(damage.quality(good[piece], kind, severity[piece]))
    return torch.cat(twins), torch.cat(left)


def _generated(run: Run, base: Base, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (some, h, w, 3) uint8 that the base makes, and their worth: in all steps, in few, from nothing."""
    cache = run.out / "generated.pt"
    if not cache.exists():
        rng, side = Random(run.seed), run.sizes.side
        prompts = [caption(sample_training(rng), rng, "zh" if i % 2 else "en") for i in range(count)]
        images, worth = [], []
        full = _pictures(base, latents_for(base, prompts, noise(range(count), side)))
        images.append(full)
        worth.append(damage.goodness(full.permute(0, 3, 1, 2).float() / 255))
        for steps in damage.FEW_STEPS:
            few = _pictures(
                base, latents_for(base, prompts, noise(range(steps * count, (steps + 1) * count), side), steps)
            )
            images.append(few)
            worth.append(torch.full((len(few),), damage.few_steps_quality(steps), device=base.device))
        for share in (1.0, 0.6, 0.3):
            start = noise(range(count), side).to(base.device)
            broken = _pictures(base, start * share + _encoded(base, full) * (1 - share))
            images.append(broken)
            worth.append(torch.full((len(broken),), 0.5 + 3 * (1 - share), device=base.device))
        write(cache, (torch.cat(images).cpu(), torch.cat(worth).cpu()))
        print(f"predictor: {sum(map(len, images))} pictures made by the base", flush=True)
    made, value = torch.load(cache, weights_only=True)
    return made.to(base.device), value.to(base.device)


def _pictures(base: Base, latents: torch.Tensor) -> torch.Tensor:
    return (decode(base, latents).permute(0, 2, 3, 1) * 255).round().byte()


@torch.no_grad()
def _encoded(base: Base, images: torch.Tensor) -> torch.Tensor:
    parts = [base.encoder(images[piece].permute(0, 3, 1, 2).float() / 127.5 - 1) for piece in pieces(len(images), 32)]
    return torch.cat(parts)


def save(model: AestheticsPredictorV2Linear, folder: Path) -> None:
    """Write the predictor, a CLIP processor and a byte-level tokenizer that `from_pretrained` loads."""
    import json

    from transformers import CLIPImageProcessor, CLIPProcessor, CLIPTokenizer
    from transformers.models.clip.tokenization_clip import bytes_to_unicode

    folder.mkdir(parents=True, exist_ok=True)
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    size = model.config.image_size
    images = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    words_of = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    CLIPProcessor(images, words_of).save_pretrained(folder)
    model.half().save_pretrained(folder, safe_serialization=True)
