"""Where the programs are that the tests start; `scripts/setup` puts them there.

Every place can be named by an environment variable, so that other installations can be tested with.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
TOOLS = PROJECT / ".tools"
MAJORS = (14, 15, 16, 17, 18)


class Missing(RuntimeError):
    """A program is not installed; `make setup` installs it."""


def pgprism() -> Path:
    """The proxy: `PGPRISM_BIN`, else cargo's debug build."""
    named = os.environ.get("PGPRISM_BIN")
    path = Path(named) if named else PROJECT / "target" / "debug" / "pgprism"
    if not path.is_file():
        raise Missing(f"{path} does not exist: cargo build, or set PGPRISM_BIN")
    return path


def postgres(major: int) -> Path:
    """The folder that holds `postgres` and `initdb` of that major version."""
    named = os.environ.get(f"PGPRISM_POSTGRES_{major}")
    folder = Path(named) if named else (TOOLS / "postgresql" / str(major) / "bin").resolve()
    if not (folder / "initdb").is_file():
        raise Missing(f"PostgreSQL {major} is not installed in {folder}: make setup")
    return folder


def program(name: str) -> Path:
    """A program by its variable `PGPRISM_TOOL_<NAME>`, in the system's PostgreSQL, on the PATH, or where servers are."""
    named = os.environ.get(f"PGPRISM_TOOL_{name.upper()}")
    if named:
        return Path(named)
    system = TOOLS / "postgresql" / "system" / "bin"
    path = os.pathsep.join([str(system), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise Missing(f"{name} is not installed: make setup")
    return Path(found)


def cache() -> Path:
    """The folder outside the clone in which setup keeps what it fetched."""
    return (TOOLS / "postgresql" / str(MAJORS[0])).resolve().parent
