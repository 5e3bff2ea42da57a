"""Plays each pair of pages again and again, problem and fixed in turn, and writes the seconds of each as JSON.

    python -m shop_site.price --runs 20

Every page is first called past the proxy, whose address is in PROXY_HOST and PROXY_PORT: what happens once in the
life of a process (imports, caches, plans) is neither timed nor seen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import django
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, required=True)
    runs: int = parser.parse_args().runs
    django.setup()
    from shop_site.calling import Browser
    from shop_site.labels import PAIRS

    browser = Browser(WSGIHandler())
    for number in range(len(PAIRS)):
        for _ in range(2):
            browser.get(f"/pairs/{number}/problem/")
            browser.get(f"/pairs/{number}/fixed/")
    connection.close()
    connection.settings_dict |= {"HOST": os.environ["PROXY_HOST"], "PORT": int(os.environ["PROXY_PORT"])}
    # Opens the connection that all runs share.
    browser.get("/quiet/one/")
    seconds: dict[str, dict[str, list[float]]] = {
        pair.name: {"problem": [], "fixed": []} for pair in PAIRS
    }
    # One run of all pairs after another: what else the machine does falls on all of them.
    for _ in range(runs):
        for number, pair in enumerate(PAIRS):
            for side in ("problem", "fixed"):
                seconds[pair.name][side].append(browser.get(f"/pairs/{number}/{side}/"))
    connection.close()
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
