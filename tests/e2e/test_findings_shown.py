"""A finding wherever it is shown: API, stream, metrics, slow log, report; ignored, muted."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest

from support.orders import ORDERS, list_orders, prepare
from support.postgres import Address
from support.prometheus import promtool_check
from support.proxy import Pgprism, command
from support.waiting import wait_until


@pytest.fixture
def shop(database: Address) -> Address:
    return prepare(database)


def the_finding(proxy: Pgprism, **wanted: str) -> dict[str, Any]:
    """The forward N+1, once it is there."""

    def found() -> dict[str, Any] | None:
        items = proxy.items("findings", kind="n_plus_one_forward", **wanted)
        return items[0] if items else None

    return wait_until(found, f"a finding {wanted}", deadline_s=15)


@pytest.mark.smoke
def test_a_finding_is_shown_everywhere(postgres, start_pgprism, shop):
    proxy = start_pgprism(postgres.address.endpoint)
    list_orders(shop.at(proxy.endpoint))
    finding = the_finding(proxy)
    assert (finding["confidence"], finding["status"], finding["evidence"]) == ("proved", "open", "connection")
    assert (finding["parent_table"], finding["parent_column"]) == ("shop_order", "customer_id")
    assert (finding["child_table"], finding["child_column"]) == ("shop_customer", "id")
    assert (finding["occurrences"], finding["queries"]) == (1, ORDERS)
    assert "select_related" in finding["advice"]["django"]
    assert finding["proof"]["matched"] == ORDERS
    assert finding["tags"]["route"] == ["orders/"]
    assert finding["cost_ms"] > 0
    assert proxy.api(f"findings/{finding['id']}")["id"] == finding["id"]

    # Its unit, statement by statement.
    (unit,) = proxy.items("units", finding=finding["id"])
    assert unit["id"] == finding["example_unit"]
    assert (unit["route"], unit["queries"], unit["application"]) == ("orders/", ORDERS + 1, "web")
    assert (unit["state"], unit["incomplete"], unit["findings"]) == ("ended", False, [finding["id"]])
    detail = proxy.api(f"units/{unit['id']}")
    # That it is a loop is known from the third child on.
    assert [entry["parent_index"] for entry in detail["timeline"]][3:] == [0] * (ORDERS - 2)
    (branch,) = detail["tree"]
    assert branch["parent_index"] == 0 and branch["children"][-1] == ORDERS
    assert detail["timeline"][0]["at_ms"] == 0

    # The shape knows it, and so does the summary.
    shape = proxy.api(f"queries/{finding['fingerprint']}")
    assert [one["id"] for one in shape["findings"]] == [finding["id"]]
    assert [one["id"] for one in shape["example_units"]] == [unit["id"]]
    assert proxy.api("summary")["findings_open"] == len(proxy.items("findings", status="open"))

    scrape = proxy.metrics()
    assert promtool_check(scrape.text) == ""
    assert scrape.total(
        "pgprism_findings",
        kind="n_plus_one_forward",
        finding=finding["id"],
        fingerprint=finding["fingerprint"],
        parent_fingerprint=finding["parent_fingerprint"],
    ) == 1
    labels = {"kind": "n_plus_one_forward", "finding": finding["id"]}
    assert scrape.total("pgprism_finding_queries_total", **labels) == ORDERS
    assert scrape.total("pgprism_finding_cost_seconds_total", **labels) > 0
    assert scrape.total("pgprism_unit_queries_count", route="orders/") == 1
    assert scrape.total("pgprism_unit_duration_seconds_count", route="orders/") == 1

    # No query is slow enough for the log, but the finding is there, once.
    list_orders(shop.at(proxy.endpoint))
    wait_until(lambda: the_finding(proxy)["occurrences"] == 2, "it is seen again")
    logged = proxy.slow_log.read_text()
    assert logged.count(f"LOG:  pgprism finding id={finding['id']} kind=n_plus_one_forward confidence=") == 1
    entry = logged[logged.index(finding["id"]) :].splitlines()
    assert re.search(r" count=\d+ cost=\d+\.\d{3} ms fix=", entry[0]), entry[0]
    assert any(line.startswith(f"\tparent {finding['parent_fingerprint']}: SELECT ") for line in entry)
    assert any(line.startswith(f"\tchild {finding['fingerprint']}: SELECT ") for line in entry)

    admin = f"http://{proxy.admin[0]}:{proxy.admin[1]}"
    printed = command("report", "--admin", admin).stdout
    code = finding["advice"]["django"].splitlines()[0].split("  # ")[0]
    assert printed.index(f"  fix        {code}\n") < printed.index("TOP SHAPES")
    assert "shop_order.customer_id -> shop_customer.id" in printed
    whole = json.loads(command("report", "--admin", admin, "--json").stdout)
    assert finding["id"] in [one["id"] for one in whole["findings"]]
    assert finding["id"] in command("report", "--admin", admin, "--markdown").stdout


def test_a_reader_of_the_stream_is_told(postgres, start_pgprism, shop):
    proxy = start_pgprism(postgres.address.endpoint)
    url = f"http://{proxy.admin[0]}:{proxy.admin[1]}/api/v1/stream?events=finding,summary"
    with urllib.request.urlopen(url, timeout=20) as stream:
        lines = (line.decode().rstrip("\n") for line in stream)
        next(line for line in lines if line == "event: summary")
        list_orders(shop.at(proxy.endpoint))
        next(line for line in lines if line == "event: finding")
        told = json.loads(next(lines).removeprefix("data: "))
        assert told["status"] == "open"
        assert proxy.post(f"findings/{told['id']}/mute") == 204
        muted = next(line for line in lines if '"status":"muted"' in line)
        assert json.loads(muted.removeprefix("data: "))["id"] == told["id"]


def test_a_muted_finding_stays_muted(postgres, start_pgprism, shop):
    proxy = start_pgprism(postgres.address.endpoint)
    list_orders(shop.at(proxy.endpoint))
    finding = the_finding(proxy, status="open")
    assert proxy.post(f"findings/{finding['id']}/mute") == 204
    assert the_finding(proxy)["status"] == "muted"
    list_orders(shop.at(proxy.endpoint))
    wait_until(lambda: the_finding(proxy)["occurrences"] == 2, "it is seen again")
    assert the_finding(proxy)["status"] == "muted"
    assert not [s for s in proxy.metrics().series("pgprism_findings") if s.label("finding") == finding["id"]]
    assert proxy.post(f"findings/{finding['id']}/unmute") == 204
    the_finding(proxy, status="open")


def test_ignore_rules_keep_findings_away_and_say_which_do_nothing(postgres, start_pgprism, shop):
    proxy = start_pgprism(
        postgres.address.endpoint, ignore=[{"table": "shop_customer"}, {"kind": "chatty_unit", "route": "reports/"}]
    )
    list_orders(shop.at(proxy.endpoint))
    used = wait_until(
        lambda: next((one for one in proxy.api("summary")["ignore_rules"] if one["matched"]), None), "a rule matches"
    )
    assert used["rule"] == 'table = "shop_customer"'
    assert [one["matched"] for one in proxy.api("summary")["ignore_rules"]][1] == 0
    assert not proxy.items("findings", kind="n_plus_one_forward")
    scrape = proxy.metrics()
    assert scrape.total("pgprism_ignored_findings_total", rule=used["rule"]) == used["matched"]
    unused = 'kind = "chatty_unit", route = "reports/"'
    assert scrape.total("pgprism_ignored_findings_total", rule=unused) == 0
    printed = command("report", "--admin", f"http://{proxy.admin[0]}:{proxy.admin[1]}").stdout
    assert f"[[ignore]] matched nothing: {unused}" in printed

    # SIGHUP takes other rules at once.
    proxy.write_config(ignore=[{"kind": "duplicate"}])
    proxy.reload()
    proxy.wait_logged("changed: ignore")
    list_orders(shop.at(proxy.endpoint))
    the_finding(proxy)
