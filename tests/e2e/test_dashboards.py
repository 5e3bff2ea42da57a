"""The Grafana dashboards: sound to Grafana, readable to people, and without a panel that stays empty."""

from __future__ import annotations

import json
import re
import struct
import sys
import types
import typing
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

import psycopg
import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard as Schema

from support import bookshop, dashboards
from support.postgres import Address
from support.processes import run
from support.prometheus import RULES, Prometheus, Rules
from support.proxy import Pgprism
from support.tools import PROJECT
from support.waiting import wait_until
from support.wire import RawClient

ALL = dashboards.dashboards()
every_dashboard = pytest.mark.parametrize("uid", ALL)
PANEL_TYPES = {"stat", "timeseries", "heatmap", "table"}


@pytest.mark.smoke
def test_the_files_are_what_their_source_makes() -> None:
    run([sys.executable, PROJECT / "scripts/dashboards", "--check"])


@pytest.mark.smoke
def test_there_are_three() -> None:
    assert set(ALL) == {"pgprism", "pgprism-query", "pgprism-findings"}
    for uid in ALL:
        assert (dashboards.FOLDER / f"{uid}.json").exists()


@pytest.mark.smoke
@every_dashboard
def test_grafanas_schema_types_know_all_of_it(uid: str) -> None:
    """Read by Grafana's types and written again nothing is lost, and every value has its field's type."""
    plugins.register_default_plugins()
    read = Schema.from_json(ALL[uid])
    assert list(_lost(ALL[uid], json.loads(json.dumps(read, cls=JSONEncoder)), uid)) == []
    assert list(_of_another_type(read, uid)) == []


def _lost(before: Any, after: Any, path: str) -> Iterator[str]:
    """What is no longer there, or another; defaults that were added are not told."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            yield from _lost(value, after[name], f"{path}.{name}") if name in after else [f"{path}.{name}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _lost(one, other, f"{path}[{index}]")
    elif before != after:
        yield path


def _of_another_type(value: Any, path: str) -> Iterator[str]:
    """Where an object of the schema holds what its annotations do not allow."""
    # Its own module resolves the names in annotations.
    hints = typing.get_type_hints(type(value))
    for name, wanted in hints.items():
        held = getattr(value, name)
        place = f"{path}.{name}"
        if not _fits(held, wanted):
            yield f"{place} is {held!r}, not {wanted}"
        for index, one in enumerate(held if isinstance(held, list) else [held]):
            if type(one).__module__.startswith("grafana_foundation_sdk.models") and not isinstance(one, Enum):
                yield from _of_another_type(one, f"{place}[{index}]")


def _fits(held: Any, wanted: Any) -> bool:
    kind, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted in (typing.Any, object):
        return True
    if kind in (typing.Union, types.UnionType):
        return any(_fits(held, one) for one in arguments)
    if kind is typing.Literal:
        return held in arguments
    if kind is list:
        return isinstance(held, list) and all(_fits(one, arguments[0]) for one in held)
    if kind is dict:
        return isinstance(held, dict) and all(_fits(one, arguments[1]) for one in held.values())
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return held in [one.value for one in wanted]
    if isinstance(held, dict) and hasattr(wanted, "from_json"):
        # The types leave some objects as they were read.
        return not list(_of_another_type(wanted.from_json(held), ""))
    if wanted is float:
        return isinstance(held, int | float) and not isinstance(held, bool)
    if wanted is int:
        return isinstance(held, int) and not isinstance(held, bool)
    return isinstance(held, wanted) if isinstance(wanted, type) else True


@pytest.mark.smoke
@pytest.mark.parametrize("wrong", [
    {"title": 5}, {"schemaVersion": "41"}, {"tags": ["a", 1]}, {"refresh": True}, {"editable": "yes"},
])
def test_the_check_of_types_can_fail(wrong: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    assert list(_of_another_type(Schema.from_json(ALL["pgprism"] | wrong), "pgprism")) != []


@pytest.mark.smoke
def test_a_field_that_grafana_does_not_know_is_seen() -> None:
    plugins.register_default_plugins()
    panel = ALL["pgprism"]["panels"][1]
    misspelt = panel | {"targets": [panel["targets"][0] | {"legend_format": "x"}]}
    strange = ALL["pgprism"] | {"panels": [misspelt]}
    read = json.loads(json.dumps(Schema.from_json(strange), cls=JSONEncoder))
    assert list(_lost(strange, read, "pgprism")) == ["pgprism.panels[0].targets[0].legend_format"]


@pytest.mark.smoke
@every_dashboard
def test_every_panel_explains_itself(uid: str) -> None:
    for panel in dashboards.panels(ALL[uid]):
        title = panel["title"]
        assert panel["type"] in PANEL_TYPES, title
        assert len(panel["description"]) >= 20, title
        assert panel["description"].endswith("."), title
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, title
        fields = panel["fieldConfig"]["defaults"]
        if panel["type"] == "table":
            assert fields["noValue"].endswith("."), title
            continue
        assert fields["unit"], title
        for target in panel["targets"]:
            assert target["legendFormat"], f"{title}: a legend without words"
    titles = [panel["title"] for panel in dashboards.panels(ALL[uid])]
    assert len(set(titles)) == len(titles), "two panels of one title"


@pytest.mark.smoke
@every_dashboard
def test_panels_stand_in_whole_rows(uid: str) -> None:
    """Side by side over the whole width, equally high, nothing over another and no gap between."""
    dashboard = ALL[uid]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    lines: dict[int, list[dict[str, int]]] = {}
    for panel in dashboard["panels"]:
        lines.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    expected = 0
    for y, places in sorted(lines.items()):
        assert y == expected, f"a gap or an overlap above line {y}"
        assert len({place["h"] for place in places}) == 1, f"line {y} is not equally high"
        reached = 0
        for place in sorted(places, key=lambda place: place["x"]):
            assert place["x"] == reached, f"a gap or an overlap in line {y}"
            reached += place["w"]
        assert reached == 24, f"line {y} is {reached} wide"
        expected = y + places[0]["h"]
    assert dashboard["panels"][0]["type"] == "row", "it begins with a heading"


@pytest.mark.smoke
@every_dashboard
def test_variables_are_explained_and_exist(uid: str) -> None:
    dashboard = ALL[uid]
    names = [variable["name"] for variable in dashboards.variables(dashboard)]
    assert names[:3] == ["datasource", "job", "instance"]
    known: set[str] = set()
    for variable in dashboards.variables(dashboard):
        assert variable["label"], variable["name"]
        assert variable["description"].endswith("."), variable["name"]
        if variable["type"] == "query":
            # Grafana fills them in this order.
            assert dashboards.used_variables(variable["query"]["query"]) <= known, variable["name"]
        known.add(variable["name"])
    for target in dashboards.targets(dashboard):
        assert dashboards.used_variables(target.expression) <= known, target
        assert "$job" in target.expression and "$instance" in target.expression, f"{target} looks at every process"


@pytest.mark.smoke
@every_dashboard
def test_links_lead_to_dashboards_and_variables_that_exist(uid: str) -> None:
    text = json.dumps(ALL[uid])
    links = re.findall(r'"(/d/[^"]+)"', text)
    for link in links:
        target = ALL[re.match(r"/d/([\w-]+)", link)[1]]
        offered = {variable["name"] for variable in dashboards.variables(target)}
        assert set(re.findall(r"var-(\w+)=", link)) <= offered, link
        assert "${__url_time_range}" in link, f"{link} loses the time range"
    own = {variable["name"] for variable in dashboards.variables(ALL[uid])}
    for link in [*links, *re.findall(r'"(\$\{page\}[^"]*)"', text)]:
        assert {name for name in dashboards.used_variables(link) if not name.startswith("__")} <= own, link
    assert any(link["type"] == "dashboards" and link["includeVars"] for link in ALL[uid]["links"])


@pytest.mark.smoke
def test_the_dashboards_lead_to_each_other() -> None:
    for source, target in (
        ("pgprism", "pgprism-query?var-fingerprint="), ("pgprism", "pgprism-findings"),
        ("pgprism-findings", "pgprism-query?var-fingerprint="), ("pgprism-query", "pgprism-findings?var-finding="),
    ):
        assert f"/d/{target}" in json.dumps(ALL[source]), (source, target)


@pytest.mark.smoke
@every_dashboard
def test_columns_that_are_dressed_exist(uid: str) -> None:
    """An override or an order by a name that no column has would be silently without effect."""
    for panel in dashboards.panels(ALL[uid]):
        if panel["type"] != "table":
            continue
        (organize,) = [one["options"] for one in panel["transformations"] if one["id"] == "organize"]
        headings = set(organize["renameByName"].values())
        overrides = panel["fieldConfig"]["overrides"]
        dressed = {one["matcher"]["options"] for one in overrides if one["matcher"]["id"] == "byName"}
        dressed |= {one["displayName"] for one in panel["options"]["sortBy"]}
        assert dressed <= headings, panel["title"]
        # The words for an empty panel would be in each empty cell otherwise.
        assert overrides[0]["properties"] == [{"id": "noValue", "value": "-"}], panel["title"]
        assert len(panel["targets"]) == 1 or panel["transformations"][0]["id"] == "merge", panel["title"]
        values = {f"Value #{one['refId']}" for one in panel["targets"]} if len(panel["targets"]) > 1 else {"Value"}
        assert values <= set(organize["renameByName"]), panel["title"]


@pytest.mark.smoke
@every_dashboard
def test_phases_and_quantiles_look_the_same_everywhere(uid: str) -> None:
    colours: dict[str, set[str]] = {}
    for panel in dashboards.panels(ALL[uid]):
        if panel["type"] != "timeseries":
            continue
        overrides = {
            one["matcher"]["options"]: one["properties"][0]["value"]["fixedColor"]
            for one in panel["fieldConfig"]["overrides"]
        }
        legends = {target["legendFormat"].split()[0] for target in panel["targets"]}
        if "{{phase}}" in legends:
            legends = {"database", "transfer", "client", "application"}
        for name in legends & {"p50", "p95", "p99", "database", "transfer", "client", "application"}:
            (pattern,) = [one for one in overrides if re.fullmatch(one, name)]
            colours.setdefault(name, set()).add(overrides[pattern])
    assert all(len(found) == 1 for found in colours.values()), colours


@pytest.mark.smoke
@every_dashboard
def test_every_metric_is_in_the_documentation(uid: str) -> None:
    for target in dashboards.targets(ALL[uid]):
        assert dashboards.undocumented(target.expression) == set(), target


@pytest.mark.smoke
def test_no_expression_is_empty(start_pgprism, postgres, database) -> None:
    """A process with ordinary traffic and one to which everything happens that can: each panel has something to show.

    What is shown as 0 while all is well is asked without that 0 too.
    """
    well = start_pgprism(database.endpoint, slow_log={"threshold": "5ms"}, ignore=[{"table": "muted"}])
    ill = start_pgprism(
        database.endpoint, slow_log={"threshold": "0ms"}, debug={"drop_events_per_10000": 10_000},
        faults=["log-disk-full"],
    )
    ill.expect.decode_errors = ill.expect.dropped_events = True
    bookshop.furnish(database)
    rules = Rules(RULES.glob("*.yml"), times_as_fast=60)
    with Prometheus(well.admin, ill.admin, rules=rules) as prometheus, ThreadPoolExecutor(1) as pool:
        wait_until(lambda: len(prometheus.ask("pgprism_build_info")) == 2, "both are scraped")
        busy = True

        def traffic() -> None:
            while busy:
                _visit(database.at(well.endpoint))
                _suffer(ill, database)

        traffic_ends = pool.submit(traffic)
        try:
            def nothing_empty() -> bool:
                if traffic_ends.done():
                    traffic_ends.result()
                count, problems = dashboards.empty_or_wrong(prometheus.ask)
                problems += _empty_without_zero(prometheus)
                assert not problems, "\n".join(problems)
                return count > 60

            wait_until(nothing_empty, "every expression has a value", deadline_s=25, every_s=1, refused=(AssertionError,))
        finally:
            busy = False
        traffic_ends.result()


def _empty_without_zero(prometheus: Prometheus) -> list[str]:
    found = []
    for dashboard in ALL.values():
        values = dashboards.chosen_values(dashboard, prometheus.ask)
        for target in dashboards.targets(dashboard):
            bare = dashboards.without_zero(target.expression)
            if bare != target.expression and not prometheus.ask(dashboards.expand(bare, values)):
                found.append(f"{target}: empty but for its zero\n    {bare}")
    return found


def _visit(address: Address) -> None:
    """A request with an N+1 and what else happens in an application's day."""
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        bookshop.visit(connection)
        bookshop.look_up(connection)
        connection.execute("SELECT pg_sleep(0.01)")
        bookshop.fail(connection)


def _suffer(proxy: Pgprism, address: Address) -> None:
    """Everything that observation can give up; the server closes the connection for what it is sent."""
    with RawClient(proxy.endpoint, database=address.database) as client:
        client.ask("SELECT 1 AS dropped")
        client.send(b"Q" + struct.pack("!I", 2))
        client.rest()
    stranger = urllib.request.Request(f"http://{proxy.admin[0]}:{proxy.admin[1]}/metrics", headers={"Host": "elsewhere"})
    with pytest.raises(urllib.error.HTTPError, match="403|421"):
        urllib.request.urlopen(stranger, timeout=10)
