"""What real clients do, each in one function that takes an address and checks its own results.

The same functions run direct, through a relay and through the proxy.
"""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Callable
from io import StringIO

import asyncpg
import psycopg
import psycopg2
import psycopg2.extensions
import psycopg2.extras
from psycopg import sql

from . import tools
from .postgres import Address
from .processes import run
from .waiting import wait_until

Workload = Callable[[Address], None]


def _table(purpose: str) -> str:
    return f"{purpose}_{uuid.uuid4().hex[:8]}"


def cancel_when_active(address: Address, pid: int, cancel: Callable[[], object]) -> threading.Thread:
    """Calls `cancel` on a thread as soon as that backend runs its pg_sleep."""

    def watch() -> None:
        with psycopg.connect(address.conninfo(), autocommit=True) as observer:
            wait_until(
                lambda: observer.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND wait_event = 'PgSleep'",
                    [pid],
                ).fetchone(),
                "the query to cancel runs",
            )
        cancel()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def _cancel_in_a_fork(connection: psycopg2.extensions.connection | psycopg.Connection) -> None:
    """libpq's old PQcancel blocks with the interpreter held: a relay on another thread could never serve it."""
    child = os.fork()
    if child == 0:
        try:
            connection.cancel()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def psycopg2_mixed(address: Address) -> None:
    """Simple protocol with literals inlined: transactions, errors, savepoints, cursors, COPY, NOTIFY, two-phase."""
    table = _table("p2")
    connection = psycopg2.connect(address.conninfo())
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, name text, price numeric, at timestamptz)")
            psycopg2.extras.execute_values(
                cursor,
                f"INSERT INTO {table} (name, price) VALUES %s",
                [(f"name '{n}' \\ %", n * 1.5) for n in range(500)],
            )
            cursor.execute(f"SELECT name FROM {table} WHERE id = ANY(%s) ORDER BY id", ([1, 2, 3],))
            assert len(cursor.fetchall()) == 3
            cursor.execute("SAVEPOINT a; SELECT 1; RELEASE SAVEPOINT a")
            cursor.execute("SAVEPOINT b")
            try:
                cursor.execute(f"INSERT INTO {table} (id) VALUES (1)")
                raise AssertionError("a duplicate key was accepted")
            except psycopg2.errors.UniqueViolation:
                cursor.execute("ROLLBACK TO SAVEPOINT b")
        with connection, connection.cursor("named cursor") as cursor:
            cursor.itersize = 100
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")
            assert sum(1 for _ in cursor) == 500
        with connection, connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} (name) FROM STDIN", StringIO("a\nb\nc\n"))
            out = StringIO()
            cursor.copy_expert(f"COPY (SELECT name FROM {table} ORDER BY id DESC LIMIT 3) TO STDOUT", out)
            assert out.getvalue() == "c\nb\na\n"
            cursor.execute(f"DO $$ BEGIN RAISE NOTICE 'hello'; END $$; SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (503,)
            assert any("hello" in notice for notice in connection.notices)
        connection.autocommit = True
        with connection.cursor() as cursor:
            channel = table
            cursor.execute(f"LISTEN {channel}")
            cursor.execute(f"NOTIFY {channel}, 'news'")
            wait_until(lambda: connection.poll() or connection.notifies, "a notification")
            assert connection.notifies.pop().payload == "news"
            watcher = cancel_when_active(
                address, connection.info.backend_pid, lambda: _cancel_in_a_fork(connection)
            )
            try:
                cursor.execute("SELECT pg_sleep(30)")
                raise AssertionError("a cancelled query ended well")
            except psycopg2.errors.QueryCanceled:
                pass
            watcher.join()
            try:
                cursor.execute("SELEKT 1")
            except psycopg2.errors.SyntaxError:
                pass
        connection.autocommit = False
        connection.tpc_begin(connection.xid(1, table, "branch"))
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE id < 10")
        connection.tpc_prepare()
        connection.tpc_rollback()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {table}")
    finally:
        connection.close()


def _psycopg3(address: Address, cursor_factory: type[psycopg.Cursor], **connect: object) -> None:
    table = _table("p3")
    with psycopg.connect(
        address.conninfo(), cursor_factory=cursor_factory, autocommit=True, prepare_threshold=None, **connect
    ) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text, tags text[], doc jsonb, u uuid)")
        with connection.transaction(), connection.cursor() as cursor:
            for n in range(20):
                cursor.execute(
                    f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s)",
                    [n, f"it's \\ {n}", ["a", "b"], psycopg.types.json.Jsonb({"n": n}), uuid.uuid4()],
                )
            try:
                with connection.transaction():
                    cursor.execute(f"INSERT INTO {table} (id) VALUES (%s)", [3])
                raise AssertionError("a duplicate key was accepted")
            except psycopg.errors.UniqueViolation:
                pass
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (20,)
        for n in (7, 70000, 5_000_000_000):
            connection.execute(f"SELECT * FROM {table} WHERE id = %s", [n])
        assert len(connection.execute(f"SELECT * FROM {table} WHERE id = ANY(%s)", [[1, 2, 3]]).fetchall()) == 3
        with connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {table} SET name = %s WHERE id = %s", [(f"n{n}", n) for n in range(20)])
            assert cursor.rowcount == 20
            cursor.executemany(f"SELECT name FROM {table} WHERE id = %s", [(n,) for n in range(5)], returning=True)
            names = [cursor.fetchone()[0]]
            while cursor.nextset():
                names.append(cursor.fetchone()[0])
            assert names == [f"n{n}" for n in range(5)]
        if cursor_factory is psycopg.ClientCursor:
            # Only client-side binding may send several statements at once.
            connection.execute(f"SELECT 1; SELECT count(*) FROM {table}; SELECT 3")
        try:
            connection.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        connection.execute("")
        connection.execute(f"DROP TABLE {table}")


def psycopg3_client_binding(address: Address) -> None:
    _psycopg3(address, psycopg.ClientCursor)


def psycopg3_server_binding(address: Address) -> None:
    _psycopg3(address, psycopg.Cursor)


def psycopg3_pipeline(address: Address) -> None:
    """Several statements and several Syncs in flight, errors skipping to the next Sync."""
    table = _table("pipe")
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("SELECT %s::int", [n]) for n in range(20)]
            pipeline.sync()
            connection.execute(f"INSERT INTO {table} VALUES (1)")
            pipeline.sync()
            cursors += [connection.execute("SELECT %s::int", [n]) for n in range(20, 30)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(30))
        try:
            with connection.pipeline() as pipeline:
                first = connection.execute("SELECT 'kept'")
                pipeline.sync()
                connection.execute(f"INSERT INTO {table} VALUES (1)")
                connection.execute("SELECT 'skipped'")
                pipeline.sync()
            raise AssertionError("a duplicate key was accepted")
        except psycopg.errors.UniqueViolation:
            assert first.fetchone() == ("kept",)
        with connection.transaction(), connection.pipeline():
            for n in range(2, 200):
                connection.execute(f"INSERT INTO {table} VALUES (%s)", [n])
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (199,)
        connection.execute(f"DROP TABLE {table}")


def psycopg3_named(address: Address) -> None:
    """Named prepared statements: automatic ones, DEALLOCATE, SQL-level PREPARE, DISCARD ALL."""
    with psycopg.connect(address.conninfo(), autocommit=True, prepare_threshold=2) as connection:
        connection.prepared_max = 3
        for _ in range(5):
            for shape in range(6):
                row = connection.execute(f"SELECT %s::int AS c{shape}", [shape]).fetchone()
                assert row == (shape,)
        connection.execute("PREPARE by_hand (int) AS SELECT $1 + 1")
        for n in range(3):
            assert connection.execute(f"EXECUTE by_hand ({n})").fetchone() == (n + 1,)
        connection.execute("DEALLOCATE by_hand")
        connection.execute("PREPARE by_hand AS SELECT 'another'")
        assert connection.execute("EXECUTE by_hand").fetchone() == ("another",)
    with psycopg.connect(address.conninfo(), autocommit=True, prepare_threshold=0) as connection:
        connection.execute("SELECT %s::text", ["x"])
        connection.execute("DISCARD ALL", prepare=False)


def copy(address: Address) -> None:
    """COPY both ways, text and binary, failing by either side's wish."""
    table = _table("copied")
    with psycopg.connect(address.conninfo(), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (id int, body text)")
        with cursor.copy(f"COPY {table} FROM STDIN") as stream:
            for n in range(5000):
                stream.write_row((n, "x" * 100))
        assert cursor.rowcount == 5000
        with cursor.copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as stream:
            assert sum(len(block) for block in stream) > 500_000
        try:
            with cursor.copy(f"COPY {table} FROM STDIN") as stream:
                stream.write("not a number\tx\n")
            raise AssertionError("COPY took a word for a number")
        except psycopg.errors.InvalidTextRepresentation:
            pass
        try:
            with cursor.copy(f"COPY {table} FROM STDIN") as stream:
                stream.write_row((1, "given up"))
                raise KeyError("the client gives up")
        except KeyError:
            pass
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (5000,)
        cursor.execute(f"DROP TABLE {table}")


def server_cursor(address: Address) -> None:
    """Server-side cursors as Django's iterator() uses them, scrollable, with hold, and left open."""
    with psycopg.connect(address.conninfo()) as connection:
        with connection.cursor("_django_curs_139739808115584_sync_1") as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT n, repeat('x', 50) FROM generate_series(1, 1050) n WHERE n > %s", [50])
            assert sum(1 for _ in cursor) == 1000
        with connection.cursor("scrolls", scrollable=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 100) n")
            cursor.fetchmany(10)
            cursor.scroll(-5)
            assert cursor.fetchone() == (6,)
        connection.execute("DECLARE left_open CURSOR FOR SELECT 1")
        connection.commit()
        connection.autocommit = True
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute("SELECT n FROM generate_series(1, 10) n")
            assert len(cursor.fetchall()) == 10


def listen_notify(address: Address) -> None:
    channel = _table("channel")
    with (
        psycopg.connect(address.conninfo(), autocommit=True) as listener,
        psycopg.connect(address.conninfo(), autocommit=True) as speaker,
    ):
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        speaker.execute("SELECT pg_notify(%s, 'one')", [channel])
        (heard,) = listener.notifies(timeout=10, stop_after=1)
        assert heard.payload == "one"
        listener.execute("UNLISTEN *")


def cancel(address: Address) -> None:
    """Cancel requests on connections of their own, by both of libpq's ways."""
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        for way in (connection.cancel_safe, lambda: _cancel_in_a_fork(connection)):
            watcher = cancel_when_active(address, connection.info.backend_pid, way)
            try:
                connection.execute("SELECT pg_sleep(30)")
                raise AssertionError("a cancelled query ended well")
            except psycopg.errors.QueryCanceled:
                pass
            watcher.join()
            assert connection.execute("SELECT 'alive'").fetchone() == ("alive",)


def asyncpg_mixed(address: Address) -> None:
    """Binary extended protocol with named statements, suspended portals, COPY, notifications, cancel by time-out."""

    async def work() -> None:
        table = _table("async")
        connection = await asyncpg.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database,
        )
        try:
            await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text, at timestamptz)")
            await connection.executemany(
                f"INSERT INTO {table} VALUES ($1, $2, now())", [(n, f"name {n}") for n in range(100)]
            )
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 100
            statement = await connection.prepare(f"SELECT name FROM {table} WHERE id = $1")
            for n in range(10):
                assert await statement.fetchval(n) == f"name {n}"
            async with connection.transaction():
                seen = 0
                async for _ in connection.cursor(f"SELECT * FROM {table} ORDER BY id", prefetch=7):
                    seen += 1
                assert seen == 100
                try:
                    async with connection.transaction():
                        await connection.execute(f"INSERT INTO {table} VALUES (1)")
                    raise AssertionError("a duplicate key was accepted")
                except asyncpg.UniqueViolationError:
                    pass
            await connection.copy_records_to_table(table, records=[(n, "copied", None) for n in range(1000, 1100)])
            rows = await connection.fetch(f"SELECT * FROM {table} WHERE id = ANY($1::int[])", [1, 2, 1001])
            assert len(rows) == 3
            heard: asyncio.Queue[str] = asyncio.Queue()
            await connection.add_listener(table, lambda *news: heard.put_nowait(news[3]))
            await connection.execute(f"NOTIFY {table}, 'news'")
            assert await asyncio.wait_for(heard.get(), 10) == "news"
            try:
                await connection.execute("SELECT pg_sleep(30)", timeout=0.2)
                raise AssertionError("a time-out did not cancel")
            except asyncio.TimeoutError:
                pass
            assert await connection.fetchval("SELECT 1") == 1
            await connection.execute(f"DROP TABLE {table}")
        finally:
            await connection.close()

    asyncio.run(work())


def psql(address: Address) -> None:
    """psql: several statements in a message, \\copy, \\gdesc, and FETCH_COUNT, which reads through a cursor."""
    script = """
        \\set ON_ERROR_STOP on
        CREATE TEMP TABLE t (id int, body text);
        SELECT 1 \\; SELECT 2 \\; SELECT 3;
        \\copy t from program 'printf "1\\tone\\n2\\ttwo\\n"'
        SELECT * FROM t \\gdesc
        BEGIN;
        UPDATE t SET body = body || '!';
        COMMIT;
        SELECT body FROM t ORDER BY id;
        SELECT pg_sleep(0.01); -- a comment
        \\set FETCH_COUNT 10
        SELECT n FROM generate_series(1, 35) n;
        \\copy t to '/dev/null'
        \\dt
    """
    done = run([tools.program("psql"), "-XAtq"], env=address.environment(), input=script)
    assert "one!\ntwo!" in done.stdout and "\n35" in done.stdout, done.stdout


def _pgbench(address: Address, mode: str) -> None:
    for script in ("tpcb-like", "select-only"):
        done = run(
            [tools.program("pgbench"), "-n", "-b", script, "-M", mode, "-c", "4", "-j", "1", "-t", "25"],
            env=address.environment(),
        )
        assert "number of transactions actually processed: 100/100" in done.stdout, done.stdout


def pgbench_simple(address: Address) -> None:
    _pgbench(address, "simple")


def pgbench_extended(address: Address) -> None:
    _pgbench(address, "extended")


def pgbench_prepared(address: Address) -> None:
    _pgbench(address, "prepared")


def replication(address: Address) -> None:
    """Logical decoding: COPY both ways on a walsender, which also speaks commands of its own."""
    table, slot = _table("wal"), _table("slot")
    with psycopg.connect(address.conninfo(), autocommit=True) as writer:
        writer.execute(f"CREATE TABLE {table} (id int)")
        connection = psycopg2.connect(
            address.conninfo(), connection_factory=psycopg2.extras.LogicalReplicationConnection
        )
        try:
            cursor = connection.cursor()
            cursor.execute("IDENTIFY_SYSTEM")
            assert cursor.fetchone()
            cursor.create_replication_slot(slot, output_plugin="test_decoding")
            cursor.start_replication(slot, decode=True)
            writer.execute(f"INSERT INTO {table} VALUES (42)")
            heard: list[str] = []

            def read() -> bool:
                received = cursor.read_message()
                if received is not None:
                    heard.append(received.payload)
                    received.cursor.send_feedback(flush_lsn=received.data_start)
                return any("42" in payload for payload in heard)

            wait_until(read, "the change is decoded")
        finally:
            connection.close()

        def gone() -> bool:
            try:
                writer.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            except psycopg.errors.ObjectInUse:
                return False
            return True

        wait_until(gone, "the slot is free")
        writer.execute(f"DROP TABLE {table}")


ALL: dict[str, Workload] = {
    function.__name__: function
    for function in (
        psycopg2_mixed,
        psycopg3_client_binding,
        psycopg3_server_binding,
        psycopg3_pipeline,
        psycopg3_named,
        copy,
        server_cursor,
        listen_notify,
        cancel,
        asyncpg_mixed,
        psql,
        pgbench_simple,
        pgbench_extended,
        pgbench_prepared,
        replication,
    )
}
"""Every workload; the pgbench ones need a database that [`prepare_pgbench`] has filled."""


def prepare_pgbench(address: Address) -> None:
    run([tools.program("pgbench"), "-i", "-q", "-s", "1"], env=address.environment())
