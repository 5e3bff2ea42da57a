"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from support import tools
from support.postgres import Postgres
from support.processes import run

from . import PROJECT
from .contenders import PGPRISMS, pgprism_version
from .measure import syscall_tool


def machine() -> dict[str, str]:
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory} MiB",
        "kernel": platform.release(),
        "system calls": syscall_tool() or "not counted",
    }


def commit() -> str:
    """Of the checkout; with a plus where it was changed since."""
    done = run(["git", "-C", PROJECT, "rev-parse", "--short=12", "HEAD"], check=False)
    if done.returncode != 0:
        return "unknown"
    changed = run(["git", "-C", PROJECT, "status", "--porcelain", "--untracked-files=no"], check=False).stdout
    ours = [line for line in changed.splitlines() if "docs/" not in line]
    return done.stdout.strip() + ("+" if ours else "")


def versions(contenders: Sequence[str], server: Postgres) -> dict[str, str]:
    found = {"PostgreSQL": server.sql("SHOW server_version").split()[0]}
    found["pgbench"] = run([tools.program("pgbench"), "--version"]).stdout.split()[2]
    if "haproxy" in contenders:
        found["HAProxy"] = run([tools.program("haproxy"), "-v"]).stdout.split()[2].partition("-")[0]
    if "pgbouncer" in contenders:
        found["PgBouncer"] = run([tools.program("pgbouncer"), "--version"]).stdout.split()[1]
    if set(contenders) & set(PGPRISMS):
        found["pgprism"] = pgprism_version()
    return found
