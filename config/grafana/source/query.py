"""*pgprism: query*: one query shape; links and the page open it with `var-fingerprint`."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models.dashboard import Dashboard

from . import findings_table
from .frame import databases, finished, frame, named_choice
from .metrics import DATABASE, NAMED, gained, or_zero, quantile, rate, series
from .overview import DURATION
from .panels import (
    BYTES, NUMBER, PHASES, QUANTILES, QUERIES_PER_SECOND, SECONDS, SHARE, Column, Query, figure, graph, heat_map,
    rows_of, to_page,
)

_THIS = 'fingerprint="$fingerprint"'
_HERE = (_THIS, DATABASE)


def dashboard() -> Dashboard:
    made = frame(
        "pgprism-query", "pgprism: query",
        "One query shape: how often it runs, how long it takes and where, what it returns, and what is wrong with it.",
        [_fingerprint(), databases()],
    )
    made.with_row(Row("The query"))
    made.with_panel(rows_of(
        "Text",
        "As it is normalised: without values, cut at 256 characters. The whole text, its callers and examples are on "
        "pgprism's page: click the fingerprint.",
        {"A": f"topk(1, {series('pgprism_query_info', _THIS)})"},
        [
            Column("fingerprint", "fingerprint", width=160, link=to_page("/queries/${__value.raw}", "On pgprism's page")),
            Column("db_query_summary", "shape", width=260),
            Column("query", "query"),
            *(Column(name, name, hidden=True) for name in ("__name__", "instance", "job", "Value")),
        ],
        sort_by="shape", empty="This shape has no series of its own now, or is not known here.", height=4,
    ))
    _figures(made)
    _time(made)
    _answers(made)
    made.with_row(Row("Findings"))
    made.with_panel(findings_table.open_findings(
        (_THIS,), ('parent_fingerprint="$fingerprint"',),
        title="Findings in which it repeats, or others repeat for its rows",
        empty="No finding has to do with this query.", height=7,
    ))
    return finished(made)


def _fingerprint():
    total = f"sum by (fingerprint) ({gained(f'{DURATION}_sum', NAMED)})"
    name = f'label_join({series("pgprism_query_info")}, "shape", " ", "db_query_summary", "fingerprint")'
    return named_choice(
        "fingerprint", "Query", "A query shape, the most costly first. The id is that of the log, the page and the API.",
        f"sort_desc({total} * on (fingerprint) group_left (shape) topk by (fingerprint) (1, {name}))",
        r'fingerprint="(?<value>[^"]+)",shape="(?<text>[^"]+)', everything=False,
    )


def _figures(made) -> None:
    seconds = f"sum({rate(f'{DURATION}_sum', *_HERE)})"
    calls = f"sum({rate(f'{DURATION}_count', *_HERE)})"
    made.with_panel(figure(
        "Calls", "How often it runs, a second.", QUERIES_PER_SECOND, calls, legend="calls", decimals=2,
    ))
    made.with_panel(figure(
        "Time", "Seconds each second that go into it: 1 is one connection busy with it all the time.",
        SECONDS, seconds, legend="time",
    ))
    made.with_panel(figure(
        "Share", "Of the time that all queries take.",
        SHARE, f"{seconds} / (sum({rate(f'{DURATION}_sum', DATABASE)}) > 0)", legend="share", decimals=1,
    ))
    made.with_panel(figure("Mean", "What a call takes on average; it is exact.", SECONDS, f"{seconds} / ({calls} > 0)", legend="mean"))
    for of in (0.5, 0.95, 0.99):
        made.with_panel(figure(
            f"p{of * 100:.0f}", f"{of * 100:.0f} of 100 calls take no longer; as exact as the histogram's buckets.",
            SECONDS, quantile(of, DURATION, *_HERE), legend=f"p{of * 100:.0f}",
        ))
    made.with_panel(figure(
        "Rows a call", "What it returns or changes, on average.",
        NUMBER, f"sum({rate('pgprism_query_rows_total', *_HERE)}) / ({calls} > 0)", legend="rows", decimals=1,
    ))


def _time(made) -> None:
    made.with_row(Row("Time"))
    seconds = f"sum({rate(f'{DURATION}_sum', *_HERE)})"
    calls = f"sum({rate(f'{DURATION}_count', *_HERE)})"
    made.with_panel(heat_map(
        "Latency", "How many calls took how long: the stronger a cell's colour, the more.", series(f"{DURATION}_bucket", *_HERE),
    ))
    made.with_panel(graph(
        "Quantiles and mean", "A mean far above p50 says that few calls take most of the time.",
        SECONDS,
        *(Query(quantile(of, DURATION, *_HERE), f"p{of * 100:.0f}") for of in (0.5, 0.95, 0.99)),
        Query(f"{seconds} / ({calls} > 0)", "mean"),
        colours=QUANTILES,
    ))
    made.with_panel(graph(
        "Where a call's time goes",
        "Seconds each call, by phase. database: until the first byte of the answer. transfer: until its last. client: "
        "the application did not read. application: what it did before this query, in the same request.",
        SECONDS,
        Query(
            f"sum by (phase) ({rate('pgprism_query_phase_seconds_total', *_HERE)}) "
            f"/ on () group_left () ({calls} > 0)",
            "{{phase}}",
        ),
        stacked=True, colours=PHASES,
    ))
    made.with_panel(graph(
        "Calls by database", "How often it runs, a second, in each database.", QUERIES_PER_SECOND,
        Query(f"sum by (db_namespace) ({rate(f'{DURATION}_count', *_HERE)})", "{{db_namespace}}"), stacked=True,
    ))


def _answers(made) -> None:
    made.with_row(Row("Answers"))
    calls = f"sum({rate(f'{DURATION}_count', *_HERE)})"
    made.with_panel(graph(
        "Rows a call over time", "Rows that grow with time are a query without LIMIT.", NUMBER,
        Query(f"sum({rate('pgprism_query_rows_total', *_HERE)}) / ({calls} > 0)", "rows"), width=8,
    ))
    made.with_panel(graph(
        "Bytes a call over time", "Both ways. Many bytes with few rows are wide columns: only() or defer() leaves them out.", BYTES,
        Query(f"sum({rate('pgprism_query_bytes_total', *_HERE)}) / ({calls} > 0)", "bytes"), width=8,
    ))
    made.with_panel(graph(
        "Slow calls over time", "Calls a second that took slow_log.threshold or longer.", QUERIES_PER_SECOND,
        Query(f"sum({rate('pgprism_slow_queries_total', *_HERE)}){or_zero()}", "slow"), width=8, bars=True,
    ))
