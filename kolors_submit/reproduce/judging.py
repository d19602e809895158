"""One entry of a judge's list: judged, whatever is wrong with it, and its result kept.

entries/NAME/result.json   what came of the entry, by which call with which options
entries/NAME/begun.json    how often the program has died while it was at it; gone when there is a result
entries/NAME/failure.txt   where in the program an error came from that nobody thought of
"""

from __future__ import annotations

import secrets
import traceback
from dataclasses import dataclass, field
from typing import Any

from kolors_submit.bundle.check import CheckError
from kolors_submit.bundle.manifest import NewerFormat
from kolors_submit.errors import InputError, Interrupted, RuleError, SubmitError
from kolors_submit.files import read_json, write_json, write_text
from kolors_submit.hold import InUse
from kolors_submit.hub.source import parse
from kolors_submit.report import quiet
from kolors_submit.reproduce.bases import FindBase, WrongBase
from kolors_submit.reproduce.entry import examine
from kolors_submit.reproduce.outcome import failures
from kolors_submit.reproduce.request import Request
from kolors_submit.reproduce.source import UnsoundBundle, obtain
from kolors_submit.reproduce.table import AGAIN, RESULT, described
from kolors_submit.run import Run

FORMAT = 1
BEGUN, TRACE = "begun.json", "failure.txt"
MAX_DEATHS = 3
"""An entry at which the program died so often is left out: it may be the cause."""


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
            result |= {"format": FORMAT, "source": entry.source, "folder": f"{entry.out.parent.name}/{entry.out.name}"}
            result |= {"call": call.id, "options": call.options}
            begun.unlink()
            write_json(entry.out / RESULT, result)
            return result
    except InUse:
        return None


def _left_out(deaths: int) -> dict[str, Any]:
    said = f"the program crashed {deaths} times while judging this entry, so it was left out this time"
    return described("failed here", [said])


def _judged(entry: Request, find_base: FindBase) -> dict[str, Any]:
    """What came of an entry; nothing that is wrong with it raises an error."""
    assert entry.out is not None
    fetched = False
    try:
        path = obtain(parse(entry.source), entry.out / "bundle", quiet())
        fetched = True
        value = examine(path, entry, Run(entry.out), quiet(), find_base)
    except SubmitError as error:
        return described(_status(error, fetched), str(error).splitlines())
    except Exception as error:
        write_text(entry.out / TRACE, traceback.format_exc())
        return described("failed here", [f"{type(error).__name__}: {error}"[:300], f"see {TRACE}"])
    found = failures(value)
    status = "invalid" if not value["valid"] else "not reproduced" if found else value["verdict"]
    return described(status, found, value)


def _status(error: SubmitError, fetched: bool) -> str:
    """Under which heading an error puts an entry."""
    if isinstance(error, WrongBase | NewerFormat):  # another call, or a newer program, may judge it
        return "failed here"
    if isinstance(error, UnsoundBundle | CheckError):
        return "invalid"
    if not fetched:
        return "fetch failed"
    if isinstance(error, RuleError):
        return "not reproduced"
    return "invalid" if isinstance(error, InputError) else "failed here"
