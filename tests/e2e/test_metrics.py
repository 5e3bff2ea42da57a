"""/metrics as a real Prometheus sees it, and its limits."""

from __future__ import annotations

import bisect
import random
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from support import workloads
from support.exposition import Scrape
from support.prometheus import Prometheus, promtool_check
from support.proxy import Pgprism, fingerprints
from support.waiting import wait_until
from support.wire import RawClient

BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
LIMIT_BYTES = 100 * 1024 * 1024

# Name, type and labels of everything that this release exports; nothing under another name.
CONTRACT = {
    "pgprism_query_duration_seconds": ("histogram", {"fingerprint", "db_namespace", "db_operation_name"}),
    "pgprism_query_phase_seconds_total": ("counter", {"fingerprint", "db_namespace", "phase"}),
    "pgprism_query_rows_total": ("counter", {"fingerprint", "db_namespace"}),
    "pgprism_query_bytes_total": ("counter", {"fingerprint", "db_namespace"}),
    "pgprism_slow_queries_total": ("counter", {"fingerprint", "db_namespace"}),
    "pgprism_query_info": ("gauge", {"fingerprint", "db_query_summary", "query"}),
    "pgprism_queries_total": ("counter", {"db_namespace", "db_operation_name", "protocol"}),
    "pgprism_query_errors_total": ("counter", {"db_namespace", "db_response_status_code"}),
    "pgprism_findings": ("gauge", {"kind", "finding", "fingerprint", "parent_fingerprint"}),
    "pgprism_finding_queries_total": ("counter", {"kind", "finding"}),
    "pgprism_finding_cost_seconds_total": ("counter", {"kind", "finding"}),
    "pgprism_ignored_findings_total": ("counter", {"rule"}),
    "pgprism_unit_queries": ("histogram", {"route"}),
    "pgprism_unit_duration_seconds": ("histogram", {"route"}),
    "pgprism_client_connections": ("gauge", {"listener"}),
    "pgprism_upstream_connections": ("gauge", {"listener"}),
    "pgprism_idle_in_transaction_connections": ("gauge", {"listener"}),
    "pgprism_idle_in_transaction_longest_seconds": ("gauge", {"listener"}),
    "pgprism_connections_max": ("gauge", set()),
    "pgprism_connections_total": ("counter", {"listener"}),
    "pgprism_connection_errors_total": ("counter", {"listener", "reason"}),
    "pgprism_transactions_total": ("counter", {"listener", "outcome"}),
    "pgprism_idle_in_transaction_seconds_total": ("counter", {"listener"}),
    "pgprism_relayed_bytes_total": ("counter", {"listener", "direction"}),
    "pgprism_connect_duration_seconds": ("histogram", {"listener"}),
    "pgprism_added_latency_seconds": ("histogram", {"listener", "direction"}),
    "pgprism_decode_errors_total": ("counter", {"direction", "reason"}),
    "pgprism_events_dropped_total": ("counter", {"reason"}),
    "pgprism_unobserved_sessions_total": ("counter", {"reason"}),
    "pgprism_slow_log_dropped_total": ("counter", {"reason"}),
    "pgprism_catalog_failures_total": ("counter", {"reason"}),
    "pgprism_admin_refused_total": ("counter", {"reason"}),
    "pgprism_fingerprints": ("gauge", set()),
    "pgprism_fingerprints_overflow_total": ("counter", set()),
    "pgprism_series_admitted_total": ("counter", set()),
    "pgprism_upstream_up": ("gauge", {"listener"}),
    "pgprism_build_info": ("gauge", None),
}
# Present from the first moment on; the others appear with what they count.
_AT_ONCE = {
    "pgprism_client_connections",
    "pgprism_relayed_bytes_total",
    "pgprism_fingerprints",
    "pgprism_fingerprints_overflow_total",
    "pgprism_series_admitted_total",
    "pgprism_upstream_up",
    "pgprism_build_info",
}
# Not there as long as all is well.
_WHEN_THERE_ARE_ANY = {
    "pgprism_admin_refused_total",
    "pgprism_catalog_failures_total",
    "pgprism_unobserved_sessions_total",
    "pgprism_findings",
    "pgprism_finding_queries_total",
    "pgprism_finding_cost_seconds_total",
    "pgprism_ignored_findings_total",
}


def assert_balanced(scrape: Scrape) -> None:
    counted = scrape.total("pgprism_query_duration_seconds_count")
    assert counted == scrape.total("pgprism_queries_total"), (counted, scrape.total("pgprism_queries_total"))


@pytest.mark.smoke
def test_promtool_is_content_and_the_names_are_the_contracts(pgprism, database):
    assert promtool_check(pgprism.metrics().text) == ""
    missing = _AT_ONCE - pgprism.metrics().types.keys()
    assert not missing, missing
    workloads.psycopg2_mixed(database.at(pgprism.endpoint))
    scrape = pgprism.quiet()
    assert promtool_check(scrape.text) == ""
    for name, kind in scrape.types.items():
        if not name.startswith("pgprism_"):
            assert name.startswith("process_"), f"{name} is nobody's"
            continue
        assert name in CONTRACT, f"{name} is in no contract"
        assert kind == CONTRACT[name][0], (name, kind)
        for sample in scrape.samples:
            labels = {key for key, _ in sample.labels} - {"le"}
            if sample.name.startswith(name) and sample.name in (name, f"{name}_count", f"{name}_bucket", f"{name}_sum"):
                assert CONTRACT[name][1] is None or labels == CONTRACT[name][1], (sample.name, labels)
    missing = {
        name for name in CONTRACT if name not in scrape.types and "errors" not in name and "dropped" not in name
    } - _WHEN_THERE_ARE_ANY
    assert not missing, missing
    edges = {float(s.label("le")) for s in scrape.series("pgprism_query_duration_seconds_bucket")}
    assert edges == {*BOUNDS, float("inf")}
    assert_balanced(scrape)


@pytest.mark.smoke
def test_prometheus_scrapes_it(pgprism, database):
    with Prometheus(pgprism.admin) as prometheus:
        with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
            for n in range(30):
                connection.execute("SELECT %s::int AS scraped", [n])
        (fingerprint,) = fingerprints(["SELECT $1::int AS scraped"])
        prometheus.wait_value(f'sum(pgprism_query_duration_seconds_count{{fingerprint="{fingerprint}"}})', 30)
        prometheus.wait_value('pgprism_client_connections{listener="default"}', 0)
        (target,) = prometheus.targets()
        assert target["health"] == "up", target["lastError"]


def test_histogram_quantiles_agree_with_the_apis(pgprism, database):
    statement = "SELECT pg_sleep(%s) AS spread"
    chosen = random.Random(7)
    seconds = [chosen.choice((0.0003, 0.002, 0.004, 0.015, 0.03, 0.07)) for _ in range(600)]

    def run_some(part: list[float]) -> None:
        with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
            for one in part:
                connection.execute(statement, [one])

    with Prometheus(pgprism.admin) as prometheus, ThreadPoolExecutor(6) as pool:
        list(pool.map(run_some, [seconds[n::6] for n in range(6)]))
        item = pgprism.shape("SELECT pg_sleep($1) AS spread", calls=600)
        series = f'pgprism_query_duration_seconds_bucket{{fingerprint="{item["fingerprint"]}"}}'
        prometheus.wait_value(f'sum({series.replace("_bucket{", "_count{")})', 600)
        for quantile, ours_ms in ((0.5, item["p50_ms"]), (0.95, item["p95_ms"]), (0.99, item["p99_ms"])):
            theirs = prometheus.value(f"histogram_quantile({quantile}, sum by (le) ({series}))")
            upper = bisect.bisect_left(BOUNDS, theirs)
            low, high = (BOUNDS[upper - 1] if upper else 0.0), BOUNDS[upper]
            # HDR keeps two digits.
            assert low * 0.99 <= ours_ms / 1000 <= high * 1.01, (quantile, ours_ms, theirs, (low, high))


class Watch(threading.Thread):
    """Scrapes all the time and notes every series that went down and every scrape that does not balance.

    A series may go; should it come back, then not with less than it had.
    """

    def __init__(self, proxy: Pgprism, every_s: float = 0.05) -> None:
        super().__init__(daemon=True)
        self._every_s = every_s
        self.proxy = proxy
        self.problems: list[str] = []
        self.scrapes = 0
        self.samples_max = 0
        self._seen: dict[object, float] = {}
        self._finished = threading.Event()

    def run(self) -> None:
        while not self._finished.wait(self._every_s):
            scrape = self.proxy.metrics()
            self.scrapes += 1
            self.samples_max = max(self.samples_max, len(scrape.samples))
            now = scrape.counters()
            for series, value in now.items():
                if value < self._seen.get(series, 0.0):
                    self.problems.append(f"{series}: {self._seen[series]} -> {value}")
                self._seen[series] = value
            try:
                assert_balanced(scrape)
            except AssertionError as error:
                self.problems.append(f"not balanced: {error}")

    def finish(self) -> None:
        self._finished.set()
        self.join(20)


def test_twenty_thousand_shapes_stay_within_the_limits(pgprism, database):
    count, batch = 20_000, 200
    with RawClient(pgprism.endpoint, database=database.database) as client:
        client.ask("SELECT 1 AS warm")
        pgprism.quiet()
        before = pgprism.process.rss_bytes()
        watch = Watch(pgprism)
        watch.start()
        for start in range(0, count, batch):
            client.ask(";".join(f"SELECT 1 AS shape_{n}, 'text' AS something" for n in range(start, start + batch)))
        asked = count + 1
        while watch.scrapes < 20:
            client.ask(";".join(f"SELECT 1 AS shape_{n}, 'text' AS something" for n in range(1000, 1100)))
            asked += 100
        watch.finish()
    scrape = pgprism.quiet()
    assert not watch.problems, watch.problems[:5]
    assert scrape.total("pgprism_queries_total") == asked
    assert_balanced(scrape)
    pairs = {
        (s.label("fingerprint"), s.label("db_namespace"))
        for s in scrape.series("pgprism_query_duration_seconds_count")
        if s.label("fingerprint") != "other"
    }
    assert len(pairs) <= 200
    assert scrape.total("pgprism_query_duration_seconds_count", fingerprint="other") > count - 400
    assert watch.samples_max < 7000, f"{watch.samples_max} samples in a scrape"
    assert scrape.total("pgprism_fingerprints") <= 10_000
    assert scrape.total("pgprism_fingerprints_overflow_total") >= count - 10_000
    growth = pgprism.process.rss_bytes() - before
    print(f"{count} shapes: {growth / 2**20:.1f} MiB more, {watch.samples_max} samples at most")
    assert growth < LIMIT_BYTES
    assert promtool_check(scrape.text) == ""


def test_no_series_decreases_while_shapes_come_and_go(start_pgprism, postgres, database):
    """Two minutes is the shortest stay of an admitted shape; then what takes more time takes its place."""
    proxy = start_pgprism(postgres.address.endpoint, limits={"admitted_max": 40})
    watch = Watch(proxy, every_s=0.5)
    end = time.monotonic() + 150
    with psycopg.connect(database.at(proxy.endpoint).conninfo(), autocommit=True) as connection:
        for n in range(40):
            connection.execute(f"SELECT {n} AS light_{n}")
        watch.start()
        # From then on others take all the time there is.
        while proxy.metrics().total("pgprism_series_admitted_total") < 43 and time.monotonic() < end:
            for n in range(10):
                connection.execute(f"SELECT pg_sleep(0.02) AS heavy_{n}")
                connection.execute(f"SELECT 1 AS light_{n}")
    watch.finish()
    scrape = proxy.quiet()
    assert not watch.problems, watch.problems[:5]
    assert scrape.total("pgprism_series_admitted_total") >= 43, "nothing came or went"
    assert_balanced(scrape)
    admitted = {s.label("fingerprint") for s in scrape.series("pgprism_query_duration_seconds_count")} - {"other"}
    assert len(admitted) <= 40


def test_databases_are_labels_only_after_login(pgprism, database):
    """Anybody may name a database in a StartupMessage: only the server's word makes it a label."""
    for n in range(100):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(database.in_database(f"nowhere_{n}").at(pgprism.endpoint).conninfo())
    with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
        connection.execute("SELECT 1 AS logged_in")
    scrape = pgprism.quiet()
    assert "nowhere" not in scrape.text
    assert database.database in scrape.text


def test_hostile_names_are_escaped(pgprism, database):
    name = 'quote" back\\slash new\nline <b>{}'
    with RawClient(pgprism.endpoint, database=database.database, application_name=name) as client:
        client.ask('SELECT 1 AS "odd "" \\ name"')
    scrape = pgprism.quiet()
    assert promtool_check(scrape.text) == ""
    pgprism.items("connections")


@pytest.mark.smoke
def test_who_reads_figures_finds_every_query_that_was_answered(pgprism, database):
    """At a brisk pace what was sent on is looked at later, and nothing comes behind these queries that would hurry it."""
    calls = 0
    with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
        cursor = connection.cursor()
        for burst in range(30):
            for _ in range(50 + burst):
                cursor.execute("SELECT 1 AS answered")
                calls += 1
            (fingerprint,) = fingerprints(["SELECT 1 AS answered"])
            if burst % 2:
                assert pgprism.api(f"queries/{fingerprint}")["calls"] == calls
            else:
                metric = "pgprism_query_duration_seconds_count"
                assert pgprism.metrics().total(metric, fingerprint=fingerprint) == calls


def test_reset_clears_the_api_and_no_metric(pgprism, database):
    with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
        connection.execute("SELECT 1 AS cleared")
    before = pgprism.quiet().total("pgprism_queries_total")
    url = f"http://{pgprism.admin[0]}:{pgprism.admin[1]}/api/v1/reset"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10)
    assert pgprism.queries()
    urllib.request.urlopen(
        urllib.request.Request(url, method="POST", headers={"X-Pgprism": "1"}), timeout=10
    ).close()
    wait_until(lambda: not pgprism.queries(), "the API's figures are cleared")
    assert pgprism.metrics().total("pgprism_queries_total") == before
