"""Law 2 under each fault of its own: the traffic gets its right answers, the loss is counted and told, `/readyz` stays.

The faults are those of `pgprism serve --fault` (CONTRIBUTING.md), and real ones: a full disk, a removed folder, SQL
made to exhaust parsers, readers that do not read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.postgres import Address
from support.processes import scratch_folder
from support.proxy import Pgprism
from support.waiting import wait_until

EVERYTHING = {"threshold": "0ms", "queries_per_second_max": 0}
API = ("summary", "queries", "findings", "units", "connections", "history")


class Traffic:
    """Clients that work until they are told to stop, each checking every answer; one of them connects anew each time."""

    def __init__(self, address: Address, clients: int = 3) -> None:
        self.errors: list[str] = []
        self.answers = 0
        self._address = address
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(number, number == 0), daemon=True) for number in range(clients)
        ]

    def _work(self, number: int, reconnects: bool) -> None:
        try:
            while not self._stop.is_set():
                with psycopg.connect(self._address.conninfo(), autocommit=True) as connection:
                    connection.execute(f"CREATE TEMP TABLE own (id int PRIMARY KEY, name text) -- {number}")
                    for n in range(10 if reconnects else 1_000_000):
                        if self._stop.is_set():
                            return
                        self._round(connection, n)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test is about
            self.errors.append(repr(error))

    def _round(self, connection: psycopg.Connection, n: int) -> None:
        assert connection.execute("SELECT %s::int + 1", [n]).fetchone() == (n + 1,)
        connection.execute("INSERT INTO own VALUES (%s, %s)", [n, f"name {n}"])
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT id, name FROM own WHERE id <= %s ORDER BY id DESC LIMIT 5", [n])
            rows = cursor.fetchall()
        assert rows == [(m, f"name {m}") for m in range(n, max(-1, n - 5), -1)], rows
        with self._lock:
            self.answers += 3

    def wait_for(self, more: int, deadline_s: float = 30.0) -> None:
        """Until that many more answers came."""
        goal = self.answers + more
        wait_until(lambda: self.errors or self.answers >= goal, f"{more} more answers", deadline_s=deadline_s)
        assert not self.errors, self.errors

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        if kind is None:
            assert not any(thread.is_alive() for thread in self._threads), "a client hangs"
            assert not self.errors, self.errors
            assert self.answers > 0


def degraded(proxy: Pgprism) -> list[str]:
    return proxy.api("summary")["degraded"]


def wait_degraded(proxy: Pgprism, words: str, deadline_s: float = 15.0) -> None:
    wait_until(
        lambda: any(reason.startswith(words) for reason in degraded(proxy)), f"degraded: {words}", deadline_s=deadline_s
    )


def everything_answers(proxy: Pgprism) -> None:
    """Whoever asks, is answered, and soon."""
    for path in ("/readyz", "/healthz", "/metrics", *(f"/api/v1/{name}" for name in API)):
        began = time.monotonic()
        assert proxy.status_of(path) == 200, path
        assert time.monotonic() - began < 3, f"{path} took its time"


def figures_go_on(proxy: Pgprism, traffic: Traffic) -> None:
    """What is counted keeps pace with the traffic."""
    before = proxy.metrics().total("pgprism_queries_total")
    traffic.wait_for(200)
    wait_until(lambda: proxy.metrics().total("pgprism_queries_total") >= before + 200, "the traffic is counted")


@pytest.mark.smoke
def test_a_panic_in_the_observer_ends_one_sessions_observation(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint, faults=["observer-panic"])
    proxy.expect.decode_errors = proxy.expect.dropped_events = True
    with Traffic(database.at(proxy.endpoint)) as traffic:
        traffic.wait_for(500)
        wait_degraded(proxy, "session_unobserved: panic")
        everything_answers(proxy)

        def sessions() -> float:
            return proxy.metrics().total("pgprism_unobserved_sessions_total", reason="panic")

        wait_until(lambda: sessions() >= 20, "many sessions panicked", deadline_s=60)
        # What was counted before each panic is counted, with the lock that it was holding.
        seen = sessions()
        wait_until(lambda: proxy.metrics().total("pgprism_queries_total") >= seen, "their queries are counted")
    log = proxy.log_text()
    assert "fault injected: observer-panic" in log
    assert 1 <= log.count("panic: fault injected") <= 17, "one line each of the first, not of all"


def test_an_analysis_that_stands_still_is_told_of_and_goes_on(start_pgprism, postgres, database):
    proxy = start_pgprism(
        postgres.address.endpoint, faults=["analysis-hang=8s"], limits={"ring_events_max": 100}
    )
    proxy.expect.dropped_events = True
    with Traffic(database.at(proxy.endpoint)) as traffic:
        wait_degraded(proxy, "analysis_stuck: ")
        figures_go_on(proxy, traffic)
        everything_answers(proxy)
        wait_degraded(proxy, "event_dropped: ring_full")
        proxy.wait_logged("the analysis stands still")
        wait_until(
            lambda: not any("analysis_stuck" in reason for reason in degraded(proxy)),
            "the analysis goes on",
            deadline_s=20,
        )
        proxy.wait_logged("the analysis goes on")
        units = proxy.api("summary")["units_open"]
        traffic.wait_for(200)
        assert units >= 0
    assert "fault injected: analysis-hang=8s" in proxy.log_text()


@pytest.mark.smoke
def test_a_process_whose_analysis_hangs_for_ever_still_ends(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint, faults=["analysis-hang=1h"])
    proxy.expect.dropped_events = True
    proxy.expect.ends_within_s = 10
    with Traffic(database.at(proxy.endpoint)) as traffic:
        wait_degraded(proxy, "analysis_stuck: ")
        traffic.wait_for(100)
        everything_answers(proxy)
    proxy.stop()


def test_an_analysis_a_thousand_times_as_slow(start_pgprism, postgres, database):
    proxy = start_pgprism(
        postgres.address.endpoint, faults=["analysis-slow=1000x"], limits={"ring_events_max": 200}
    )
    proxy.expect.dropped_events = True
    with Traffic(database.at(proxy.endpoint)) as traffic:
        wait_degraded(proxy, "event_dropped: ring_full", deadline_s=40)
        figures_go_on(proxy, traffic)
        everything_answers(proxy)


def test_an_analysis_that_dies_is_started_again(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint, faults=["analysis-dead"])
    proxy.expect.dropped_events = True
    with Traffic(database.at(proxy.endpoint)) as traffic:
        wait_degraded(proxy, "event_dropped: analysis_restarted")
        figures_go_on(proxy, traffic)
        everything_answers(proxy)

        def restarts() -> float:
            return proxy.metrics().total("pgprism_events_dropped_total", reason="analysis_restarted")

        wait_until(lambda: restarts() >= 2, "it is started more than once", deadline_s=20)
        # What it learnt before is not forgotten: what it counts never decreases.
        wait_until(lambda: proxy.api("units", limit=1)["items"], "units of before are there")
    log = proxy.log_text()
    # Twice as long each time: no thread a tick.
    assert 2 <= log.count("the analysis' thread ended") <= 8


@pytest.mark.smoke
def test_a_full_disk_by_switch(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint, faults=["log-disk-full"], slow_log=EVERYTHING)
    with Traffic(database.at(proxy.endpoint)) as traffic:
        wait_degraded(proxy, "slow_log_dropped: write_failed")
        figures_go_on(proxy, traffic)
        everything_answers(proxy)
    assert proxy.slow_log.read_text() == ""
    assert proxy.log_text().count("slow-query log cannot be written") == 1


@contextlib.contextmanager
def small_disk(bytes_max: int) -> Iterator[Path]:
    """A filesystem of its own that is soon full; skips where we may not mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a filesystem; the switch log-disk-full is tested either way")
    folder = scratch_folder("disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={bytes_max}", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_really_full_and_then_is_not(start_pgprism, postgres, database):
    with small_disk(64 * 1024) as disk:
        log = disk / "slow.log"
        proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING | {"path": str(log)})
        with Traffic(database.at(proxy.endpoint)) as traffic:
            wait_degraded(proxy, "slow_log_dropped: write_failed", deadline_s=30)
            assert log.stat().st_size > 32 * 1024, "it was written until there was no room"
            figures_go_on(proxy, traffic)
            everything_answers(proxy)
            log.unlink()
            wait_until(lambda: log.exists() and "LOG:  duration: " in log.read_text(), "there is room: it is written")
            traffic.wait_for(100)
        proxy.wait_logged("slow-query log is written again")
        proxy.stop()


def test_a_log_folder_that_is_removed_and_comes_back(start_pgprism, postgres, database):
    folder = scratch_folder("logs") / "logs"
    folder.mkdir()
    log = folder / "slow.log"
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING | {"path": str(log)})
    with Traffic(database.at(proxy.endpoint)) as traffic:
        traffic.wait_for(100)
        shutil.rmtree(folder)
        wait_degraded(proxy, "slow_log_dropped: open_failed")
        figures_go_on(proxy, traffic)
        everything_answers(proxy)
        folder.mkdir()
        wait_until(lambda: log.exists() and "LOG:  duration: " in log.read_text(), "it is written anew")


BOMBS = {
    "50,000 ANDs": "SELECT 1 WHERE " + " AND ".join(["1 = 1"] * 50_000),
    "5,000 ORs of columns": "SELECT 1 FROM pg_class c WHERE " + " OR ".join(["c.relname = 'x'"] * 5_000) + " LIMIT 1",
    "20,000 UNIONs": " UNION ".join(["SELECT 1"] * 20_000),
    "20,000 parentheses": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "20,000 brackets": "SELECT " + "ARRAY[" * 20_000 + "1" + "]" * 20_000,
    "20,000 nested comments": "SELECT " + "/*" * 20_000 + " deep " + "*/" * 20_000 + " 1",
    "20,000 nested CASE": "SELECT " + "CASE WHEN true THEN " * 20_000 + "1" + " END" * 20_000,
    "20,000 NOTs": "SELECT " + "NOT " * 20_000 + "true",
    "20,000 minus signs": "SELECT " + "- " * 20_000 + "1",
    "20,000 casts": "SELECT 1" + "::int" * 20_000,
    "20,000 subqueries": "SELECT * FROM " + "(SELECT * FROM " * 20_000 + "pg_class" + ") a" * 20_000,
    "2,000 common table expressions": "WITH "
    + ", ".join(f"a{n} AS (SELECT {n})" for n in range(2_000))
    + " SELECT * FROM a1",
    "20,000 statements": "SELECT 1;" * 20_000,
    "a name of 1 MB": f'SELECT 1 AS "{"n" * 1_000_000}"',
    "an operator of 3,000 signs": "SELECT 1 " + "+" * 3_000 + " 1",
    "200,000 elements": "SELECT 1 IN (" + ",".join(["1"] * 200_000) + ")",
    "100 MB in one literal": "SELECT length('" + "x" * 100_000_000 + "')",
    "a dollar quote that never ends": "SELECT $" + "tag" * 10_000 + "$ x",
    "open at its end": "SELECT 'x",
    "only a comment": "/* " * 10_000,
}


def outcome(address: Address, statement: str) -> tuple[str | None, list[tuple[object, ...]] | None]:
    """SQLSTATE or rows."""
    with psycopg.connect(address.conninfo(), autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        try:
            cursor = connection.execute(statement.encode())
            return None, cursor.fetchall() if cursor.description else None
        except psycopg.Error as error:
            return error.sqlstate, None


def test_sql_that_exhausts_parsers(start_pgprism, postgres, database):
    """Each gets what the server itself says, and what comes behind it is observed as ever."""
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING)
    proxy.expect.dropped_events = True
    address = database.at(proxy.endpoint)
    with Traffic(address, clients=2) as traffic:
        for name, statement in BOMBS.items():
            assert outcome(address, statement) == outcome(database, statement), name
            assert proxy.status_of("/readyz") == 200, name
        traffic.wait_for(50)
        everything_answers(proxy)
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("SELECT relname FROM pg_class WHERE oid = %s", [1])
    item = proxy.shape("SELECT relname FROM pg_class WHERE oid = 1")
    # Its facts came: the parser is alive behind all of them.
    wait_until(
        lambda: proxy.api(f"queries/{item['fingerprint']}")["tables"] == ["pg_class"], "the parser works", deadline_s=20
    )
    assert not [reason for reason in degraded(proxy) if "stuck" in reason or "panic" in reason]


def test_rings_that_are_full(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint, tick="1s", limits={"ring_events_max": 1})
    proxy.expect.dropped_events = True
    with Traffic(database.at(proxy.endpoint)) as traffic:
        wait_degraded(proxy, "event_dropped: ring_full")
        figures_go_on(proxy, traffic)
        everything_answers(proxy)


@pytest.mark.smoke
def test_readers_that_are_slow_or_many(start_pgprism, postgres, database):
    """A hundred who ask for `/metrics` and never read, and a hundred who send half a request."""
    proxy = start_pgprism(postgres.address.endpoint)
    with contextlib.ExitStack() as stack, Traffic(database.at(proxy.endpoint)) as traffic:
        for number in range(200):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(proxy.admin)
            reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + (b"\r\n" if number % 2 else b""))
        traffic.wait_for(1_000)
        # Whoever asks is answered once the first of them have had their time.
        wait_until(
            lambda: proxy.status_of("/readyz") == 200, "/readyz answers", deadline_s=60, refused=(OSError, TimeoutError)
        )
        traffic.wait_for(100)
    wait_until(lambda: proxy.status_of("/metrics") == 200, "/metrics answers", deadline_s=60, refused=(OSError,))
