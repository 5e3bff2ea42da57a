"""``python -m pgprism``: becomes the program, with the same arguments."""

from __future__ import annotations

import os
import sys

from pgprism._find import ProgramNotFound, find_pgprism

# As sysexits.h has it, and pgprism itself: something that is needed is not available.
EXIT_UNAVAILABLE = 69


def main() -> int:
    """Run the program in place of this process; comes back only where that is not possible."""
    try:
        program = find_pgprism()
    except ProgramNotFound as error:
        return _fail(str(error), "install it again: python -m pip install --force-reinstall pgprism")
    try:
        os.execv(program, [os.fspath(program), *sys.argv[1:]])
    except OSError as error:
        return _fail(f"cannot run {program}: {error.strerror}")


def _fail(*lines: str) -> int:
    for line in lines:
        print(f"pgprism: {line}", file=sys.stderr)
    return EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
