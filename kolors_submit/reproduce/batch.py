"""A judge's batch: hundreds of entries one after the other, on every GPU, each with a verdict of its own.

    results/entries/NAME/result.json   that this entry is done, and what the tables say of it
    results/entries/NAME/              beside it reproduction.json, side-by-side.jpg, what was fetched and rendered
    results/table.html, table.csv      all of them, ranked

A batch that was killed goes on with the entries that have no result. Processes share a list by holding an entry's
folder while they work on it; one that dies lets go of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from kolors_submit import weights
from kolors_submit.device import find_device, visible_cards
from kolors_submit.errors import InputError, Interrupted, OutsideError
from kolors_submit.hub.source import parse, refuse_overlap
from kolors_submit.report import Reporter
from kolors_submit.reproduce.bases import FindBase, among, finder, found_beforehand
from kolors_submit.reproduce.choice import check_wish
from kolors_submit.reproduce.judging import Call, call_for, cannot_be_kept, judge, result_of
from kolors_submit.reproduce.request import Request
from kolors_submit.reproduce.source import slug
from kolors_submit.reproduce.table import AGAIN, REPRODUCED, write_tables
from kolors_submit.weights.download import Ask

RESULTS = Path("results")
ENTRIES = "entries"
MAX_WORK = 50.0
"""Times the work of a contest entry: one that asks for more would keep all others waiting."""

PATIENCE = 30
"""Seconds that a process has to stop when it is asked to."""


class Unjudged(OutsideError):
    """Entries of a list without a verdict: `problems` names them with their reasons, `value` is as if all had one."""

    def __init__(self, said: str, value: dict[str, Any]):
        super().__init__(said)
        failed = [one for one in value["failed"] if one["status"] in AGAIN]
        reasons = [f"{one['entry']}: {one['status']}: {'; '.join(one['problems'])}" for one in failed]
        self.problems, self.value = (said, *reasons), value


Tell = Callable[[dict[str, Any]], None]


def reproduce_list(path: Path, request: Request, report: Reporter, ask: Ask | None = None) -> dict[str, Any]:
    """Reproduce every entry of a list with the request's settings; returns how many came to which status.

    Goes on where an earlier call was cut, and tries again what could not be fetched. Raises InputError for a list, a
    base or a device that cannot be, OutsideError where results cannot be written or entries could not be judged.
    """
    out = request.out or RESULTS
    entries = [
        dataclasses.replace(request, source=source, out=out / ENTRIES / _name(source), max_work=MAX_WORK)
        for source in _read(path)
    ]
    call = call_for(request)
    _refuse_call(entries, report, ask)
    left = [entry for entry in entries if call.settled(entry) is None]
    report.stage("list", f"{len(entries)} entries, {len(entries) - len(left)} of them done already")
    tell = _teller(report, len(entries) - len(left), len(entries))
    unkept = {entry.source: result for entry in left if (result := cannot_be_kept(entry, call)) is not None}
    for result in unkept.values():
        tell(result)
    kept, left = ([entry for entry in some if entry.source not in unkept] for some in (entries, left))
    cards = visible_cards() if left and find_device(request.device) == "cuda" else []
    try:
        if len(cards) > 1:
            share(left, cards, call, found_beforehand(request, report, ask), tell)
        elif left:
            work(left, call, finder(request, report, ask), tell)
    finally:
        known = [result for entry in kept if (result := result_of(entry)) is not None]
        table = write_tables(out, [*known, *unkept.values()], report)
    settled = [result for entry in kept if (result := call.settled(entry)) is not None]
    return _summary(len(entries), [*settled, *unkept.values()], table, report)


def _teller(report: Reporter, done: int, entries: int) -> Tell:
    """Tells of one result after the other, where so many of the entries were done before."""
    told = itertools.count(done + 1)

    def tell(result: dict[str, Any]) -> None:
        score = "" if result["score"] is None else f", {result['score']:.3f}"
        said = f"{next(told)} of {entries}, {result['source']}: {result['status']}{score}"
        report.stage("entry", said, done=result["status"] in REPRODUCED)
        for reason in result["problems"]:
            report.say(f"        {reason}")

    return tell


def _summary(entries: int, results: Sequence[dict[str, Any]], table: Path, report: Reporter) -> dict[str, Any]:
    """How many entries came to which status, and why the others are not reproduced.

    Raises Unjudged where some have no verdict.
    """
    counts = Counter(str(result["status"]) for result in results)
    said = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    report.stage("verdict", f"{said}; see {table}", done=True)
    unjudged = entries - len(results) + sum(counts[status] for status in AGAIN)
    failed = [
        {"entry": result["source"], "status": result["status"], "problems": result["problems"]}
        for result in results
        if result["status"] not in REPRODUCED
    ]
    value = {"entries": entries, "statuses": dict(counts), "failed": failed}
    if unjudged:
        raise Unjudged(f"{unjudged} of {entries} entries were not fetched or not judged; run again, see {table}", value)
    return value


def _read(path: Path) -> list[str]:
    """The sources in a list: one a line, once each; blank lines and lines that start with # are none."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a list of entries ({error}); put one source on each line") from error
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


def _refuse_call(entries: Sequence[Request], report: Reporter, ask: Ask | None) -> None:
    """What is wrong with the call itself is said once, not of every entry."""
    first = entries[0]
    find_device(first.device)
    check_wish(first.sample, first.panels)
    for entry in entries:
        assert entry.out is not None
        try:
            source = parse(entry.source)
        except InputError:  # no entry there, which its own result says
            continue
        refuse_overlap(source, entry.out)
    if first.base != "auto":
        finder(first, report, ask)(first.base)


def work(entries: Sequence[Request], call: Call, find_base: FindBase, tell: Tell) -> None:
    """Judge every entry that nobody else is at, in this process and once a call; a base is read from disk once."""
    from kolors_submit.engine.kept import keeping

    parent = multiprocessing.parent_process()
    find_base = functools.cache(find_base)
    # Evaluated when all have been gone through: what a process that died meanwhile was at.
    left = (entry for entry in entries if call.settled(entry) is None)
    with keeping():
        for entry in itertools.chain(entries, left):
            if parent is not None and not parent.is_alive():
                return
            result = judge(entry, call, find_base)
            if result is not None:
                tell(result)


def share(
    entries: Sequence[Request], cards: Sequence[str], call: Call, bases: Mapping[str, weights.Base], tell: Tell
) -> None:
    """Judge the entries on these bases, in a process for each card, which sees only that one."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work_on, args=(card, entries, call, bases), daemon=True) for card in cards]
    waiting = list(entries)
    for process in processes:
        process.start()
    try:
        while waiting:
            alive = any(process.is_alive() for process in processes)
            for entry in list(waiting):
                if (result := call.settled(entry)) is not None:
                    waiting.remove(entry)
                    tell(result)
            if not alive:
                return
            time.sleep(0.2)
    finally:
        _end(processes)


def _end(processes: Sequence[BaseProcess]) -> None:
    """Ask the processes to stop, which leaves them the time to note what they were at, and make those that do not."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(PATIENCE)
        process.kill()
        process.join()


def _work_on(card: str, entries: Sequence[Request], call: Call, bases: Mapping[str, weights.Base]) -> None:
    """What a process does: judge on one card, until it is asked to stop."""
    os.environ["CUDA_VISIBLE_DEVICES"] = card
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)  # a terminal's Ctrl-C reaches this process, and then its parent's wish
        raise Interrupted("stopped; the same command goes on from there")

    for number in signals:
        signal.signal(number, stop)
    with contextlib.suppress(Interrupted):
        work(entries, call, among(bases), lambda result: None)
