"""What a person may write for an entry: a folder, a zip file, or a repository on a hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kolors_submit.errors import InputError
from kolors_submit.hub.known import HUBS
from kolors_submit.hub.repository import name_problems

_HUB = re.compile(rf"({'|'.join(HUBS)}):([^@]+)(?:@(.+))?")


@dataclass(frozen=True)
class HubSource:
    """`modelscope:owner/Name@revision`, taken apart."""

    hub: str
    name: str
    revision: str | None


def parse(source: str) -> HubSource | Path:
    """What a source means; `owner/Name` is ModelScope's where there is no such path.

    Raises InputError for a hub's id that cannot be one, or a path where nothing is.
    """
    match = _HUB.fullmatch(source)
    if match is None:
        path = Path(source)
        if not path.exists() and not name_problems(source):
            return HubSource(next(iter(HUBS)), source, None)
        if not path.exists():
            raise InputError(
                f"{source} does not exist; name a bundle's folder, its zip file, "
                f"{' or '.join(f'{hub}:owner/Name' for hub in HUBS)}"
            )
        return path
    problems = name_problems(match.group(2))
    if problems:
        raise InputError("\n".join(problems))
    return HubSource(*match.groups())
