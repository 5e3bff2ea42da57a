"""A public Django application that nobody here wrote, under `pgprism run`: from the command to what is proved in it."""

from __future__ import annotations

import http.cookiejar
import json
import re
import signal
import time
import urllib.parse
import urllib.request
from typing import Any

from support.oscar import oscar_environment, python
from support.postgres import Postgres
from support.processes import free_port, run, scratch_folder
from support.runs import RunServer
from support.waiting import wait_until

PROVED_WITHIN_S = 60.0
BASKET = 6


class Visitor:
    """A browser without scripts."""

    def __init__(self, port: int) -> None:
        self._site = f"http://127.0.0.1:{port}"
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> str:
        with self._opener.open(self._site + path, timeout=30) as answer:
            return answer.read().decode()

    def put_into_basket(self, product: str) -> None:
        """Presses the button of a product's page."""
        page = self.get(product)
        action = f"/basket/add/{product.rstrip('/').rpartition('_')[2]}/"
        assert f'action="{action}"' in page
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], "quantity": 1}).encode()
        request = urllib.request.Request(self._site + action, form, {"Referer": self._site + product})
        with self._opener.open(request, timeout=30) as answer:
            answer.read()


def test_oscars_basket_shows_its_loops_within_a_minute(postgres: Postgres) -> None:
    address = postgres.create_database("oscar")
    try:
        interpreter = python()
        env = oscar_environment(address)
        folder = scratch_folder("oscar")
        for module in (["django", "migrate", "--verbosity", "0"], ["oscar_shop.fill"], ["django", "update_index"]):
            run([interpreter, "-m", *module], env=env, cwd=folder, deadline_s=300)
        port = free_port()
        began = time.monotonic()
        server = RunServer([interpreter, "-m", "django", "runserver", f"127.0.0.1:{port}"], env, cwd=folder)

        def proved() -> list[dict[str, Any]]:
            with urllib.request.urlopen(f"{server.admin}api/v1/findings", timeout=10) as answer:
                items = json.load(answer)["items"]
            return [one for one in items if one["confidence"] == "proved"]

        try:
            visitor = Visitor(port)
            catalogue = wait_until(
                lambda: visitor.get("/catalogue/"), "the catalogue is served", deadline_s=PROVED_WITHIN_S,
                refused=(OSError,), every_s=0.2,
            )
            for product in sorted(set(re.findall(r'href="(/catalogue/book-\d+_\d+/)"', catalogue)))[:BASKET]:
                visitor.put_into_basket(product)
            assert visitor.get("/basket/").count("Book ") >= BASKET
            wait_until(proved, "a finding is proved", deadline_s=PROVED_WITHIN_S)
            took = time.monotonic() - began
        finally:
            server.process.send(signal.SIGINT)
            status = server.process.wait(40)
        assert status == 0, server.text()
        report = json.loads(server.report.read_text())
        print(f"{took:.1f} s from the command to the first proved finding")
        print(server.text()[-6000:])
        assert took <= PROVED_WITHIN_S
        # Each line of the basket asks for its product's class, and for its stock.
        tables = {one["child_table"] for one in report["findings"] if one["confidence"] == "proved"}
        assert {"catalogue_productclass", "partner_stockrecord"} <= tables, tables
        assert report["summary"]["dropped"] == 0
    finally:
        postgres.sql('DROP DATABASE "oscar" WITH (FORCE)')
