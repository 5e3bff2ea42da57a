"""A public Django application that nobody here wrote, under `pgprism run`: from the command to what is proved in it."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.request

from support.oscar import oscar_environment, python
from support.postgres import Postgres
from support.processes import free_port, run, scratch_folder
from support.runs import RunServer
from support.waiting import wait_until

PROVED_WITHIN_S = 60.0


def _page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def test_oscars_shop_shows_its_loops_within_a_minute(postgres: Postgres) -> None:
    address = postgres.create_database("oscar")
    try:
        interpreter = python()
        env = oscar_environment(address)
        folder = scratch_folder("oscar")
        run([interpreter, "-m", "django", "migrate", "--verbosity", "0"], env=env, cwd=folder, deadline_s=300)
        run([interpreter, "-m", "oscar_shop.fill"], env=env, cwd=folder, deadline_s=120)
        port = free_port()
        began = time.monotonic()
        server = RunServer(
            [interpreter, "-m", "django", "runserver", f"127.0.0.1:{port}"], env, cwd=folder
        )
        try:
            wait_until(
                lambda: "Book 3" in _page(port, "/catalogue/"), "the catalogue is served", deadline_s=PROVED_WITHIN_S,
                refused=(OSError,), every_s=0.2,
            )

            def proved() -> list[dict[str, object]]:
                with urllib.request.urlopen(f"{server.admin}api/v1/findings", timeout=10) as answer:
                    items = json.load(answer)["items"]
                return [one for one in items if one["confidence"] == "proved"]

            wait_until(proved, "a finding is proved", deadline_s=PROVED_WITHIN_S)
            took = time.monotonic() - began
            catalogue = _page(port, "/catalogue/")
            for path in sorted(set(re.findall(r'href="(/catalogue/book-\d+_\d+/)"', catalogue)))[:3]:
                assert "Book" in _page(port, path)
            assert "Novels" in catalogue
        finally:
            server.process.send(signal.SIGINT)
            status = server.process.wait(40)
        assert status == 0, server.text()
        report = json.loads(server.report.read_text())
        print(f"{took:.1f} s from the command to the first proved finding")
        print(server.text()[-4000:])
        assert took <= PROVED_WITHIN_S
        tables = {one["child_table"] for one in report["findings"] if one["confidence"] == "proved"}
        # Each book of the list asks for its stock.
        assert "partner_stockrecord" in tables, tables
        assert report["summary"]["dropped"] == 0
    finally:
        postgres.sql('DROP DATABASE "oscar" WITH (FORCE)')
