"""The upstream is restarted, killed, stopped, moved, or vanishes: sessions end or go on, and nothing hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from support import tools
from support.network import Island, Names
from support.postgres import Postgres
from support.processes import Child, free_port, scratch_folder
from support.waiting import wait_until
from support.wire import LOGIN, FakeServer, RawClient, ServerError, frontend_messages, message, query

GONE = (OSError, EOFError, ServerError)


def healthy(endpoint: tuple[str, int]) -> bool:
    with RawClient(endpoint, deadline_s=5) as client:
        return client.rows("SELECT 1") == [[b"1"]]


def refusal(endpoint: tuple[str, int]) -> str:
    """The SQLSTATE with which a new session is refused."""
    with pytest.raises(ServerError) as refused:
        RawClient(endpoint)
    return refused.value.response.sqlstate


def test_healthy_as_soon_as_the_server_is(start_pgprism):
    """Killed and started again, five times: how much later than the server itself a session through the proxy works."""
    with Postgres(18) as server:
        proxy = start_pgprism(server.address.endpoint)
        proxy.expect.open_sessions = True

        def first_success(endpoint: tuple[str, int]) -> float:
            wait_until(lambda: healthy(endpoint), "a healthy session", every_s=0.001, deadline_s=30, refused=GONE)
            return time.monotonic()

        later: list[float] = []
        with ThreadPoolExecutor(2) as pool:
            for _ in range(5):
                session = RawClient(proxy.endpoint)
                server.halt(signal.SIGQUIT)
                with contextlib.suppress(ConnectionResetError):
                    session.rest()
                session.close()
                wait_until(lambda: proxy.status_of("/readyz") == 503, "/readyz sees it")
                assert refusal(proxy.endpoint) == "08006"
                through = pool.submit(first_success, proxy.endpoint)
                direct = pool.submit(first_success, server.address.endpoint)
                server.start_again()
                later.append(through.result() - direct.result())
                wait_until(lambda: proxy.status_of("/readyz") == 200, "/readyz sees it back", deadline_s=3)
    print("later than the server itself:", ", ".join(f"{seconds * 1000:.0f} ms" for seconds in later))
    assert statistics.median(later) <= 0.05


@pytest.mark.smoke
def test_a_server_that_shuts_down_says_so_itself(start_pgprism):
    with Postgres(18) as server:
        proxy = start_pgprism(server.address.endpoint)
        with RawClient(proxy.endpoint) as session:
            server.halt(signal.SIGINT)
            last = session.rest()[-1]
            assert last.sqlstate == "57P01"
            assert not last.fields()["M"].startswith("pgprism"), "the server's own words"
        wait_until(lambda: proxy.status_of("/readyz") == 503, "/readyz sees it")
        server.start_again()
        assert healthy(proxy.endpoint)
        assert proxy.status_of("/readyz") == 200


@pytest.mark.smoke
def test_a_stopped_backend_is_waited_for(start_pgprism):
    """SIGSTOP of one session's server process: it waits, nobody else does, and it goes on."""
    with Postgres(18) as server:
        proxy = start_pgprism(server.address.endpoint)
        with RawClient(proxy.endpoint) as session:
            os.kill(session.pid, signal.SIGSTOP)
            try:
                session.send(query("SELECT 'late' AS answer"))
                session.socket.settimeout(1.5)
                with pytest.raises(TimeoutError):
                    session.receive_some()
                assert healthy(proxy.endpoint)
            finally:
                os.kill(session.pid, signal.SIGCONT)
            session.socket.settimeout(10)
            assert any(b"late" in one.body for one in session.ready() if one.tag == b"D")


@pytest.mark.smoke
def test_a_stopped_server_costs_no_login_more_than_its_limit(start_pgprism):
    """SIGSTOP of the postmaster: its kernel accepts, nobody answers. Sessions that exist go on."""
    with Postgres(18) as server:
        proxy = start_pgprism(server.address.endpoint, timeouts={"login": "700ms"})
        with RawClient(proxy.endpoint) as session:
            server.process.send(signal.SIGSTOP)
            try:
                began = time.monotonic()
                assert refusal(proxy.endpoint) == "08006"
                assert 0.5 < time.monotonic() - began < 3
                assert session.rows("SELECT 1") == [[b"1"]]
            finally:
                server.process.send(signal.SIGCONT)
        wait_until(lambda: healthy(proxy.endpoint), "a healthy session", refused=GONE)


@pytest.mark.smoke
def test_a_stopped_client_harms_nobody(pgprism, postgres, database):
    """SIGSTOP of a client that reads a large result: others go on, memory does not grow, and it gets all of it."""
    rows = 300_000
    folder = scratch_folder("stopped")
    statement = f"SELECT repeat('x', 100) FROM generate_series(1, {rows})"
    child = Child(
        [tools.program("psql"), "-XAtq", "-v", "FETCH_COUNT=1000", "-c", f"COPY ({statement}) TO STDOUT"],
        folder / "out",
        env=database.at(pgprism.endpoint).as_user("raw").environment(),
    )
    try:
        wait_until(lambda: child.log.stat().st_size > 0, "rows arrive", every_s=0.0005)
        child.send(signal.SIGSTOP)
        before = pgprism.process.anonymous_bytes()
        wait_until(lambda: postgres.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'") == "1", "the server waits")
        with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as other:
            for number in range(200):
                assert other.execute("SELECT %s::int", [number]).fetchone() == (number,)
        assert pgprism.process.anonymous_bytes() - before < 2_000_000
        child.send(signal.SIGCONT)
        assert child.wait(60) == 0
    finally:
        child.kill()
    assert child.log.read_bytes().count(b"\n") == rows


def echo(one: socket.socket, _: bytes) -> None:
    """A server that completes the login and every query."""
    one.sendall(LOGIN)
    for asked in frontend_messages(one):
        if asked.tag == b"Q":
            one.sendall(message(b"C", b"SELECT 0\0") + message(b"Z", b"I"))


@pytest.mark.smoke
def test_a_host_that_vanishes_is_given_up_after_the_limits(start_pgprism):
    """With tcp_user_timeout: sessions that have sent something end; new ones are told within timeouts.connect."""
    with Island() as island, FakeServer(echo, island.listener()) as server:
        proxy = start_pgprism(
            server.endpoint, timeouts={"tcp_user_timeout": "1500ms", "connect": "1s", "probe_interval": "1s"}
        )
        with RawClient(proxy.endpoint) as session:
            session.ask("SELECT 1")
            island.vanish()
            began = time.monotonic()
            session.send(query("SELECT 2"))
            assert [one.sqlstate for one in session.rest()] == ["08006"]
            assert 1 < time.monotonic() - began < 6
        began = time.monotonic()
        assert refusal(proxy.endpoint) == "08006"
        assert time.monotonic() - began < 2
        wait_until(lambda: proxy.status_of("/readyz") == 503, "/readyz sees it")
        island.return_()
        wait_until(lambda: proxy.status_of("/readyz") == 200, "/readyz sees it back")
        with RawClient(proxy.endpoint) as session:
            session.ask("SELECT 3")
        # As long as there is a road for the server's FIN.
        proxy.wait_no_sessions()
        server.failures.clear()


def test_a_host_that_vanishes_is_noticed_by_keepalive(start_pgprism):
    """With the defaults and nothing sent: 10 s of silence, three probes 5 s apart."""
    with Island() as island, FakeServer(echo, island.listener()) as server:
        proxy = start_pgprism(server.endpoint, timeouts={"connect": "1s"})
        with RawClient(proxy.endpoint, deadline_s=60) as session:
            session.ask("SELECT 1")
            island.vanish()
            began = time.monotonic()
            assert [one.sqlstate for one in session.rest()] == ["08006"]
            took = time.monotonic() - began
            print(f"noticed after {took:.1f} s")
            assert 15 < took < 35
            # It is known at once that the host is gone: nobody had to try.
            wait_until(lambda: proxy.status_of("/readyz") == 503, "/readyz sees it", deadline_s=3)
        server.failures.clear()


@pytest.mark.smoke
def test_failover_by_name(start_pgprism):
    """The name leads elsewhere: new sessions follow it, those that exist stay, and a dead address costs no session."""
    names = Names()
    port = free_port()
    came: dict[str, int] = {"first": 0, "second": 0}

    def server(name: str, address: str) -> FakeServer:
        def script(one: socket.socket, startup: bytes) -> None:
            came[name] += 1
            echo(one, startup)

        return FakeServer(script, socket.create_server((address, port)))

    folder = scratch_folder("failover")
    listen = free_port()
    endpoint = ("127.0.0.1", listen)
    with server("first", "127.0.0.1") as first, server("second", "127.0.0.2"):
        names.set("failover.test", "127.0.0.1")
        child = Child(
            [
                *names.prefix(), tools.pgprism(), "serve", "--listen", f"127.0.0.1:{listen}", "--admin", "off",
                "--slow-log", "off", "--upstream", f"postgres://failover.test:{port}",
            ],
            folder / "log",
        )
        try:
            wait_until(lambda: "leads to" in child.log.read_text(), "it listens")
            with RawClient(endpoint) as old:
                names.set("failover.test", "127.0.0.2")
                before = came["second"]
                with RawClient(endpoint) as new:
                    new.ask("SELECT 1")
                assert came["second"] > before
                old.ask("SELECT 'still at the first'")
            first.close()
            # Both at once, the first of which is dead: every address is tried.
            names.set("failover.test", "127.0.0.1", "127.0.0.2")
            for _ in range(5):
                with RawClient(endpoint) as new:
                    new.ask("SELECT 1")
            assert child.stop(20) == 0
        finally:
            child.kill()


@pytest.mark.smoke
def test_a_bad_reload_of_the_upstream_keeps_the_old_one(start_pgprism, postgres):
    """All or nothing, seen from a client: with one wrong key the right one beside it is not taken either."""
    proxy = start_pgprism(postgres.address.endpoint)
    good = proxy.config.read_text()
    elsewhere = good.replace(f":{postgres.port}", ":1")
    assert elsewhere != good
    proxy.config.write_text(elsewhere + "\n[units]\nunit_gap = 'never'\n")
    proxy.reload()
    proxy.wait_logged("the old one stays")
    assert healthy(proxy.endpoint)
    proxy.config.write_text(elsewhere)
    proxy.reload()
    proxy.wait_logged("configuration read again; changed: listeners.default.upstream")
    assert refusal(proxy.endpoint) == "08006"
    proxy.config.write_text(good)
    proxy.reload()
    proxy.wait_logged("changed: listeners.default.upstream", count=2)
    assert healthy(proxy.endpoint)
