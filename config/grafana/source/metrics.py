"""PromQL under the dashboards' variables."""

from __future__ import annotations

_TARGETS = ('job=~"$job"', 'instance=~"$instance"')
DATABASE = 'db_namespace=~"$database"'
LISTENER = 'listener=~"$listener"'
# Queries whose shape has no series of its own are counted under one fingerprint that names no query.
NAMED = 'fingerprint!="other"'


def series(name: str, *matchers: str) -> str:
    """The series of `name` at the processes that the dashboard is set to."""
    return f"{name}{{{', '.join((*_TARGETS, *matchers))}}}"


def rate(name: str, *matchers: str) -> str:
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def gained(name: str, *matchers: str) -> str:
    """By how much it grew in the whole range that the dashboard shows."""
    return f"increase({series(name, *matchers)}[$__range])"


def quantile(of: float, histogram: str, *matchers: str, by: str = "") -> str:
    """A quantile at each point of a graph."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) ({rate(f'{histogram}_bucket', *matchers)}))"


def largest(count: int, by: str, counter: str, *matchers: str) -> str:
    """Keeps those `count` values of the label `by` whose counter grew most in the whole range.

    `topk` alone chooses anew at each point of a graph, which then shows many more lines than asked for.
    """
    grown = f"increase({series(counter, *matchers)}[$__range] @ end())"
    return f" and on ({by}) topk({count}, sum by ({by}) ({grown}))"


def info(*labels: str) -> str:
    """Multiplied with an expression by fingerprint, it adds what the shape is called.

    Processes may know one shape by differing texts; one of them is taken, since two would be an error.
    """
    return f" * on (fingerprint) group_left ({', '.join(labels)}) topk by (fingerprint) (1, {series('pgprism_query_info')})"


def or_zero(label: str = "", value: str = "") -> str:
    """Behind an expression that is empty while all is well: 0, as long as a process is scraped at all.

    The legend then shows `value` where the label stands.
    """
    zero = f"0 * max({series('pgprism_build_info')})"
    return f' or on () label_replace({zero}, "{label}", "{value}", "", "")' if label else f" or on () {zero}"


def with_route(expression: str) -> str:
    """Units whose statements carry no tag have an empty route, which a legend cannot show."""
    return f'label_replace({expression}, "route", "no route tag", "route", "")'
