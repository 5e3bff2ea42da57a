"""The faults. Each scenario starts its contender, lets clients with a ledger work, and does something to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from support.cable import Cable
from support.waiting import wait_until
from support.wire import RawClient, ServerError, query

from .ledger import Fate
from .stage import USER, Stage, tiny_disk

WORK = 60
"""Transactions before and behind each fault."""
BIG = "SELECT repeat('x', 1000000) FROM generate_series(1, 300)"


def _last(seconds: float) -> None:
    """How long a fault lasts: the one thing here that is a matter of time."""
    threading.Event().wait(seconds)


def no_fault(stage: Stage) -> None:
    """Nothing is done: what the others are read against."""
    stage.start()
    with stage.clients() as clients:
        clients.wait_commits(5 * WORK)


def upstream_killed(stage: Stage) -> None:
    """PostgreSQL is killed with -9 and started again, twice."""
    stage.start()
    with stage.clients() as clients:
        for _ in range(2):
            clients.wait_commits(WORK)
            stage.server.kill()
            stage.server.start_again()
        clients.wait_commits(WORK)


def backend_killed(stage: Stage) -> None:
    """One backend is killed with -9: PostgreSQL ends all of them and recovers."""
    stage.start()
    with stage.clients() as clients:
        clients.wait_commits(WORK)
        victim = stage.server.sql(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1"
        )
        os.kill(int(victim), signal.SIGKILL)
        clients.wait_commits(2 * WORK)


def upstream_stopped(stage: Stage) -> None:
    """PostgreSQL is stopped with SIGSTOP for two seconds, then goes on."""
    stage.start()
    with stage.clients() as clients:
        clients.wait_commits(WORK)
        stage.server.signal_all(signal.SIGSTOP)
        try:
            _last(2)
        finally:
            stage.server.signal_all(signal.SIGCONT)
        clients.wait_commits(WORK)


def blackhole(stage: Stage) -> None:
    """The cable between proxy and server is pulled for five seconds; TCP_USER_TIMEOUT is 3 s for all."""
    with Cable(stage.server.socket_folder / f".s.PGSQL.{stage.server.port}") as cable:
        options = {"tcp_user_timeout": "3s"} if stage.contender == "pgprism" else {}
        stage.start(cable.endpoint, **options)
        with stage.clients() as clients:
            clients.wait_commits(WORK)
            cable.pull()
            try:
                _last(5)
            finally:
                cable.plug_in()
            clients.wait_commits(WORK)
        stage.remarks.append(cable.kind)


def slow_readers(stage: Stage) -> None:
    """Twenty clients ask for 300 MB each and read a byte now and then, or nothing."""
    rival = stage.start()
    with stage.clients() as clients:
        clients.wait_commits(WORK)
        readers = [RawClient(stage.address.endpoint, user=USER, receive_buffer_bytes=4096) for _ in range(20)]
        for reader in readers:
            reader.ask("SELECT 1")
        clients.wait_commits(WORK)
        before = rival.process.anonymous_bytes()
        for reader in readers:
            reader.send(query(BIG))
        for _ in range(5):
            clients.wait_commits(WORK)
            for reader in readers[::2]:
                reader.socket.recv(1)
        growth = (rival.process.anonymous_bytes() - before) / 20
        for reader in readers:
            reader.reset()
        clients.wait_commits(WORK)
    stage.remarks.append(f"{growth / 1024:.0f} KiB a reader")
    stage.wait_no_backends()


def two_thousand(stage: Stage) -> None:
    """Two thousand sessions at once, each asking for a token of its own, again and again."""
    stage.use_server_for(2100)
    stage.start()
    count = 2000
    crossed: list[str] = []
    failed: list[str] = []

    async def one(number: int, arrived: asyncio.Semaphore, all_there: asyncio.Event, left: list[int]) -> None:
        connection = None
        try:
            async with arrived:
                connection = await psycopg.AsyncConnection.connect(
                    stage.address.conninfo(sslmode="disable", connect_timeout="60"), autocommit=True
                )
            left[0] -= 1
            if left[0] == 0:
                all_there.set()
            await asyncio.wait_for(all_there.wait(), 90)
            for turn in range(2):
                token = f"{number}:{turn}:{random.random()}"
                answer = await (await connection.execute("SELECT %s::text", (token,))).fetchall()
                if answer != [(token,)]:
                    crossed.append(f"{answer} instead of {token}")
        except (psycopg.Error, asyncio.TimeoutError) as error:
            failed.append(str(error)[:200])
            left[0] -= 1
            if left[0] == 0:
                all_there.set()
        finally:
            if connection is not None:
                await connection.close()

    async def everyone() -> None:
        arrived, all_there, left = asyncio.Semaphore(40), asyncio.Event(), [count]
        await asyncio.gather(*(one(number, arrived, all_there, left) for number in range(count)))

    with stage.clients(count=4, pause_s=0.02) as clients:
        begun = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(everyone())).result(timeout=200)
        took = time.monotonic() - begun
        clients.ledger.crossed += crossed
        clients.ledger.refused += len(failed)
        clients.wait_commits(WORK)
    stage.remarks.append(f"{count - len(failed)} of {count} served within {took:.0f} s")


def few_descriptors(stage: Stage) -> None:
    """It may have 100 descriptors, and 200 clients come besides those with the ledger."""
    # HAProxy does not start when it cannot have as many as its own limit of connections needs.
    options = {"connections_max": 40} if stage.contender == "haproxy" else {}
    stage.start(descriptors_max=100, **options)
    with stage.clients() as clients:
        clients.wait_commits(WORK)
        crowd = []
        for _ in range(200):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(stage.address.endpoint)
            crowd.append(one)
        _last(2)
        for one in crowd:
            one.close()
        clients.wait_commits(2 * WORK)


def full_disk(stage: Stage) -> None:
    """The disk of its log is full."""
    with tiny_disk() as disk:
        if stage.contender == "pgprism":
            stage.start(slow_log=disk / "slow.log", threshold="0s")
        else:
            stage.start(log=disk / "pgbouncer.log")
            # It logs connections only, so that somebody else has to fill the disk.
            with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
        with stage.clients() as clients:
            clients.wait_commits(5 * WORK)
        usage = os.statvfs(disk)
        assert usage.f_bavail == 0, "the disk is not full"


def rolling_restart(stage: Stage) -> None:
    """Three times a new process comes beside the old one on its port, and the old one is told to end."""
    rival = stage.start_drained_soon()
    with stage.clients(pause_s=0.03) as clients:
        for _ in range(3):
            clients.wait_commits(WORK)
            old = rival.process
            rival.start()
            old.send(rival.gentle)
            with contextlib.suppress(AssertionError):
                wait_until(lambda old=old: old.exit_status is not None, "the old one ends", deadline_s=20)
        clients.wait_commits(WORK)


def proxy_killed(stage: Stage) -> None:
    """The proxy is killed with -9 and started again, three times."""
    rival = stage.start()
    with stage.clients() as clients:
        for _ in range(3):
            clients.wait_commits(WORK)
            rival.kill()
            rival.start()
        clients.wait_commits(WORK)


def rude_clients(stage: Stage) -> None:
    """Clients reset in the middle of a transaction, or half-close behind their last request and read its answer."""
    stage.start()
    with stage.clients() as clients:
        ledger = clients.ledger
        unanswered = 0
        for number in range(120):
            if unanswered == 3:
                stage.remarks.append("does not answer half-closed clients")
                break
            entry = ledger.entry()
            insert = "; ".join(
                f"INSERT INTO {ledger.table} VALUES ({one}, '{ledger.token(one)}')" for one in entry.ids
            )
            one = RawClient(stage.address.endpoint, user=USER, deadline_s=5)
            if number % 2:
                one.send(query("BEGIN") + query(insert))
                if number % 4 == 1:
                    one.ready()
                one.reset()
                continue
            token = f"half-closed {number}"
            entry.fate = Fate.UNKNOWN
            one.send(query(insert) + query(f"SELECT '{token}'"))
            one.finish_sending()
            with contextlib.suppress(OSError, EOFError, ServerError):
                one.ready()
                entry.fate = Fate.COMMITTED
                if not any(token.encode() in message.body for message in one.ready()):
                    ledger.crossed.append(f"{token} was not answered")
            if entry.fate is Fate.UNKNOWN:
                ledger.lost_sessions += 1
                unanswered += 1
            one.close()
        clients.wait_commits(WORK)
    stage.wait_no_backends()


@dataclass(frozen=True)
class Scenario:
    name: str
    play: Callable[[Stage], None]
    contenders: tuple[str, ...] = ("pgprism", "pgbouncer", "haproxy")
    needs_root: bool = False


SCENARIOS = (
    Scenario("no fault", no_fault),
    Scenario("server killed -9, started again", upstream_killed),
    Scenario("one backend killed -9", backend_killed),
    Scenario("server stopped for 2 s (SIGSTOP)", upstream_stopped),
    Scenario("cable to the server pulled for 5 s", blackhole),
    Scenario("20 slow readers of 300 MB", slow_readers),
    Scenario("2,000 sessions", two_thousand),
    Scenario("100 descriptors, 200 clients too many", few_descriptors),
    Scenario("disk of the log full", full_disk, ("pgprism", "pgbouncer"), needs_root=True),
    Scenario("rolling restart, 3 times", rolling_restart),
    Scenario("proxy killed -9, started again, 3 times", proxy_killed),
    Scenario("resets and half-closes", rude_clients),
)


def by_name(part: str) -> Iterator[Scenario]:
    return (one for one in SCENARIOS if part in one.name)
