"""Django's way of asking, for some seconds: psycopg 3, values bound by the client, small selects with wide texts.

    python bench/django_load.py CONNINFO SECONDS THREADS

Each transaction reads a page of rows, then row by row what the page's values lead to, as a page with a loop does:
fifty statements, each with values of its own. Writes what was sent and how long statements took, as JSON:
`{"statements": 5200, "seconds": 1.0, "p50_us": 180.1, "p95_us": 320.5, "p99_us": 610.0}`.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import psycopg

STATEMENTS = 50
PAGE = 24

_COLUMNS = ", ".join(f'"pgbench_accounts"."{name}"' for name in ("aid", "bid", "abalance", "filler"))
_LIST = (
    f'SELECT {_COLUMNS} FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" > %s '
    f'ORDER BY "pgbench_accounts"."aid" ASC LIMIT {PAGE}'
)
_BRANCH = (
    'SELECT "pgbench_branches"."bid", "pgbench_branches"."bbalance", "pgbench_branches"."filler" '
    'FROM "pgbench_branches" WHERE "pgbench_branches"."bid" = %s LIMIT 21'
)
_ACCOUNT = f'SELECT {_COLUMNS} FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = %s LIMIT 21'


def transaction(cursor: psycopg.Cursor, start: int, took: list[float]) -> None:
    """One request; leaves the time of each statement that it sent, BEGIN and COMMIT among them."""

    def ask(text: str, value: int | None = None) -> list[tuple[int, ...]]:
        began = time.perf_counter()
        cursor.execute(text, None if value is None else [value])
        rows = cursor.fetchall() if value is not None else []
        took.append(time.perf_counter() - began)
        return rows

    ask("BEGIN")
    page = ask(_LIST, start)
    for aid, bid, *_ in page:
        ask(_BRANCH, bid)
        ask(_ACCOUNT, aid)
    for number in range(STATEMENTS - 1 - 2 * len(page)):
        ask(_ACCOUNT, start + 100 + number)
    ask("COMMIT")


def main() -> None:
    (conninfo, seconds, threads) = sys.argv[1:]
    began = time.monotonic()
    end = began + float(seconds)
    took: list[list[float]] = [[] for _ in range(int(threads))]

    def ask(number: int) -> None:
        with psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            with connection.cursor() as cursor:
                start = number
                while time.monotonic() < end:
                    transaction(cursor, start % 50_000, took[number])
                    start += 37

    workers = [threading.Thread(target=ask, args=(number,)) for number in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    whole = time.monotonic() - began
    each = sorted(seconds * 1e6 for one in took for seconds in one)
    quantiles = {f"p{part}_us": each[min(len(each) - 1, len(each) * part // 100)] for part in (50, 95, 99)}
    print(json.dumps({"statements": len(each), "seconds": whole} | quantiles))


if __name__ == "__main__":
    main()
