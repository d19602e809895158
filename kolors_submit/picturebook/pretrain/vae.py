"""Trains the VAE on drawings of all styles: 4 latent channels, factor 8."""

from __future__ import annotations

import numpy as np
import torch
from diffsynth.models.sdxl_vae_decoder import SDXLVAEDecoder
from diffsynth.models.sdxl_vae_encoder import SDXLVAEEncoder
from torch.nn import functional

from kolors_submit.engine.architecture import build_vae_decoder, build_vae_encoder
from kolors_submit.picturebook.pretrain.dataset import open_set, style_at
from kolors_submit.picturebook.pretrain.loop import Run, Training, compile_for, device, generator, half, pieces
from kolors_submit.picturebook.pretrain.settings import Config

KL_WEIGHT = 2e-6
GRADIENT_WEIGHT = 0.5
CROP_SHARE = 0.75  # of the steps see crops of half the side: as good for the convolutions at a quarter of the cost
MEASURED = 256  # pictures for the scaling factor and the printed PSNR


class VAE(torch.nn.Module):
    """Encoder and decoder as one network to train."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        # The two classes multiply and divide by the factor; while training it is 1.
        self.encoder: SDXLVAEEncoder = build_vae_encoder({**config, "scaling_factor": 1.0})
        self.decoder: SDXLVAEDecoder = build_vae_decoder({**config, "scaling_factor": 1.0})

    def forward(self, picture: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A picture (count, 3, h, w) in -1..1 rebuilt from a sample of its latent, and the KL divergence a latent."""
        mean, log_variance = moments(self.encoder, picture)
        rebuilt = self.decoder(mean + torch.exp(0.5 * log_variance) * noise)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum((1, 2, 3)).mean()
        return rebuilt.float(), divergence


def moments(encoder: SDXLVAEEncoder, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance (count, 4, h/8, w/8): what the encoder's own forward computes, before it drops one."""
    hidden = encoder.conv_in(picture)
    for block in encoder.blocks:
        hidden = block(hidden, None, None, None)[0]
    hidden = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(hidden)))
    mean, log_variance = encoder.quant_conv(hidden).float().chunk(2, dim=1)
    return mean, log_variance.clamp(-30, 20)


def train(run: Run) -> bool:
    """Train the VAE on the mix; True when all its steps are done. Then it prints the PSNR on what it never saw."""
    where = device()
    torch.manual_seed(run.seed)
    pictures = open_set(run.out, "mix")
    images = torch.from_numpy(np.ascontiguousarray(pictures.images)).to(where)
    # The last pictures are kept for measuring; captions are not involved, so held-out combinations are not either.
    training_count = len(images) - min(MEASURED, len(images) // 4)
    network = VAE(run.sizes.vae)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch documents it, its stub lacks it
    training = Training("vae", network, run, where)
    compiled = compile_for(run, network)

    def loss(step: int) -> torch.Tensor:
        source = generator(run.seed, step, where)
        cropped = step < CROP_SHARE * run.steps
        forward = compiled if cropped else network
        chosen = torch.randint(training_count, (run.batch,), generator=source, device=where)
        picture = (crops(images, chosen, source) if cropped else images[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1
        shape = (run.batch, 4, picture.shape[2] // 8, picture.shape[3] // 8)
        sample = torch.randn(shape, generator=source, device=where)
        with half(where):
            rebuilt, divergence = forward(picture.contiguous(memory_format=torch.channels_last), sample)
        return reconstruction_loss(rebuilt, picture) + KL_WEIGHT * divergence

    finished = training.steps(loss)
    if finished:
        network = training.use_average()
        kept = [i for i in range(training_count, len(images)) if style_at("mix", i) == "plain"]
        rebuilt = psnr(network, images[kept], where)
        print(f"vae: PSNR on {len(kept)} plain pictures it never saw: {rebuilt:.2f} dB", flush=True)
    return finished


def crops(images: torch.Tensor, chosen: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Random squares (count, h/2, w/2, 3) of half the side, one of each chosen picture of (all, h, w, 3)."""
    side = images.shape[1] // 2
    corner = torch.randint(side + 1, (2, len(chosen), 1), generator=source, device=images.device)
    rows, columns = corner + torch.arange(side, device=images.device)
    return images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def reconstruction_loss(rebuilt: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Charbonnier and squared error, and the absolute error of the gradients, at full and half resolution.

    The gradients keep outlines crisp: a blurred edge is wrong by little in value and by much in slope.
    """
    error = rebuilt - picture
    value = torch.sqrt(error.square() + 1e-4).mean() + 2.0 * error.square().mean()
    small = functional.avg_pool2d(error, 2)
    slope = _slope(error) + 0.5 * _slope(small)
    return value + GRADIENT_WEIGHT * slope


def _slope(error: torch.Tensor) -> torch.Tensor:
    return (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()


@torch.no_grad()
def psnr(network: VAE, images: torch.Tensor, where: torch.device) -> float:
    """Mean peak signal-to-noise ratio in dB over pictures (count, h, w, 3) uint8, through 8-bit pixels."""
    values = []
    for piece in pieces(len(images), 32):
        picture = images[piece].to(where).permute(0, 3, 1, 2).float()
        rebuilt = network.decoder(network.encoder(picture / 127.5 - 1))
        error = ((rebuilt * 127.5 + 127.5).round().clamp(0, 255) - picture).square().mean((1, 2, 3))
        values.append(10 * torch.log10(255.0**2 / error.clamp(min=1e-6)))
    return float(torch.cat(values).mean())


def trained(run: Run) -> VAE:
    """The finished VAE's averaged weights with the scaling factor set; ValueError if it is not finished."""
    where = device()
    training = Training("vae", VAE(run.sizes.vae), run, where)
    if training.step == 0:
        raise ValueError(f"{training.path} is not there: run `pretrain vae` first")
    network: VAE = training.use_average()  # type: ignore[assignment]
    measured = run.out / f"scaling-{training.step}.json"  # measured once, so that every part uses the same number
    if not measured.exists():
        images = torch.from_numpy(np.ascontiguousarray(open_set(run.out, "mix").images[:MEASURED]))
        measured.write_text(f"{1 / encode(network, images, where).std():.5f}")
    network.encoder.scaling_factor = network.decoder.scaling_factor = float(measured.read_text())
    return network


@torch.no_grad()
def encode(network: VAE, images: torch.Tensor, where: torch.device) -> torch.Tensor:
    """Scaled latents (count, 4, h/8, w/8) of pictures (count, h, w, 3) uint8, on the device."""
    done = []
    for piece in pieces(len(images), 64):
        picture = images[piece].to(where).permute(0, 3, 1, 2).float() / 127.5 - 1
        with half(where):
            done.append(network.encoder(picture).float())
    return torch.cat(done)
