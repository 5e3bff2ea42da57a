"""The rules for Prometheus: sound, explained, tested at their edges by promtool, and seen to fire at a real Prometheus.

The last part makes happen what each alert is about, to real proxies that a real Prometheus scrapes with the real rules.
Time runs sixty times as fast in the rules (`support.prometheus.Rules`), so that an hour of the past is a minute.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from support import bookshop, dashboards, tools
from support.narrow import NarrowRelay
from support.postgres import Postgres
from support.processes import run
from support.prometheus import CONFIG, RULES, Prometheus, Rules
from support.proxy import Pgprism
from support.tools import PROJECT
from support.waiting import wait_until
from support.wire import RawClient, message, query

RULE_FILES = sorted(RULES.glob("*.yml"))
TEST_FILES = sorted((CONFIG / "tests").glob("*.yml"))
GROUPS = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text())["groups"]]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDS = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}
RUNBOOKS = (PROJECT / "docs" / "alerts.md").read_text()
# What a label can hold is bounded for each of these: docs/metrics.md says by what.
BOUNDED = {
    "job", "instance", "listener", "reason", "db_namespace", "fingerprint", "kind", "finding", "what", "severity",
}
every_alert = pytest.mark.parametrize("name", ALERTS)


@pytest.mark.smoke
def test_promtool_accepts_rules_and_configuration(tmp_path: Path) -> None:
    run([tools.program("promtool"), "check", "rules", *RULE_FILES])
    # The secret is mounted in the container; here promtool gets the file it comes from.
    folder = tmp_path / "prometheus"
    shutil.copytree(CONFIG, folder)
    config = folder / "prometheus.yml"
    config.write_text(config.read_text().replace("/run/secrets/admin_token", str(PROJECT / "config/demo-admin-token")))
    said = run([tools.program("promtool"), "check", "config", config]).stdout
    assert f"{len(RULE_FILES)} rule files found" in said


@pytest.mark.smoke
def test_promtools_tests_of_the_rules_pass() -> None:
    run([tools.program("promtool"), "test", "rules", *TEST_FILES])


@pytest.mark.smoke
@every_alert
def test_it_is_tested_when_it_fires_and_when_it_does_not(name: str) -> None:
    checks = [
        check
        for file in TEST_FILES
        for test in yaml.safe_load(file.read_text())["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert any(check["exp_alerts"] for check in checks), "no test in which it fires"
    assert any(not check["exp_alerts"] for check in checks), "no test in which it does not"


@pytest.mark.smoke
@every_alert
def test_it_says_what_is_wrong_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook", "dashboard"}
    assert len(notes["summary"]) <= 120
    assert notes["description"].endswith(".")
    assert notes["runbook"] == f"docs/alerts.md#{name.lower()}"
    section = re.search(rf"^## {name}\n(.+?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/alerts.md has no section {name}"
    assert "**Means:**" in section[1] and "**Do:**" in section[1]
    assert f"| [{name}](#{name.lower()}) | {alert['labels']['severity']} |" in RUNBOOKS
    uid = re.match(r"/d/([\w-]+)", notes["dashboard"])[1]
    offered = {variable["name"] for variable in dashboards.variables(dashboards.dashboards()[uid])}
    assert set(re.findall(r"var-(\w+)=", notes["dashboard"])) <= offered


@pytest.mark.smoke
def test_runbooks_are_of_alerts_that_exist() -> None:
    assert set(re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE)) == set(ALERTS)


@pytest.mark.smoke
@pytest.mark.parametrize("name", [*ALERTS, *RECORDS])
def test_its_metrics_are_documented_and_its_records_exist(name: str) -> None:
    expression = (ALERTS.get(name) or RECORDS[name])["expr"]
    records = set(re.findall(r"\b[a-z_]+:[a-z_]+:\w+", expression))
    assert records <= set(RECORDS)
    for record in records:
        expression = expression.replace(record, "")
    assert dashboards.undocumented(expression) == set()


class Stage:
    """Proxies of which each has its misfortune, and the Prometheus that watches them."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.postgres = stack.enter_context(Postgres(18))
        self.mortal_postgres = stack.enter_context(Postgres(18))
        self.database = self.postgres.create_database("shop")
        bookshop.furnish(self.database)
        relay = NarrowRelay(self.postgres.address.endpoint, pause_s=0.02)
        stack.callback(relay.close)

        def proxy(upstream: tuple[str, int], **sections: Any) -> Pgprism:
            started = Pgprism(upstream, **sections)
            stack.callback(started.abandon)
            return started

        endpoint = self.postgres.address.endpoint
        self.busy = proxy(endpoint)
        self.doomed = proxy(endpoint)
        self.stranded = proxy(self.mortal_postgres.address.endpoint)
        self.full = proxy(endpoint, limits={"connections_max": 10})
        self.narrow = proxy(relay.address)
        self.forgetful = proxy(endpoint, debug={"drop_events_per_10000": 10_000})
        self.proxies = [self.busy, self.doomed, self.stranded, self.full, self.narrow, self.forgetful]
        rules = Rules(RULE_FILES, times_as_fast=60)
        targets = [one.admin for one in self.proxies]
        self.prometheus = stack.enter_context(Prometheus(*targets, interval="250ms", rules=rules, lookback="5s"))
        self.blind = stack.enter_context(Prometheus(interval="250ms", rules=rules, lookback="5s"))
        self.idle = stack.enter_context(self.connect())
        self.idle.autocommit = False
        self.sleep_s = 0.002
        stack.enter_context(repeated(self._ask_a_shape))

    def connect(self, proxy: Pgprism | None = None) -> psycopg.Connection:
        address = self.database.at((proxy or self.busy).endpoint)
        return psycopg.connect(address.conninfo(), autocommit=True)

    def _ask_a_shape(self) -> None:
        with self.connect() as connection:
            for _ in range(20):
                connection.execute("SELECT pg_sleep(%s) AS asked_all_the_time", [self.sleep_s])

    def wait_for(self, expression: str, deadline_s: float) -> None:
        wait_until(lambda: self.prometheus.ask(expression), f"{expression} has a value", deadline_s=deadline_s, every_s=0.5)


@contextlib.contextmanager
def repeated(action: Callable[[], object]) -> Iterator[None]:
    """Does it again and again beside the test, and fails with it."""
    ended = threading.Event()
    failures: list[BaseException] = []

    def go_on() -> None:
        try:
            while not ended.is_set():
                action()
        except BaseException as failure:  # told by the test's own thread
            failures.append(failure)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
    if failures:
        raise failures[0]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        yield Stage(stack)


def test_all_rules_are_evaluated(stage: Stage) -> None:
    wait_until(
        lambda: all(rule["health"] == "ok" for rule in stage.prometheus.rules()), "every rule is in order", every_s=0.2
    )
    assert {rule["name"] for rule in stage.prometheus.rules()} == {*ALERTS, *RECORDS}


@contextlib.contextmanager
def nothing_to_scrape(stage: Stage) -> Iterator[None]:
    """`stage.blind` has no target."""
    yield


@contextlib.contextmanager
def killed(stage: Stage) -> Iterator[None]:
    stage.doomed.process.kill()
    yield


@contextlib.contextmanager
def postgres_killed(stage: Stage) -> Iterator[None]:
    stage.mortal_postgres.kill()
    yield
    stage.mortal_postgres.start_again()


@contextlib.contextmanager
def nine_of_ten(stage: Stage) -> Iterator[None]:
    with contextlib.ExitStack() as clients:
        for _ in range(9):
            clients.enter_context(stage.connect(stage.full))
        yield


@contextlib.contextmanager
def eleven_of_ten(stage: Stage) -> Iterator[None]:
    def knock() -> None:
        with contextlib.suppress(psycopg.OperationalError), stage.connect(stage.full):
            pass

    with contextlib.ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(stage.connect(stage.full))
        with repeated(knock):
            yield


@contextlib.contextmanager
def slower(stage: Stage) -> Iterator[None]:
    """The shape that was asked for since the beginning takes twenty times as long."""
    stage.wait_for("job_db_fingerprint:pgprism_query_duration_seconds:mean5m_median1d", 60)
    stage.sleep_s = 0.04
    yield
    stage.sleep_s = 0.002


@contextlib.contextmanager
def page_with_a_loop(stage: Stage) -> Iterator[None]:
    # Before, everything is new.
    stage.wait_for("pgprism_build_info offset 61s", 90)

    def visit() -> None:
        with stage.connect() as connection:
            bookshop.visit(connection)

    with repeated(visit):
        yield


@contextlib.contextmanager
def errors(stage: Stage) -> Iterator[None]:
    with stage.connect() as connection, repeated(lambda: bookshop.fail(connection)):
        yield


@contextlib.contextmanager
def forgotten_transaction(stage: Stage) -> Iterator[None]:
    stage.idle.execute("SELECT 1 AS forgotten")
    yield
    stage.idle.rollback()


@contextlib.contextmanager
def events_dropped(stage: Stage) -> Iterator[None]:
    with stage.connect(stage.forgetful) as connection, repeated(lambda: connection.execute("SELECT 1 AS dropped")):
        yield


@contextlib.contextmanager
def more_than_fits(stage: Stage) -> Iterator[None]:
    """A COPY over a road that takes less than is sent."""
    row = message(b"d", b"x" * 8000 + b"\n")
    with RawClient(stage.narrow.endpoint, database=stage.database.database) as client:
        client.send(query("COPY sink FROM STDIN"))

        def send() -> None:
            # It waits most of the time, and is woken by the end.
            with contextlib.suppress(OSError):
                client.socket.sendall(row)

        with repeated(send):
            yield
            client.socket.shutdown(socket.SHUT_RDWR)


PROVOKED: dict[str, Callable[[Stage], contextlib.AbstractContextManager[None]]] = {
    "PgprismObservationLost": events_dropped,
    "PgprismErrorBurst": errors,
    "PgprismConnectionsNearLimit": nine_of_ten,
    "PgprismConnectionsRefused": eleven_of_ten,
    "PgprismQueryRegressed": slower,
    "PgprismUpstreamDown": postgres_killed,
    "PgprismAddsLatency": more_than_fits,
    "PgprismNewNPlusOne": page_with_a_loop,
    "PgprismIdleInTransaction": forgotten_transaction,
    "PgprismDown": killed,
    "PgprismAbsent": nothing_to_scrape,
}


# What does not end with its cause: who was killed stays so, and an N+1 is new for an hour.
LASTING = {"PgprismDown", "PgprismAbsent", "PgprismNewNPlusOne"}


@pytest.mark.smoke
def test_every_alert_is_provoked() -> None:
    assert set(PROVOKED) == set(ALERTS)


@pytest.mark.parametrize("name", PROVOKED)
def test_it_fires_when_it_happens_and_ends_with_it(stage: Stage, name: str) -> None:
    prometheus = stage.blind if name == "PgprismAbsent" else stage.prometheus
    if name != "PgprismAbsent":
        assert prometheus.alerts(name) == [], "it fires before anything happened"
    with PROVOKED[name](stage):
        (alert, *_) = wait_until(lambda: prometheus.alerts(name), f"{name} fires", deadline_s=90, every_s=0.25)
    assert set(alert["labels"]) - {"alertname"} <= BOUNDED
    for note, text in alert["annotations"].items():
        assert "<no value>" not in text and "{{" not in text and "error" not in text.split()[:1], (note, text)
    if name not in LASTING:
        wait_until(lambda: not prometheus.alerts(name), f"{name} ends", deadline_s=40, every_s=0.25)


def test_every_recording_rule_has_recorded(stage: Stage) -> None:
    """Behind all that has happened by now."""
    for name in RECORDS:
        assert stage.prometheus.ask(f"last_over_time({name}[10m])"), name
