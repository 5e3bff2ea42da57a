"""What a scenario plays on: a server, a contender in front of it, ledgers of its own."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.postgres import Address, Postgres
from support.processes import run, scratch_folder
from support.rivals import MAKERS, Endpoint, Rival, pgbouncer, pgprism
from support.waiting import wait_until

from .ledger import Balance, Clients, Ledger, balance

USER = "raw"
_numbers = itertools.count(1)

# A crash must lose nothing that was acknowledged; only the machine itself is trusted not to fail.
SERVER_SETTINGS = {"synchronous_commit": "on", "max_connections": "300", "fsync": "off"}


@dataclass
class Stage:
    """One contender's turn in one scenario."""

    server: Postgres
    contender: str
    rival: Rival | None = None
    balances: list[Balance] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def proxy(self) -> Rival:
        assert self.rival is not None, "the scenario has to call `start` first"
        return self.rival

    @property
    def address(self) -> Address:
        """Where the clients connect."""
        return self.server.address.as_user(USER).at(self.proxy.endpoint)

    def start(
        self, upstream: Endpoint | None = None, descriptors_max: int | None = None, **options: object
    ) -> Rival:
        """Starts the contender in front of the server, or of what stands before that."""
        self.rival = MAKERS[self.contender](upstream or self.server.address.endpoint, **options)
        self._stack.callback(self.rival.stop)
        self.rival.start(descriptors_max)
        return self.rival

    def start_drained_soon(self) -> Rival:
        """As `start`, with pgprism's drain as short as the others'."""
        if self.contender != pgprism.__name__:
            return self.start()
        return self.start(drain_idle_grace="10ms", drain_timeout="5s")

    def use_server_for(self, connections: int) -> None:
        """A server of the scenario's own, which takes so many."""
        settings = SERVER_SETTINGS | {"max_connections": str(connections), "shared_buffers": "32MB"}
        self.server = self._stack.enter_context(Postgres(self.server.major, **settings))

    def wait_no_backends(self) -> None:
        """Whoever left has left the server, too; a pooler keeps its connections on purpose."""
        if self.contender != pgbouncer.__name__:
            wait_until(lambda: self.server.backend_count() == 0, "no backend is left behind", deadline_s=20)

    @contextlib.contextmanager
    def clients(self, count: int = 8, pause_s: float = 0.004) -> Iterator[Clients]:
        """Clients with a ledger, which is compared with its table behind them."""
        ledger = Ledger(f"ledger_{next(_numbers)}")
        self.server.sql(
            f"CREATE TABLE {ledger.table} (id bigint, token text); CREATE INDEX ON {ledger.table} (id)"
        )
        with Clients(ledger, self.address, count, pause_s) as clients:
            yield clients
        self.balances.append(balance(ledger, self.server.address.as_user(USER)))
        if ledger.reasons:
            self.remarks.append(
                ", ".join(f"{count} × {reason}" for reason, count in sorted(ledger.reasons.items()))
            )

    def close(self) -> None:
        """Ends the contender; a panic of ours in its log is a failure whatever the ledger says."""
        log = self.proxy.log.read_text(errors="replace") if self.rival and self.rival.log.exists() else ""
        self._stack.close()
        assert "panicked" not in log, log[-3000:]


@contextlib.contextmanager
def tiny_disk(size: str = "64k") -> Iterator[Path]:
    """A folder on a file system of its own that is soon full."""
    folder = scratch_folder("disk")
    run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder])
    try:
        folder.chmod(0o777)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
