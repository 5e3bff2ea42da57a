"""Every supported server with every driver; and the same counts as the server's own statistics."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from io import StringIO

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest

from support import tools, workloads
from support.postgres import Address
from support.processes import run
from support.proxy import fingerprints

_SMOKE = {(14, "psycopg2_mixed"), (14, "psycopg3_client_binding"), (14, "asyncpg_mixed")} | {
    (18, name) for name in ("psycopg2_mixed", "psycopg3_client_binding", "psycopg3_server_binding", "asyncpg_mixed")
}


def _matrix() -> list[object]:
    return [
        pytest.param(major, name, marks=[pytest.mark.smoke] if (major, name) in _SMOKE else [])
        for major in tools.MAJORS
        for name in workloads.ALL
    ]


@pytest.mark.parametrize(("major", "name"), _matrix())
def test_works_and_is_understood(servers, start_pgprism, major, name):
    """The fixture asserts at the end: no decode error, no unobserved session, no dropped event, no open session."""
    server = servers(major)
    address = server.create_database(f"matrix_{name}")
    if name.startswith("pgbench"):
        workloads.prepare_pgbench(address)
    proxy = start_pgprism(server.address.endpoint)
    workloads.ALL[name](address.at(proxy.endpoint))
    scrape = proxy.quiet()
    assert scrape.total("pgprism_queries_total") > 0
    assert scrape.total("pgprism_query_duration_seconds_count") == scrape.total("pgprism_queries_total")
    server.sql(f'DROP DATABASE "matrix_{name}" WITH (FORCE)')


def test_protocol_3_2_with_libpq_18(servers, start_pgprism, start_relay):
    """libpq 18 asks for 3.2, PostgreSQL 18 grants it: long cancel keys, which the proxy never parses."""
    server = servers(18)
    proxy = start_pgprism(server.address.endpoint)
    outside = start_relay(proxy.endpoint)
    address = server.address.at(outside.address)
    with psycopg.connect(address.conninfo(max_protocol_version="latest"), autocommit=True) as connection:
        watcher = workloads.cancel_when_active(
            server.address, connection.info.backend_pid, connection.cancel_safe
        )
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        watcher.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    recordings = outside.wait_ended()
    startup, _ = recordings[0].without_negotiation()
    assert startup[4:8] == (196610).to_bytes(4, "big"), "the driver did not ask for 3.2"
    request, _ = recordings[1].without_negotiation()
    assert len(request) == 12 + 32, "the cancel key is not 3.2's"


def _counted(address: Address) -> None:
    """What pg_stat_statements and the proxy count alike.

    Left out, because they do not:
    - failed statements: the server counts none, the proxy counts a call and an error;
    - cursors: the server has DECLARE, each FETCH and CLOSE, the proxy has one SELECT;
    - SQL-level PREPARE and EXECUTE: the server books an EXECUTE on the text of its PREPARE;
    - suspended portals: servers before 17 book the last part's rows only;
    - empty queries: the server has none;
    - BEGIN and END of a named statement: the server counts the first execution of a prepared utility statement only
      (so pgbench's prepared mode comes with SELECTs alone here);
    - statements inside functions and procedures (with pg_stat_statements.track = top neither counts them).
    """
    table = "counted_rows"
    connection = psycopg2.connect(address.conninfo())
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text, price numeric)")
        psycopg2.extras.execute_values(
            cursor, f"INSERT INTO {table} VALUES %s", [(n, f"name {n}", n) for n in range(300)]
        )
    with connection, connection.cursor() as cursor:
        for n in (1, 2, 30):
            cursor.execute(f"SELECT * FROM {table} WHERE id = ANY(%s)", (list(range(n)),))
            cursor.execute(f"SELECT * FROM {table} WHERE id IN %s AND price > -5", (tuple(range(n)),))
            cursor.execute(f"UPDATE {table} SET price = price + %s WHERE id < %s", (n, n))
        cursor.execute(f"SELECT 1; SELECT id FROM {table} LIMIT 7; DELETE FROM {table} WHERE id = 299")
        cursor.copy_expert(f"COPY {table} FROM STDIN", StringIO("1000\tcopied\t1\n1001\tcopied\t2\n"))
        cursor.copy_expert(f"COPY {table} TO STDOUT", StringIO())
    connection.close()
    for factory in (psycopg.ClientCursor, psycopg.Cursor):
        with psycopg.connect(
            address.conninfo(), cursor_factory=factory, autocommit=True, prepare_threshold=2
        ) as connection:
            with connection.transaction():
                for n in range(10):
                    connection.execute(f"SELECT name FROM {table} WHERE id >= %s ORDER BY id LIMIT 5", [n])
                    connection.execute(f"INSERT INTO {table} VALUES (%s, %s) ON CONFLICT DO NOTHING", [n, "again"])
            with connection.cursor() as cursor:
                cursor.executemany(f"UPDATE {table} SET name = %s WHERE id = %s", [(f"n{n}", n) for n in range(40)])
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        with connection.pipeline() as pipeline:
            for n in range(25):
                connection.execute(f"SELECT count(*) FROM {table} WHERE price > %s", [n])
                if n % 10 == 0:
                    pipeline.sync()

    async def asynchronous() -> None:
        connection = await asyncpg.connect(
            host=address.host, port=address.port, user=address.user,
            password=address.password, database=address.database, statement_cache_size=5,
        )
        for n in range(12):
            await connection.fetch(f"SELECT id, name FROM {table} WHERE id < $1", n)
        await connection.executemany(f"DELETE FROM {table} WHERE id = $1", [(n,) for n in range(100, 120)])
        async with connection.transaction():
            await connection.fetchval(f"SELECT max(price) FROM {table}")
        await connection.close()

    asyncio.run(asynchronous())
    for mode, script in (("simple", "tpcb-like"), ("extended", "tpcb-like"), ("prepared", "select-only")):
        run(
            [tools.program("pgbench"), "-n", "-M", mode, "-b", script, "-c", "3", "-t", "20"],
            env=address.environment(),
        )


@pytest.mark.parametrize(
    "major", [pytest.param(14, marks=pytest.mark.smoke), 15, 16, 17, pytest.param(18, marks=pytest.mark.smoke)]
)
def test_counts_equal_the_servers(servers, start_pgprism, major):
    server = servers(major)
    database = f"counted_{major}"
    address = server.create_database(database).as_user("counted")
    workloads.prepare_pgbench(address.as_user("app"))
    server.sql("SELECT pg_stat_statements_reset()")
    proxy = start_pgprism(server.address.endpoint)
    _counted(address.at(proxy.endpoint))

    lines = server.sql(
        "SELECT json_build_array(query, calls, rows) FROM pg_stat_statements"
        " WHERE userid = 'counted'::regrole AND dbid = (SELECT oid FROM pg_database"
        f" WHERE datname = '{database}')",
    ).splitlines()
    scrape = proxy.quiet()
    assert scrape.total("pgprism_query_errors_total") == 0
    theirs_calls: Counter[str] = Counter()
    theirs_rows: Counter[str] = Counter()
    texts: dict[str, str] = {}
    entries = [json.loads(line) for line in lines]
    for (query, calls, rows), fingerprint in zip(entries, fingerprints([e[0] for e in entries]), strict=True):
        theirs_calls[fingerprint] += calls
        theirs_rows[fingerprint] += rows
        texts[fingerprint] = query
    ours = proxy.queries()
    # From 16 on the server books END on COMMIT: they parse alike.
    end, commit = fingerprints(["END", "COMMIT"])
    theirs_calls[commit] += theirs_calls.pop(end, 0)
    ours[commit]["calls"] += ours.pop(end)["calls"]
    problems = []
    for fingerprint in theirs_calls.keys() | ours.keys():
        mine = ours.get(fingerprint, {"calls": 0, "rows": 0, "errors": 0, "query": texts.get(fingerprint)})
        if (mine["calls"], mine["rows"]) != (theirs_calls[fingerprint], theirs_rows[fingerprint]):
            problems.append(
                f"{fingerprint}: proxy {mine['calls']} calls {mine['rows']} rows {mine['errors']} errors, server "
                f"{theirs_calls[fingerprint]} calls {theirs_rows[fingerprint]} rows\n    proxy:  {mine['query']!r}"
                f"\n    server: {texts.get(fingerprint)!r}"
            )
    assert not problems, "\n".join(problems)
    assert len(ours) > 20
    server.sql(f'DROP DATABASE "{database}" WITH (FORCE)')
