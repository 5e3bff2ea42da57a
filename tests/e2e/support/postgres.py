"""Real PostgreSQL servers, one folder and one port each."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .processes import Child, free_port, run, scratch_folder, unprivileged_account
from .waiting import wait_until

PASSWORD = "correct horse"
"""Password of the role `app`, which logs in by SCRAM; `raw` and `postgres` need none on loopback."""

_HBA = """\
local all         all                trust
host  all         postgres,raw  127.0.0.1/32 trust
host  replication postgres,raw  127.0.0.1/32 trust
host  replication app           127.0.0.1/32 scram-sha-256
host  all         all           127.0.0.1/32 scram-sha-256
"""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "logical",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
    "max_connections": "150",
    "max_prepared_transactions": "8",
    "shared_buffers": "64MB",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "30000",
    "password_encryption": "scram-sha-256",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_PREPARE = f"""\
CREATE EXTENSION pg_stat_statements;
CREATE ROLE app LOGIN SUPERUSER PASSWORD '{PASSWORD}';
CREATE ROLE raw LOGIN SUPERUSER;
CREATE ROLE counted LOGIN SUPERUSER PASSWORD '{PASSWORD}';
"""


@dataclass(frozen=True)
class Address:
    """Where a client connects: to the server, to the proxy or to a relay; the database is the server's."""

    host: str
    port: int
    database: str = "postgres"
    user: str = "app"
    password: str = PASSWORD

    @property
    def endpoint(self) -> tuple[str, int]:
        return (self.host, self.port)

    def at(self, endpoint: tuple[str, int]) -> Address:
        """The same database and role, reached through `endpoint`."""
        return Address(endpoint[0], endpoint[1], self.database, self.user, self.password)

    def as_user(self, user: str, password: str | None = None) -> Address:
        return Address(self.host, self.port, self.database, user, self.password if password is None else password)

    def in_database(self, database: str) -> Address:
        return Address(self.host, self.port, database, self.user, self.password)

    def conninfo(self, **more: str) -> str:
        """libpq's keyword form; `more` adds or overrides keywords."""
        words = {
            "host": self.host,
            "port": str(self.port),
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "connect_timeout": "10",
        } | more
        return " ".join(f"{key}='{value}'" for key, value in words.items())

    def environment(self) -> dict[str, str]:
        """For psql and pgbench."""
        return os.environ | {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }


class Postgres:
    """A running server of one major version, with a copy of a prepared data folder.

    `furnish` may change that copy before the server sees it; without a `port` it has a free one.
    """

    def __init__(
        self, major: int, furnish: Callable[[Postgres], None] | None = None, port: int | None = None, **settings: str
    ) -> None:
        self.major = major
        self._account = unprivileged_account()
        self._bin = tools.postgres(major)
        self.folder = scratch_folder(f"pg{major}", self._account)
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        _copy_template(self._bin, self.data)
        if furnish is not None:
            furnish(self)
        self.port = port or free_port()
        self._settings = settings
        self._child = _start(self._bin, self.data, self.folder, self.port, self.log, settings)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    @property
    def socket_folder(self) -> Path:
        return self.folder

    def sql(self, text: str, database: str = "postgres") -> str:
        """Runs SQL over the Unix socket, past any proxy; rows come back with `|` between columns."""
        return run(
            [tools.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port),
             "-U", "postgres", "-d", database, "-c", text],
        ).stdout.strip()

    def own(self, path: Path) -> None:
        """Gives a file that a test put there to the server's account."""
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def create_database(self, name: str) -> Address:
        self.sql(f'CREATE DATABASE "{name}"')
        return self.address.in_database(name)

    def backend_count(self) -> int:
        """Client sessions open now, this question's own left out."""
        return int(
            self.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender')"
                " AND pid <> pg_backend_pid()"
            )
        )

    def halt(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server process: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        self._child.send(how)
        self._child.wait(20)

    @property
    def process(self) -> Child:
        return self._child

    def processes(self) -> list[int]:
        """The server's processes, backends and all."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and os.readlink(folder / "cwd") == str(self.data):
                    found.append(int(folder.name))
        return found

    def signal_all(self, number: signal.Signals) -> None:
        """To every process: SIGSTOP freezes the server, SIGCONT lets it go on."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Ends the server with SIGKILL, as a crash would; returns when its last process is gone."""
        self._child.kill()
        wait_until(lambda: not self.processes(), "the server's backends are gone", deadline_s=20)

    def start_again(self) -> None:
        """Behind `kill` or `halt`: the same data at the same port."""
        # It says when it is ready; the one before said so too.
        self.log.unlink(missing_ok=True)
        self._child = _start(self._bin, self.data, self.folder, self.port, self.log, self._settings)

    def stop(self) -> None:
        try:
            self._child.send(signal.SIGINT)
            self._child.wait(20)
        finally:
            self._child.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Postgres:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _start(bin: Path, data: Path, sockets: Path, port: int, log: Path, settings: dict[str, str]) -> Child:
    argv: list[str | Path] = [bin / "postgres", "-D", data, "-p", str(port), "-k", sockets]
    for key, value in (_SETTINGS | settings).items():
        argv += ["-c", f"{key}={value}"]
    logged = log.stat().st_size if log.exists() else 0
    child = Child(argv, log, account=unprivileged_account(), stop_signal=signal.SIGINT)

    def ready() -> bool:
        if child.exit_status is not None:
            raise RuntimeError(f"postgres ended with {child.exit_status}\n{child.tail()}")
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        return b"ready to accept connections" in log.read_bytes()[logged:]

    try:
        wait_until(ready, f"{bin}/postgres accepts connections", deadline_s=30, refused=(OSError,))
    except BaseException:
        child.kill()
        raise
    return child


def _copy_template(bin: Path, data: Path) -> None:
    """Makes `data` from a template that is made once for each version and recipe and then kept."""
    version = run([bin / "postgres", "--version"]).stdout.strip()
    recipe = hashlib.sha256(f"{version}{bin}{_HBA}{_PREPARE}{sorted(_SETTINGS)}".encode()).hexdigest()[:12]
    cache = Path(tempfile.gettempdir()) / f"pgprism-templates-{os.getuid()}"
    cache.mkdir(mode=0o755, exist_ok=True)
    if cache.stat().st_uid != os.getuid():
        raise RuntimeError(f"{cache} belongs to somebody else")
    template = cache / recipe
    with (cache / f"{recipe}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            _make_template(bin, template)
    run(["cp", "-a", "--reflink=auto", template, data])


def _make_template(bin: Path, template: Path) -> None:
    account = unprivileged_account()
    folder = scratch_folder("template", account)
    try:
        data = folder / "data"
        run(
            [bin / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            account=account,
            cwd=folder,
        )
        (data / "pg_hba.conf").write_text(_HBA)
        port = free_port()
        child = _start(bin, data, folder, port, folder / "server.log", {})
        try:
            for database in ("template1", "postgres"):
                run(
                    [tools.program("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", str(port),
                     "-U", "postgres", "-d", database],
                    input=_PREPARE if database == "template1" else "CREATE EXTENSION pg_stat_statements;",
                )
        finally:
            child.stop()
        shutil.move(data, template)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
