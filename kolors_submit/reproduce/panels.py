"""The entry's panels beside those rendered here: compared, and drawn side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kolors_submit.bundle import layout
from kolors_submit.bundle.opened import Opened
from kolors_submit.files import file_digest, write_bytes
from kolors_submit.reproduce.claims import Claims, measure
from kolors_submit.reproduce.pictures import compare
from kolors_submit.reproduce.verdict import ComparedPanel, judge
from kolors_submit.run import Job


def compare_panels(
    job: Job, opened: Opened, numbers: Sequence[int], limits: Mapping[str, float]
) -> tuple[list[ComparedPanel], Claims]:
    """Each panel of the job compared with the entry's of that number; and the scores of all of the entry's."""
    ours = {number: job.run.panel(number) for number in numbers}
    claims = measure(job, opened, ours)
    panels = []
    for number, path in ours.items():
        file, scores = layout.panel_file(number), claims.panels[number]
        theirs = opened.folder / file
        pixels = compare(theirs, path)
        same = theirs.is_file() and file_digest(theirs) == file_digest(path)
        verdict = judge(same, pixels, scores.difference, limits)
        panels.append(ComparedPanel(number, job.story.panels[number - 1].scene, file, verdict, pixels, scores))
    return panels, claims


def write_sheet(path: Path, job: Job, folder: Path, panels: Sequence[ComparedPanel]) -> Path:
    """The entry's panels and ours in pairs, in one JPEG; where the entry's is no such picture, ours alone."""
    from kolors_submit.sheet import story_sheet

    pictures, captions = [], []
    for panel in panels:
        if panel.pixels is not None:
            pictures.append(folder / panel.file)
            captions.append(f"{panel.scene} · panel {panel.number} of the entry")
        pictures.append(job.run.panel(panel.number))
        captions.append(f"panel {panel.number} here: {panel.verdict}")
    return write_bytes(path, story_sheet(pictures, captions, job.story.title, job.story.team))
