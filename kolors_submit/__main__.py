"""`python -m kolors_submit` and the command `kolors-submit`."""

from __future__ import annotations

import gc
import sys

from kolors_submit.cli import run


def main() -> None:
    """Run the command line and end the process with its exit status."""
    status = run(sys.argv[1:])
    gc.freeze()  # the interpreter's end would look through half a million objects of torch's, for over a second
    sys.exit(status)


if __name__ == "__main__":
    main()
