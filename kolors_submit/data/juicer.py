"""The program in a process of its own: a recipe's operators over pictures.jsonl, every value written down.

Started by `filtering` with Python's -I, a closed environment and a working folder; it imports Data-Juicer and nothing
of this package. Data-Juicer changes Pillow, the loggers, tempfile and datasets' caching for the whole process, and
installs what it misses where it is allowed to: hence the process and the closed environment.

    python -I juicer.py PARENT_PID CORES      recipe.yaml, pictures.jsonl -> result.json
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

ROWS_PER_PROCESS = 200
"""Starting a worker costs about as much as this many rows."""


def main(parent: int, cores: int) -> None:
    """Run the recipe of the working folder and write result.json: one entry an operator, in its order."""
    _die_with(parent)
    import yaml
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops import load_ops
    from PIL import ImageFile

    ImageFile.LOAD_TRUNCATED_IMAGES = False  # importing data_juicer switches it on
    process = yaml.safe_load(Path("recipe.yaml").read_text("utf-8"))["process"]
    rows = [json.loads(line) for line in Path("pictures.jsonl").read_text("utf-8").splitlines()]
    workers = min(cores, len(rows) // ROWS_PER_PROCESS)
    running: dict[str, Any] = {"auto_op_parallelism": False, "skip_op_error": True}
    results = []
    dataset = NestedDataset.from_list(rows)
    for entry in process:
        ((name, settings),) = entry.items()
        entered = list(dataset["id"]) if len(dataset) else []
        values: dict[int, Any] = {}
        if entered:
            # Each process of a mapper would hold the model.
            running["num_proc"] = workers if workers > 1 and not name.endswith("_mapper") else None
            (operator,) = load_ops([{name: settings | running}])
            values, dataset = _apply(operator, dataset)
            if not values:  # every picture was decoded before: the operator itself is broken, its model for one
                sys.exit(f"{name} could not read a single picture")
        kept = list(dataset["id"]) if len(dataset) else []
        results.append({"operator": name, "entered": entered, "kept": kept, "values": values})
    Path("result.json").write_text(json.dumps(results), "utf-8")


def _apply(operator: Any, dataset: Any) -> tuple[dict[int, Any], Any]:
    """The operator's value for each row that it could read (id -> value), and the rows that it keeps."""
    from data_juicer.ops import Filter, Mapper
    from data_juicer.utils.constant import Fields, HashKeys

    if isinstance(operator, Mapper):
        return _captions(operator, dataset)
    valued = operator.run(dataset, reduce=False)
    if not len(valued):
        return {}, valued
    ids = list(valued["id"])
    if isinstance(operator, Filter):
        stats = list(valued[Fields.stats])  # decoded, which to_list() is not in every release of datasets
        keep = [bool(next(iter(operator.process_batched({Fields.stats: [one]})))) for one in stats]
        kept = valued.select([index for index, is_kept in enumerate(keep) if is_kept])
        return dict(zip(ids, stats, strict=True)), kept
    column = HashKeys.imagehash if HashKeys.imagehash in valued.column_names else HashKeys.hash
    hashes = dict(zip(ids, valued[column], strict=True))
    kept, _ = operator.process(valued)
    return hashes, kept.remove_columns(column)


def _captions(operator: Any, dataset: Any) -> tuple[dict[int, Any], Any]:
    """The caption of each row (id -> text): the operator writes it behind the mark of a picture."""
    import torch
    from data_juicer.utils.mm_utils import remove_special_tokens

    torch.manual_seed(0)  # the operator samples its words
    captioned = operator.run(dataset)
    if not len(captioned):
        return {}, captioned
    texts = [remove_special_tokens(text).strip() for text in captioned["text"]]
    return dict(zip(captioned["id"], texts, strict=True)), captioned


def _die_with(parent: int) -> None:
    """End when the process that started this one ends, even by SIGKILL."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
