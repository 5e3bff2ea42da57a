"""The table of open findings, on two dashboards."""

from __future__ import annotations

from grafana_foundation_sdk.builders.table import Panel

from .metrics import gained, info, series
from .panels import NUMBER, SECONDS, Column, rows_of, to_finding, to_page, to_query


def open_findings(
    *choices: tuple[str, ...], title: str = "Open findings by what they have cost",
    empty: str = "Nothing is found: no query repeats that need not.", height: int = 12,
) -> Panel:
    """Those that one of the `choices`, each a list of matchers, takes: the most costly first."""
    chosen = " or ".join(series("pgprism_findings", *matchers) for matchers in choices or [()])
    found = f"max by (finding, kind, fingerprint, parent_fingerprint) ({chosen})"
    kept = f" and on (finding) ({chosen})"
    # Not every shape has series of its own, and so a name: its finding is shown without.
    named = f"({found}{info('db_query_summary')}) or on (finding) {found}"
    return rows_of(
        title,
        "What repeats and for whose rows; cost is what the statements take that need not be. Click a finding for its "
        "proof and its fix on pgprism's page, a fingerprint for the query's dashboard.",
        {
            "A": named,
            "B": f"sum by (finding) ({series('pgprism_finding_cost_seconds_total')}){kept}",
            "C": f"sum by (finding) ({gained('pgprism_finding_cost_seconds_total')}){kept}",
            "D": f"sum by (finding) ({series('pgprism_finding_queries_total')}){kept}",
        },
        [
            Column("kind", "kind", width=210, link=to_finding("${__data.fields.finding}")),
            Column("finding", "finding", width=160, link=to_page("/findings/${__value.raw}", "Proof and fix")),
            Column("db_query_summary", "what repeats"),
            Column("Value #B", "cost since start", SECONDS, 130),
            Column("Value #C", "cost in this range", SECONDS, 140),
            Column("Value #D", "queries since start", NUMBER, 150, decimals=0),
            Column("fingerprint", "repeated query", width=160, link=to_query("${__value.raw}", "The repeated query")),
            Column(
                "parent_fingerprint", "parent query", width=160,
                link=to_query("${__value.raw}", "The query whose rows it repeats for"),
            ),
            Column("Value #A", "open", hidden=True),
        ],
        sort_by="cost since start", empty=empty, height=height,
    )
