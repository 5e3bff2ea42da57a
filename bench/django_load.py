"""Django's way of asking, for a number of seconds: psycopg 3, values bound by the client, small selects with wide texts.

    python bench/django_load.py CONNINFO SECONDS THREADS

Each transaction reads a page of rows, then row by row what the page's values lead to, as a page with a loop does:
fifty statements, each with values of its own. Writes the number of statements that were sent.
"""

from __future__ import annotations

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


def transaction(cursor: psycopg.Cursor, start: int) -> int:
    """One request; the statements that it sent, BEGIN and COMMIT among them."""
    cursor.execute("BEGIN")
    page = cursor.execute(_LIST, [start]).fetchall()
    for aid, bid, *_ in page:
        cursor.execute(_BRANCH, [bid]).fetchall()
        cursor.execute(_ACCOUNT, [aid]).fetchall()
    for number in range(STATEMENTS - 1 - 2 * len(page)):
        cursor.execute(_ACCOUNT, [start + 100 + number]).fetchall()
    cursor.execute("COMMIT")
    return STATEMENTS + 2


def main() -> None:
    (conninfo, seconds, threads) = sys.argv[1:]
    end = time.monotonic() + float(seconds)
    sent = [0] * int(threads)

    def ask(number: int) -> None:
        with psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            with connection.cursor() as cursor:
                start = number
                while time.monotonic() < end:
                    sent[number] += transaction(cursor, start % 50_000)
                    start += 37

    workers = [threading.Thread(target=ask, args=(number,)) for number in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(sent))


if __name__ == "__main__":
    main()
