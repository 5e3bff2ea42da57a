"""A public Django application that nobody here wrote, under `pgprism run`: from the command to what is proved in it."""

from __future__ import annotations

import http.cookiejar
import json
import re
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.oscar import oscar_environment, python
from support.postgres import Postgres
from support.processes import free_port, run, scratch_folder
from support.runs import RunServer, run_under
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


@dataclass
class Oscar:
    """The shop, filled; its database is there as long as the tests run."""

    interpreter: Path
    env: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def oscar(postgres: Postgres) -> Iterator[Oscar]:
    address = postgres.create_database("oscar")
    try:
        shop = Oscar(python(), oscar_environment(address), scratch_folder("oscar"))
        for module in (["django", "migrate", "--verbosity", "0"], ["oscar_shop.fill"], ["django", "update_index"]):
            run([shop.interpreter, "-m", *module], env=shop.env, cwd=shop.folder, deadline_s=300)
        yield shop
    finally:
        postgres.sql('DROP DATABASE "oscar" WITH (FORCE)')


def _proved(server: RunServer) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.admin}api/v1/findings", timeout=10) as answer:
        return [one for one in json.load(answer)["items"] if one["confidence"] == "proved"]


def _said(text: str) -> list[str]:
    """What a command wrote on stderr, without pgprism's lines, its report and the time of the tests."""
    said = re.split(r"\n+pgprism: .* exit \d+\n", text)[0].strip()
    lines = [line for line in said.splitlines() if not line.startswith("pgprism: ")]
    return [re.sub(r"in \d+\.\d+s", "in … s", line) for line in lines]


@pytest.mark.parametrize("kind", ["runserver", "gunicorn"])
def test_oscars_basket_shows_its_loops_within_a_minute(oscar: Oscar, kind: str) -> None:
    port = free_port()
    command = {
        "runserver": ["django", "runserver", f"127.0.0.1:{port}"],
        "gunicorn": ["gunicorn", "django.core.wsgi:get_wsgi_application()", "--bind", f"127.0.0.1:{port}"],
    }[kind]
    began = time.monotonic()
    server = RunServer([oscar.interpreter, "-m", *command], oscar.env, cwd=oscar.folder)
    try:
        visitor = Visitor(port)
        catalogue = wait_until(
            lambda: visitor.get("/catalogue/"), "the catalogue is served", deadline_s=PROVED_WITHIN_S,
            refused=(OSError,), every_s=0.2,
        )
        for product in sorted(set(re.findall(r'href="(/catalogue/book-\d+_\d+/)"', catalogue)))[:BASKET]:
            visitor.put_into_basket(product)
        assert visitor.get("/basket/").count("Book ") >= BASKET
        wait_until(lambda: _proved(server), "a finding is proved", deadline_s=PROVED_WITHIN_S)
        took = time.monotonic() - began
    finally:
        server.process.send(signal.SIGINT)
        status = server.process.wait(40)
    assert status == 0, server.text()
    report = json.loads(server.report.read_text())
    print(f"{kind}: {took:.1f} s from the command to the first proved finding")
    print(server.text()[-6000:])
    assert took <= PROVED_WITHIN_S
    # Each line of the basket asks for its product's class, and for its stock.
    tables = {one["child_table"] for one in report["findings"] if one["confidence"] == "proved"}
    assert {"catalogue_productclass", "partner_stockrecord"} <= tables, tables
    assert report["summary"]["dropped"] == 0


def test_oscars_migrations_for_tests_are_the_same(oscar: Oscar) -> None:
    """Its source archive holds no tests: what `manage.py test` does for them is all of its migrations."""
    command = [oscar.interpreter, "-m", "django", "test", "--noinput", "oscar_shop.tests"]
    bare = run(command, env=oscar.env, cwd=oscar.folder, deadline_s=300, check=False)
    ran = run_under(command, oscar.env, cwd=oscar.folder, deadline_s=300, check=False)
    assert (ran.status, ran.stdout) == (bare.returncode, bare.stdout)
    assert "Ran 1 test" in bare.stderr and _said(ran.stderr) == _said(bare.stderr)
    assert ran.queries > 500
    assert ran.report["summary"]["dropped"] == 0
