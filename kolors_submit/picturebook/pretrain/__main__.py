"""`python -m kolors_submit.picturebook.pretrain PART`: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from kolors_submit.picturebook.pretrain import settings

# Steps, batch and peak learning rate of each part.
PLANS: dict[str, tuple[int, int, float]] = {
    "classifier": (3000, 256, 2e-3),
    "vae": (8440, 32, 8e-4),
    "unet": (18_000, 256, 2.2e-3),
    "predictor": (2600, 256, 1e-3),
    "export": (1, 1, 1e-3),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kolors_submit.picturebook.pretrain", description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    data = parts.add_parser("data", help="draw the pictures")
    data.add_argument("--set", dest="name", choices=("mix", "plain"), required=True)
    data.add_argument("--count", type=int, help="pictures (mix 12288, plain 65536)")
    data.add_argument("--processes", type=int, default=16)
    _common(data)
    for name, (steps, batch, rate) in PLANS.items():
        part = parts.add_parser(name)
        part.add_argument("--steps", type=int, default=steps, help="in all")
        part.add_argument("--batch", type=int, default=batch)
        part.add_argument("--rate", type=float, default=rate, help="peak learning rate")
        part.add_argument(
            "--compile", action=argparse.BooleanOptionalAction, default=True, help="torch.compile, on a GPU"
        )
        part.add_argument("--generated", type=int, default=800, help="pictures of each kind for the predictor")
        _common(part)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the folder of all parts")
    parser.add_argument("--toy", action="store_true", help="tiny networks and pictures, to test the programs on a CPU")
    parser.add_argument("--minutes", type=float, default=8.0, help="stop after so many; call again to go on")


def main(arguments: list[str] | None = None) -> int:
    """Run one part; 0 when it is finished, 3 when it stopped at its time and is to be called again."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    return 0 if _part(options) else 3


def _part(options: argparse.Namespace) -> bool:
    if options.part == "data":
        return _draw(options)
    import torch

    from kolors_submit.picturebook.pretrain.loop import Run

    compiled = options.compile and torch.cuda.is_available()
    sizes = settings.TOY if options.toy else settings.FULL
    run = Run(options.out, sizes, options.steps, options.batch, options.rate, options.minutes, settings.SEED, compiled)
    if options.part == "classifier":
        from kolors_submit.picturebook.pretrain import classifier

        return classifier.train(run)
    if options.part == "vae":
        from kolors_submit.picturebook.pretrain import vae

        return vae.train(run)
    from kolors_submit.picturebook.pretrain import unet

    if options.part == "unet":
        return unet.train(run)
    if options.part == "predictor":
        from kolors_submit.picturebook.pretrain import predictor

        return predictor.train(run, unet.load(run), options.generated)
    from kolors_submit.picturebook.pretrain import export

    export.export(run, unet.load(run))
    return True


def _draw(options: argparse.Namespace) -> bool:
    from kolors_submit.picturebook.pretrain.dataset import draw_set

    count = options.count or {"mix": 12_288, "plain": 65_536}[options.name]
    end = time.monotonic() + options.minutes * 60
    side = (settings.TOY if options.toy else settings.FULL).side
    return draw_set(options.out, options.name, count, side, options.processes, lambda: time.monotonic() > end)


if __name__ == "__main__":
    sys.exit(main())
