"""The data stage: from a source to what training reads.

data/images/0001.png …    RGB at its prepared size
data/metadata.csv         file, caption and kept area of each; `datasets` loads it as a picture folder
data/data.json            the same with the original's name and SHA-256
data/recipe.yaml          the filters, for Data-Juicer
data/report.json          what became of every picture of the source
"""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kolors_submit.data import account, crop, sources
from kolors_submit.data.advice import CAPTION, PICTURE, advice, remarks
from kolors_submit.data.captioning import Known, add_captions, caption_file, own_text, sidecars
from kolors_submit.data.captions import BadCaption, caption
from kolors_submit.data.filtering import Candidate, run_filters
from kolors_submit.data.inputs import find_filter_predictor, stage_inputs, with_written
from kolors_submit.data.pictures import BadPicture, decode, is_plain, without_warnings
from kolors_submit.data.recipe import operators, recipe_yaml
from kolors_submit.data.sample import Sample, shown
from kolors_submit.errors import InputError
from kolors_submit.files import atomic_path, file_digest, keep_only, write_json, write_text
from kolors_submit.run import Job
from kolors_submit.story import Captioner
from kolors_submit.threads import in_threads

NAME, FORMAT = "data", 1
_SIDES = ("crop_left", "crop_top", "crop_right", "crop_bottom")
_COLUMNS = ("original_width", "original_height", *_SIDES, "width", "height")


@dataclass(frozen=True)
class Picture:
    """A prepared picture: the file with its SHA-256, its caption, and what of the original it shows, in pixels."""

    path: Path
    sha256: str
    caption: str
    original_width: int
    original_height: int
    crop_left: int
    crop_top: int
    crop_right: int
    crop_bottom: int
    width: int
    height: int


@dataclass(frozen=True)
class _Original:
    """A picture of the source that could be read: Data-Juicer's candidate, and the size of the upright original."""

    candidate: Candidate
    width: int
    height: int


def prepare(job: Job, known: Known = None) -> bool:
    """Prepare the training pictures; returns False where nothing had to be done.

    Of a story with a captioner, `known` are captions by their picture's SHA-256, and the captioner is not asked. Raises
    InputError where the source cannot be used or no picture is left, OutsideError where a hub or Data-Juicer fails or
    the disk is full.
    """
    predictor = find_filter_predictor(job)
    inputs = stage_inputs(job, predictor[1] if predictor else None, known)
    stage = job.run.stage(NAME, FORMAT)
    if stage.is_done(inputs):
        job.report.stage(NAME, "nothing to do", done=True)
        return False
    reasons = stage.changes(inputs)
    job.report.stage(NAME, "; ".join(reasons[:3]) + (f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""))
    started = time.monotonic()
    stage.forget()
    work = job.run.cache / NAME
    shutil.rmtree(work, ignore_errors=True)
    outputs, written = _prepare(job, work, predictor[0] if predictor else None, known)
    shutil.rmtree(work, ignore_errors=True)
    stage.finish(with_written(inputs, job, written), outputs, time.monotonic() - started)
    return True


def read_prepared(folder: Path) -> list[Picture]:
    """The prepared pictures in a run's data folder, in order; raises InputError where they are not there."""
    path = folder / "metadata.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [_picture(folder, row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} has no prepared pictures ({error}); run `kolors-submit data` first") from error


def _picture(folder: Path, row: Mapping[str, str]) -> Picture:
    path = folder / row["file_name"]
    return Picture(path, file_digest(path), row["text"], **{name: int(row[name]) for name in _COLUMNS})


def _prepare(job: Job, work: Path, predictor: Path | None, known: Known) -> tuple[list[Path], list[Path]]:
    """All of the stage's work; the paths of its outputs, and those of the caption files that it wrote."""
    settings = job.story.dataset
    found = sources.samples(job)
    fates = {number: account.Fate(number, sample.name) for number, sample in enumerate(found, 1)}
    originals = _read_all(job, found, fates, work)
    candidates = [one.candidate for one in originals.values()]
    if candidates:
        job.report.say(f"{'':<8}{len(candidates)} pictures through Data-Juicer")
    steps = run_filters(settings.filters, candidates, work, predictor, job.device, job.ahead)
    account.settle(fates, steps)
    kept = [originals[number] for number, fate in fates.items() if fate.result == "kept"]
    written: list[Path] = []
    if isinstance(settings.captions, Captioner):
        captioned, written = add_captions(job, [original.candidate for original in kept], fates, work, known)
        kept = [
            replace(original, candidate=captioned[number])
            for original in kept
            if (number := original.candidate.id) in captioned
        ]
    entries = _resize_all(job, kept, fates)
    made = account.report(settings, list(fates.values()), steps)
    account.show(job.report, made)
    outputs = [
        write_text(job.run.data / "recipe.yaml", recipe_yaml(operators(settings.filters))),
        write_json(job.run.data / "report.json", made),
    ]
    if not kept:
        keep_only(job.run.data, [*outputs, *sidecars(job.run)])
        what, todo = f"dataset.source {shown(settings.source)}", advice(settings, found, fates.values())
        raise InputError(f"no picture of {what} is left; {todo}:\n{account.summary(made)}")
    for said in remarks(settings, found, fates.values(), entries):
        job.report.note(said)
    outputs += [
        write_text(job.run.data / "metadata.csv", _metadata(entries)),
        write_json(job.run.data / "data.json", {"format": FORMAT, "pictures": entries}),
        *(job.run.data / entry["file"] for entry in entries),
    ]
    keep_only(job.run.data, [*outputs, *sidecars(job.run)])
    return outputs, written


def _read_all(job: Job, found: Sequence[Sample], fates: Mapping[int, account.Fate], work: Path) -> dict[int, _Original]:
    """Every picture that can be read, by its number, in the working folder; the others' fates say why not."""

    def read(number: int) -> _Original | None:
        try:
            return _read(number, found[number - 1], job, work / "pictures")
        except BadPicture as error:
            fates[number].end("failed", PICTURE, str(error))
        except BadCaption as error:
            fates[number].end("failed", CAPTION, str(error))
        return None

    with job.report.progress("read", len(found)) as advance, without_warnings():
        originals = in_threads(read, fates, advance)
    return {number: original for number, original in zip(fates, originals, strict=True) if original is not None}


def _read(number: int, sample: Sample, job: Job, folder: Path) -> _Original:
    """One picture checked, and written for Data-Juicer to read; raises BadPicture or BadCaption."""
    if sample.problem is not None:
        raise BadPicture(sample.problem)
    captions = job.story.dataset.captions
    text = "" if isinstance(captions, Captioner) else caption(captions, sample.columns)
    data = sample.read()
    image = decode(data)
    sha256 = hashlib.sha256(data).hexdigest()
    sidecar = caption_file(sample, sha256, job.run)
    if isinstance(captions, Captioner):
        text = own_text(sample, sidecar, job.run)
    path = folder / f"{number:06d}"
    with atomic_path(path) as partial:
        if is_plain(data):
            partial.write_bytes(data)
        else:
            image.save(partial, "PNG", compress_level=1)
    return _Original(Candidate(number, sample.name, text, path, sha256, sidecar), image.width, image.height)


def _resize_all(job: Job, kept: Sequence[_Original], fates: Mapping[int, account.Fate]) -> list[dict[str, Any]]:
    """Crop and write the kept pictures as 0001.png and on; data.json's entry for each."""
    settings = job.story.dataset
    digits = max(4, len(str(len(kept))))

    def resize(numbered: tuple[int, _Original]) -> dict[str, Any]:
        number, original = numbered
        name = f"images/{number:0{digits}d}.png"
        image = decode(original.candidate.file.read_bytes())
        area = crop.choose(image, settings.size, settings.resize)
        prepared = crop.apply(image, area)
        path = job.run.data / name
        with atomic_path(path) as partial:
            prepared.save(partial, "PNG", compress_level=3)
        fates[original.candidate.id].file = name
        return {
            "file": name,
            "name": original.candidate.name,
            "caption": original.candidate.text,
            "sha256": original.candidate.sha256,
            "prepared_sha256": file_digest(path),
            "original_width": original.width,
            "original_height": original.height,
            **dict(zip(_SIDES, (area.left, area.top, area.right, area.bottom), strict=True)),
            "width": area.width,
            "height": area.height,
        }

    with job.report.progress("crop", len(kept)) as advance:
        return in_threads(resize, list(enumerate(kept, 1)), advance)


def _metadata(entries: Sequence[Mapping[str, Any]]) -> str:
    """metadata.csv as text."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file_name", "text", *_COLUMNS))
    for entry in entries:
        rows.writerow((entry["file"], entry["caption"], *(entry[name] for name in _COLUMNS)))
    return text.getvalue()
