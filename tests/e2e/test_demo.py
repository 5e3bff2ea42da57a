"""`make demo`, as somebody who just cloned the project sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import tools
from support.processes import Child
from support.tools import PROJECT
from support.waiting import wait_until

DEMO = [sys.executable, PROJECT / "demo/run.py", "--no-stay"]


def _processes_of(folder: Path) -> list[str]:
    """The command lines of running processes that name `folder`, or have their output there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            output = os.readlink(process / "fd/1")
        except OSError:
            continue
        if process.name != str(os.getpid()) and (str(folder) in words or str(folder) in output):
            found.append(words)
    return found


def test_it_shows_real_traffic_and_ends_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(
        [*DEMO, "--seconds", "15", "--folder", folder],
        env=os.environ | {"PGPRISM_BIN": str(tools.pgprism())},
        capture_output=True, text=True, timeout=170, check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for words in ("pgprism report", "LOG:  duration:", "pgprism_queries_total{", "p95", "pgBadger reads all",
                  "FINDINGS", "select_related(", "each with its fix", "fixed once the pages were corrected",
                  "each names its route, its view and the line",
                  "expressions of the three Grafana dashboards have a value", "recording rules and"):
        assert words in done.stdout, f"{words!r} is not shown\n{done.stdout}"
    for name in ("report.txt", "report-fixed.txt", "slow.log", "metrics.txt"):
        assert (folder / name).stat().st_size > 0
    assert _processes_of(folder) == []


def test_ended_from_outside_it_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    log = tmp_path / "out"
    child = Child(
        [*DEMO, "--folder", folder], log, env=os.environ | {"PGPRISM_BIN": str(tools.pgprism())}
    )
    try:
        wait_until(lambda: "visitors for" in log.read_text(), "visitors come", deadline_s=60)
        assert len(_processes_of(folder)) >= 3
        child.send(signal.SIGTERM)
        assert child.wait(40) == 1
    finally:
        child.kill()
    wait_until(lambda: not _processes_of(folder), "all its processes end")


@pytest.mark.smoke
def test_it_says_so_when_pgprism_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--folder", tmp_path / "demo"],
        env=os.environ | {"PGPRISM_BIN": "/bin/false"},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 1
    assert "demo: pgprism ended with 1" in done.stderr
