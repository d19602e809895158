"""What people read of a bundle (card, post, page, workflows), written from the bundle's own files and nothing else.

So whoever has the bundle can write it again and see whether it says what the files say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kolors_submit.bundle import exhibits, history, layout, workflows
from kolors_submit.bundle.card import card_text, post_text
from kolors_submit.bundle.entry import Entry
from kolors_submit.bundle.lora import summarise
from kolors_submit.bundle.opened import Opened, open_values
from kolors_submit.bundle.page import page_text
from kolors_submit.errors import InputError
from kolors_submit.files import write_text


def write(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write every document of the bundle whose other files, `names`, lie in `folder` already.

    Raises InputError where one of those is damaged.
    """
    opened, unreadable = open_values(folder, sorted(names))
    if unreadable:
        raise InputError("\n".join(finding.message for finding in unreadable))
    return [write_text(folder / name, text) for name, text in texts(opened, entry_of(opened)).items()]


def texts(opened: Opened, entry: Entry, shown: exhibits.Show = exhibits.embedded) -> dict[str, str]:
    """Name -> text of every document that belongs to a bundle's other files; `shown` is the page's way with pictures.

    `entry` is what those files tell.
    """
    numbers = range(1, len(entry.story.panels) + 1)
    pictures = [opened.folder / layout.panel_file(number) for number in numbers]
    before = {n: opened.folder / layout.before_file(n) for n in numbers if layout.before_file(n) in opened.names}
    return {
        layout.README: card_text(entry),
        layout.POST: post_text(entry),
        layout.PAGE: page_text(entry, pictures, before, shown),
        **workflows.texts(entry.story, entry.lora_name),
    }


def entry_of(opened: Opened) -> Entry:
    """What card and page tell of a bundle; of an imported one neither training nor data nor environment.

    Raises InputError where a file is missing that says it.
    """
    story, train, lora = opened.story, opened.train, opened.lora
    said = {layout.SCORES: opened.scores, layout.DATA: opened.data, layout.ENVIRONMENT: opened.environment}
    lacking = [name for name in layout.required(opened.names) if name in said and said[name] is None]
    if story is None or train is None or lora is None or lacking:
        raise InputError(f"{', '.join(lacking) or 'the story, its training or its LoRA'} cannot be read")
    past = opened.history or {"funnel": [], "losses": []}
    return Entry(
        story=story,
        lora_name=Path(lora).stem,
        base={key: train["base"][key] or "" for key in ("name", "digest")},
        lora=summarise(opened.folder / lora),
        train={} if opened.is_imported else train,
        pictures=0 if opened.data is None else len(opened.data["pictures"]),
        funnel=history.funnel(past),
        scores=opened.scores or {},
        environment=opened.environment or {},
        losses=history.losses(past),
        imported=opened.imported,
    )
