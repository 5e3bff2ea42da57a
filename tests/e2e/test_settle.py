"""What a test did, read right behind it: `test_id` bounds its units, `POST /api/v1/settle` makes them known."""

from __future__ import annotations

import concurrent.futures
import json
import os
import sys
import urllib.request
from typing import Any

import psycopg
import pytest

from support import tools
from support.processes import run, scratch_folder
from support.proxy import Pgprism
from support.runs import environment, run_under

TESTS = int(os.environ.get("PGPRISM_SETTLED_TESTS", "60"))


def ask(admin: str, path: str, *, post: bool = False) -> Any:
    request = urllib.request.Request(f"{admin}{path}", method="POST" if post else "GET", headers={"X-Pgprism": "1"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def settle(admin: str, test_id: str | None = None) -> dict[str, Any]:
    return ask(admin, f"/api/v1/settle?test_id={test_id}" if test_id else "/api/v1/settle", post=True)


def units_of(admin: str, test_id: str) -> list[dict[str, Any]]:
    return ask(admin, f"/api/v1/units?test_id={test_id}&limit=1000")["items"]


@pytest.mark.smoke
def test_each_test_of_a_transaction_is_known_right_behind_it(pgprism: Pgprism, database) -> None:
    """Shapes are new each time, another connection is busy all the while, and nothing waits for a tick."""
    admin = f"http://{pgprism.admin[0]}:{pgprism.admin[1]}"
    address = database.at(pgprism.endpoint)
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE thing (id int PRIMARY KEY, name text)")
        connection.execute("INSERT INTO thing SELECT n, 'n' FROM generate_series(1, 20) n")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM thing")
        for number in range(TESTS):
            test_id = f"{number:016x}"
            tag = f"/*test='tests.py::test_{number}',test_id='{test_id}'*/"
            connection.execute("SAVEPOINT a")
            wanted = 1 + number % 7
            for _ in range(wanted):
                connection.execute(f"SELECT id AS a{number} FROM thing {tag}").fetchall()
            connection.execute("ROLLBACK TO SAVEPOINT a")
            assert settle(admin, test_id) == {"settled": True, "events_dropped": 0}
            units = units_of(admin, test_id)
            assert [(unit["queries"], unit["rows"], unit["state"]) for unit in units] == [
                (wanted, 20 * wanted, "ended")
            ], number
            assert (units[0]["test"], units[0]["evidence"]) == (f"tests.py::test_{number}", "trace")
        connection.execute("ROLLBACK")
    assert settle(admin) == {"settled": True, "events_dropped": 0}


def test_a_test_has_the_findings_of_its_loops(pgprism: Pgprism, database) -> None:
    admin = f"http://{pgprism.admin[0]}:{pgprism.admin[1]}"
    with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE author (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE book (id int PRIMARY KEY, author_id int)")
        connection.execute("INSERT INTO author SELECT n FROM generate_series(1, 9) n")
        connection.execute("INSERT INTO book SELECT n, n FROM generate_series(1, 9) n")
        tag = "/*test='t',test_id='abc'*/"
        books = connection.execute(f"SELECT id, author_id FROM book ORDER BY id {tag}").fetchall()
        for _, author in books:
            connection.execute(f"SELECT id FROM author WHERE id = {author} {tag}").fetchall()
        assert settle(admin, "abc")["settled"]
    [unit] = units_of(admin, "abc")
    [finding] = unit["findings"]
    told = ask(admin, f"/api/v1/findings/{finding}")
    assert (told["confidence"], told["queries"], told["tags"]["test"]) == ("proved", 9, ["t"])


def test_other_answers_do_not_wait_for_one_that_settles(start_pgprism, postgres) -> None:
    """An analysis that stands still holds it up for its five seconds, and nothing else."""
    proxy = start_pgprism(postgres.address.endpoint, faults=["analysis-hang=7s"])
    admin = f"http://{proxy.admin[0]}:{proxy.admin[1]}"
    with psycopg.connect(postgres.address.at(proxy.endpoint).conninfo()) as connection:
        connection.execute("SELECT 1 + 1")
    waiting = urllib.request.Request(f"{admin}/api/v1/settle", method="POST", headers={"X-Pgprism": "1"})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: json.load(urllib.request.urlopen(waiting, timeout=10)))
        answered = 0
        while not answer.done():
            ask(admin, "/api/v1/summary")
            answered += 1
        assert answer.result()["settled"] is False
    assert answered > 50
    assert settle(admin)["settled"], "it goes on"


def test_the_command_of_run_knows_whom_to_ask(database) -> None:
    script = scratch_folder("asks") / "asks.py"
    script.write_text(
        "import json, os, sys, urllib.request\n"
        "import psycopg\n"
        "psycopg.connect(os.environ['DATABASE_URL']).execute(\"SELECT now() /*test_id='x'*/\")\n"
        "url = os.environ['PGPRISM_ADMIN_URL']\n"
        "post = urllib.request.Request(url + '/api/v1/settle?test_id=x', method='POST', headers={'X-Pgprism': '1'})\n"
        "assert json.load(urllib.request.urlopen(post))['settled']\n"
        "units = json.load(urllib.request.urlopen(url + '/api/v1/units?test_id=x'))['items']\n"
        "print([unit['queries'] for unit in units], os.environ.get('PGPRISM_TOKEN_FILE'))\n"
    )
    ran = run_under([sys.executable, script], environment(database))
    assert ran.stdout == "[1] None\n"
    off = run(
        [tools.pgprism(), "run", "--admin", "off", "--", "sh", "-c", "echo ${PGPRISM_ADMIN_URL:-nobody}"],
        env=environment(database, PGPRISM_ADMIN_URL="http://127.0.0.1:1"),
    )
    assert off.stdout == "nobody\n"
