"""Where the time of a query goes, against queries whose time is known.

`database`: last request byte (in a pipeline: the later of that and the previous completion) to first reply byte.
`client`: writes to the client refused. `transfer`: the rest until CommandComplete.
`application`: ReadyForQuery to the next request, inside a transaction or up to `unit_gap`.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from support.wire import FLUSH, SYNC, RawClient, bind, execute, parse, query


def near(seen_ms: float, expected_ms: float, late_ms: float = 0.0) -> bool:
    """Within 2 ms or 5 %, whichever is more; up to `late_ms` more where the machine was that late."""
    tolerance_ms = max(2.0, expected_ms * 0.05)
    return expected_ms - tolerance_ms <= seen_ms <= expected_ms + late_ms + tolerance_ms


class Lateness:
    """By how much a piece of work took longer, by its client's clock, than what was asked for.

    `pg_sleep` wakes when the machine lets it, and so does a client behind its answer. What the client itself saw go by
    is part of the known duration, as long as it watches from before the first moment that is timed to behind the last.
    """

    def __init__(self, nominal_ms: float) -> None:
        self.nominal_ms = nominal_ms
        self.ms = 0.0

    def __enter__(self) -> Lateness:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.ms = max(0.0, (time.monotonic() - self._began) * 1000 - self.nominal_ms)


def assert_phases(item: dict[str, Any], late: Lateness | None = None, **expected_ms: float) -> None:
    phases, late_ms = item["phases"], late.ms if late else 0.0
    wrong = {
        name: f"{phases[f'{name}_ms']:.2f} ms, {expected:.2f} ms expected"
        for name, expected in expected_ms.items()
        # What takes no time is not late.
        if not near(phases[f"{name}_ms"], expected, late_ms if expected else 0.0)
    }
    assert not wrong, f"{item['query']}: {wrong}; all: {phases}, the client saw {late_ms:.2f} ms more"
    parts = phases["database_ms"] + phases["transfer_ms"] + phases["client_ms"]
    assert abs(item["total_ms"] - parts) < 0.1 + item["calls"] * 0.01, "the phases do not add up to the duration"


def assert_one_behind_another(items: list[dict[str, Any]], expected_ms: tuple[float, ...], late: Lateness) -> None:
    """All of their time is the database's, and each ends when it should: an answer that is read late is as much less
    of the next one's time."""
    seen_ms = due_ms = 0.0
    for item, expected in zip(items, expected_ms, strict=True):
        assert_phases(item, transfer=0, client=0)
        seen_ms += item["phases"]["database_ms"]
        due_ms += expected
        assert near(seen_ms, due_ms, late.ms), f"{item['query']}: ends at {seen_ms:.2f} ms, due at {due_ms:.2f} ms"


@pytest.fixture
def connection(pgprism, database):
    with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
        # Catalogue caches are filled, the processes are awake.
        connection.execute("SELECT pg_sleep(0.001), repeat('x', 10)")
        yield connection


@pytest.mark.smoke
def test_a_sleep_before_the_first_row_is_the_databases(pgprism, connection):
    with Lateness(300) as late:
        connection.execute("SELECT pg_sleep(0.3) AS before_first_row")
    item = pgprism.shape("SELECT pg_sleep(0.3) AS before_first_row")
    assert_phases(item, late, database=300, transfer=0, client=0)
    assert near(item["max_ms"], 300, late.ms)


@pytest.mark.smoke
def test_sleeps_between_rows_are_transfer(pgprism, connection):
    # Ten rows, each wider than the server's send buffer: the first leaves it at 60 ms, the last at 600 ms.
    statement = "SELECT repeat('x', 20000) AS wide, pg_sleep(0.06) FROM generate_series(1, 10)"
    with Lateness(600) as late:
        connection.execute(statement)
    assert_phases(pgprism.shape(statement), late, database=60, transfer=540, client=0)


def test_a_reader_that_stalls_is_the_clients(pgprism, database):
    """Five pauses of 300 ms in a result far larger than all the kernel's buffers together."""
    statement = "SELECT repeat('x', 100000) AS bulky FROM generate_series(1, 600)"
    with RawClient(
        pgprism.endpoint, database=database.database, receive_buffer_bytes=32768
    ) as client:
        with Lateness(1500) as late:
            client.send(query(statement))
            for _ in range(5):
                time.sleep(0.3)  # the slowness under test
                got = 0
                while got < 11_000_000:
                    got += len(client.receive_some(262144))
            while not client.receive_some(262144).endswith(b"Z\0\0\0\5I"):
                pass
    assert_phases(pgprism.shape(statement), late, client=1500)


def test_a_reader_that_stalls_once(pgprism, database):
    statement = "SELECT repeat('x', 100000) AS bulky_once FROM generate_series(1, 200)"
    with RawClient(pgprism.endpoint, database=database.database, receive_buffer_bytes=32768) as client:
        with Lateness(1000) as late:
            client.send(query(statement))
            time.sleep(1.0)  # the slowness under test
            client.ready()
    assert_phases(pgprism.shape(statement), late, client=1000)


@pytest.mark.smoke
def test_think_time_inside_a_transaction_is_the_applications(pgprism, connection):
    # The thinking begins with the answer to BEGIN, which the client may be woken for late.
    with Lateness(200) as late:
        connection.execute("BEGIN")
        time.sleep(0.2)  # the thinking under test
        connection.execute("SELECT 'thought about' AS in_transaction")
    connection.execute("COMMIT")
    assert_phases(pgprism.shape("SELECT 'x' AS in_transaction"), late, application=200, transfer=0, client=0)


@pytest.mark.smoke
def test_think_time_outside_a_transaction_counts_up_to_the_gap(pgprism, connection):
    within_gap, late = think_within_the_gap(connection)
    time.sleep(0.2)  # above it: another unit of work
    connection.execute("SELECT 3 AS beyond_gap")
    assert_phases(pgprism.shape(within_gap), late, application=25)
    assert_phases(pgprism.shape("SELECT 3 AS beyond_gap"), application=0)


def think_within_the_gap(connection: psycopg.Connection) -> tuple[str, Lateness]:
    """Thinks for 25 ms before a statement, again until the machine lets it be less than `unit_gap`, 50 ms."""
    for attempt in range(20):
        statement = f"SELECT 2 AS within_gap_{attempt}"
        with Lateness(25) as late:
            connection.execute("SELECT 1 AS warm")
            time.sleep(0.025)
            connection.execute(statement)
        if late.ms < 20:
            return statement, late
    pytest.fail(f"a pause of 25 ms is never shorter than 45 ms here, the last one was {25 + late.ms:.0f} ms")


def test_a_pipeline_of_syncs(pgprism, connection):
    """Three statements in flight, each answered at its own Sync: none is charged for the others."""
    with Lateness(400) as late, connection.pipeline() as pipeline:
        for alias, seconds in (("first", 0.1), ("second", 0.25), ("third", 0.05)):
            connection.execute(f"SELECT pg_sleep({seconds}) AS {alias}")
            pipeline.sync()
    items = [pgprism.shape(f"SELECT pg_sleep(1) AS {alias}") for alias in ("first", "second", "third")]
    assert_one_behind_another(items, (100, 250, 50), late)


def test_a_pipeline_of_flushes(pgprism, database):
    """One Sync for all, but the server told to send each answer at once."""
    with RawClient(pgprism.endpoint, database=database.database) as client:
        sent = b""
        for alias, seconds in (("one", 0.15), ("two", 0.05), ("three", 0.2)):
            sent += parse("", f"SELECT pg_sleep({seconds}) AS {alias}") + bind("", "") + execute("") + FLUSH
        with Lateness(400) as late:
            client.send(sent + SYNC)
            client.ready()
    # ParseComplete and BindComplete wait in the server's buffer until the flush behind Execute.
    items = [pgprism.shape(f"SELECT pg_sleep(1) AS {alias}") for alias in ("one", "two", "three")]
    assert_one_behind_another(items, (150, 50, 200), late)


def test_executemany_is_timed_by_statement(pgprism, connection):
    """psycopg sends executemany as a pipeline: the times add up to the whole, not to the whole for each."""
    with Lateness(400) as late, connection.cursor() as cursor:
        cursor.executemany("SELECT pg_sleep(%s) AS many", [(0.05,), (0.1,), (0.15,), (0.1,)], returning=True)
    item = pgprism.shape("SELECT pg_sleep($1) AS many", calls=4)
    assert near(item["total_ms"], 400, late.ms), item


def test_a_cursor_is_one_query_with_the_time_of_its_fetches(pgprism, connection):
    statement = "SELECT n, pg_sleep(0.01) AS slept FROM generate_series(1, 20) n"
    with Lateness(400) as late, connection.transaction(), connection.cursor("_django_curs_1_sync_1") as cursor:
        cursor.itersize = 5
        cursor.execute(statement)
        for number, _ in enumerate(cursor, 1):
            if number % 5 == 0:
                time.sleep(0.05)  # the loop's body: the application's time, not the query's
    item = pgprism.shape(statement)
    assert item["rows"] == 20
    assert near(item["total_ms"], 200, late.ms), item
