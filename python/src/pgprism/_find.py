"""Where the program is."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

NAME = "pgprism"


class ProgramNotFound(FileNotFoundError):
    """The program is in none of the places where pip puts programs."""


def find_pgprism() -> Path:
    """The path of the program that belongs to this Python; the first one that is there and may be run.

    Raises ``ProgramNotFound``, which names all places that were looked at.
    """
    looked: list[str] = []
    for folder in _folders():
        program = folder / NAME
        if program.is_file() and os.access(program, os.X_OK):
            return program
        if str(folder) not in looked:
            looked.append(str(folder))
    on_path = shutil.which(NAME)
    if on_path is not None:
        return Path(on_path)
    raise ProgramNotFound(f"the program {NAME} is not installed: it is neither in {', '.join(looked)} nor on PATH")


def _folders() -> Iterator[Path]:
    """Folders for programs, that of this installation before those of others."""
    # An environment's, or the system's.
    yield Path(sysconfig.get_path("scripts"))
    # `pip install --user`.
    yield Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")))
    # An interpreter whose configuration says another place than where it is.
    yield Path(sys.executable).parent
    # `pip install --target FOLDER` has the programs beside the packages.
    yield Path(__file__).resolve().parent.parent / "bin"
