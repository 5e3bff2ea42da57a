"""The Grafana dashboards as a browser would run them: every expression, with the variables put in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .tools import PROJECT

FOLDER = PROJECT / "config" / "grafana" / "dashboards"
METRICS_PAGE = PROJECT / "docs" / "metrics.md"
# What Grafana puts in for its own variables.
BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__range": "30m"}
ALL = ".*"
Dashboard = dict[str, Any]
Ask = Callable[[str], list[dict[str, Any]]]


@dataclass(frozen=True)
class Target:
    """One expression of a panel."""

    dashboard: str
    panel: str
    ref_id: str
    expression: str

    def __str__(self) -> str:
        return f"{self.dashboard}, {self.panel}, {self.ref_id}"


def dashboards() -> dict[str, Dashboard]:
    """All of them, by uid."""
    found = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    return {one["uid"]: one for one in found}


def panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Its panels without the rows, those in collapsed rows too."""
    for panel in dashboard["panels"]:
        yield from panel.get("panels", []) if panel["type"] == "row" else [panel]


def targets(dashboard: Dashboard) -> Iterator[Target]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Target(dashboard["uid"], panel["title"], target["refId"], target["expr"])


def variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    return dashboard["templating"]["list"]


def used_variables(text: str) -> set[str]:
    return {name for name in re.findall(r"\$\{?(\w+)", text) if name not in BUILT_IN}


def expand(expression: str, values: Mapping[str, str]) -> str:
    """The expression as Grafana would send it."""
    known = BUILT_IN | dict(values)
    return re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], expression)


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression names, without what is added to a histogram's name."""
    names = re.findall(r"\bpgprism_\w+", expression)
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


def undocumented(expression: str) -> set[str]:
    """The metrics of an expression that docs/metrics.md does not have."""
    page = METRICS_PAGE.read_text()
    return {name for name in metrics_of(expression) if f"`{name}`" not in page}


def chosen_values(dashboard: Dashboard, ask: Ask, **chosen: str) -> dict[str, str]:
    """What the dashboard's variables hold when somebody opens it, with `chosen` from the address bar."""
    values = dict(chosen)
    for variable in variables(dashboard):
        name = variable["name"]
        if name in values:
            continue
        if variable["type"] == "query" and not variable.get("includeAll"):
            options = options_of(variable, ask, values)
            if not options:
                raise AssertionError(f"the variable {name} of {dashboard['uid']} has no value to choose")
            values[name] = options[0]
        else:
            values[name] = ALL
    return values


def options_of(variable: dict[str, Any], ask: Ask, values: Mapping[str, str]) -> list[str]:
    """The values that a variable offers, in Grafana's order."""
    query = expand(variable["query"]["query"], values)
    if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
        return [row["metric"][found[2]] for row in ask(f"count by ({found[2]}) ({found[1]})")]
    found = re.fullmatch(r"query_result\((.+)\)", query)
    assert found, query
    pattern = re.compile(re.sub(r"\(\?<(\w+)>", r"(?P<\1>", variable["regex"].strip("/")))
    options = []
    for row in ask(found[1]):
        labels = ",".join(f'{name}="{value}"' for name, value in row["metric"].items() if name != "__name__")
        if cut := pattern.search(f"{{{labels}}} {row['value'][1]}"):
            options.append(cut["value"])
    return options


def empty_or_wrong(ask: Ask) -> tuple[int, list[str]]:
    """Asks every expression of every dashboard: how many there are, and what is wrong with some.

    The dashboard of a query is opened for one that repeats in a finding, where there is one that has series.
    """
    count, problems = 0, []
    repeated = ask("topk(1, pgprism_findings and on (fingerprint) pgprism_query_info)")
    for dashboard in dashboards().values():
        offered = {variable["name"] for variable in variables(dashboard)}
        chosen = {"fingerprint": row["metric"]["fingerprint"] for row in repeated if "fingerprint" in offered}
        try:
            values = chosen_values(dashboard, ask, **chosen)
        except AssertionError as nothing:
            count += len(list(targets(dashboard)))
            problems.append(str(nothing))
            continue
        for target in targets(dashboard):
            count += 1
            try:
                if numbers(ask(expand(target.expression, values))) == 0:
                    problems.append(f"{target}: empty\n    {target.expression}")
            except AssertionError as refused:
                problems.append(f"{target}: {refused}")
    return count, problems


def numbers(rows: list[dict[str, Any]]) -> int:
    """How many series of an answer have a number."""
    return sum(row["value"][1] != "NaN" for row in rows)


def without_zero(expression: str) -> str:
    """The expression without the zero that stands for "nothing happened": what is seen when something does."""
    return re.sub(r" or (label_replace\()?0 \* max\(pgprism_build_info.*$", "", expression)
