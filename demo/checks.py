"""What has to be true before the demo says that it went well."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from findings import MISTAKES, Finding, in_words, misplaced, unknown, untold
from prometheus import Prometheus
from support import dashboards, tools
from support.exposition import Scrape
from support.prometheus import ask
from web import fetch_json

SHAPES_MIN = 60
QUERIES_MIN = 1000
LOG_PREFIX = "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "
SILENT = (
    "pgprism_decode_errors_total",
    "pgprism_events_dropped_total",
    "pgprism_unobserved_sessions_total",
    "pgprism_slow_log_dropped_total",
    "pgprism_fingerprints_overflow_total",
)
# Redeeming a voucher twice is the one thing that the shop's database refuses.
EXPECTED_ERRORS = {"23505"}


class Failed(Exception):
    """Something that the demo shows is not so."""


def require(condition: object, what: str) -> None:
    if not condition:
        raise Failed(what)


def check_everything(admin: str, scrape: Scrape, slow_log: Path, prometheus: Prometheus) -> Iterator[str]:
    """Says what was checked, line by line, and raises `Failed` at the first thing that is not so."""
    yield from check_counts(admin, scrape)
    yield from check_metrics(scrape)
    yield from check_slow_log(slow_log, scrape)
    yield from check_prometheus(prometheus)


def check_found(findings: list[Finding]) -> Iterator[str]:
    """Every mistake of the shop, each with what to write instead, and nothing else."""
    missing = untold(findings)
    require(not missing, f"not found: {', '.join(map(str, missing))}")
    false = "\n".join(map(in_words, unknown(findings)))
    require(not false, f"no page has these mistakes:\n{false}")
    speechless = [in_words(one) for one in findings if not all(one["advice"][key] for key in ("title", "django", "why"))]
    require(not speechless, f"without advice: {speechless}")
    astray = "\n".join(map(in_words, misplaced(findings)))
    require(not astray, f"these do not name their page's route, view and line:\n{astray}")
    kinds = {mistake.kind for mistake in MISTAKES}
    yield f"{len(findings)} findings of {len(kinds)} kinds, each with its fix: every mistake of the shop, and no other"
    yield "each names its route, its view and the line in shop/views/bad.py"


def check_fixed(before: list[Finding], after: list[Finding]) -> Iterator[str]:
    """The same findings as before, all of them fixed, and none that the corrected pages brought."""
    new = {one["id"] for one in after} - {one["id"] for one in before}
    require(not new, f"the corrected pages have findings: {[in_words(one) for one in after if one['id'] in new]}")
    open_ones = [in_words(one) for one in after if one["status"] != "fixed"]
    require(not open_ones, f"not fixed: {open_ones}")
    yield f"all {len(after)} fixed once the pages were corrected"


def check_counts(admin: str, scrape: Scrape) -> Iterator[str]:
    queries = scrape.total("pgprism_queries_total")
    require(queries >= QUERIES_MIN, f"only {queries:.0f} queries came through pgprism, {QUERIES_MIN} or more expected")
    shapes = fetch_json(f"{admin}/api/v1/queries", limit="1000")["items"]
    require(len(shapes) >= SHAPES_MIN, f"only {len(shapes)} shapes, {SHAPES_MIN} or more expected")
    yield f"{queries:.0f} queries in {len(shapes)} shapes"

    for name in SILENT:
        found = [sample for sample in scrape.series(name) if sample.value]
        require(not found, f"{name} should be 0: {found}")
    yield "no decode error, nothing dropped, every session observed"

    errors = {
        sample.label("db_response_status_code"): sample.value
        for sample in scrape.series("pgprism_query_errors_total")
        if sample.value
    }
    require(set(errors) == EXPECTED_ERRORS, f"errors {errors}, only {EXPECTED_ERRORS} expected")
    yield f"{sum(errors.values()):.0f} errors, all of them vouchers redeemed twice (SQLSTATE 23505)"

    protocols = {sample.label("protocol") for sample in scrape.series("pgprism_queries_total") if sample.value}
    require({"simple", "cursor"} <= protocols, f"protocols {protocols}: simple and cursor expected")
    yield "the export's server-side cursor was counted as the one query it is"


def check_metrics(scrape: Scrape) -> Iterator[str]:
    counted = scrape.total("pgprism_query_duration_seconds_count")
    queries = scrape.total("pgprism_queries_total")
    require(counted == queries, f"histograms hold {counted:.0f} queries, pgprism_queries_total says {queries:.0f}")
    lint = subprocess.run(
        [tools.program("promtool"), "check", "metrics"],
        input=scrape.text, capture_output=True, text=True, timeout=30, check=False,
    )
    require(lint.returncode == 0, f"promtool check metrics: {lint.stdout}{lint.stderr}")
    yield "histograms and counters agree; promtool finds nothing to say"


def check_slow_log(slow_log: Path, scrape: Scrape) -> Iterator[str]:
    text = slow_log.read_text()
    written = len(re.findall(r"^\d.*? LOG:  duration: ", text, re.MULTILINE))
    counted = scrape.total("pgprism_slow_queries_total")
    require(written > 0 and written == counted, f"{written} slow queries in the log, {counted:.0f} counted")
    require("pg_sleep" in text, "the warehouse report is not in the slow-query log")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [
                *(tools.program("pgbadger"), "-q", "-f", "stderr", "--prefix", LOG_PREFIX),
                *("-x", "json", "-o", report, slow_log),
            ],
            capture_output=True, text=True, timeout=60, check=False,
        )
        require(done.returncode == 0, f"pgbadger: {done.stderr}")
        read = int(json.loads(report.read_text())["overall_stat"]["queries_number"])
    require(read == written, f"pgBadger read {read} of {written} slow queries")
    yield f"pgBadger reads all {written} slow queries"


def check_prometheus(prometheus: Prometheus) -> Iterator[str]:
    require(prometheus.value('up{job="pgprism"}') == 1, "Prometheus says that pgprism is down")
    require(prometheus.slowest_shapes(), "Prometheus has no p95 for any shape")
    count, problems = dashboards.empty_or_wrong(functools.partial(ask, prometheus.url))
    require(not problems, "the Grafana dashboards:\n" + "\n".join(problems))
    yield f"Prometheus scrapes it; all {count} expressions of the three Grafana dashboards have a value"
    rules = prometheus.rules()
    wrong = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]
    require(rules and not wrong, f"Prometheus' rules: {wrong}")
    kinds = Counter(rule["type"] for rule in rules)
    yield f"Prometheus evaluates {kinds['recording']} recording rules and {kinds['alerting']} alerts"
