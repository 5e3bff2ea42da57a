"""What all dashboards have in common: their variables, their links to each other, the places of their panels."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard as parts
from grafana_foundation_sdk.models import dashboard

from .metrics import series
from .panels import SOURCE

TAG = "pgprism"
Variable = parts.QueryVariable | parts.DatasourceVariable | parts.TextBoxVariable
_ALL = dashboard.VariableOption(selected=True, text="All", value="$__all")
_ALL_OF_MANY = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])


def frame(uid: str, title: str, description: str, variables: list[Variable]) -> parts.Dashboard:
    """An empty dashboard."""
    return (
        parts.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG, "postgresql", "django"])
        .editable()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .refresh("10s")
        .time("now-30m", "now")
        .timezone("browser")
        .annotations([])
        .variables([_data_source(), *_targets(), *variables, _page()])
        .link(
            parts.DashboardLink("pgprism dashboards")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
            .icon("dashboard")
        )
        .link(
            parts.DashboardLink("pgprism's page")
            .type(dashboard.DashboardLinkType.LINK)
            .url("${page}/")
            .icon("external link")
            .tooltip("Findings with their proof, requests, live queries")
            .target_blank(True)
        )
    )


def finished(made: parts.Dashboard) -> dashboard.Dashboard:
    """The dashboard, with a number for each panel."""
    built = made.build()
    panels: list[Any] = built.panels or []
    for number, panel in enumerate(panels, start=1):
        panel.id_val = number
    return built


def choice(name: str, label: str, metric: str, *matchers: str, of: str, description: str) -> parts.QueryVariable:
    """All, some or one of a label's values."""
    return (
        _query(name, label, f"label_values({series(metric, *matchers)}, {of})", description)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(_ALL_OF_MANY)
    )


def databases() -> parts.QueryVariable:
    return choice(
        "database", "Database", "pgprism_queries_total", of="db_namespace",
        description="Databases that were logged in to.",
    )


def listeners() -> parts.QueryVariable:
    return choice(
        "listener", "Listener", "pgprism_client_connections", of="listener",
        description="Listeners of pgprism: for Django, the aliases in DATABASES.",
    )


def named_choice(
    name: str, label: str, description: str, expression: str, regex: str, *, everything: bool
) -> parts.QueryVariable:
    """One of the series that an expression gives, in their order; `regex` cuts out `value` and `text`."""
    variable = (
        _query(name, label, f"query_result({expression})", description, kind=3)
        .regex(f"/{regex}/")
        .sort(dashboard.VariableSort.DISABLED)
        .multi(False)
        .include_all(everything)
    )
    return variable.all_value(".*").current(_ALL) if everything else variable


def _query(name: str, label: str, query: str, description: str, kind: int = 1) -> parts.QueryVariable:
    # `qryType` is the editor that Grafana shows for it: 1 for label values, 3 for a query's result.
    return (
        parts.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(SOURCE)
        .query({"qryType": kind, "query": query, "refId": name})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def _data_source() -> parts.DatasourceVariable:
    return (
        parts.DatasourceVariable("datasource")
        .label("Data source")
        .description("The Prometheus that scrapes pgprism.")
        .type("prometheus")
    )


def _targets() -> list[parts.QueryVariable]:
    job = (
        _query("job", "Job", "label_values(pgprism_build_info, job)", "Scrape jobs of pgprism.")
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
    instance = (
        _query(
            "instance", "Instance", 'label_values(pgprism_build_info{job=~"$job"}, instance)', "Processes of pgprism."
        )
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
    return [
        variable.multi(True).include_all(True).all_value(".*").current(_ALL_OF_MANY) for variable in (job, instance)
    ]


def _page() -> parts.TextBoxVariable:
    address = "http://127.0.0.1:9433"
    return (
        parts.TextBoxVariable("page")
        .label("Page")
        .description("Where your browser reaches pgprism's admin address: links to findings and queries begin with it.")
        .default_value(address)
        .current(dashboard.VariableOption(selected=True, text=address, value=address))
    )
