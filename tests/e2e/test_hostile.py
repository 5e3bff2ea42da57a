"""Hundreds of hostile inputs: nothing falls, nobody else notices, and the answer is PostgreSQL's own."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from hostile import after_login, before_login, from_server
from hostile.case import Case, play, unlike
from hostile.from_server import ServerCase
from support.postgres import Address, Postgres
from support.proxy import Listener, Pgprism
from support.wire import LOGIN, FakeServer, RawClient, query

BEFORE_LOGIN = list(before_login.cases())
AFTER_LOGIN = list(after_login.cases())
FROM_SERVER = list(from_server.cases())
GROWTH_MAX = 64_000_000
HEALTHY_WITHIN_S = 5.0
# What PgBouncer and others got wrong; an expired password (CVE-2025-2291) has a test of its own.
KNOWN_HOLES = (
    "CVE-2012-4575", "CVE-2015-6817", "CVE-2021-3935", "CVE-2021-23214", "CVE-2021-23222", "CVE-2021-43766",
    "CVE-2025-12819", "CVE-2026-6479", "CVE-2026-6664", "CVE-2026-6665", "CVE-2026-6666", "CVE-2026-6667",
    "CVE-2026-107348", "CVE-2026-107349", "CVE-2026-107350", "PgBouncer 1.5.5", "#822", "#1459",
)  # fmt: skip


class Healthy:
    """Somebody ordinary, who comes after every input and wants to be served."""

    def __init__(self, proxy: Pgprism, endpoint: tuple[str, int], database: str) -> None:
        self._proxy, self._endpoint, self._database = proxy, endpoint, database
        self.slowest_s = 0.0

    def check(self, after: str) -> None:
        status = self._proxy.process.exit_status
        assert status is None, f"after {after!r} the proxy ended with {status}\n{self._proxy.process.tail()}"
        begun = time.monotonic()
        with RawClient(self._endpoint, database=self._database, deadline_s=HEALTHY_WITHIN_S) as client:
            assert client.rows("SELECT 'healthy'") == [[b"healthy"]], f"after {after!r}"
        took = time.monotonic() - begun
        assert took < HEALTHY_WITHIN_S, f"after {after!r} a session took {took:.1f} s"
        self.slowest_s = max(self.slowest_s, took)


@contextlib.contextmanager
def bounded_memory(proxy: Pgprism) -> Iterator[None]:
    before = proxy.process.anonymous_bytes()
    yield
    growth = proxy.process.anonymous_bytes() - before
    print(f"{growth / 1e6:.1f} MB more after all of them")
    assert growth < GROWTH_MAX


def play_all(cases: list[Case], proxy: Pgprism, postgres: Postgres, database: Address) -> None:
    """Each input through the proxy and, at the same time, at the same server direct."""
    healthy = Healthy(proxy, proxy.endpoint, database.database)
    different = []
    with bounded_memory(proxy), ThreadPoolExecutor(1) as pool:
        for one in cases:
            direct = pool.submit(play, one, postgres.address.endpoint, database.database)
            through = play(one, proxy.endpoint, database.database)
            healthy.check(one.name)
            if difference := unlike(one, direct.result(), through):
                different.append(difference)
    assert not different, f"{len(different)} of {len(cases)} inputs:\n" + "\n".join(different)
    proxy.wait_no_sessions()
    print(f"{len(cases)} inputs; the slowest healthy session took {healthy.slowest_s * 1000:.0f} ms")


def play_servers(cases: list[ServerCase], proxy: Pgprism, database: Address, server: HostileServer) -> None:
    """Each reply reaches the client as it was sent, and harms only its own session."""
    healthy = Healthy(proxy, proxy.endpoint_of("real"), database.database)
    with bounded_memory(proxy):
        for one in cases:
            server.case = one
            with RawClient(proxy.endpoint_of("hostile"), log_in=False, deadline_s=10) as client:
                client.send(server.STARTUP)
                received = bytearray()
                if one.logs_in:
                    received += client.receive_exactly(len(one.login))
                    client.send(query("SELECT 'hello'"))
                with contextlib.suppress(ConnectionResetError):
                    while data := client.receive_some(262_144):
                        received += data
            sent = one.login + one.reply
            assert bytes(received) == sent, (
                f"{one.name}: {len(received)} of {len(sent)} bytes came, {received[-80:]!r}"
            )
            healthy.check(one.name)
    proxy.wait_no_sessions()
    print(f"{len(cases)} replies; the slowest healthy session took {healthy.slowest_s * 1000:.0f} ms")


class HostileServer(FakeServer):
    """Says what the case of the moment says, and goodbye."""

    STARTUP = before_login.GOOD

    def __init__(self) -> None:
        self.case = ServerCase("none", LOGIN)
        super().__init__(self._say)

    def _say(self, one: socket.socket, _: bytes) -> None:
        now = self.case
        one.sendall(now.login)
        if now.logs_in:
            one.recv(65536)
            one.sendall(now.reply)
        one.shutdown(socket.SHUT_WR)
        while one.recv(65536):
            pass


@pytest.fixture
def sink(postgres: Postgres, database: Address) -> Address:
    postgres.sql("CREATE TABLE sink (line text)", database.database)
    return database


@pytest.fixture
def hostile_proxy(pgprism: Pgprism) -> Pgprism:
    pgprism.expect.decode_errors = True
    # A flood of thousands of statements in one read is more than the ring holds.
    pgprism.expect.dropped_events = True
    return pgprism


@pytest.fixture
def hostile_server() -> Iterator[HostileServer]:
    with HostileServer() as server:
        yield server


@pytest.fixture
def two_upstreams(start_pgprism, postgres: Postgres, hostile_server: HostileServer) -> Pgprism:
    proxy = start_pgprism(
        [Listener(postgres.address.endpoint, "real"), Listener(hostile_server.endpoint, "hostile")]
    )
    proxy.expect.decode_errors = True
    proxy.expect.dropped_events = True
    return proxy


def test_there_are_five_hundred_and_each_known_hole_has_one():
    every = [*BEFORE_LOGIN, *AFTER_LOGIN, *FROM_SERVER]
    names = [one.name for one in every]
    assert len(set(names)) == len(names), "two inputs have one name"
    assert len({one.steps for one in BEFORE_LOGIN + AFTER_LOGIN}) + len(FROM_SERVER) >= 500
    references = " ".join(one.reference for one in every if one.reference)
    assert not [hole for hole in KNOWN_HOLES if hole not in references]
    print(f"{len(BEFORE_LOGIN)} before login, {len(AFTER_LOGIN)} after, {len(FROM_SERVER)} of servers")


@pytest.mark.smoke
def test_a_sample_of_them(hostile_proxy, postgres, sink):
    """One in ten of the clients' inputs, and every one that stands for a known hole."""
    clients = BEFORE_LOGIN + AFTER_LOGIN
    play_all(
        [one for n, one in enumerate(clients) if n % 16 == 0 or one.reference], hostile_proxy, postgres, sink
    )


@pytest.mark.smoke
def test_a_sample_of_the_servers(two_upstreams, sink, hostile_server):
    play_servers(
        [one for n, one in enumerate(FROM_SERVER) if n % 12 == 0 or one.reference],
        two_upstreams,
        sink,
        hostile_server,
    )


@pytest.mark.smoke
def test_an_expired_password_is_refused(pgprism, postgres):
    """CVE-2025-2291: who keeps passwords forgets that they expire; here PostgreSQL alone knows them."""
    postgres.sql("CREATE ROLE expired LOGIN PASSWORD 'once good' VALID UNTIL '2000-01-01'")
    try:
        said = []
        for endpoint in (postgres.address.endpoint, pgprism.endpoint):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed") as refused:
                psycopg.connect(postgres.address.at(endpoint).conninfo(user="expired", password="once good"))
            said.append(str(refused.value).rpartition("FATAL:")[2])
        assert said[0] == said[1]
    finally:
        postgres.sql("DROP ROLE expired")


def test_before_login(hostile_proxy, postgres, sink):
    play_all(BEFORE_LOGIN, hostile_proxy, postgres, sink)


def test_after_login(hostile_proxy, postgres, sink):
    play_all(AFTER_LOGIN, hostile_proxy, postgres, sink)


def test_from_a_server(two_upstreams, sink, hostile_server):
    play_servers(FROM_SERVER, two_upstreams, sink, hostile_server)
