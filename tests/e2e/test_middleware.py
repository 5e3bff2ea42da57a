"""django_pgprism's middleware with real drivers: what each query of a request carries, and what it does not change.

PGPRISM_DJANGO_PYTHON names the Python of an environment with another Django, psycopg and psycopg2.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from support import tools
from support.django import Driver, statements
from support.postgres import Address
from support.processes import run, scratch_folder
from support.proxy import Pgprism
from support.relay import RecordingRelay
from support.waiting import wait_until

_HERE = Path(__file__).parent
PYTHON = os.environ.get("PGPRISM_DJANGO_PYTHON", sys.executable)
PACKAGE = tools.PROJECT / "python" / "src"
SITE = (_HERE / "django_tags" / "site.py").read_text().splitlines()

USERS, MINE, MISSING, RAW, NESTED = "/", "/mine/7/", "/missing/", "/raw/it's */100%/", "/nested/"
CURSOR, THREADS, STREAM = "/cursor/", "/threads/", "/stream/"
ASYNC_USERS, ASYNC_GETS, ASYNC_STREAM = "/async/users/", "/async/gets/", "/async/stream/"
PAGES = (USERS, MINE, MISSING, RAW, NESTED, CURSOR, THREADS, STREAM, ASYNC_USERS, ASYNC_GETS, ASYNC_STREAM)
STREAMED = {STREAM, ASYNC_STREAM}

COMMENT = re.compile(r" /\*((?:[a-z_]+='[^'*/]*',?)+)\*/;?$")
# Statements of the drivers and of the connection's set-up, which no wrapper of Django sees; and those of the pages that
# stay as they are.
UNTAGGED = re.compile(
    r"BEGIN|COMMIT|ROLLBACK|FETCH|CLOSE|SELECT set_config|SELECT oid|$|.*(/\* mine \*/|-- mine)|SELECT 1$"
)

Tags = dict[str, str]
Database = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """What went to the proxy, and the proxy that saw it."""

    texts: list[str]
    proxy: Pgprism

    @property
    def tags(self) -> list[Tags]:
        """Of each statement that has some, in order."""
        return [found for found in map(tags_of, self.texts) if found]

    @property
    def untagged(self) -> list[str]:
        return [text for text in self.texts if not tags_of(text) and not UNTAGGED.match(text)]


Serve = Callable[..., Served]


def tags_of(statement: str) -> Tags:
    """The tags at the end of a statement, decoded."""
    found = COMMENT.search(statement)
    if found is None:
        return {}
    pairs = [pair.split("=", 1) for pair in found[1].split(",")]
    assert pairs == sorted(pairs)
    return {unquote(key): unquote(value.strip("'")) for key, value in pairs}


@pytest.fixture(scope="module")
def site(servers) -> Iterator[Address]:
    """The site's database."""
    server = servers(16)
    address = server.create_database("tags")
    _python(address, Driver.PSYCOPG3, "prepare")
    yield address
    server.sql('DROP DATABASE "tags" WITH (FORCE)')


@pytest.fixture
def serve(site: Address, start_pgprism, start_relay) -> Serve:
    """Serves pages through a proxy of its own, with a witness in front of it."""

    def serve(
        *pages: str, driver: Driver = Driver.PSYCOPG3, interface: str = "wsgi", database: Database | None = None,
        pgprism: Database | None = None, **environment: str,
    ) -> Served:
        proxy = start_pgprism(site.endpoint)
        relay: RecordingRelay = start_relay(proxy.endpoint)
        _python(site.at(relay.address), driver, interface, *pages, database=database, pgprism=pgprism, **environment)
        proxy.wait_no_sessions()
        return Served(list(statements(relay)), proxy)

    return serve


def _python(
    address: Address, driver: Driver, *arguments: str, module: str = "django_tags.serve",
    database: Database | None = None, pgprism: Database | None = None, **environment: str,
) -> str:
    folder = scratch_folder("tags")
    if driver is Driver.PSYCOPG2:
        # Django takes psycopg 3 where both are installed: this makes it look absent.
        (folder / "psycopg.py").write_text("raise ImportError('hidden, so that Django takes psycopg2')\n")
    options = {"server_side_binding": True} if driver is Driver.SERVER_SIDE_BINDING else {}
    database = database or {}
    done = run(
        [PYTHON, "-m", module, *arguments],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(map(str, (folder, _HERE, PACKAGE))),
            "DJANGO_SETTINGS_MODULE": "django_tags.settings",
            "TAGS_HOST": address.host,
            "TAGS_PORT": str(address.port),
            "TAGS_USER": address.user,
            "TAGS_PASSWORD": address.password,
            "TAGS_NAME": address.database,
            "TAGS_DATABASE": json.dumps(database | {"OPTIONS": options | database.get("OPTIONS", {})}),
            "TAGS_PGPRISM": json.dumps(pgprism or {}),
        }
        | environment,
        cwd=folder,
        deadline_s=120,
    )
    assert done.stdout.strip(), done.stderr
    return done.stdout


def _django_version() -> tuple[int, ...]:
    done = run([PYTHON, "-c", "import django; print(*django.VERSION[:2])"])
    return tuple(map(int, done.stdout.split()))


def _route(page: str) -> str:
    return page.lstrip("/").replace("mine/7", "mine/<int:number>") or "/"


DRIVERS = pytest.mark.parametrize("driver", list(Driver), ids=lambda driver: driver.name.lower())
INTERFACES = pytest.mark.parametrize("interface", ["wsgi", "asgi"])


@DRIVERS
@INTERFACES
def test_every_query_of_a_request_is_tagged(serve: Serve, driver: Driver, interface: str) -> None:
    served = serve(*PAGES, driver=driver, interface=interface)
    # The thread that was not given the request's context is nobody's.
    assert [re.sub(r"\s+", " ", text)[:34] for text in served.untagged] == ['SELECT COUNT(*) AS "__count" FROM ']
    requests = list(dict.fromkeys(tags["request_id"] for tags in served.tags))
    assert len(requests) == len(PAGES)
    for page, request in zip(PAGES, requests, strict=True):
        mine = [tags for tags in served.tags if tags["request_id"] == request]
        assert all(re.fullmatch(r"django:\d+\.\d", tags["framework"]) for tags in mine)
        assert {tags["route"] for tags in mine} == {_route(page)}
        assert all(re.fullmatch("[0-9a-f]{16}", tags["request_id"]) for tags in mine)
        assert {frozenset(tags) for tags in mine} == {
            frozenset(("controller", "framework", "request_id", "route"))
        }
    counted = Counter(tags["route"] for tags in served.tags)
    # executemany is one statement for each row, of all drivers.
    expected = {USERS: 6, MINE: 2, MISSING: 1, RAW: 10, NESTED: 4, CURSOR: 6, THREADS: 1}
    expected |= {STREAM: 6, ASYNC_USERS: 6, ASYNC_GETS: 7, ASYNC_STREAM: 6}
    assert counted == {_route(page): count for page, count in expected.items()}


@DRIVERS
def test_fingerprints_are_those_without_tags(serve: Serve, driver: Driver) -> None:
    def shapes(served: Served) -> dict[str, int]:
        assert served.proxy.metrics().total("pgprism_decode_errors_total") == 0
        return {item["fingerprint"]: item["calls"] for item in served.proxy.items("queries")}

    pages = [page for page in PAGES if not page.startswith("/async")]
    with_tags = serve(*pages, driver=driver, pgprism={"CALLSITE": True})
    without = serve(*pages, driver=driver, TAGS_OFF="1")
    assert with_tags.tags and not without.tags
    assert shapes(with_tags) == shapes(without)


@DRIVERS
def test_postgresql_counts_the_statements_it_counts_without_tags(serve: Serve, servers, driver: Driver) -> None:
    server, kept = servers(16), dict[str, set[str]]()

    def counted() -> set[str]:
        return set(server.sql(
            "SELECT queryid, calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = 'tags'"
        ).splitlines())

    for kind in ("tagged", "plain"):
        server.sql("SELECT pg_stat_statements_reset()")
        # Not those with savepoints and cursors: PostgreSQL 16 counts each of Django's names for them apart.
        serve(USERS, MINE, STREAM, driver=driver, **({"TAGS_OFF": "1"} if kind == "plain" else {}))
        kept[kind] = counted()
    assert len(kept["plain"]) >= 4
    assert kept["tagged"] == kept["plain"]


@pytest.mark.smoke
@INTERFACES
def test_a_request_is_a_unit_even_without_a_pause(serve: Serve, interface: str) -> None:
    pages = [USERS, STREAM, CURSOR, USERS, USERS]
    served = serve(*pages, interface=interface, database={"CONN_MAX_AGE": 60})

    def ended() -> list[dict[str, Any]] | None:
        units = [unit for unit in served.proxy.items("units") if unit["state"] == "ended"]
        return units if sum(unit["queries"] for unit in units) >= 30 else None

    units = sorted(wait_until(ended, "all units have ended", deadline_s=20), key=lambda unit: unit["started_at"])
    assert [(unit["evidence"], unit["queries"], unit["route"]) for unit in units] == [
        ("trace", 6, _route(page)) for page in pages
    ]
    assert [unit["controller"] for unit in units[:2]] == ["django_tags.site.users", "django_tags.site.stream"]


@INTERFACES
def test_the_pool_hands_connections_to_the_request_that_asks(serve: Serve, interface: str) -> None:
    if _django_version() < (5, 1):
        pytest.skip("Django has a pool from 5.1 on")
    pool = {"OPTIONS": {"pool": {"min_size": 1, "max_size": 2}}}
    served = serve(*[USERS, ASYNC_USERS, STREAM] * 3, interface=interface, database=pool, TAGS_THREADS="2")
    assert served.untagged == []
    assert set(Counter(tags["request_id"] for tags in served.tags).values()) == {6}


@INTERFACES
def test_requests_at_the_same_time_have_their_own(serve: Serve, interface: str) -> None:
    pages = [USERS, MINE, STREAM, ASYNC_USERS, ASYNC_STREAM] * 2
    served = serve(*pages, interface=interface, TAGS_THREADS="4")
    assert served.untagged == []
    routes: dict[str, set[str]] = {}
    for tags in served.tags:
        routes.setdefault(tags["request_id"], set()).add(tags["route"])
    assert len(routes) == 4 * len(pages)
    assert all(len(found) == 1 for found in routes.values())
    sizes = Counter(tags["request_id"] for tags in served.tags)
    assert Counter(sizes.values()) == {6: 32, 2: 8}


def _marked(mark: str) -> set[str]:
    return {f"django_tags/site.py:{number}" for number, line in enumerate(SITE, 1) if line.endswith(mark)}


@DRIVERS
@INTERFACES
def test_callsite_is_a_line_of_the_project(serve: Serve, driver: Driver, interface: str) -> None:
    served = serve(USERS, MINE, MISSING, driver=driver, interface=interface, pgprism={"CALLSITE": True})
    assert {tags["callsite"] for tags in served.tags} == _marked("# callsite")
    assert len(served.tags) == 9


def test_callsite_of_an_async_view_is_the_line_that_waits(serve: Serve) -> None:
    served = serve(ASYNC_USERS, ASYNC_GETS, interface="asgi", pgprism={"CALLSITE": True})
    assert {tags["callsite"] for tags in served.tags} == _marked("# callsite of a task") | _marked("# callsite of a thread")
    assert len(served.tags) == 13


def test_an_async_view_under_wsgi_has_no_callsite_and_never_a_wrong_one(serve: Serve) -> None:
    served = serve(ASYNC_USERS, ASYNC_GETS, interface="wsgi", pgprism={"CALLSITE": True})
    assert {tags["callsite"] for tags in served.tags if "callsite" in tags} == _marked("# callsite of a thread")
    assert len(served.tags) == 13


def test_without_the_setting_there_is_no_callsite(serve: Serve) -> None:
    assert all("callsite" not in tags for tags in serve(USERS).tags)


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("00-ead3c9c37ac4cb7dba77bd0dbb1f4d5e-78cb46d1c2d0aa4c-01", True),
        ("00-00000000000000000000000000000000-78cb46d1c2d0aa4c-01", False),
        ("ff-ead3c9c37ac4cb7dba77bd0dbb1f4d5e-78cb46d1c2d0aa4c-01", False),
        ("00-ead3c9c37ac4cb7dba77bd0dbb1f4d5e-78cb46d1c2d0aa4c-01'*/; DROP TABLE auth_user", False),
    ],
)
def test_a_valid_traceparent_is_passed_on(serve: Serve, sent: str, passed: bool) -> None:  # noqa: FBT001
    served = serve(USERS, TAGS_TRACEPARENT=sent)
    assert {tags.get("traceparent") for tags in served.tags} == {sent if passed else None}


def test_tags_hold_no_value_of_a_request(serve: Serve) -> None:
    texts = " ".join(serve(MINE, interface="asgi").texts)
    assert unquote(texts).count("mine/<int:number>/") == 2
    assert "mine/7" not in unquote(texts)


PREPARED = {"CONN_MAX_AGE": 60, "OPTIONS": {"prepare_threshold": 2}}


def test_statements_are_prepared_as_without_tags(serve: Serve) -> None:
    """psycopg 3 knows a statement again by its text: a text with a request's id in it is always new."""

    tagged = serve(*[USERS] * 4, driver=Driver.SERVER_SIDE_BINDING, database=PREPARED, pgprism={"CALLSITE": True})
    plain = serve(*[USERS] * 4, driver=Driver.SERVER_SIDE_BINDING, database=PREPARED, TAGS_OFF="1")
    assert len(tagged.texts) == len(plain.texts) < 20
    assert {frozenset(tags) for tags in tagged.tags} == {frozenset(("callsite", "controller", "framework", "route"))}


def test_a_loop_names_its_route_and_its_line(serve: Serve) -> None:
    served = serve(*[USERS] * 3, pgprism={"CALLSITE": True})
    (finding,) = wait_until(
        lambda: [one for one in served.proxy.items("findings") if one["occurrences"] >= 3],
        "the loop is found", deadline_s=20,
    )
    line = next(number for number, text in enumerate(SITE, 1) if text.endswith("in found))  # callsite"))
    assert finding["confidence"] == "proved"
    assert finding["tags"]["route"] == ["/"]
    assert finding["tags"]["controller"] == ["django_tags.site.users"]
    assert finding["tags"]["callsite"] == [f"django_tags/site.py:{line}"]


@pytest.mark.parametrize("driver", [Driver.PSYCOPG2, Driver.PSYCOPG3], ids=lambda driver: driver.name.lower())
def test_a_tag_costs_little(site: Address, driver: Driver) -> None:
    """CPU time of the application for a query, least of 30 rounds: far above what a quiet machine measures."""
    cost = json.loads(_python(site, driver, module="django_tags.overhead"))
    print(f"{driver.value}: {cost} microseconds of CPU a query")
    assert cost["tags"] - cost["plain"] < 50
    assert cost["callsite"] - cost["tags"] < 100
