"""`pgprism run` as the tests play it: around a command, with what it says kept apart from what the command says."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import tools
from .postgres import Address
from .processes import Child, run, scratch_folder
from .waiting import wait_until

DEMO = tools.PROJECT / "demo"


def url(address: Address, *, scheme: str = "postgres", **parameters: str) -> str:
    """The address as DATABASE_URL has it."""
    query = "&".join(f"{key}={quote(value)}" for key, value in parameters.items())
    login = f"{quote(address.user)}:{quote(address.password)}"
    return f"{scheme}://{login}@{address.host}:{address.port}/{address.database}{'?' if query else ''}{query}"


def environment(address: Address | None = None, **settings: str) -> dict[str, str]:
    """An environment that leads nowhere but to `address`, as DATABASE_URL, and reads nobody's home."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DATABASE"))}
    own |= {"HOME": str(scratch_folder("home")), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    if address is not None:
        own["DATABASE_URL"] = url(address)
    return own | settings


@dataclass
class Ran:
    """What came of a command under `pgprism run`."""

    status: int
    stdout: str
    stderr: str
    report: dict[str, Any]

    @property
    def queries(self) -> int:
        return self.report["summary"]["queries"]


def run_under(
    command: list[str | Path], env: dict[str, str], *options: str | Path, cwd: Path | None = None,
    deadline_s: float = 60.0, check: bool = True,
) -> Ran:
    """Runs the command under the proxy to its end; a failure tells what it wrote."""
    report = scratch_folder("run") / "report.json"
    done = run(
        [tools.pgprism(), "run", *options, "--report", report, "--", *command],
        env=env, cwd=cwd, deadline_s=deadline_s, check=check,
    )
    return Ran(done.returncode, done.stdout, done.stderr, json.loads(report.read_text()))


class RunServer:
    """A server under `pgprism run`, with its log; stopped by one SIGINT at the end."""

    def __init__(self, command: list[str | Path], env: dict[str, str], *options: str | Path, cwd: Path) -> None:
        folder = scratch_folder("run")
        self.report = folder / "report.json"
        self.log = folder / "server.log"
        self._child = Child(
            [tools.pgprism(), "run", *options, "--report", self.report, "--", *command], self.log, env=env, cwd=cwd
        )
        try:
            self.admin = wait_until(self._page, "pgprism says where its page is", deadline_s=20)
        except BaseException:
            self._child.kill()
            raise

    def _page(self) -> str | None:
        if self._child.exit_status is not None:
            raise RuntimeError(f"pgprism run ended with {self._child.exit_status}\n{self._child.tail()}")
        found = re.search(r"see (http://\S+/) while it runs", self.log.read_text())
        return found and found[1]

    @property
    def process(self) -> Child:
        return self._child

    def text(self) -> str:
        return self.log.read_text()


MANAGE: list[str | Path] = [sys.executable, DEMO / "manage.py"]
