"""What all cells share: one server, the settings of the run, the order of turns, and what is told meanwhile."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from support import tools
from support.postgres import Address, Postgres
from support.processes import run

from .streams import COPIED_TABLE

# Room for 128 clients with a server connection each that PgBouncer keeps, twice.
SERVER_SETTINGS: dict[str, Any] = {"max_connections": "400", "shared_buffers": "256MB"}
DATABASE = "bench"


class Progress:
    """Lines on stderr; on a terminal the last one is written over."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._began = time.monotonic()

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:6.0f} s"

    def now(self, what: str) -> None:
        """What goes on at the moment: for those who watch."""
        if self._is_terminal:
            print(f"\r\033[K{self._seconds()}  {what}", end="", file=sys.stderr, flush=True)

    def say(self, what: str) -> None:
        begin = "\r\033[K" if self._is_terminal else ""
        print(f"{begin}{self._seconds()}  {what}", file=sys.stderr, flush=True)


@dataclass
class Stage:
    """One run of the benchmark."""

    server: Postgres
    contenders: list[str]
    rounds: int
    seconds: float
    order: random.Random
    progress: Progress
    # Whether `--seconds` was given: cells with a length of their own follow it then.
    is_short: bool = False
    # What the contenders ran with, where a cell has had them.
    configs: dict[str, str] = field(default_factory=dict)

    def address(self, user: str = "raw") -> Address:
        return self.server.address.in_database(DATABASE).as_user(user)

    def shuffled(self, names: list[str]) -> list[str]:
        return self.order.sample(names, len(names))


@contextlib.contextmanager
def server(scale: int) -> Iterator[Postgres]:
    """PostgreSQL 18 with pgbench's tables, and one for COPY that stays empty."""
    with Postgres(18, **SERVER_SETTINGS) as running:
        address = running.create_database(DATABASE).as_user("raw")
        run([tools.program("pgbench"), "-i", "-q", "-s", str(scale)], env=address.environment(), deadline_s=600)
        running.sql(f"CREATE UNLOGGED TABLE {COPIED_TABLE} (line text); CHECKPOINT", DATABASE)
        yield running
