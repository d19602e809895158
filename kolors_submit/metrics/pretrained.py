"""Networks of transformers and their processors, from a folder on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kolors_submit.errors import InputError


def load(folder: Path, network: Any, processor: Any, what: str, **options: Any) -> tuple[Any, Any]:
    """What two classes of transformers read from a folder: the network in float32 on the CPU, and its processor.

    `options` are the processor's. Raises InputError where the folder holds no `what`, or not all of its weights: in
    the place of a missing one transformers puts random numbers.
    """
    import torch

    try:
        model, loading = network.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, dtype=torch.float32
        )
        prepare = processor.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{folder} holds no {what} with its processor: {error}") from error
    lacking = [*loading["missing_keys"], *loading["mismatched_keys"]]
    if lacking:
        raise InputError(f"{folder} is not a whole {what}: {len(lacking)} weights missing, first {lacking[0]}")
    return model.eval(), prepare
