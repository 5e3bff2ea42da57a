"""django_pgprism's pytest plugin and test runners with real drivers, through the real proxy: which tags queries carry,
which tests fail, and what they say.

PGPRISM_DJANGO_PYTHON names the Python of an environment with another Django, pytest-django, pytest-xdist, psycopg and
psycopg2.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from support import tools
from support.django import Driver, statements
from support.postgres import Address
from support.processes import run
from support.proxy import Pgprism
from support.runs import run_under
from support.suites import Suite, guardian, python, run_pytest, run_suite, suite_environment

_HERE = Path(__file__).parent
SHOP = _HERE / "shop_suite"
COMMENT = re.compile(r" /\*((?:[a-z_]+='[^'*/]*',?)+)\*/;?$")
WHERE = re.compile(r"'([a-z]+) in ([^']+)'")
DRIVERS = pytest.mark.parametrize("driver", list(Driver), ids=lambda driver: driver.name.lower())

Tags = dict[str, str]


@pytest.fixture
def address(servers, request: pytest.FixtureRequest) -> Iterator[Address]:
    """A database that is never used itself: tests make `test_…` of it."""
    server = servers(16)
    name = f"suite_{abs(hash(request.node.nodeid)):x}"
    yield server.create_database(name)
    for one in (name, f"test_{name}", *(f"test_{name}_{worker}" for worker in ("gw0", "gw1", "1", "2"))):
        server.sql(f'DROP DATABASE IF EXISTS "{one}" WITH (FORCE)')


def shop_environment(address: Address, driver: Driver = Driver.PSYCOPG3, **settings: str) -> dict[str, str]:
    options = {"server_side_binding": True} if driver is Driver.SERVER_SIDE_BINDING else {}
    return suite_environment(
        address, _HERE, tools.PROJECT / "demo", psycopg2=driver is Driver.PSYCOPG2,
        DJANGO_SETTINGS_MODULE="shop_suite.settings", SUITE_DATABASE=json.dumps({"OPTIONS": options}), **settings,
    )


def admin(proxy: Pgprism) -> str:
    return f"http://{proxy.admin[0]}:{proxy.admin[1]}"


def wrong(outcomes: dict[str, str]) -> set[str]:
    """The tests that did not do what their names say."""
    return {name for name, outcome in outcomes.items() if (outcome == "passed") != name.endswith("_passes")}


def tags_of(statement: str) -> Tags:
    """The tags at the end of a statement, decoded."""
    found = COMMENT.search(statement)
    if found is None:
        return {}
    pairs = [pair.split("=", 1) for pair in found[1].split(",")]
    assert pairs == sorted(pairs)
    return {unquote(key): unquote(value.strip("'")) for key, value in pairs}


@pytest.fixture
def witnessed(address: Address, start_pgprism, start_relay) -> Callable[..., list[tuple[str, Tags]]]:
    """Runs tests through a witness and a proxy; answers the statements that reached the test database."""

    def witnessed(
        play: Callable[..., Suite], driver: Driver = Driver.PSYCOPG3, **settings: str
    ) -> list[tuple[str, Tags]]:
        proxy = start_pgprism(address.endpoint)
        relay = start_relay(proxy.endpoint)
        env = shop_environment(address.at(relay.address), driver, PGPRISM_ADMIN_URL=admin(proxy), **settings)
        suite = play(env)
        assert suite.status == 0, suite.text
        proxy.wait_no_sessions()
        return [(text, tags_of(text)) for text in statements(relay)]

    return witnessed


def by_place(sent: list[tuple[str, Tags]]) -> dict[tuple[str, str], list[Tags]]:
    """The tags of the marked statements: where each was sent, and by which test."""
    found: dict[tuple[str, str], list[Tags]] = {}
    for text, tags in sent:
        if place := WHERE.search(text):
            found.setdefault((place[1], place[2]), []).append(tags)
    return found


@DRIVERS
@pytest.mark.parametrize("kind", ["with the middleware", "bare"])
def test_every_query_of_a_test_names_it(witnessed, driver: Driver, kind: str) -> None:
    bare = {"SUITE_BARE": "1"} if kind == "bare" else {}
    sent = witnessed(lambda env: run_pytest(env, "tags_tests.py", cwd=SHOP), driver, **bare)
    if driver is not Driver.SERVER_SIDE_BINDING:
        # With it the words are parameters, which are no part of the text.
        found = by_place(sent)
        for (where, test), tags in found.items():
            names = {one.get("test", "").rpartition("::")[2] for one in tags}
            assert names == ({""} if test == "none" else {test}), (where, test)
        wanted = {
            ("module", "none"), ("class", "none"), ("before", "test_function"), ("after", "test_function"),
            ("body", "test_parameters[1]"), ("body", "test_parameters[2]"), ("thread", "test_threads_and_loops"),
            ("loop", "test_threads_and_loops"), ("cursor", "test_threads_and_loops"), ("after", "test_page"),
            ("body", "test_page_async"), ("body", "test_committed"),
        }
        if driver is Driver.PSYCOPG3 and _cursors_bind_at_the_server():
            wanted.remove(("cursor", "test_threads_and_loops"))
        assert found.keys() >= wanted
    # A run of a test has one id, and no other has it.
    ids: dict[str, set[str]] = {}
    for _, tags in sent:
        if tags:
            assert re.fullmatch("[0-9a-f]{16}", tags["test_id"])
            ids.setdefault(tags["test"], set()).add(tags["test_id"])
    assert len(ids) == 8 and all(len(one) == 1 for one in ids.values()), ids
    assert len(set.union(*ids.values())) == 8
    pages = [tags for text, tags in sent if 'FROM "shop_book"' in text and 'INNER JOIN "shop_author"' in text]
    assert len(pages) == 5
    for tags in pages:
        assert ("route" in tags and "request_id" in tags) == (kind != "bare")
    # Of a query of the test's own it is the test's line, or that of what it calls; of a page the view's.
    lines = {tags["callsite"].rpartition(":")[0] for _, tags in sent if "callsite" in tags}
    assert lines >= {"shop_suite/tags_tests.py", "shop_suite/filling.py", "shop/views/bad.py"}, lines


def _cursors_bind_at_the_server() -> bool:
    """Django 4.2 has psycopg 3 send the values of a server-side cursor as parameters; later ones put them into the text."""
    done = run([python(), "-c", "import django; print(django.VERSION[0])"])
    return int(done.stdout) < 5


@DRIVERS
def test_djangos_runner_names_tests_too(witnessed, driver: Driver) -> None:
    sent = witnessed(lambda env: run_suite(["-m", "django", "test", "-v1", "shop_suite.unittests"], env, SHOP), driver)
    names = {tags["test"] for _, tags in sent if tags}
    assert names == {f"shop_suite.unittests.{case}" for case in (
        "Pages.test_page", "Pages.test_page_async", "Live.test_live", "Committed.test_committed")}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_djangos_runner_name_tests(witnessed, method: str) -> None:
    arguments: list[str | Path] = ["-m", "shop_suite.parallel", method, "shop_suite.unittests"]
    sent = witnessed(lambda env: run_suite(arguments, env, SHOP))
    names = {tags["test"].rpartition(".")[2] for _, tags in sent if tags}
    assert names == {"test_page", "test_page_async", "test_live", "test_committed"}


@pytest.mark.parametrize(
    ("driver", "kind"),
    [
        (Driver.PSYCOPG2, "with the middleware"), (Driver.PSYCOPG3, "with the middleware"), (Driver.PSYCOPG3, "bare"),
        (Driver.SERVER_SIDE_BINDING, "with the middleware"),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Driver) else value,
)
def test_budgets_hold_or_fail_their_tests(address: Address, start_pgprism, driver: Driver, kind: str) -> None:
    proxy = start_pgprism(address.endpoint)
    bare = {"SUITE_BARE": "1"} if kind == "bare" else {}
    env = shop_environment(address.at(proxy.endpoint), driver, PGPRISM_ADMIN_URL=admin(proxy), **bare)
    suite = run_pytest(env, "budget_tests.py", "-k", "not flood", cwd=SHOP)
    outcomes = {name.partition("::")[2]: outcome for name, outcome in suite.outcomes.items()}
    assert len(outcomes) >= 25, suite.text
    assert not wrong(outcomes), suite.text
    failed = list(outcomes.values()).count("failed")
    assert f"pgprism: {len(outcomes)} tests measured, {failed} over budget, see {admin(proxy)}/" in suite.text
    assert "NOT measured" not in suite.text
    message = suite.message("test_page_fails")
    assert message.startswith("pgprism: 2 N+1, none allowed\n  12 x SELECT ")
    assert "proof  shop_book.publisher_id -> shop_publisher.id, 12 of 12 rows in order" in message
    assert 'select_related(' in message and "line shop/views/bad.py:" in message
    assert ("route bad/books/" in message) == (kind != "bare")
    counted = suite.message("test_queries_fails")
    assert counted.startswith("pgprism: 3 queries, at most 2 allowed\n  3 x SELECT COUNT(*)")
    # A test that calls the ORM itself is told its own line.
    loop = suite.message("test_loop_fails")
    assert re.search(r"where  12 queries here, line shop_suite/budget_tests\.py:\d+\n", loop)
    page = re.search(r"see (http://\S+/requests/\S+)", message)
    assert page and proxy.status_of(page[1].removeprefix(admin(proxy))) == 200


@pytest.mark.smoke
def test_under_run_tests_find_their_proxy(address: Address) -> None:
    """`pgprism run -- pytest` is all that somebody has to type, with workers too."""
    command = [
        python(), "-m", "pytest", "-p", "no:cacheprovider", "-p", "django_pgprism.pytest_plugin", "-n", "2",
        "-rA", "budget_tests.py", "-k", "page or block",
    ]
    ran = run_under(command, shop_environment(address), cwd=SHOP, deadline_s=170, check=False)
    suite = Suite(ran.status, ran.stdout)
    outcomes = {name.partition("::")[2]: outcome for name, outcome in suite.outcomes.items()}
    assert len(outcomes) == 9, ran.stdout + ran.stderr
    assert not wrong(outcomes), suite.text
    assert ran.status == 1
    assert "pgprism: 9 tests measured, 4 over budget" in suite.text
    assert ran.report["summary"]["dropped"] == 0


def test_what_does_not_pass_through_the_proxy_is_told(address: Address, start_pgprism) -> None:
    proxy = start_pgprism(address.endpoint)
    env = shop_environment(
        address.at(proxy.endpoint), PGPRISM_ADMIN_URL=admin(proxy), SUITE_ASTRAY=str(address.port)
    )
    suite = run_pytest(env, "budget_tests.py", "-k", "test_page_passes or without_queries", cwd=SHOP)
    outcomes = {name.partition("::")[2]: outcome for name, outcome in suite.outcomes.items()}
    assert outcomes == {
        "test_page_passes": "failed", "PagesTest::test_page_passes": "failed", "test_without_queries_passes": "passed"
    }, suite.text
    message = suite.message("test_page_passes")
    assert re.search(r"saw none of the \d+ queries of this test: DATABASES does not lead to pgprism", message)
    assert f"'default' leads to 127.0.0.1:{address.port}" in message


def test_without_a_proxy_tests_go_on(address: Address) -> None:
    env = shop_environment(address, PGPRISM_ADMIN="127.0.0.1:1")
    suite = run_pytest(env, "budget_tests.py", "-k", "test_page", cwd=SHOP)
    assert suite.status == 0, suite.text
    assert re.search(r"pgprism: 5 tests NOT measured: no pgprism answers at http://127\.0\.0\.1:1 \(", suite.text)


def test_lost_events_are_no_verdict(address: Address, start_pgprism) -> None:
    """The analysis is so slow that it loses much of what it is offered."""
    proxy = start_pgprism(address.endpoint, faults=["analysis-slow=1000x"])
    proxy.expect.dropped_events = True
    env = shop_environment(address.at(proxy.endpoint), PGPRISM_ADMIN_URL=admin(proxy))
    suite = run_pytest(env, "budget_tests.py", "-k", "test_flood", cwd=SHOP)
    assert list(suite.outcomes.values()) == ["failed"], suite.text
    assert re.search("pgprism: not measured: .*(dropped|could not|within 5 s)", suite.text), suite.text


GUARDED = pytest.mark.skipif(
    "PGPRISM_DJANGO_PYTHON" in os.environ, reason="django-guardian is there in the environment of these tests only"
)


@GUARDED
@pytest.mark.parametrize("kind", ["tagged", "measured", "workers"])
def test_a_public_suite_has_the_results_it_has_without(address: Address, start_pgprism, kind: str) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "guardian_suite.settings"}
    folders = (guardian(), _HERE)
    plain = run_pytest(suite_environment(address, *folders, **settings), cwd=guardian(), plugin=False)
    proxy = start_pgprism(address.endpoint)
    # Some of its tests write so much without a pause that an unoptimised build loses events; here nobody is judged.
    proxy.expect.dropped_events = kind == "tagged"
    env = suite_environment(address.at(proxy.endpoint), *folders, PGPRISM_ADMIN_URL=admin(proxy), **settings)
    marked = ["-p", "guardian_suite.marks"]
    arguments = {"tagged": [], "measured": marked, "workers": [*marked, "-n", "2"]}
    ran = run_pytest(env, *arguments[kind], cwd=guardian())
    print(f"{kind}: {ran.took_s:.1f} s, {plain.took_s:.1f} s without pgprism, {len(plain.outcomes)} tests")
    assert len(plain.outcomes) > 300 and set(plain.outcomes.values()) >= {"passed"}, plain.text
    names = plain.outcomes.keys() | ran.outcomes.keys()
    differing = {one: (plain.outcomes.get(one), ran.outcomes.get(one)) for one in names}
    assert not {one: two for one, two in differing.items() if two[0] != two[1]}, ran.text[-20_000:]
    assert ran.status == plain.status
    if kind != "tagged":
        measured = re.search(r"pgprism: (\d+) tests measured, 0 over budget", ran.text)
        assert measured and int(measured[1]) > 300, ran.text
        assert "NOT measured" not in ran.text


@GUARDED
def test_a_public_suite_gets_a_test_against_its_loops(address: Address, start_pgprism) -> None:
    proxy = start_pgprism(address.endpoint)
    env = suite_environment(
        address.at(proxy.endpoint), guardian(), _HERE, PGPRISM_ADMIN_URL=admin(proxy),
        DJANGO_SETTINGS_MODULE="guardian_suite.settings",
    )
    suite = run_pytest(env, "loops_tests.py", cwd=_HERE / "guardian_suite")
    outcomes = {name.partition("::")[2]: outcome for name, outcome in suite.outcomes.items()}
    assert outcomes == {"test_permissions_fails": "failed", "test_permissions_passes": "passed"}, suite.text
    message = suite.message("test_permissions_fails")
    assert message.startswith("pgprism: 1 N+1, none allowed\n  8 x SELECT ")
    assert "proof  guardian_userobjectpermission.user_id -> testapp_customuser.custom_id, 8 of 8 rows in order" in message
