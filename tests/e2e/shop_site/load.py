"""Many visitors at once, each on a thread (so a connection) of its own, with think time between their requests.

    python -m shop_site.load --threads 16 --requests 40

Ends when each has made its requests; writes how many of each page there were as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from itertools import islice

import django
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

# People and load balancers leave at least so much between two requests of one connection.
THINK_S = (0.02, 0.08)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    given = parser.parse_args()
    django.setup()
    from shop_site.calling import Browser
    from shop_site.labels import PAIRS
    from shop_site.traffic import visits

    handler = WSGIHandler()
    asked: Counter[str] = Counter()
    failures: list[BaseException] = []

    def visit(number: int) -> None:
        chance, browser = random.Random(number), Browser(handler)
        try:
            # Everything by somebody, at three times: no run depends on chance for what it has seen, nor on what can be
            # told of the first second, when nothing is known of these connections yet and all start at once.
            mine = [f"/pairs/{pair}/problem/" for pair in range(number, len(PAIRS), given.threads)]
            anything = visits(chance, len(PAIRS))
            some, rest = divmod(given.requests, 2)
            paths = [*mine, *islice(anything, some), *mine, *islice(anything, some + rest), *mine]
            for path in paths:
                browser.get(path)
                asked[re.sub(r"\d+", "N", path) if path.startswith("/quiet") else path] += 1
                time.sleep(chance.uniform(*THINK_S))
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
    json.dump(asked, sys.stdout)


if __name__ == "__main__":
    main()
