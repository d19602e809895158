"""What can go wrong, as a person would sort it; the exit status follows from the class.

Every message says what is wrong, where, and what to do next, in one or a few lines. The command line prints it without
a traceback unless `--debug` is given.
"""

from __future__ import annotations


class SubmitError(Exception):
    """The root of every error this package raises on purpose."""

    exit_status = 3


class RuleError(SubmitError):
    """The entry fails a rule: the score gate, a check, a reproduction. Exit status 1."""

    exit_status = 1


class InputError(SubmitError):
    """The input or the call is wrong: a story, a picture folder, an option, a file of a newer format. Exit status 2."""

    exit_status = 2


class OutsideError(SubmitError):
    """Something outside failed: a hub, a disk, memory, another process. Run again to go on. Exit status 3."""

    exit_status = 3


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM: what was done is saved, and the same command goes on from there. Exit status 3.

    No Exception, so that nothing that tells, retries or goes on without what failed takes it for a failure; and no
    KeyboardInterrupt, for which click and Lightning end the process in ways of their own.
    """

    exit_status = 3
