"""The LoRAs to try: the trained one, and earlier ones from training's checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kolors_submit.errors import InputError
from kolors_submit.explore.plan import LAST
from kolors_submit.files import read_json
from kolors_submit.run import Job


def loras_for(job: Job, checkpoints: Sequence[str]) -> dict[str, Path]:
    """Name -> LoRA file: `last` is the trained one, a number the checkpoint after so many steps.

    Raises InputError for a checkpoint that is not kept, naming those that are.
    """
    if not job.run.lora.is_file():
        raise InputError(f"there is no LoRA at {job.run.lora}; run `kolors-submit train` first")
    names = dict.fromkeys(checkpoints or (LAST,))
    return {name: job.run.lora if name == LAST else _from_checkpoint(job, int(name)) for name in names}


def _from_checkpoint(job: Job, step: int) -> Path:
    """The LoRA after a number of steps, as a file like the trained one's."""
    from kolors_submit.engine import base as bases
    from kolors_submit.engine import lora_files
    from kolors_submit.engine.lora import from_parameters
    from kolors_submit.train.checkpoint import Checkpoints

    record = read_json(job.run.stage("train").path)
    if not isinstance(record, dict):
        raise InputError(f"{job.run.folder} has no finished train stage; run `kolors-submit train` first")
    checkpoints = Checkpoints(job.run.train / "checkpoints", record["fingerprint"])
    checkpoint = checkpoints.at(step)
    if checkpoint is None:
        kept = [str(int(path.stem.removeprefix("step-"))) for path in checkpoints.files()]
        raise InputError(
            f"--checkpoints {step}: training kept no checkpoint of that step, but {', '.join([LAST, *kept])}; "
            "train.save_every and train.keep decide which are kept"
        )
    trained = record["inputs"]["settings"]
    tensors = lora_files.to_kohya(from_parameters(checkpoint.lora, trained["alpha"]), bases.config(job.base, "unet"))
    path = job.run.explore.folder / "loras" / f"step-{step}.safetensors"
    return lora_files.write_safetensors(
        path, tensors, {"rank": trained["rank"], "alpha": trained["alpha"], "steps": step}
    )
