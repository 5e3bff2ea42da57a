"""At the limits: connections, descriptors, time."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from support import tools
from support.processes import Child, free_port, scratch_folder
from support.waiting import wait_until
from support.wire import RawClient, ServerError, cancel, query


@pytest.mark.smoke
def test_with_few_descriptors_a_cancel_is_served_at_the_cap(postgres, database):
    """The cap follows the limit of open files, and leaves descriptors for those above it."""
    port = free_port()
    folder = scratch_folder("few")
    child = Child(
        [
            "bash", "-c", 'ulimit -n 256; exec "$@"', "bash", tools.pgprism(), "serve",
            "--listen", f"127.0.0.1:{port}", "--upstream", f"postgres://127.0.0.1:{postgres.port}",
            "--admin", "off", "--slow-log", "off",
        ],
        folder / "log",
    )
    endpoint = ("127.0.0.1", port)
    try:
        wait_until(lambda: "leads to" in child.log.read_text(), "it listens")
        with contextlib.ExitStack() as stack:

            def client() -> RawClient:
                return stack.enter_context(RawClient(endpoint, database=database.database))

            sessions = [client()]
            with pytest.raises(ServerError) as refused:
                while len(sessions) < 128:
                    sessions.append(client())
            assert refused.value.response.sqlstate == "53300"
            assert 40 <= len(sessions) < 128, len(sessions)

            def one_more() -> str:
                with pytest.raises(ServerError) as refused:
                    RawClient(endpoint, database=database.database)
                return refused.value.response.sqlstate

            with ThreadPoolExecutor(16) as pool:
                assert {one.result() for one in [pool.submit(one_more) for _ in range(64)]} == {"53300"}
            sessions[0].send(query("SELECT pg_sleep(60) AS at_the_cap"))
            wait_until(lambda: "at_the_cap" in postgres.sql("SELECT query FROM pg_stat_activity WHERE state = 'active'"
                                                            " AND pid <> pg_backend_pid()"), "it runs")
            cancel(endpoint, sessions[0].pid, sessions[0].key)
            assert [one.sqlstate for one in sessions[0].until_ready() if one.tag == b"E"] == ["57014"]
            for one in sessions:
                assert one.rows("SELECT 1") == [[b"1"]]
        assert child.stop(20) == 0
    finally:
        child.kill()
    assert "cannot accept" not in child.log.read_text()


@pytest.mark.smoke
def test_an_idle_session_reads_why_it_ended(start_pgprism, postgres, database):
    """As PostgreSQL's idle_session_timeout, in words that a driver shows."""
    proxy = start_pgprism(postgres.address.endpoint, timeouts={"client_idle": "200ms"})
    connection = psycopg.connect(database.at(proxy.endpoint).conninfo(), autocommit=True)
    connection.execute("SELECT pg_sleep(0.6)")
    in_transaction = psycopg.connect(database.at(proxy.endpoint).conninfo())
    in_transaction.execute("SELECT 1")
    wait_until(lambda: len(proxy.connections()) == 1, "the idle one is ended")
    with pytest.raises(psycopg.OperationalError) as ended:
        connection.execute("SELECT 1")
    assert "pgprism: terminating connection: idle for 200ms" in str(ended.value), ended.value
    in_transaction.execute("SELECT 1")
    in_transaction.rollback()
    proxy.wait_no_sessions()
    assert proxy.metrics().total("pgprism_connection_errors_total", reason="client_idle") == 2


@pytest.mark.smoke
def test_an_old_session_ends_between_two_statements(start_pgprism, postgres, database):
    """Nothing that was asked is lost: each statement is answered, or was never sent to the server."""
    proxy = start_pgprism(postgres.address.endpoint, timeouts={"session_max": "400ms"})
    postgres.sql("CREATE TABLE asked (id int)", database.database)
    answered = 0
    ends = 0
    stop = threading.Event()
    timer = threading.Timer(3, stop.set)
    timer.start()
    while not stop.is_set():
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(
            database.at(proxy.endpoint).conninfo(), autocommit=True
        ) as connection:
            while not stop.is_set():
                try:
                    connection.execute("INSERT INTO asked VALUES (%s)", [answered])
                except psycopg.OperationalError as error:
                    assert "open for 400ms" in str(error), error
                    ends += 1
                    raise
                answered += 1
    timer.cancel()
    assert ends >= 3
    assert int(postgres.sql("SELECT count(*) FROM asked", database.database)) == answered
