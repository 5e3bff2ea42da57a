"""*pgprism*: how PostgreSQL is used now, what costs the most, and whether all is well. Grafana's home in the demo."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models.dashboard import Dashboard

from . import findings_table
from .frame import databases, finished, frame, listeners
from .metrics import DATABASE, LISTENER, NAMED, gained, info, largest, or_zero, quantile, rate, series, with_route
from .panels import (
    NUMBER, PHASES, QUANTILES, QUERIES_PER_SECOND, SECONDS, SHARE, Column, Limits, Link, Query, figure, graph,
    heat_map, rows_of, to_page, to_query,
)

DURATION = "pgprism_query_duration_seconds"
_TEN_BUSIEST = largest(10, "fingerprint", f"{DURATION}_sum", DATABASE, NAMED)
_SHAPE = "{{db_query_summary}} {{fingerprint}}"
_OF_SERIES = to_query("${__field.labels.fingerprint}")


def dashboard() -> Dashboard:
    made = frame(
        "pgprism", "pgprism",
        "What a Django application asks of PostgreSQL, as pgprism sees it pass: load, latency, the query shapes that "
        "cost the most, N+1s and what they cost.",
        [databases(), listeners()],
    )
    _now(made)
    _time(made)
    _shapes(made)
    _requests(made)
    _findings(made)
    _trouble(made)
    _connections(made)
    _itself(made)
    return finished(made)


def _now(made) -> None:
    made.with_row(Row("Now"))
    queries = f"sum({rate('pgprism_queries_total', DATABASE)})"
    errors = f"sum({rate('pgprism_query_errors_total', DATABASE)})"
    made.with_panel(figure(
        "Queries", "Statements a second. A server-side cursor is one, however often it fetches.",
        QUERIES_PER_SECOND, queries, legend="queries", decimals=1,
    ))
    made.with_panel(figure(
        "p95", "95 of 100 queries take no longer, from the last byte of the request until the client has the answer.",
        SECONDS, quantile(0.95, DURATION, DATABASE), legend="p95",
    ))
    made.with_panel(figure(
        "Errors", "Share of the queries that PostgreSQL answered with an error.",
        SHARE, f"{errors} / ({queries} > 0){or_zero()}", legend="errors", limits=Limits(0.01, 0.05),
    ))
    made.with_panel(figure(
        "Clients", "Client connections that are open.",
        NUMBER, f"sum({series('pgprism_client_connections', LISTENER)})", legend="clients",
    ))
    made.with_panel(figure(
        "Idle in transaction",
        "Connections that hold a transaction open, with its locks, and run nothing: the application is busy elsewhere.",
        NUMBER, f"sum({series('pgprism_idle_in_transaction_connections', LISTENER)})", legend="connections",
    ))
    made.with_panel(figure(
        "Open findings", "N+1s, loops and duplicates that are open, whatever database they are in. Click for the list.",
        NUMBER, f"count(max by (finding) ({series('pgprism_findings')})){or_zero()}", legend="findings",
        limits=Limits(1), link=Link("All findings", "/d/pgprism-findings?${__url_time_range}"),
    ))
    made.with_panel(figure(
        "Alerts", "Alerts of config/prometheus/rules that fire now; 0 too where Prometheus does not load these rules.",
        NUMBER, f'count(ALERTS{{alertname=~"Pgprism.*", alertstate="firing"}}){or_zero()}', legend="alerts",
        limits=Limits(1, 3),
    ))
    made.with_panel(figure(
        "PostgreSQL", "Whether the last attempt to connect to it succeeded, for the listener that is worst off.",
        NUMBER, f"min({series('pgprism_upstream_up', LISTENER)})", legend="upstream",
        words={"1": ("up", "green"), "0": ("DOWN", "red")},
    ))


def _time(made) -> None:
    made.with_row(Row("Where the time goes"))
    made.with_panel(graph(
        "Time by phase",
        "Seconds each second: 1 is one connection busy all the time. database: until the first byte of the answer. "
        "transfer: until its last. client: the application did not read. application: what it did before the next "
        "query of the same request.",
        SECONDS, Query(f"sum by (phase) ({rate('pgprism_query_phase_seconds_total', DATABASE)})", "{{phase}}"),
        stacked=True, colours=PHASES,
    ))
    made.with_panel(heat_map(
        "Latency of all queries",
        "How many queries took how long: the stronger a cell's colour, the more. Two bands mean two kinds of queries, or a cache "
        "that is hit or missed.",
        series(f"{DURATION}_bucket", DATABASE),
    ))
    made.with_panel(graph(
        "Quantiles of latency", "Half, 95 and 99 of 100 queries take no longer than this.",
        SECONDS, *(Query(quantile(of, DURATION, DATABASE), f"p{of * 100:.0f}") for of in (0.5, 0.95, 0.99)),
        colours=QUANTILES,
    ))
    made.with_panel(graph(
        "Queries by operation", "Statements a second by their first word.",
        QUERIES_PER_SECOND,
        Query(f"sum by (db_operation_name) ({rate('pgprism_queries_total', DATABASE)})", "{{db_operation_name}}"),
        stacked=True,
    ))


def _shapes(made) -> None:
    made.with_row(Row("Query shapes"))
    by_shape = "sum by (fingerprint) ({})".format
    total = by_shape(gained(f"{DURATION}_sum", DATABASE, NAMED))
    calls = by_shape(gained(f"{DURATION}_count", DATABASE, NAMED))
    buckets = f"sum by (fingerprint, le) ({gained(f'{DURATION}_bucket', DATABASE, NAMED)})"
    made.with_panel(rows_of(
        "Shapes by total time",
        "Each shape is one query as the ORM writes it, whatever its values, in the range shown. Click a fingerprint for "
        "its own dashboard. At most 200 shapes have series of their own; the rest is in no row.",
        {
            "A": f"({total} > 0)" + info("db_query_summary", "query"),
            "B": f"({total} > 0) / on () group_left () sum({gained(f'{DURATION}_sum', DATABASE)})",
            "C": f"{calls} > 0",
            "D": f"{total} / ({calls} > 0)",
            "E": f"histogram_quantile(0.95, {buckets}) and on (fingerprint) {calls} > 0",
            "F": f"{by_shape(gained('pgprism_query_rows_total', DATABASE, NAMED))} / ({calls} > 0)",
            "G": f"{by_shape(gained('pgprism_slow_queries_total', DATABASE, NAMED))} and {calls} > 0",
        },
        [
            Column("db_query_summary", "shape", width=230),
            Column("fingerprint", "fingerprint", width=160, link=to_query("${__value.raw}")),
            Column("Value #A", "total time", SECONDS, 100),
            Column("Value #B", "share", SHARE, 130, gauge=True),
            Column("Value #C", "calls", NUMBER, 90, decimals=0),
            Column("Value #D", "mean", SECONDS, 90),
            Column("Value #E", "p95", SECONDS, 90),
            Column("Value #F", "rows a call", NUMBER, 90, decimals=1),
            Column("Value #G", "slow", NUMBER, 70, decimals=0),
            Column("query", "query"),
        ],
        sort_by="total time", empty="No query in this range: point DATABASE_URL at pgprism.", height=11,
    ))
    made.with_panel(graph(
        "Time of the ten busiest shapes", "Seconds each second that go into each; they are the most in the whole range.",
        SECONDS,
        Query(by_shape(rate(f"{DURATION}_sum", DATABASE, NAMED)) + _TEN_BUSIEST + info("db_query_summary"), _SHAPE),
        stacked=True, link=_OF_SERIES,
    ))
    made.with_panel(graph(
        "p95 of the ten busiest shapes", "A line that rises while the others stay is a shape that became slow.",
        SECONDS,
        Query(
            quantile(0.95, DURATION, DATABASE, NAMED, by="fingerprint") + _TEN_BUSIEST + info("db_query_summary"),
            _SHAPE,
        ),
        link=_OF_SERIES,
    ))


def _requests(made) -> None:
    made.with_row(Row("Requests"))
    for panel in request_panels():
        made.with_panel(panel)


def request_panels():
    """What a request, a task or a transaction costs, by its route."""
    by_route = "sum by (route) ({})".format
    busiest = largest(10, "route", "pgprism_unit_duration_seconds_sum")
    statements = by_route(rate("pgprism_unit_queries_sum"))
    units = by_route(rate("pgprism_unit_queries_count"))
    yield graph(
        "Queries in a request, by route",
        "On average, of the ten busiest routes. Routes come from sqlcommenter's tags; requests, tasks and transactions "
        "without one stand together as `no route tag`.",
        NUMBER, Query(with_route(f"({statements} / ({units} > 0)){busiest}"), "{{route}}"),
    )
    yield graph(
        "p95 of a request, by route", "From its first query to the end of its last, of the ten busiest routes.",
        SECONDS,
        Query(with_route(quantile(0.95, "pgprism_unit_duration_seconds", by="route") + busiest), "{{route}}"),
    )


def _findings(made) -> None:
    made.with_row(Row("Findings"))
    made.with_panel(findings_table.open_findings(height=9))


def _trouble(made) -> None:
    made.with_row(Row("Errors and transactions"))
    code = "db_response_status_code"
    made.with_panel(graph(
        "Errors by SQLSTATE",
        "Errors a second. 23505: a unique value is there already. 40001 and 40P01: try the transaction again. "
        "57014: cancelled, or statement_timeout. The PostgreSQL manual lists them in appendix A.",
        "suffix: errors/s",
        Query(
            f"sum by ({code}) ({rate('pgprism_query_errors_total', DATABASE)}){or_zero(code, 'no error')}",
            f"{{{{{code}}}}}",
        ),
        bars=True,
    ))
    slow = largest(10, "fingerprint", "pgprism_slow_queries_total", DATABASE, NAMED)
    made.with_panel(graph(
        "Slow queries by shape", "Queries a second that took slow_log.threshold or longer, whether logged or not.",
        QUERIES_PER_SECOND,
        Query(
            f"sum by (fingerprint) ({rate('pgprism_slow_queries_total', DATABASE, NAMED)}){slow}"
            f"{info('db_query_summary')}{or_zero('db_query_summary', 'no slow query')}",
            _SHAPE,
        ),
        bars=True, link=_OF_SERIES,
    ))
    made.with_panel(graph(
        "Transactions by outcome",
        "Transaction blocks a second. abandoned: the session ended inside of it. A statement outside a block is none.",
        "suffix: /s",
        Query(f"sum by (outcome) ({rate('pgprism_transactions_total', LISTENER)})", "{{outcome}}"),
        stacked=True, colours={"committed": "#4a78e8", "rolled_back": "#d9771e", "abandoned": "#b3261e"},
    ))
    made.with_panel(graph(
        "Connections idle in transaction",
        "Connections whose transaction waits for the application, on average and when Prometheus looked. Their locks "
        "stay, and vacuum cannot remove what they may still see.",
        NUMBER,
        Query(f"sum by (listener) ({rate('pgprism_idle_in_transaction_seconds_total', LISTENER)})", "{{listener}}: on average"),
        Query(f"sum by (listener) ({series('pgprism_idle_in_transaction_connections', LISTENER)})", "{{listener}}: seen"),
    ))


def _connections(made) -> None:
    made.with_row(Row("Connections"))
    made.with_panel(graph(
        "Open connections", "Of clients to pgprism, and of pgprism to PostgreSQL: one for each that has logged in.",
        NUMBER,
        Query(f"sum by (listener) ({series('pgprism_client_connections', LISTENER)})", "{{listener}}: clients"),
        Query(f"sum by (listener) ({series('pgprism_upstream_connections', LISTENER)})", "{{listener}}: to PostgreSQL"),
        width=8,
    ))
    made.with_panel(graph(
        "New connections", "A second. With CONN_MAX_AGE = 0, Django's default, one for each request.",
        "suffix: /s",
        Query(f"sum by (listener) ({rate('pgprism_connections_total', LISTENER)})", "{{listener}}"),
        width=8,
    ))
    made.with_panel(graph(
        "Time to connect", "From accept until PostgreSQL is ready for the first query: TLS and login are in it.",
        SECONDS,
        *(Query(quantile(of, "pgprism_connect_duration_seconds", LISTENER), f"p{of * 100:.0f}") for of in (0.5, 0.95)),
        width=8, colours=QUANTILES,
    ))
    made.with_panel(graph(
        "Failed connections",
        "A second, by the first reason that applied: docs/operations.md says what each limit does.",
        "suffix: /s",
        Query(f"sum by (reason) ({rate('pgprism_connection_errors_total', LISTENER)})", "{{reason}}"),
        bars=True,
    ))
    made.with_panel(graph(
        "Bytes relayed", "A second, by direction; rows that nobody needs are seen here first.",
        "Bps", Query(f"sum by (direction) ({rate('pgprism_relayed_bytes_total', LISTENER)})", "{{direction}}"),
    ))


def _itself(made) -> None:
    made.with_row(Row("pgprism itself"))
    made.with_panel(graph(
        "Added latency",
        "From bytes read to the same bytes written: what pgprism adds each way. A peer that reads slowly is in it.",
        SECONDS,
        *(
            Query(
                quantile(of, "pgprism_added_latency_seconds", LISTENER, by="direction"),
                f"p{of * 100:.0f} {{{{direction}}}}",
            )
            for of in (0.5, 0.99)
        ),
        colours=QUANTILES,
    ))
    given_up = {
        "pgprism_events_dropped_total": "events dropped",
        "pgprism_decode_errors_total": "messages not decoded",
        "pgprism_unobserved_sessions_total": "sessions not observed",
        "pgprism_slow_log_dropped_total": "slow-log lines dropped",
        "pgprism_admin_refused_total": "admin requests refused",
    }
    made.with_panel(graph(
        "What observation gave up",
        "All zero when all is well. The traffic itself is never touched by any of it; what each costs is in "
        "docs/metrics.md.",
        NUMBER,
        *(
            Query(f"sum(increase({series(name)}[$__rate_interval])){or_zero()}", legend)
            for name, legend in given_up.items()
        ),
        bars=True,
    ))
    made.with_panel(graph(
        "Shapes", "Different queries that are known, at most limits.fingerprints_max; and those with series of their own.",
        NUMBER,
        Query(f"sum({series('pgprism_fingerprints')})", "known"),
        Query(f"count(count by (fingerprint) ({series('pgprism_query_info')}))", "with series of their own"),
        Query(f"sum(increase({series('pgprism_fingerprints_overflow_total')}[$__rate_interval]))", "queries beyond the limit"),
        width=8,
    ))
    made.with_panel(graph(
        "PostgreSQL reachable", "1 while the last attempt to connect succeeded, by listener.",
        NUMBER,
        Query(f"min by (listener, instance) ({series('pgprism_upstream_up', LISTENER)})", "{{instance}} {{listener}}"),
        width=8,
    ))
    made.with_panel(rows_of(
        "Processes", "Every pgprism that is scraped, and its version. Click for its page, where the address is yours.",
        {"A": f"max by (job, instance, version) ({series('pgprism_build_info')})"},
        [
            Column("instance", "instance", link=to_page("/", "pgprism's page")), Column("job", "job"),
            Column("version", "version", width=90), Column("Value", "up", hidden=True),
        ],
        sort_by="instance", empty="No pgprism is scraped: see docs/metrics.md.", width=8, height=8,
    ))
