"""`python -m kolors_submit` and the command `kolors-submit`."""

from __future__ import annotations

import sys

from kolors_submit.cli import run


def main() -> None:
    """Run the command line and end the process with its exit status."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
