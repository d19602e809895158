"""Captions that a model writes for pictures that have none, kept in .txt files for a person to correct.

A picture of a folder has its file beside it (a.txt for a.png). The pictures of a hub or of the picture book have theirs
in the run's data folder, captions/NAME-DIGEST.txt, where DIGEST begins the SHA-256 of the picture, so that a caption
never goes to another picture of the same name; a variant (--name) has a run folder and so captions of its own. A file
that is there is the picture's caption and is never overwritten; to have a picture captioned anew, delete its file.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kolors_submit.data.account import CAPTIONER, Fate
from kolors_submit.data.captions import BadCaption, caption
from kolors_submit.data.filtering import Candidate
from kolors_submit.data.folder import read_sidecar
from kolors_submit.data.sample import Sample
from kolors_submit.errors import OutsideError
from kolors_submit.files import file_digest, write_new
from kolors_submit.run import Job, Run
from kolors_submit.story import Captioner, JuicerCaptions, TaggerCaptions, VisionCaptions

Known = Mapping[str, str] | None
"""Captions by their picture's SHA-256, where they need not be asked for."""


def sidecar_folder(run: Run) -> Path:
    """Where the caption files of pictures are that lie in no folder of one's own."""
    return run.data / "captions"


def sidecars(run: Run) -> list[Path]:
    """The caption files in the run folder; a person may have corrected them, so no stage deletes them."""
    return sorted(sidecar_folder(run).glob("*.txt"))


def sidecar_digests(run: Run) -> dict[str, str]:
    """SHA-256 of the caption files in the run folder, by name."""
    return {path.name: file_digest(path) for path in sidecars(run)}


def caption_file(sample: Sample, sha256: str, run: Run) -> Path:
    """Where a picture's caption is kept, whether it is there or not; `sha256` is that of the picture."""
    return sample.sidecar or sidecar_folder(run) / f"{Path(sample.name).stem}-{sha256[:12]}.txt"


def own_text(sample: Sample, sidecar: Path, run: Run) -> str:
    """A picture's caption where its file holds one, else ""; raises BadCaption for a file that cannot be used."""
    if not sidecar.is_file():
        return ""
    if sample.sidecar is not None:  # read with the folder
        return caption(None, {"text": sample.columns.get("text", "")})
    try:
        return caption(None, {"text": read_sidecar(sidecar, sidecar_folder(run))})
    except ValueError as error:
        raise BadCaption(str(error)) from error


def add_captions(
    job: Job,
    pictures: Sequence[Candidate],
    fates: Mapping[int, Fate],
    work: Path,
    known: Known = None,
) -> tuple[dict[int, Candidate], list[Path]]:
    """The pictures that have a caption, by id, and the caption files written for those that had none.

    Each file is written as soon as its caption is there. A picture that gets none is failed in `fates`. Raises what the
    captioner raises; the files written so far stay, and the next run goes on with the others. Where the captions are
    `known` by the pictures' SHA-256, no captioner is asked and no file written.
    """
    if known is not None:
        return dict(_known(pictures, fates, known)), []
    found = {picture.id: picture for picture in pictures if picture.text}
    by_file = len(found)
    asked = {picture.id: picture for picture in _without_twins(pictures, fates) if not picture.text}
    with job.report.progress("caption", len(asked)) as advance:
        for number, text in _ask(job, list(asked.values()), work):
            advance()
            try:
                found[number] = _captioned(job, asked[number], text)
            except BadCaption as error:
                fates[number].end("failed", CAPTIONER, str(error))
    written = [picture.sidecar for number, picture in found.items() if number in asked and picture.sidecar]
    job.report.say(f"{'':<8}captions: {by_file} from .txt files, {len(written)} written")
    return found, written


def _known(
    pictures: Sequence[Candidate], fates: Mapping[int, Fate], known: Mapping[str, str]
) -> Iterator[tuple[int, Candidate]]:
    """Ids and pictures whose caption is known, with that caption; any other is failed in `fates`."""
    for picture in pictures:
        if picture.sha256 in known:
            yield picture.id, dataclasses.replace(picture, text=known[picture.sha256])
        else:
            fates[picture.id].end("failed", CAPTIONER, "is not among the pictures whose captions are known")


def _ask(job: Job, pictures: Sequence[Candidate], work: Path) -> Iterator[tuple[int, str]]:
    """Ids and captions by the story's captioner; its model is not even looked for where nothing is to be captioned."""
    from kolors_submit.weights import find_weights

    settings = job.story.dataset.captions
    if not pictures:
        return
    if isinstance(settings, TaggerCaptions):
        from kolors_submit.data.tagger import tag_pictures

        yield from tag_pictures(settings, find_weights(settings.model), pictures)
    elif isinstance(settings, VisionCaptions):
        from kolors_submit.data.vision import describe_pictures

        yield from describe_pictures(settings, job.story.language, pictures)
    elif isinstance(settings, JuicerCaptions):
        from kolors_submit.data.blip import caption_pictures

        yield from caption_pictures(find_weights(settings.model), pictures, work, job.device)


def _with_trigger(job: Job, text: str) -> str:
    """The caption behind the story's trigger words."""
    settings = job.story.dataset.captions
    trigger = settings.trigger if isinstance(settings, Captioner) else ""
    chinese = isinstance(settings, VisionCaptions) and job.story.language == "zh"
    return f"{trigger}{'，' if chinese else ', '}{text}" if trigger else text


def _without_twins(pictures: Sequence[Candidate], fates: Mapping[int, Fate]) -> Iterator[Candidate]:
    """The pictures that have a caption file to themselves; a.png and a.jpg would share a.txt."""
    shared = Counter(picture.sidecar for picture in pictures)
    for picture in pictures:
        if shared[picture.sidecar] == 1 or picture.text:
            yield picture
        else:
            name = picture.sidecar.name if picture.sidecar else ""
            fates[picture.id].end("failed", CAPTIONER, f"shares {name} with another picture; rename one of them")


def _captioned(job: Job, picture: Candidate, text: str) -> Candidate:
    """The picture with its new caption, which is in its file now; raises BadCaption where there is no such thing."""
    assert picture.sidecar is not None
    if not text:
        raise BadCaption(f"got no caption; write one in {picture.sidecar.name}")
    text = caption(None, {"text": _with_trigger(job, text)})
    try:
        if not write_new(picture.sidecar, text + "\n"):
            raise BadCaption(f"has a caption in {picture.sidecar.name} by now; run again to use it")
    except OutsideError as error:
        advice = "captions are kept next to the pictures, so copy the pictures to a folder that you may write to"
        raise OutsideError(f"{error}; {advice}") from error
    return dataclasses.replace(picture, text=text)
