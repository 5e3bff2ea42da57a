"""What a rolling restart needs: processes that replace each other, and load that notices when one is missed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
from pathlib import Path

from . import tools
from .postgres import Address
from .processes import Child, scratch_folder
from .proxy import Pgprism
from .waiting import wait_until

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """A successor outlives its parent: from now on its end is told to this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


class Lineage:
    """A proxy and those that replace it, one after the other, by SIGUSR2."""

    def __init__(self, first: Pgprism) -> None:
        adopt_orphans()
        self._first = first
        self.pids = [first.process.pid]

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        return self.pids[-1]

    def replace(self, deadline_s: float = 30.0) -> None:
        """Asks for a successor and waits until it serves and its predecessor has ended."""
        before = self.pid
        os.kill(before, signal.SIGUSR2)
        taken = wait_until(
            lambda: re.findall(r"process (\d+) has taken over", self._first.log_text())[len(self.pids) - 1 :],
            "a successor takes over",
            deadline_s=deadline_s,
        )
        self.pids.append(int(taken[0]))
        assert self._status_of(before, deadline_s) == 0

    def _status_of(self, pid: int, deadline_s: float) -> int:
        if pid == self._first.process.pid:
            return self._first.process.wait(deadline_s)

        def ended() -> tuple[int] | None:
            found, status = os.waitpid(pid, os.WNOHANG)
            return (os.waitstatus_to_exitcode(status),) if found else None

        return wait_until(ended, f"process {pid} ends", deadline_s=deadline_s, refused=(ChildProcessError,))[0]

    def end(self) -> int:
        """Ends the last one; its exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        return self._status_of(self.pid, 20)

    def __enter__(self) -> Lineage:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if len(self.pids) > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM if kind is None else signal.SIGKILL)
            status = self._status_of(self.pid, 20)
            assert kind is not None or status == 0, f"exit status {status}\n{self._first.process.tail()}"


class Load:
    """pgbench with a new connection for each transaction, and a ledger in the database that it must agree with."""

    SCRIPT = """\
\\set account random(1, 1000)
BEGIN;
INSERT INTO ledger (account, client) VALUES (:account, :client_id);
SELECT count(*) FROM ledger WHERE account = :account;
COMMIT;
"""

    def __init__(self, server_sql, address: Address, seconds: int, clients: int = 8) -> None:
        self._sql = server_sql
        self._database = address.database
        server_sql("CREATE TABLE ledger (id bigserial PRIMARY KEY, account int, client int)", address.database)
        self.folder = scratch_folder("load")
        script = self.folder / "script.sql"
        script.write_text(self.SCRIPT)
        self.child = Child(
            # A thread each: pgbench connects synchronously, and would keep the transactions of a thread's other clients
            # waiting while one of them waits for a connection.
            [
                tools.program("pgbench"), "-n", "-C", "-c", str(clients), "-j", str(clients), "-T", str(seconds),
                "-f", script,
            ],
            self.folder / "pgbench.log",
            env=address.as_user("raw").environment() | {"PGCONNECT_TIMEOUT": "30"},
        )
        wait_until(lambda: self.rows() > 20, "the load runs")

    def rows(self) -> int:
        return int(self._sql("SELECT count(*) FROM ledger", self._database))

    @property
    def runs(self) -> bool:
        return self.child.exit_status is None

    def finish(self, deadline_s: float) -> int:
        """Waits for its end; how many transactions it made. None was refused, failed or cut."""
        status = self.child.wait(deadline_s)
        report = self.child.log.read_text()
        assert status == 0 and "aborted" not in report and "error" not in report, report
        assert "number of failed transactions: 0 " in report, report
        (made,) = re.findall(r"number of transactions actually processed: (\d+)", report)
        assert self.rows() == int(made), f"{self.rows()} rows of {made} transactions"
        return int(made)


class Activated:
    """Does what systemd does for a socket unit: owns the socket, and starts and stops the service behind it."""

    def __init__(self, upstream: tuple[str, int], folder: Path) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.log = folder / "activated.log"
        self._arguments = [
            "serve", "--upstream", f"postgres://{upstream[0]}:{upstream[1]}", "--admin", "off", "--slow-log", "off",
        ]
        self._service: Child | None = None
        self.start()

    @property
    def endpoint(self) -> tuple[str, int]:
        return self._socket.getsockname()

    def start(self) -> None:
        descriptor = self._socket.fileno()
        # systemd's protocol: descriptors from 3 on, and the pid of the process that they are for.
        shell = f'exec 3<&{descriptor}; [ {descriptor} = 3 ] || exec {descriptor}<&-; LISTEN_PID=$$ exec "$@"'
        self._service = Child(
            ["bash", "-c", shell, "bash", tools.pgprism(), *self._arguments],
            self.log,
            env=os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "default", "NO_COLOR": "1"},
            pass_fds=[descriptor],
        )

    def restart(self) -> None:
        """As `systemctl restart`: the old one ends, then the new one starts; clients wait in the socket's queue."""
        assert self._service is not None
        assert self._service.stop(30) == 0, self._service.tail()
        self.start()

    def close(self) -> None:
        if self._service is not None:
            self._service.stop(30)
        self._socket.close()
