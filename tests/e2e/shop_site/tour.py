"""Visitors of the demo's own pages, those with mistakes among them, each on a thread and so a connection of its own.

    python -m shop_site.tour --threads 3 --rounds 4

Needs the settings `shop_site.tagged`. Writes how many requests there were.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time

import django
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

BAD = "books authors tags orders counts stock descriptions basket gifts columns".split()
PAGES = [
    *(f"/bad/{page}/" for page in BAD),
    *("/", "/books/", "/books/best/", "/authors/", "/orders/", "/reports/sales/", "/reports/warehouse/"),
]
# People leave at least so much between two requests.
THINK_S = (0.01, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    given = parser.parse_args()
    django.setup()
    from shop_site.calling import Browser

    handler = WSGIHandler()
    asked: list[str] = []
    failures: list[BaseException] = []

    def visit(number: int) -> None:
        chance, browser = random.Random(number), Browser(handler)
        try:
            for _ in range(given.rounds):
                for path in [*PAGES, *(f"/books/{chance.randrange(1, 700)}/" for _ in range(6))]:
                    browser.get(path)
                    asked.append(path)
                    time.sleep(chance.uniform(*THINK_S))
                browser.post("/bad/prices/", author=str(chance.randrange(1, 20)))
                asked.append("/bad/prices/")
        except BaseException as failure:  # told by the main thread
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(given.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    json.dump(len(asked), sys.stdout)


if __name__ == "__main__":
    main()
