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
    candidates = [
        Path(named) if named else None,
        TOOLS / "postgres" / str(major) / "bin",
        Path(f"/usr/lib/postgresql/{major}/bin"),
    ]
    for folder in candidates:
        if folder is not None and (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise Missing(f"PostgreSQL {major} is not installed: make setup")


def program(name: str) -> Path:
    """A program by its variable `PGPRISM_TOOL_<NAME>`, in `.tools/bin`, on the PATH or where Debian keeps servers."""
    named = os.environ.get(f"PGPRISM_TOOL_{name.upper()}")
    if named:
        return Path(named)
    path = os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        path += os.pathsep + str(folder)
    found = shutil.which(name, path=path)
    if found is None:
        raise Missing(f"{name} is not installed: make setup")
    return Path(found)
