"""The base that an entry was made on: found by the judge's name for it or by the entry's, and never fetched unasked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kolors_submit import weights
from kolors_submit.base_names import KOLORS, NAMED
from kolors_submit.bundle.opened import Opened, at
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.report import Reporter
from kolors_submit.reproduce.request import Request
from kolors_submit.weights.download import Ask, gigabytes
from kolors_submit.weights.known import FOR_KOLORS, KNOWN, weights_folder

FindBase = Callable[[str], weights.Base]
"""The base that a name means."""


class WrongBase(InputError):
    """The entry was made on another base than the one that is to be used; the call has to name the right one."""


def base_of(opened: Opened, named: str, find_base: FindBase) -> weights.Base:
    """The base that the entry was made on; raises WrongBase where another was named, or where one has to be.

    An imported entry says only the base's name, for nobody knows which files it was made with.
    """
    own, digest = str(opened.base), at(opened.train, "base", "digest")
    if named == "auto" and own not in NAMED:
        raise WrongBase(f"the entry was made on a base of its own, {own[:80]!r}; name its folder with --base")
    base = find_base(own if named == "auto" else named)
    if digest not in (None, base.digest):
        raise WrongBase(
            f"the entry was made on {own[:80]} ({str(digest)[:12]}), {base.folder} is another base "
            f"({base.digest[:12]}); name the right one with --base"
        )
    return base


def finder(request: Request, report: Reporter, ask: Ask | None) -> FindBase:
    """Finds bases by name; one that the entry names, and not the judge, is fetched where the judge agrees to it.

    Raises OutsideError where it is not here and nobody agrees, or where a fetch fails.
    """

    def find(name: str) -> weights.Base:
        agreed = name == request.base or request.yes or ask is not None
        if name == KOLORS and not agreed and _missing():
            raise _unasked()
        return weights.find_base(name, report, request.device, _final(ask), request.yes)

    return find


def found_beforehand(request: Request, report: Reporter, ask: Ask | None) -> dict[str, weights.Base]:
    """The bases that several processes may use, found before they start, so that nobody is asked, or fetches, twice.

    Kolors is not among them where it is not here and nobody agreed to fetch it, which is said.
    """
    find, found = finder(request, report, ask), {}
    for name in NAMED if request.base == "auto" else (request.base,):
        try:
            found[name] = find(name)
        except OutsideError as error:
            report.note(str(error))
    return found


def among(found: Mapping[str, weights.Base]) -> FindBase:
    """Finds bases among those that were found beforehand; raises OutsideError for any other."""

    def find(name: str) -> weights.Base:
        if name not in found:
            raise _unasked()
        return found[name]

    return find


def _missing() -> int:
    """How many bytes of Kolors' weights are not here, about."""
    return sum(KNOWN[name].size for name in FOR_KOLORS if not KNOWN[name].is_here())


def _unasked() -> OutsideError:
    """Kolors' weights are not here, and nobody has agreed to fetch them."""
    return OutsideError(
        f"an entry made on Kolors needs its weights, {gigabytes(_missing())} of which are not in {weights_folder()}; "
        "--base kolors or --yes fetches them, and so does `kolors-submit weights fetch`"
    )


def _final(ask: Ask | None) -> Ask | None:
    """The same question; to say no to it is to give up, since no other base will do."""

    def question(text: str) -> bool:
        if ask is not None and not ask(text):
            raise OutsideError("Kolors was not downloaded, and an entry made on it is rendered on no other base")
        return True

    return None if ask is None else question
