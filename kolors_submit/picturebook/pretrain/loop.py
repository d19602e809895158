"""The steps of any training here: seeds, checkpoints, the averaged weights, the clock."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from kolors_submit.files import write_bytes
from kolors_submit.picturebook.pretrain.settings import Sizes

WARMUP = 200  # steps
DECAY = 0.25  # the share of the steps in which the learning rate falls to zero
EMA = 0.999
REPORT_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """What a part trains, where and how long."""

    out: Path
    sizes: Sizes
    steps: int  # in all
    batch: int
    rate: float  # peak learning rate
    minutes: float
    seed: int
    compiled: bool
    save_every: int = 1000
    started: float = field(default_factory=time.monotonic)

    def time_is_up(self) -> bool:
        """Whether the minutes are over."""
        return time.monotonic() - self.started > self.minutes * 60


def device() -> torch.device:
    """The GPU where there is one; with its fast float32 modes on."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def half(where: torch.device) -> AbstractContextManager[object]:
    """bfloat16 arithmetic on a GPU, float32 on a CPU."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if where.type == "cuda" else nullcontext()


def generator(seed: int, step: int, where: torch.device | str = "cpu") -> torch.Generator:
    """The source of all randomness of one step."""
    return torch.Generator(where).manual_seed((seed * 1_000_003 + step) % 2**63)


def learning_rate(peak: float, step: int, steps: int) -> float:
    """Warm-up, a plateau, and over the last quarter of the steps a cosine to zero."""
    start = int(steps * (1 - DECAY))
    if step < WARMUP:
        return peak * (step + 1) / WARMUP
    if step < start:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - start) / max(steps - start, 1)))


Network = TypeVar("Network", bound=torch.nn.Module)


class Training(Generic[Network]):
    """A model, its averaged weights and its optimizer, saved together."""

    def __init__(self, name: str, model: Network, run: Run, where: torch.device) -> None:
        self.model, self.run, self.where = model.to(where), run, where
        self.path = run.out / f"{name}.ckpt"
        self.parameters = [value for value in model.parameters() if value.requires_grad]
        self.average = [value.detach().clone() for value in self.parameters]
        fused = {"fused": True} if where.type == "cuda" else {"foreach": True}
        self.optimizer = torch.optim.AdamW(self.parameters, lr=run.rate, betas=(0.9, 0.99), weight_decay=0.01, **fused)
        self.step, self.name = 0, name
        if self.path.exists():
            self._load()

    def steps(self, loss_of: Callable[[int], torch.Tensor]) -> bool:
        """Train until the last step or the end of the time; True when all steps are done."""
        first, said = self.step, time.monotonic()
        began = said
        smooth: torch.Tensor | None = None
        self.model.train()
        while self.step < self.run.steps and not self.run.time_is_up():
            loss = loss_of(self.step)
            self._update(loss)
            smooth = loss.detach() if smooth is None else torch.lerp(smooth, loss.detach(), 0.02)
            if self.step <= first + 2:  # these compile
                value, took = float(smooth), time.monotonic() - began
                print(f"{self.name}: loss {value:.4f}, {took:.0f} s for one of the first steps", flush=True)
                began, measured = time.monotonic(), self.step
            if time.monotonic() - said > REPORT_SECONDS:
                value, said = float(smooth), time.monotonic()  # reading the loss waits for the device
                self._report(value, (self.step - measured) / (said - began))
            if self.step % self.run.save_every == 0:
                self.save()
        self.save()
        done = self.step >= self.run.steps
        print(f"{self.name}: {'finished' if done else 'stopped'} at step {self.step} of {self.run.steps}", flush=True)
        return done

    def _update(self, loss: torch.Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.run.rate, self.step, self.run.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [value.detach() for value in self.parameters], 1 - keep)

    def _report(self, loss: float, rate: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(f"{self.name}: loss {loss} at step {self.step}; {self.path} is the last good one")
        left = (self.run.steps - self.step) / max(rate, 1e-9) / 60
        done = f"step {self.step}/{self.run.steps}"
        print(f"{self.name}: {done}  loss {loss:.4f}  {rate:.1f} steps/s  {left:.1f} min left", flush=True)

    def use_average(self) -> Network:
        """Put the averaged weights into the model, for reading only."""
        with torch.no_grad():
            for value, average in zip(self.parameters, self.average, strict=True):
                value.copy_(average)
        return self.model.eval().requires_grad_(False)

    def save(self) -> None:
        """Write the checkpoint, all of it or nothing."""
        state = {
            "step": self.step,
            "model": {name: value.detach().cpu() for name, value in self.model.state_dict().items()},
            "average": [value.cpu() for value in self.average],
            "optimizer": self.optimizer.state_dict(),
        }
        write(self.path, state)

    def _load(self) -> None:
        state = torch.load(self.path, map_location=self.where, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for value, average in zip(self.average, state["average"], strict=True):
            value.copy_(average)
        self.step = state["step"]
        print(f"{self.name}: going on at step {self.step}", flush=True)


def write(path: Path, state: Any) -> None:
    """Save with torch, all of it or nothing; the same state gives the same bytes (the file's name is not inside)."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def compile_for(run: Run, module: Callable[..., Any]) -> Callable[..., Any]:
    """The module compiled, if the run says so, its kernels launched as CUDA graphs: so small a network's are short."""
    return torch.compile(module, dynamic=False, mode="reduce-overhead") if run.compiled else module


def pieces(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `count`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
