"""Datasets of ModelScope and Hugging Face, read with their own clients; code that comes with a dataset never runs."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolors_submit.data.folder import plain_columns
from kolors_submit.data.pictures import BadPicture, read_file
from kolors_submit.data.sample import Sample, shown
from kolors_submit.errors import InputError, OutsideError, SubmitError
from kolors_submit.hub.errors import MAX_SAID, hushed, why, without_tokens
from kolors_submit.hub.guard import guard_huggingface
from kolors_submit.story import Dataset
from kolors_submit.text import cut

if TYPE_CHECKING:
    import datasets

IMAGE_COLUMNS = ("image", "img", "picture", "image_path", "file_name", "path")
"""Columns of plain paths that are taken for the picture where a dataset has no column of the type Image."""


def read_hub(hub: str, repository: str, settings: Dataset) -> list[Sample]:
    """The rows of `owner/dataset` on "modelscope" or "huggingface", pictures undecoded.

    Raises InputError where the hub has no such dataset, subset or split, or a folder of that name lies here, and
    OutsideError where it cannot be reached.
    """
    what = f"{hub}:{shown(repository)}"
    _refuse_local(repository)
    try:
        with hushed():
            rows = _load(hub, repository, settings)
    except SubmitError:
        raise
    except Exception as error:  # the clients raise dozens of classes, requests' and fsspec's among them
        raise _hub_error(what, settings, error) from error
    column, rows = _picture_column(rows, what)
    roots = _allowed_roots()
    width = len(str(max(len(rows) - 1, 0)))
    others = [name for name in rows.column_names if name != column]
    texts = rows.select_columns(others) if others else None
    found = []
    for index in range(len(rows)):
        columns = plain_columns(texts[index]) if texts is not None else {}
        found.append(Sample(f"{index:0{width}d}", columns, functools.partial(_read, rows, index, column, roots)))
    return found


def _refuse_local(repository: str) -> None:
    """Both clients would read a folder of that name instead, which nobody else has."""
    if Path(repository).exists():
        raise InputError(
            f"dataset.source: {shown(repository)} is a folder here too, which the hub's client would read in the "
            "dataset's place; call from another folder, or name the folder by its whole path"
        )


def _load(hub: str, repository: str, settings: Dataset) -> datasets.Dataset:
    """One split of a dataset, downloaded (or found in the client's cache)."""
    if hub == "huggingface":
        import datasets

        guard_huggingface()
        return datasets.load_dataset(repository, name=settings.subset, split=settings.split, revision=settings.revision)
    try:
        from modelscope.msdatasets import MsDataset
    except ImportError as error:
        raise OutsideError(f"modelscope's dataset client does not load ({error}); run `make setup`") from error

    loaded = MsDataset.load(
        repository,
        subset_name=settings.subset,
        split=settings.split,
        trust_remote_code=False,
        **({"version": settings.revision} if settings.revision else {}),
    )
    return loaded.to_hf_dataset() if isinstance(loaded, MsDataset) else loaded


def _hub_error(what: str, settings: Dataset, error: Exception) -> SubmitError:
    """A client's exception in our words: the caller's mistake, or the hub's."""
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError
    from modelscope_hub.errors import NotExistError

    wrong = (DatasetNotFoundError, DataFilesNotFoundError, NotExistError, ValueError, KeyError)
    if isinstance(error, wrong) and not isinstance(error, UnicodeError):
        chosen = f"subset {settings.subset}, split {settings.split}, revision {settings.revision or 'the newest'}"
        detail = cut(without_tokens(" ".join(str(error).split())), MAX_SAID) or type(error).__name__
        return InputError(f"{what} cannot be used ({chosen}): {detail}")
    return OutsideError(f"{what} could not be loaded: {why(error)}; check that the hub can be reached, then run again")


def _picture_column(rows: datasets.Dataset, what: str) -> tuple[str, datasets.Dataset]:
    """The column with the pictures, and the rows with that column undecoded."""
    import datasets

    for name, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            return name, rows.cast_column(name, datasets.Image(decode=False))
    for name in rows.column_names:
        if name.endswith(":FILE") or name.lower() in IMAGE_COLUMNS:  # ModelScope's own mark of a downloaded file
            return name, rows
    raise InputError(f"{what} has no column of pictures (its columns: {', '.join(rows.column_names)})")


def _allowed_roots() -> list[Path]:
    """Folders that a dataset's paths may lead into: the clients' caches."""
    import datasets
    from huggingface_hub import constants

    roots = [Path(datasets.config.HF_CACHE_HOME), Path(datasets.config.HF_DATASETS_CACHE), Path(constants.HF_HUB_CACHE)]
    if importlib.util.find_spec("modelscope") is not None:
        from modelscope.utils.config_ds import MS_DATASETS_CACHE

        roots.append(Path(MS_DATASETS_CACHE))
    return [root.expanduser().resolve() for root in roots]


def _read(rows: datasets.Dataset, index: int, column: str, roots: list[Path]) -> bytes:
    return _bytes(rows[index][column], roots)


def _bytes(value: Any, roots: list[Path]) -> bytes:
    """A picture's bytes from a row: stored in it, or in a file that the client downloaded."""
    if isinstance(value, dict):
        if value.get("bytes"):
            return bytes(value["bytes"])
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise BadPicture("is empty (0 bytes)")
    path = Path(value).resolve()
    if not any(path.is_relative_to(root) for root in roots):
        raise BadPicture("is a path outside the dataset")
    return read_file(path)
