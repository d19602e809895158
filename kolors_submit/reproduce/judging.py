"""One entry of a judge's list: judged, whatever is wrong with it, and its result kept.

entries/NAME/result.json   what came of the entry, by which call with which options
entries/NAME/begun.json    how often the program has died while it was at it; gone when there is a result
entries/NAME/failure.txt   where in the program an error came from that nobody thought of
"""

from __future__ import annotations

import errno
import secrets
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kolors_submit.bundle.check import CheckError, check
from kolors_submit.bundle.manifest import NewerFormat
from kolors_submit.errors import InputError, Interrupted, OutsideError, RuleError, SubmitError
from kolors_submit.files import read_json, write_json, write_text
from kolors_submit.hold import InUse
from kolors_submit.hub.source import parse
from kolors_submit.report import quiet
from kolors_submit.reproduce.bases import FindBase, WrongBase
from kolors_submit.reproduce.entry import broken_rules, examine
from kolors_submit.reproduce.outcome import failures
from kolors_submit.reproduce.request import Request
from kolors_submit.reproduce.source import UnsoundBundle, obtain
from kolors_submit.reproduce.table import AGAIN, RESULT, described
from kolors_submit.run import Run

FORMAT = 1
BEGUN, TRACE = "begun.json", "failure.txt"
MAX_DEATHS = 3
"""An entry at which the program died so often is left out: it may be the cause."""

NO_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Where a disk refuses one entry's files for one of these, it refuses all others' too."""


@dataclass(frozen=True)
class Call:
    """One call on a list: its options, on which a verdict depends, and an id, by which it tries each entry once."""

    options: dict[str, Any]
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def settled(self, entry: Request) -> dict[str, Any] | None:
        """The result that this call leaves as it is: a verdict with the same options, or whatever it came to itself."""
        result = result_of(entry)
        if result is None:
            return None
        verdict = result.get("options") == self.options and result.get("status") not in AGAIN
        return result if verdict or result.get("call") == self.id else None


def call_for(request: Request) -> Call:
    """A new call with the options of a request."""
    return Call({"base": request.base, "device": request.device, "sample": request.sample})


def result_of(entry: Request) -> dict[str, Any] | None:
    """The entry's result, of whichever call; None where there is none."""
    assert entry.out is not None
    result = read_json(entry.out / RESULT)
    return result if isinstance(result, dict) else None


def cannot_be_kept(entry: Request, call: Call) -> dict[str, Any] | None:
    """The result of an entry whose own folder cannot be written, where it would be kept; None for any other.

    Raises OutsideError where the disk takes no entry's files.
    """
    assert entry.out is not None
    try:
        with Run(entry.out).hold("reproduce"):
            return None
    except InUse:
        return None
    except OutsideError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_DISK:
            raise
        return _signed(described("failed here", str(error).splitlines()), entry, call)


def judge(entry: Request, call: Call, find_base: FindBase) -> dict[str, Any] | None:
    """One entry's result, written; None where it is settled, or another process is at it."""
    assert entry.out is not None
    try:
        with Run(entry.out).hold("reproduce"):
            if call.settled(entry) is not None:
                return None
            begun = entry.out / BEGUN
            deaths = (read_json(begun) or {}).get("times", 0)
            try:
                write_json(begun, {"times": deaths + 1})
                result = _judged(entry, find_base) if deaths < MAX_DEATHS else _left_out(deaths)
            except (Interrupted, KeyboardInterrupt):  # whoever stops the program, it is not the entry
                write_json(begun, {"times": deaths})
                raise
            signed = _signed(result, entry, call)
            begun.unlink()
            write_json(entry.out / RESULT, signed)
            return signed
    except InUse:
        return None


def _signed(result: dict[str, Any], entry: Request, call: Call) -> dict[str, Any]:
    """The result with whose it is, and by which call."""
    assert entry.out is not None
    folder = f"{entry.out.parent.name}/{entry.out.name}"
    return result | {
        "format": FORMAT,
        "source": entry.source,
        "folder": folder,
        "call": call.id,
        "options": call.options,
    }


def _left_out(deaths: int) -> dict[str, Any]:
    said = f"the program crashed {deaths} times while judging this entry, so it was left out this time"
    return described("failed here", [said])


def _judged(entry: Request, find_base: FindBase) -> dict[str, Any]:
    """What came of an entry; nothing that is wrong with it raises an error."""
    assert entry.out is not None
    try:
        return _examined(entry, Run(entry.out, among=entry.out.parents[1]), find_base)
    except Exception as error:
        write_text(entry.out / TRACE, traceback.format_exc())
        return described("failed here", [f"{type(error).__name__}: {error}"[:300], f"see {TRACE}"])


def _examined(entry: Request, run: Run, find_base: FindBase) -> dict[str, Any]:
    """The same, but for errors that nobody thought of."""
    path = None
    try:
        path = obtain(parse(entry.source), run.bundle, quiet())
        value = examine(path, entry, run, quiet(), find_base)
    except SubmitError as error:
        return _refused(error, path)
    found = failures(value)
    status = "invalid" if not value["valid"] else "not reproduced" if found else value["verdict"]
    return described(status, found, value)


def _refused(error: SubmitError, path: Path | None) -> dict[str, Any]:
    """What an error makes of an entry, which lies at `path` where it was fetched.

    Most wrong input may as well be this machine's (its device, its base): only the entry's own check calls it invalid.
    """
    said = str(error).splitlines()
    if isinstance(error, WrongBase | NewerFormat):  # another call, or a newer program, may judge it
        return described("failed here", said)
    if isinstance(error, UnsoundBundle | CheckError):
        return described("invalid", said)
    if path is None:
        return described("fetch failed", said)
    if isinstance(error, RuleError):
        return described("not reproduced", said)
    broken = broken_rules(check(path)) if isinstance(error, InputError) else []
    others = [one for one in broken if not one.endswith(tuple(said))]
    return described("invalid" if broken else "failed here", [*said, *others])
