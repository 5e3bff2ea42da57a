"""How sessions, connections and the process end."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from support.processes import Child
from support.proxy import Listener, Pgprism, command
from support.relay import reset
from support.waiting import wait_until
from support.wire import (
    CANCEL_REQUEST,
    LOGIN,
    TERMINATE,
    FakeServer,
    RawClient,
    cancel,
    frontend_messages,
    query,
    startup,
)

DRAIN = {"drain_idle_grace": "300ms", "drain_timeout": "3s"}


@pytest.fixture
def draining(start_pgprism, postgres) -> Pgprism:
    return start_pgprism(postgres.address.endpoint, timeouts=DRAIN)


@pytest.fixture
def background():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def wait_running(postgres, sql_part: str, count: int = 1) -> None:
    wait_until(
        lambda: int(
            postgres.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
                f" AND query LIKE '%{sql_part}%'"
            )
        )
        == count,
        f"{sql_part} runs",
    )


def wait_refused(proxy: Pgprism) -> None:
    def refused() -> bool:
        try:
            socket.create_connection(proxy.endpoint, timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refused, "the listener is closed")


def fatal(client: RawClient) -> str:
    """The SQLSTATE of the ErrorResponse that ends this session."""
    rest = client.rest()
    assert rest and rest[-1].tag == b"E", [m.tag for m in rest]
    assert rest[-1].fields()["M"].startswith("pgprism: "), rest[-1].fields()
    assert rest[-1].fields()["V"] == "FATAL"
    return rest[-1].sqlstate


@pytest.mark.smoke
def test_idle_sessions_get_57p01_and_running_queries_finish(draining, postgres, database, background):
    with (
        RawClient(draining.endpoint, database=database.database) as idle,
        RawClient(draining.endpoint, database=database.database) as busy,
        RawClient(draining.endpoint, database=database.database) as open_transaction,
    ):
        open_transaction.ask("BEGIN")
        busy.send(query("SELECT pg_sleep(1.2), 'finished' AS result"))
        wait_running(postgres, "finished")
        draining.terminate()
        wait_refused(draining)
        assert fatal(idle) == "57P01"
        # The transaction goes on, statement after statement, and ends as it wants to.
        assert open_transaction.rows("SELECT 'inside' AS t") == [[b"inside"]]
        answer = busy.until_ready()
        assert any(b"finished" in one.body for one in answer if one.tag == b"D")
        assert fatal(busy) == "57P01"
        assert draining.process.exit_status is None
        assert any(b"COMMIT" in one.body for one in open_transaction.ask("COMMIT"))
        assert fatal(open_transaction) == "57P01"
    draining.process.wait(5)


@pytest.mark.smoke
def test_past_the_deadline_it_is_cancelled_upstream(draining, postgres, database):
    began = time.monotonic()
    with RawClient(draining.endpoint, database=database.database) as client:
        client.send(query("SELECT pg_sleep(60) AS overlong"))
        wait_running(postgres, "overlong")
        draining.terminate()
        rest = client.rest()
        states = [one.sqlstate for one in rest if one.tag == b"E"]
        assert states and states[-1] == "57P01", [(one.tag, one.body) for one in rest]
    draining.process.wait(10)
    assert time.monotonic() - began < 12
    wait_until(lambda: postgres.backend_count() == 0, "the backend is gone, not left sleeping", deadline_s=5)


def test_a_transaction_past_the_deadline_is_ended(draining, postgres, database):
    with RawClient(draining.endpoint, database=database.database) as client:
        client.ask("BEGIN")
        draining.terminate()
        assert fatal(client) == "57P01"
    draining.process.wait(10)
    wait_until(lambda: postgres.backend_count() == 0, "the backend is gone", deadline_s=5)


@pytest.mark.smoke
def test_a_second_signal_ends_it_now(draining, postgres, database):
    with RawClient(draining.endpoint, database=database.database) as client:
        client.send(query("SELECT pg_sleep(60) AS second_signal"))
        wait_running(postgres, "second_signal")
        draining.terminate()
        wait_refused(draining)
        began = time.monotonic()
        draining.terminate()
        draining.process.wait(2)
        assert time.monotonic() - began < 1.5
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%second_signal%'"
                 " AND pid <> pg_backend_pid()")


def test_sigint_drains_too(draining, database):
    with RawClient(draining.endpoint, database=database.database) as client:
        draining.process.send(signal.SIGINT)
        assert fatal(client) == "57P01"


def test_cancel_works_while_draining(draining, postgres, database):
    """The listener is closed by then; a cancel already on its way, inside a connection, is served."""
    with RawClient(draining.endpoint, database=database.database) as client:
        client.send(query("SELECT pg_sleep(60) AS cancelled_in_drain"))
        wait_running(postgres, "cancelled_in_drain")
        waiting = socket.create_connection(draining.endpoint, timeout=10)
        wait_until(lambda: draining.open_sessions() == 2, "the proxy has accepted the connection for the cancel")
        draining.terminate()
        wait_refused(draining)
        waiting.sendall((16).to_bytes(4, "big") + CANCEL_REQUEST.to_bytes(4, "big")
                        + client.pid.to_bytes(4, "big") + client.key)
        assert waiting.recv(1) == b""
        waiting.close()
        answer = client.until_ready()
        assert [one.sqlstate for one in answer if one.tag == b"E"] == ["57014"]
        assert fatal(client) == "57P01"


def test_a_login_under_way_completes(draining, database):
    """Accepted before the signal, logged in after it: told 57P01 in words that libpq shows, not cut off."""
    late = RawClient(draining.endpoint, log_in=False)
    wait_until(lambda: draining.open_sessions() == 1, "the proxy has accepted the connection")
    draining.terminate()
    wait_refused(draining)
    late.send(startup("raw", database.database))
    rest = late.rest()
    assert rest[-1].tag == b"E" and rest[-1].sqlstate == "57P01", [m.tag for m in rest]
    assert b"Z" in {m.tag for m in rest}, "the login was cut off"
    late.close()


@pytest.mark.smoke
def test_half_close_by_the_client(pgprism, postgres, database):
    """After the client's FIN PostgreSQL still answers what it had received, and that still arrives."""
    with RawClient(pgprism.endpoint, database=database.database) as client:
        client.send(query("SELECT pg_sleep(0.3), 'late' AS answer"))
        client.finish_sending()
        rest = client.rest()
        assert any(b"late" in one.body for one in rest if one.tag == b"D")
        assert rest[-1].tag == b"Z"


@pytest.mark.smoke
def test_half_close_by_the_server(start_pgprism):
    """The upstream's FIN is passed on as FIN, and the client may still speak."""
    heard: list[bytes] = []
    finished = threading.Event()

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        one.shutdown(socket.SHUT_WR)
        for asked in frontend_messages(one):
            heard.append(asked.tag)
        finished.set()

    with FakeServer(script) as server:
        proxy = start_pgprism(server.endpoint)
        client = RawClient(proxy.endpoint)
        assert client.receive_some() == b"", "something came instead of FIN"
        client.send(query("SELECT 1"))
        client.send(TERMINATE)
        client.socket.close()
        assert finished.wait(10)
        assert heard == [b"Q", b"X"]


@pytest.mark.smoke
def test_a_clients_reset_reaches_the_server_as_a_reset(start_pgprism):
    was_reset = threading.Event()

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        try:
            while one.recv(65536):
                pass
        except ConnectionResetError:
            was_reset.set()
            raise

    with FakeServer(script) as server:
        proxy = start_pgprism(server.endpoint)
        client = RawClient(proxy.endpoint)
        client.send(query("SELECT 1"))
        client.reset()
        assert was_reset.wait(10), "the server saw an orderly end, or none"


@pytest.mark.smoke
def test_a_servers_reset_is_told_with_08006(start_pgprism):
    """A reset upstream: the client gets a real ErrorResponse at a message boundary, then the end."""

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        next(frontend_messages(one))
        reset(one)

    with FakeServer(script) as server:
        proxy = start_pgprism(server.endpoint)
        with RawClient(proxy.endpoint) as client:
            client.send(query("SELECT 1"))
            rest = client.rest()
            assert [one.sqlstate for one in rest] == ["08006"], rest
            assert rest[0].fields()["M"].startswith("pgprism: ")


def test_a_reset_in_the_middle_of_a_message_adds_nothing(start_pgprism):
    """An ErrorResponse of ours inside a half-sent message would be read as its data: the connection just ends."""

    def script(one: socket.socket, _: bytes) -> None:
        one.sendall(LOGIN)
        next(frontend_messages(one))
        one.sendall(b"D\0\0\1\0" + b"\0\1\0\0\0\xf0half")
        # Delivered before the reset, which may overtake unread data.
        assert sent.wait(10)
        reset(one)

    sent = threading.Event()
    with FakeServer(script) as server:
        proxy = start_pgprism(server.endpoint)
        with RawClient(proxy.endpoint) as client:
            client.send(query("SELECT 1"))
            received = client.receive_exactly(15)
            sent.set()
            with contextlib.suppress(ConnectionResetError):
                while more := client.receive_some():
                    received += more
            assert received == b"D\0\0\1\0" + b"\0\1\0\0\0\xf0half"


@pytest.mark.smoke
def test_a_client_that_vanishes_leaves_no_backend(pgprism, postgres, database):
    client = RawClient(pgprism.endpoint, database=database.database)
    client.send(query("SELECT pg_sleep(0.5) AS abandoned"))
    wait_running(postgres, "abandoned")
    client.reset()
    pgprism.wait_no_sessions()
    wait_until(lambda: postgres.backend_count() == 0, "the backend ends with its query", deadline_s=10)


def test_cancel_reaches_its_own_server_and_nobody_else(start_pgprism, servers):
    one, other = servers(18), servers(14)
    proxy = start_pgprism([Listener(one.address.endpoint, "one"), Listener(other.address.endpoint, "other")])
    with RawClient(proxy.endpoint_of("one")) as first, RawClient(proxy.endpoint_of("other")) as second:
        # The first listener's upstream moves: its session stays, and so does the way of its cancel.
        proxy.listeners[0].upstream = other.address.endpoint
        proxy.write_config()
        proxy.reload()
        proxy.wait_logged("configuration read again")
        first.send(query("SELECT pg_sleep(30) AS to_cancel"))
        second.send(query("SELECT pg_sleep(1), 'kept' AS to_keep"))
        wait_running(one, "to_cancel")
        cancel(proxy.endpoint_of("other"), second.pid, bytes(len(second.key)))
        cancel(proxy.endpoint_of("one"), first.pid, first.key)
        assert [m.sqlstate for m in first.until_ready() if m.tag == b"E"] == ["57014"]
        assert any(b"kept" in m.body for m in second.ready() if m.tag == b"D")


def test_slow_readers_and_waiting_copies_outlive_keepalive(pgprism, postgres, database, background):
    """A reader of one byte a second and a COPY behind a lock, for three times the keepalive time (25 s)."""
    span_s = 77.0
    locker = psycopg.connect(database.conninfo())
    locker.execute("CREATE TABLE locked (body text)")
    locker.commit()
    locker.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")

    reader = RawClient(
        pgprism.endpoint, database=database.database, receive_buffer_bytes=4096, deadline_s=60
    )
    reader.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 300)"))

    def read_slowly() -> int:
        end = time.monotonic() + span_s
        got = 0
        while time.monotonic() < end:
            got += len(reader.socket.recv(1))
            time.sleep(1.0)  # one byte a second is what is tested
        return got

    def copy_behind_the_lock() -> int:
        with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
            with connection.cursor() as cursor, cursor.copy("COPY locked FROM STDIN") as stream:
                for _ in range(1000):
                    stream.write("z" * 9999 + "\n")
            return connection.execute("SELECT count(*) FROM locked").fetchone()[0]

    slow: Future[Any] = background.submit(read_slowly)
    waiting: Future[Any] = background.submit(copy_behind_the_lock)
    assert slow.result(timeout=span_s + 30) > 60
    assert not waiting.done(), "the COPY did not wait"
    locker.rollback()
    locker.close()
    assert waiting.result(timeout=30) == 1000
    # And the slow one still has everything to come.
    end, got, last = b"Z\0\0\0\5I", 0, b""
    while not last.endswith(end):
        data = reader.receive_some(262144)
        assert data, "the slow reader was cut off"
        got, last = got + len(data), last[-len(end) :] + data
    assert got > 29_000_000
    reader.close()


class Load:
    """Clients that count what they asked for; none of them ever sees an error."""

    def __init__(self, address, pool: ThreadPoolExecutor, clients: int) -> None:
        self._stop = threading.Event()
        self._address = address
        self._work = [pool.submit(self._ask) for _ in range(clients)]

    def _ask(self) -> int:
        asked = 0
        with psycopg.connect(self._address.conninfo(), autocommit=True) as connection:
            while not self._stop.is_set():
                asked += 1
                assert connection.execute("SELECT %s::int AS load", [asked]).fetchone() == (asked,)
        return asked

    def finish(self) -> int:
        self._stop.set()
        return sum(work.result(timeout=30) for work in self._work)


@pytest.mark.smoke
def test_observation_goes_off_and_on_under_load(pgprism, database, background):
    """By SIGHUP, without touching a session; off means that nothing more is counted, on counts new sessions."""
    load = Load(database.at(pgprism.endpoint), background, 4)
    wait_until(lambda: pgprism.metrics().total("pgprism_queries_total") > 100, "the load is observed")
    pgprism.write_config(observe=False)
    pgprism.reload()
    wait_until(
        lambda: len(pgprism.connections()) == 4 and not any(c["observed"] for c in pgprism.connections()),
        "all sessions are unobserved",
    )
    counted = pgprism.quiet().total("pgprism_queries_total")
    relayed = pgprism.metrics().total("pgprism_relayed_bytes_total")
    wait_until(
        lambda: pgprism.metrics().total("pgprism_relayed_bytes_total") > relayed + 100_000, "the load goes on"
    )
    assert pgprism.metrics().total("pgprism_queries_total") == counted
    pgprism.write_config(observe=True)
    pgprism.reload()

    def observed_again() -> bool:
        with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
            connection.execute("SELECT 'new' AS session")
            return any(c["observed"] for c in pgprism.connections())

    wait_until(observed_again, "new sessions are observed again")
    assert load.finish() > 100
    pgprism.wait_no_sessions()
    assert pgprism.shape("SELECT 'x' AS session", calls=1)["calls"] >= 1
    pgprism.expect.decode_errors = True  # sessions that were switched off count as unobserved
    scrape = pgprism.metrics()
    assert scrape.total("pgprism_decode_errors_total") == 0
    assert scrape.total("pgprism_connections_total") >= 5
    assert scrape.total("pgprism_connection_errors_total") == 0


@pytest.mark.smoke
def test_a_bad_reload_is_refused_whole(pgprism, database, background):
    load = Load(database.at(pgprism.endpoint), background, 2)
    good = pgprism.config.read_text()
    for bad, word in (
        (good + "\n[timeouts]\nconnekt = '1s'\n", "connekt"),
        (good + "\n[timeouts]\nconnect = 'soon'\n", "timeouts.connect"),
        ("observe = false\n" + good.replace('"1h"', '"-1"'), "slow_log.threshold"),
        ("this is not toml [", ""),
    ):
        pgprism.config.write_text(bad)
        before = len(pgprism.log_text())
        pgprism.reload()
        wait_until(
            lambda: (word in pgprism.log_text()[before:]) and len(pgprism.log_text()) > before,
            f"the log names {word!r}",
        )
        assert command("check-config", str(pgprism.config), check=False).returncode in (64,)
        assert all(c["observed"] for c in pgprism.connections()), "a part of a bad file was taken"
    pgprism.config.write_text(good)
    assert load.finish() > 10
    assert pgprism.status_of("/healthz") == 200


@pytest.mark.smoke
def test_a_busy_port_and_bad_words_are_one_clear_line(pgprism, postgres):
    taken = f"127.0.0.1:{pgprism.endpoint[1]}"
    upstream = f"postgres://127.0.0.1:{postgres.port}"
    busy = command("serve", "--listen", taken, "--upstream", upstream, "--admin", "127.0.0.1:0", check=False)
    assert busy.returncode == 69 and taken in busy.stderr, busy.stderr
    for arguments in (
        ["--listen", "nonsense", "--upstream", upstream],
        ["--listen", "127.0.0.1:0", "--upstream", "postgres://user:secret@127.0.0.1:5432/db"],
        ["--listen", "127.0.0.1:0", "--upstream", upstream, "--slow-query-threshold", "later"],
        ["--no-such-flag"],
    ):
        refused = command("serve", *arguments, "--admin", "127.0.0.1:0", check=False)
        assert refused.returncode == 64, (arguments, refused.stderr)
        assert "panicked" not in refused.stderr and "secret" not in refused.stderr
        assert refused.stderr.strip()


@pytest.mark.smoke
def test_descriptors_and_memory_come_back(pgprism, postgres, database):
    """Churn, with clients that go without a word: nothing is kept."""
    address = database.at(pgprism.endpoint)

    def churn(count: int) -> None:
        for n in range(count):
            client = RawClient(address.endpoint, database=address.database)
            client.ask("SELECT 1 AS churn")
            client.reset() if n % 3 == 0 else client.close()
        pgprism.wait_no_sessions()

    # As often as it is measured: by then each worker and each thread beside them has what it needs once.
    churn(300)
    process: Child = pgprism.process
    descriptors, memory = process.descriptor_count(), process.rss_bytes()
    churn(300)
    wait_until(lambda: process.descriptor_count() <= descriptors, "all descriptors are closed")
    assert process.rss_bytes() - memory < 2_000_000
    wait_until(lambda: postgres.backend_count() == 0, "all backends end")


def test_idle_connections_are_cheap(pgprism, database):
    """No buffer is held while idle: what a connection keeps is what the proxy and the session know of it."""
    clients: list[RawClient] = []

    def connect(count: int) -> None:
        for _ in range(count):
            clients.append(RawClient(pgprism.endpoint, database=database.database))
            clients[-1].ask("SELECT repeat('x', 200000)")

    connect(30)  # what is allocated once for all
    before = pgprism.process.anonymous_bytes()
    connect(100)
    each = (pgprism.process.anonymous_bytes() - before) / 100
    for client in clients:
        client.close()
    print(f"{each / 1024:.1f} KiB for each idle connection")
    assert each < 8 * 1024
