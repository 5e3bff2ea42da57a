"""The slow-query log, read by the tools that read PostgreSQL's own."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest

from support import tools
from support.postgres import Address, Postgres
from support.processes import run, scratch_folder
from support.waiting import wait_until

PREFIX = "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "
EVERYTHING = {"threshold": "0ms", "queries_per_second_max": 0, "queue_max": 1_000_000}
_LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[(?P<pid>\d+)\]: \[(?P<line>\d+)-1\] "
    r"user=(?P<user>[^,]*),db=(?P<db>[^,]*),app=(?P<app>.*),client=(?P<client>\S+) "
    r"(?P<level>LOG|CONTEXT):  (?P<text>.*)$"
)


def pgbadger(log: Path, prefix: str = PREFIX) -> dict[str, Any]:
    """What pgBadger makes of a log, as its JSON report."""
    out = scratch_folder("pgbadger") / "report.json"
    run(
        [tools.program("pgbadger"), "-q", "-f", "stderr", "--prefix", prefix, "-x", "json", "-o", out, log],
        deadline_s=120,
    )
    return json.loads(out.read_text())


def shapes(report: dict[str, Any]) -> dict[str, tuple[int, float]]:
    """Count and milliseconds by pgBadger's normalised text."""
    found: dict[str, tuple[int, float]] = {}
    for database in report["normalyzed_info"].values():
        for text, facts in database.items():
            found[text] = (int(facts["count"]), float(facts["duration"]))
    return found


def mixed_traffic(address: Address) -> None:
    """Statements in both protocols with literals of every kind; pgBadger can tell all their shapes apart."""
    with psycopg.connect(
        address.conninfo(application_name="shop, the"), cursor_factory=psycopg.ClientCursor, autocommit=True
    ) as simple:
        simple.execute("CREATE TABLE logged (id int PRIMARY KEY, name text)")
        for n in range(20):
            simple.execute("INSERT INTO logged (id, name) VALUES (%s, %s)", [n, f"it's {n}"])
        for n in range(10):
            simple.execute("SELECT\n  name\nFROM logged\nWHERE id = %s", [n])
        with simple.transaction():
            simple.execute("UPDATE logged SET name = %s WHERE id < %s", ["x", 5])
    with psycopg.connect(address.conninfo(), autocommit=True, prepare_threshold=3) as extended:
        for n in range(8):
            extended.execute("SELECT id FROM logged WHERE name = %s AND id > %s", [f"n{n}", n])
        extended.execute("DELETE FROM logged")


@pytest.mark.smoke
def test_pgbadger_reads_it(postgres, start_pgprism, database):
    """Threshold 0, no rate limit: pgBadger finds every query, all their time, and their shapes."""
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING)
    mixed_traffic(database.at(proxy.endpoint))
    proxy.quiet()
    expected = proxy.queries()
    calls = sum(item["calls"] for item in expected.values())
    wait_until(
        lambda: proxy.slow_log.read_text().count("LOG:  duration: ") >= calls, f"{calls} queries are logged"
    )
    report = pgbadger(proxy.slow_log)
    assert int(report["overall_stat"]["queries_number"]) == calls
    found = shapes(report)
    assert sum(count for count, _ in found.values()) == calls
    ours_ms = sum(item["total_ms"] for item in expected.values())
    theirs_ms = sum(duration for _, duration in found.values())
    # Each line is rounded to a microsecond.
    assert abs(ours_ms - theirs_ms) < 0.001 * calls + 0.01, (ours_ms, theirs_ms)
    assert sorted(count for count, _ in found.values()) == sorted(item["calls"] for item in expected.values())
    # pgBadger leaves placeholders out of what it shows: the rest of each text is ours.
    assert {_bare(text) for text in found} == {_bare(item["query"]) for item in expected.values()}
    assert not report["error_info"].get("postgres")


def _bare(text: str) -> str:
    return re.sub(r"\$\d+|\?|\s+|[;'\"]", "", text.lower())


def test_literals_make_it_equal_to_the_servers_own_log(start_pgprism):
    """With --log-literals pgBadger finds in our log what it finds in PostgreSQL's own of the same traffic."""
    # Without parameters' values, which the proxy does not write either.
    with Postgres(
        16, log_min_duration_statement="0", log_line_prefix=PREFIX, log_parameter_max_length="0"
    ) as server:
        proxy = start_pgprism(server.address.endpoint, slow_log=EVERYTHING, log_literals=True)
        address = server.create_database("own_log")
        mixed_traffic(address.at(proxy.endpoint))
        proxy.quiet()
        calls = sum(item["calls"] for item in proxy.queries().values())
        wait_until(lambda: proxy.slow_log.read_text().count("LOG:  duration: ") >= calls, "all is logged")
        own = scratch_folder("own") / "postgres.log"
        # What the fixtures did over the Unix socket is not the proxy's; the parse and bind steps are not queries.
        own.write_text(_entries(server.log.read_text(), lambda entry: "client=127.0.0.1" in entry
                                and not re.search(r"duration: [\d.]+ ms  (parse|bind) ", entry)))
        theirs, ours = shapes(pgbadger(own)), shapes(pgbadger(proxy.slow_log))
        assert {text: count for text, (count, _) in ours.items()} == {
            text: count for text, (count, _) in theirs.items()
        }
        proxy.stop()


def _entries(log: str, wanted: Any) -> str:
    """The entries (a line and its continuation lines) that `wanted` accepts."""
    entries = re.split(r"(?m)^(?=\d{4}-\d\d-\d\d )", log)
    return "".join(entry for entry in entries if wanted(entry))


@pytest.mark.smoke
def test_lines_are_postgresqls(postgres, start_pgprism, database):
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING)
    connection = psycopg2.connect(database.at(proxy.endpoint).conninfo(application_name="a\nb\x01,c"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS one,\n 'secret' AS two /*controller='views.shop',route='shop%3Alist'*/")
        # What PostgreSQL made of it: `?` for what is not printable, or `\\x0a` from 16 on.
        cursor.execute("SHOW application_name")
        (application,) = cursor.fetchone()
    pid = connection.info.backend_pid
    wait_until(lambda: "CONTEXT" in proxy.slow_log.read_text(), "the query is logged")
    connection.close()
    text = proxy.slow_log.read_text()
    assert "secret" not in text, "a literal left the process"
    entries = [line for line in text.splitlines() if not line.startswith("\t")]
    matches = [_LINE.match(line) for line in entries]
    assert all(matches), entries
    assert [match["level"] for match in matches[:2]] == ["LOG", "CONTEXT"]
    assert {int(match["pid"]) for match in matches} == {pid}
    assert [match["line"] for match in matches[:2]] == ["1", "2"]
    assert {match["app"] for match in matches} == {application}
    assert re.match(r"duration: \d+\.\d{3} ms  statement: SELECT \$1 AS one", matches[0]["text"])
    facts = dict(part.split("=", 1) for part in matches[1]["text"].removeprefix("pgprism ").split())
    item = proxy.shape("SELECT 1 AS one, 'x' AS two")
    assert facts["fingerprint"] == item["fingerprint"]
    assert facts["rows"] == "1"
    assert {"database", "transfer", "client"} <= facts.keys()


def test_json(postgres, start_pgprism, database):
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING | {"format": "json"})
    mixed_traffic(database.at(proxy.endpoint))
    proxy.quiet()
    calls = sum(item["calls"] for item in proxy.queries().values())

    def queries() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in proxy.slow_log.read_text().splitlines()]
        return [line for line in lines if "finding" not in line["pgprism"]]

    wait_until(lambda: len(queries()) >= calls, "all is logged")
    lines = queries()
    assert len(lines) == calls
    by_shape = proxy.queries()
    for line in lines:
        assert {"timestamp", "user", "dbname", "pid", "error_severity", "message", "application_name"} <= line.keys()
        assert line["error_severity"] == "LOG" and line["dbname"] == database.database
        assert line["message"].startswith("duration: ")
        assert line["pgprism"]["fingerprint"] in by_shape
        assert "it's" not in json.dumps(line)


def test_threshold_and_rate_limit(postgres, start_pgprism, database):
    proxy = start_pgprism(
        postgres.address.endpoint, slow_log={"threshold": "50ms", "queries_per_second_max": 0}
    )
    with psycopg.connect(database.at(proxy.endpoint).conninfo(), autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(0.001) AS quick")
        connection.execute("SELECT pg_sleep(0.08) AS slow")
    wait_until(lambda: "AS slow" in proxy.slow_log.read_text(), "the slow one is logged")
    assert "AS quick" not in proxy.slow_log.read_text()
    assert proxy.quiet().total("pgprism_slow_queries_total") == 1

    limited = start_pgprism(
        postgres.address.endpoint, slow_log={"threshold": "0ms", "queries_per_second_max": 10}
    )
    with psycopg.connect(database.at(limited.endpoint).conninfo(), autocommit=True) as connection:
        for n in range(500):
            connection.execute("SELECT %s::int AS flood", [n])
    scrape = limited.quiet()
    written = limited.slow_log.read_text().count("LOG:  duration: ")
    dropped = scrape.total("pgprism_slow_log_dropped_total")
    assert written + dropped == scrape.total("pgprism_queries_total"), (written, dropped)
    assert written < 100


def test_rotation(postgres, start_pgprism, database):
    """Opened again on SIGHUP and when the file vanished."""
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING)
    with psycopg.connect(database.at(proxy.endpoint).conninfo(), autocommit=True) as connection:

        def logs(alias: str, file: Path) -> None:
            connection.execute(f"SELECT 1 AS {alias}")
            wait_until(lambda: file.exists() and alias in file.read_text(), f"{alias} is in {file}")

        logs("first", proxy.slow_log)
        rotated = proxy.slow_log.with_suffix(".1")
        os.rename(proxy.slow_log, rotated)
        proxy.reload()

        def reopened() -> bool:
            connection.execute("SELECT 1 AS again")
            return proxy.slow_log.exists()

        wait_until(reopened, "the log is opened anew after SIGHUP")
        logs("second", proxy.slow_log)
        assert "second" not in rotated.read_text()
        proxy.slow_log.unlink()
        wait_until(reopened, "the log is opened anew after it vanished")
        logs("third", proxy.slow_log)


def test_a_full_disk_costs_lines_not_traffic(postgres, start_pgprism, database):
    proxy = start_pgprism(postgres.address.endpoint, slow_log=EVERYTHING | {"path": "/dev/full"})
    with psycopg.connect(database.at(proxy.endpoint).conninfo(), autocommit=True) as connection:
        for n in range(200):
            assert connection.execute("SELECT %s::int", [n]).fetchone() == (n,)
    # A finding may be among them.
    wait_until(
        lambda: proxy.metrics().total("pgprism_slow_log_dropped_total") >= 200, "every lost line is counted"
    )
