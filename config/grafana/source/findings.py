"""*pgprism: findings*: N+1s, loops and duplicates, what they cost, and how that develops."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models.dashboard import Dashboard

from . import findings_table
from .frame import choice, finished, frame, named_choice
from .metrics import gained, largest, or_zero, rate, series
from .overview import DURATION, request_panels
from .panels import NUMBER, QUERIES_PER_SECOND, SECONDS, SHARE, Limits, Query, figure, graph, to_finding

_CHOSEN = ('kind=~"$kind"', 'finding=~"$finding"')
_COST = "pgprism_finding_cost_seconds_total"
_QUERIES = "pgprism_finding_queries_total"
_ITSELF = 'finding!="other"'
_NAME = "{{kind}} {{finding}}"


def dashboard() -> Dashboard:
    made = frame(
        "pgprism-findings", "pgprism: findings",
        "What repeats in requests and need not: N+1s, loops of writes, duplicates. Cost is the time that their surplus "
        "statements take, with the application's pauses between them: what the pages would be faster without.",
        [
            choice(
                "kind", "Kind", _COST, of="kind", description="Kinds of findings; docs/findings has a page for each.",
            ),
            _finding(),
        ],
    )
    _now(made)
    made.with_row(Row("Findings"))
    made.with_panel(findings_table.open_findings(_CHOSEN))
    _development(made)
    made.with_row(Row("Requests"))
    for panel in request_panels():
        made.with_panel(panel)
    return finished(made)


def _finding():
    cost = f"sum by (kind, finding) ({series(_COST, _ITSELF)})"
    return named_choice(
        "finding", "Finding", "One finding by its id, the most costly first; or all.",
        f'sort_desc(max by (finding, name) (label_join({cost}, "name", " ", "kind", "finding")))',
        r'finding="(?<value>[^"]+)",name="(?<text>[^"]+)', everything=True,
    )


def _now(made) -> None:
    made.with_row(Row("Now"))
    cost = f"sum({rate(_COST, *_CHOSEN)})"
    queries = f"sum({rate(_QUERIES, *_CHOSEN)})"
    made.with_panel(figure(
        "Open", "Findings that are neither fixed nor muted, the 100 most costly at most.",
        NUMBER, f"count(max by (finding) ({series('pgprism_findings', *_CHOSEN)})){or_zero()}", legend="findings",
        width=5, limits=Limits(1),
    ))
    made.with_panel(figure(
        "Cost", "Seconds each second that requests take longer because of them.",
        SECONDS, f"{cost}{or_zero()}", legend="cost", width=5,
    ))
    made.with_panel(figure(
        "Cost in this range", "What requests would have been faster without them, all together.",
        SECONDS, f"sum({gained(_COST, *_CHOSEN)}){or_zero()}", legend="cost", width=5,
    ))
    made.with_panel(figure(
        "Repeated queries", "Statements a second that repeat, of all findings shown.",
        QUERIES_PER_SECOND, f"{queries}{or_zero()}", legend="queries", width=5, decimals=1,
    ))
    made.with_panel(figure(
        "Share of queries", "Of all statements, how many repeat in a finding.",
        SHARE, f"{queries} / (sum({rate(f'{DURATION}_count')}) > 0){or_zero()}", legend="share", width=4,
    ))


def _development(made) -> None:
    made.with_row(Row("How it develops"))
    ten = largest(10, "finding", _COST, *_CHOSEN)
    by_finding = "sum by (kind, finding) ({})".format
    to_this = to_finding("${__field.labels.finding}")
    made.with_panel(graph(
        "Cost by finding", "Seconds each second, of the ten that cost most in the whole range.",
        SECONDS, Query(by_finding(rate(_COST, *_CHOSEN)) + ten + or_zero("kind", "no finding"), _NAME),
        stacked=True, link=to_this,
    ))
    made.with_panel(graph(
        "Repeated queries by finding", "A second, of the same ten.",
        QUERIES_PER_SECOND, Query(by_finding(rate(_QUERIES, *_CHOSEN)) + ten + or_zero("kind", "no finding"), _NAME),
        stacked=True, link=to_this,
    ))
    made.with_panel(graph(
        "Open findings by kind", "A step up is a finding that is new or came back, a step down one that was fixed or muted.",
        NUMBER,
        Query(
            f"count by (kind) (max by (kind, finding) ({series('pgprism_findings', *_CHOSEN)}))"
            f"{or_zero('kind', 'none')}",
            "{{kind}}",
        ),
        stacked=True,
    ))
    made.with_panel(graph(
        "Findings left out by rule",
        "What each [[ignore]] section of the configuration kept away; a rule that stays at 0 matches nothing and can go.",
        NUMBER,
        Query(
            f"sum by (rule) (increase({series('pgprism_ignored_findings_total')}[$__rate_interval]))"
            f"{or_zero('rule', 'no rule')}",
            "{{rule}}",
        ),
        bars=True,
    ))
