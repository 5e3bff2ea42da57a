"""Units of work as `DATABASES` is set: one for each request, and the evidence that the setting gives."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.postgres import Address
from support.processes import run, scratch_folder
from support.proxy import Pgprism
from support.waiting import wait_until

_HERE = Path(__file__).parent
LIST = 6
"""Statements of the list of users: one, and one more for each of five."""
STATEMENTS = {"mine": LIST + 2, "report": LIST + 1, "broken": 1}

Serve = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def site(servers) -> Iterator[Address]:
    """The site's database."""
    server = servers(16)
    address = server.create_database("units")
    _python(address, ["prepare"])
    yield address
    server.sql('DROP DATABASE "units" WITH (FORCE)')


@pytest.fixture
def serve(site, start_pgprism) -> Serve:
    """Serves pages through a proxy of its own; answers the units in the order in which they began."""

    def serve(*pages: str, settings: dict[str, Any] | None = None, **environment: str) -> list[dict[str, Any]]:
        proxy = start_pgprism(site.endpoint)
        _python(site.at(proxy.endpoint), list(pages), settings, **environment)
        proxy.wait_no_sessions()
        threads = int(environment.get("UNITS_THREADS", 1))
        return _units(proxy, threads * sum(STATEMENTS.get(page, LIST) for page in pages))

    return serve


def _python(address: Address, pages: list[str], settings: dict[str, Any] | None = None, **environment: str) -> None:
    done = run(
        [sys.executable, "-m", "django_units.serve", *pages],
        env=os.environ
        | {
            "PYTHONPATH": str(_HERE),
            "DJANGO_SETTINGS_MODULE": "django_units.settings",
            "UNITS_HOST": address.host,
            "UNITS_PORT": str(address.port),
            "UNITS_USER": address.user,
            "UNITS_PASSWORD": address.password,
            "UNITS_NAME": address.database,
            "UNITS_DATABASE": json.dumps(settings or {}),
        }
        | environment,
        cwd=scratch_folder("units"),
        deadline_s=120,
    )
    assert done.stdout.strip().endswith("served"), done.stdout


def _units(proxy: Pgprism, statements: int) -> list[dict[str, Any]]:
    """All units, once each of so many statements is in one that ended."""

    def ended() -> list[dict[str, Any]] | None:
        items = [item for item in proxy.items("units") if item["state"] == "ended"]
        return items if sum(item["queries"] for item in items) >= statements else None

    units = sorted(wait_until(ended, "all units have ended", deadline_s=20), key=lambda unit: unit["started_at"])
    assert not any(unit["incomplete"] for unit in units)
    return [proxy.api(f"units/{unit['id']}") for unit in units]


def _brief(units: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(unit["evidence"], unit["queries"]) for unit in units]


LONG_MS = 15
"""A gap so long is one that could lie between two requests: `PAUSE_MIN_NS` in src/unit/rhythm.rs."""
STEADY_WITHIN = 20
"""Times played at most: on a quiet machine the first is steady."""


def _steady(serve: Serve, site: Address, *pages: str) -> list[dict[str, Any]]:
    """The units of a time in which no request was held up: one that was, by its imports or by a busy machine, looks
    like two on a connection that is kept, and of the first connections nothing else is known yet. Held up twice it is
    two units; two requests never are one."""
    seen = []
    for _ in range(STEADY_WITHIN):
        units = serve(*pages, UNITS_WARM=str(site.port))
        queries = [unit["queries"] for unit in units]
        assert max(queries) <= LIST and sum(queries) == LIST * len(pages)
        longest = max(_longest_gap_ms(unit) for unit in units)
        if len(units) == len(pages) and longest < LONG_MS:
            return units
        seen.append((queries, longest))
    raise AssertionError(f"each time some request was held up; statements, longest gap in ms: {seen}")


def _longest_gap_ms(unit: dict[str, Any]) -> float:
    """The longest time from one statement's begin to the next one's."""
    begins = [entry["at_ms"] for entry in unit["timeline"]]
    return max((later - earlier for earlier, later in pairwise(begins)), default=0.0)


PERSISTENT = {"CONN_MAX_AGE": 60}
CHECKED = PERSISTENT | {"CONN_HEALTH_CHECKS": True}
POOL = {"OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}}


@pytest.mark.smoke
def test_without_conn_max_age_the_connection_is_the_request(site, serve):
    assert _brief(_steady(serve, site, *["users"] * 4)) == [("connection", LIST)] * 4


def test_a_slow_template_does_not_cut_its_request(serve):
    units = serve(*["slow"] * 4)
    assert [unit["queries"] for unit in units] == [LIST] * 4


def test_a_persistent_connection_shows_pauses(serve):
    assert _brief(serve(*["users"] * 4, settings=PERSISTENT)) == [("pause", LIST)] * 4


def test_a_login_begins_a_request_even_without_a_pause(serve):
    units = _brief(serve(*["mine"] * 4, settings=PERSISTENT, UNITS_THINK="0"))
    assert units == [("session_lookup", LIST + 2)] * 4


def test_health_checks_begin_requests(serve):
    units = _brief(serve(*["users"] * 5, settings=CHECKED, UNITS_THINK="0"))
    assert [queries for _, queries in units] == [LIST] * 5
    assert [evidence for evidence, _ in units[1:]] == ["health_check"] * 4


def test_with_health_checks_a_pause_is_inside_a_request(serve):
    units = _brief(serve(*["users"] * 4, "slow", "users", settings=CHECKED))
    assert units[1:] == [("health_check", LIST)] * 5


def test_an_error_is_no_health_check(serve):
    units = serve(*["users", "broken"] * 4, settings=PERSISTENT)
    assert {unit["evidence"] for unit in units} == {"pause"}
    assert [unit["queries"] for unit in units] == [LIST, 1] * 4


def test_atomic_requests_are_transactions(serve):
    units = _brief(serve(*["slow", "mine"] * 2, settings=PERSISTENT | {"ATOMIC_REQUESTS": True}))
    assert units == [("transaction", LIST), ("transaction", LIST + 2)] * 2


def test_the_pool_shows_pauses(serve):
    assert _brief(serve(*["users"] * 4, settings=POOL)) == [("pause", LIST)] * 4


def test_the_pool_with_checks_sends_an_empty_query(serve):
    units = _brief(serve(*["users"] * 4, settings=POOL | {"CONN_HEALTH_CHECKS": True}, UNITS_THINK="0"))
    assert [queries for _, queries in units] == [LIST] * 4
    assert [evidence for evidence, _ in units[1:]] == ["pool_check"] * 3


def test_a_trace_is_exact(serve):
    units = serve(*["users", "slow", "stream"] * 2, settings=PERSISTENT, UNITS_THINK="0", UNITS_TRACE="1")
    assert _brief(units) == [("trace", LIST)] * 6
    assert [unit["route"] for unit in units] == ["users", "slow", "stream"] * 2


def test_a_cursor_and_its_loop_are_one_request(serve):
    assert _brief(serve(*["stream"] * 3, settings=PERSISTENT)) == [("pause", LIST)] * 3


def test_a_slow_statement_does_not_end_its_request(serve):
    assert _brief(serve("users", "report", "users", settings=PERSISTENT)) == [
        ("pause", LIST),
        ("pause", LIST + 1),
        ("pause", LIST),
    ]


def test_a_command_is_its_connection(serve):
    assert _brief(serve("job")) == [("connection", LIST)]


def test_what_was_lost_is_said(site, start_pgprism):
    """A unit is whole, or it says that it is not: none is a part, or two."""
    proxy = start_pgprism(site.endpoint, debug={"drop_events_per_10000": 300})
    proxy.expect.dropped_events = True
    pages = ["users"] * 60
    _python(site.at(proxy.endpoint), pages, CHECKED, UNITS_THINK="0.02")
    proxy.wait_no_sessions()
    dropped = proxy.metrics().total("pgprism_events_dropped_total", reason="on_purpose")
    assert dropped > 0

    def ended() -> list[dict[str, Any]] | None:
        units = proxy.items("units")
        return units if sum(unit["queries"] for unit in units) >= LIST * len(pages) - dropped else None

    units = wait_until(ended, "all units have ended", deadline_s=20)
    whole = [unit["queries"] for unit in units if not unit["incomplete"]]
    assert whole and set(whole) == {LIST}
    assert len(whole) < len(pages)


def test_threads_have_their_own(serve):
    # Threads of one interpreter wait for each other inside requests: the pause between two has to be a pause for them, too.
    units = serve(*["users", "mine", "stream"] * 3, settings=PERSISTENT, UNITS_THREADS="4", UNITS_THINK="0.1")
    assert Counter(unit["queries"] for unit in units) == {LIST: 24, LIST + 2: 12}
