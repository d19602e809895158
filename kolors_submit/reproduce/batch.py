"""A judge's batch: hundreds of entries one after the other, on every GPU, each with a verdict of its own.

    results/entries/NAME/result.json   that this entry is done, and what the tables say of it
    results/entries/NAME/              beside it reproduction.json, side-by-side.jpg, what was fetched and rendered
    results/table.html, table.csv      all of them, ranked

A batch that was killed goes on with the entries that have no result. Processes share a list by holding an entry's
folder while they work on it; one that dies lets go of it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kolors_submit import weights
from kolors_submit.bundle.check import CheckError
from kolors_submit.device import find_device, visible_cards
from kolors_submit.errors import InputError, Interrupted, OutsideError, RuleError, SubmitError
from kolors_submit.files import read_json, write_json, write_text
from kolors_submit.hold import InUse
from kolors_submit.report import Reporter, quiet
from kolors_submit.reproduce.choice import check_wish
from kolors_submit.reproduce.entry import FindBase, Request, examine
from kolors_submit.reproduce.outcome import failures
from kolors_submit.reproduce.source import UnsoundBundle, obtain, parse, slug
from kolors_submit.reproduce.table import AGAIN, REPRODUCED, described, write_tables
from kolors_submit.run import Run
from kolors_submit.weights.download import Ask

FORMAT = 1
ENTRIES, RESULT, BEGUN, TRACE = "entries", "result.json", "begun.json", "failure.txt"
MAX_WORK = 50.0
"""Times the work of a contest entry: one that asks for more would keep all others waiting."""

MAX_DEATHS = 3
"""An entry at which the program died so often is left out: it may be the cause."""

Tell = Callable[[dict[str, Any]], None]


def reproduce_list(path: Path, request: Request, report: Reporter, ask: Ask | None = None) -> dict[str, Any]:
    """Reproduce every entry of a list with the request's settings; returns how many came to which status.

    Goes on where an earlier call was cut, and tries again what could not be fetched. Raises InputError for a list, a
    base or a device that cannot be, OutsideError where results cannot be written or entries could not be judged.
    """
    out = request.out or Path("results")
    entries = [
        dataclasses.replace(request, source=source, out=out / ENTRIES / _name(source), max_work=MAX_WORK)
        for source in _read(path)
    ]
    _refuse_call(request, report, ask)
    left = [entry for entry in entries if not _is_done(entry)]
    report.stage("list", f"{len(entries)} entries, {len(entries) - len(left)} of them done already")

    told = itertools.count(len(entries) - len(left) + 1)

    def tell(result: dict[str, Any]) -> None:
        score = "" if result["score"] is None else f", {result['score']:.3f}"
        why = "".join(f": {problem}" for problem in result["problems"][:1])
        said = f"{next(told)} of {len(entries)}, {result['source']}: {result['status']}{score}{why}"
        report.stage("entry", said, done=result["status"] in REPRODUCED)

    cards = visible_cards() if left and find_device(request.device) == "cuda" else []
    try:
        if len(cards) > 1:
            share(left, cards, tell)
        elif left:
            work(left, tell, ask)
    finally:
        results = [result for entry in entries if (result := read_json(_result(entry))) is not None]
        table = write_tables(out, results)
    counts = Counter(str(result["status"]) for result in results)
    said = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    report.stage("verdict", f"{said}; see {table}", done=True)
    unjudged = len(entries) - len(results) + sum(counts[status] for status in AGAIN)
    if unjudged:
        raise OutsideError(
            f"{unjudged} of {len(entries)} entries were not fetched or not judged; run again, see {table}"
        )
    return {"entries": len(entries), "statuses": dict(counts)}


def _read(path: Path) -> list[str]:
    """The sources in a list: one a line, once each; blank lines and lines that start with # are none."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no list of entries ({error}); put one source on each line") from error
    sources = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not sources:
        raise InputError(f"{path} names no entry; put one source on each line")
    return sources


def _name(source: str) -> str:
    """A folder's name for a source, whatever it is: readable, and no two alike."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    try:
        return f"{slug(parse(source))}-{digest}"
    except InputError:
        return f"entry-{digest}"


def _refuse_call(request: Request, report: Reporter, ask: Ask | None) -> None:
    """What is wrong with the call itself is said once, not of every entry."""
    find_device(request.device)
    check_wish(request.sample, request.panels)
    if request.base != "auto":
        weights.find_base(request.base, report, request.device, ask, request.yes)


def work(entries: Sequence[Request], tell: Tell, ask: Ask | None = None) -> None:
    """Judge every entry that nobody else is at, in this process; the base is read from disk once."""
    from kolors_submit.engine.kept import keeping

    parent = multiprocessing.parent_process()

    @functools.cache
    def find_base(name: str) -> weights.Base:
        return weights.find_base(name, quiet(), entries[0].device, ask or (lambda question: False), entries[0].yes)

    # Evaluated when all have been gone through: what a process that died meanwhile was at.
    left = (entry for entry in entries if not _result(entry).is_file())
    with keeping():
        for entry in itertools.chain(entries, left):
            if parent is not None and not parent.is_alive():
                return
            result = _judge(entry, find_base)
            if result is not None:
                tell(result)


def share(entries: Sequence[Request], cards: Sequence[str], tell: Tell) -> None:
    """Judge the entries in a process for each card, which sees only that one."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work_on, args=(card, entries), daemon=True) for card in cards]
    waiting = list(entries)
    for process in processes:
        process.start()
    try:
        while waiting:
            alive = any(process.is_alive() for process in processes)
            for entry in [entry for entry in waiting if _is_done(entry)]:
                waiting.remove(entry)
                tell(read_json(_result(entry)))
            if not alive:
                return
            time.sleep(0.2)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _work_on(card: str, entries: Sequence[Request]) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = card
    work(entries, lambda result: None)


def _result(entry: Request) -> Path:
    assert entry.out is not None
    return entry.out / RESULT


def _is_done(entry: Request) -> bool:
    result = read_json(_result(entry))
    return isinstance(result, dict) and result.get("status") not in AGAIN


def _judge(entry: Request, find_base: FindBase) -> dict[str, Any] | None:
    """One entry's result, written; None where it is done, or another process is at it."""
    assert entry.out is not None
    try:
        with Run(entry.out).hold("reproduce"):
            if _is_done(entry):
                return None
            begun = entry.out / BEGUN
            deaths = (read_json(begun) or {}).get("times", 0)
            write_json(begun, {"times": deaths + 1})
            if deaths >= MAX_DEATHS:
                result = described("failed here", [f"the program died {deaths} times while it was at this entry"])
            else:
                result = _judged(entry, find_base)
            result |= {"format": FORMAT, "source": entry.source, "folder": f"{ENTRIES}/{entry.out.name}"}
            write_json(_result(entry), result)
            begun.unlink()
            return result
    except InUse:
        return None


def _judged(entry: Request, find_base: FindBase) -> dict[str, Any]:
    """What came of an entry; nothing that is wrong with it raises an error."""
    assert entry.out is not None
    fetched = False
    try:
        path = obtain(parse(entry.source), entry.out / "bundle", quiet())
        fetched = True
        value = examine(path, entry, Run(entry.out), quiet(), find_base)
    except Interrupted:
        raise
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
    if isinstance(error, UnsoundBundle | CheckError):
        return "invalid"
    if not fetched:
        return "fetch failed"
    if isinstance(error, RuleError):
        return "not reproduced"
    return "invalid" if isinstance(error, InputError) else "failed here"
